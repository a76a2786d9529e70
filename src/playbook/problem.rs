//! What is wrong with a playbook, and where: one [`Problem`] per mistake, all of them in one [`Invalid`].
//!
//! Leaves out how mistakes are found. A problem never carries the value of something that looks like a secret.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// One mistake in a playbook.
///
/// Displays as `line:column: path: message`, with the hint on a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line in the file, from 1; 0 when the problem is the file itself.
    pub line: usize,
    /// Column in characters, from 1; 0 when the problem is the file itself.
    pub column: usize,
    /// Place in the document, such as `assets[2].s3.bucket`; empty for the document as a whole.
    pub path: String,
    /// What is wrong, without the place.
    pub message: String,
    /// The hint.
    pub hint: Option<String>,
}

impl Problem {
    pub(super) fn at(place: &Place, message: impl Into<String>) -> Self {
        Self { line: place.line, column: place.column, path: place.path.clone(), message: message.into(), hint: None }
    }

    /// A problem of the whole file, such as one that cannot be read.
    pub(super) fn of_file(message: impl Into<String>) -> Self {
        Self::at(&Place::default(), message)
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// A playbook that cannot be used, with every problem found in it, sorted by line.
///
/// Displays each problem as `file:line:column: path: message`, one after the other.
#[derive(Debug, Clone, Error)]
#[error("{}", listing(.origin, .problems))]
pub struct Invalid {
    /// The file, as the user named it.
    pub origin: String,
    /// At least one problem.
    pub problems: Vec<Problem>,
}

fn listing(origin: &str, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| match problem.line {
            0 => format!("{origin}: {problem}"),
            _ => format!("{origin}:{problem}"),
        })
        .collect();
    lines.join("\n")
}

/// A place in the file and in the document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
    pub path: String,
}

/// A decoded value and its place.
#[derive(Debug, Clone)]
pub(super) struct Located<T> {
    pub value: T,
    pub place: Place,
}

/// Collects problems while the work goes on.
///
/// Shared by reference, because the decoder passes it through serde, which has no place for a `&mut`.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    pub(super) fn add(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// The lines that have a problem so far.
    pub(super) fn lines(&self) -> HashSet<usize> {
        self.0.borrow().iter().map(|problem| problem.line).collect()
    }

    /// Everything collected, in the order of the file.
    pub(super) fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems
    }
}

/// Why a single value is not acceptable, before its place is known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Wrong {
    /// What is wrong with the value.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn at(self, place: &Place) -> Problem {
        Problem { hint: self.hint, ..Problem::at(place, self.message) }
    }
}

/// The most characters of a value that a message quotes.
const SHOWN_CHARS_MAX: usize = 60;

/// A value as quoted in a message: on one line, and of limited length.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// The path of a key below `parent`.
pub(super) fn key_path(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_place_path_and_hint() {
        let place = Place { line: 12, column: 7, path: "assets[0].s3.buckt".into() };
        let invalid = Invalid {
            origin: "playbook.yaml".into(),
            problems: vec![Problem::at(&place, "unknown key").hint("did you mean `bucket`?")],
        };
        assert_eq!(
            invalid.to_string(),
            "playbook.yaml:12:7: assets[0].s3.buckt: unknown key\n  hint: did you mean `bucket`?"
        );
    }

    #[test]
    fn a_problem_of_the_file_has_no_line() {
        let invalid = Invalid { origin: "gone.yaml".into(), problems: vec![Problem::of_file("cannot be read")] };
        assert_eq!(invalid.to_string(), "gone.yaml: cannot be read");
    }
}
