//! Errors as people read them: `error:` with what happened, `hint:` with what to do next. Every error of a list gets
//! its own lines.

use std::error::Error;

use super::style::{Paint, Style};
use crate::{
    domain::finding::printable,
    playbook::{Invalid, Problem},
    record::{EngineError, Obstacle},
    words::thousands,
};

/// The lines for an error.
pub(super) fn lines(style: Style, error: &EngineError) -> Vec<String> {
    match error {
        EngineError::Invalid(invalid) => of_playbook(style, invalid),
        EngineError::NotReady(obstacles) => {
            let shown = obstacles.iter().take(PROBLEMS_MAX).flat_map(|obstacle| of_obstacle(style, obstacle));
            shown.chain(beyond(style, obstacles.len())).collect()
        }
        _ => pair(style, &chain(error), error.hint().as_deref()),
    }
}

fn of_playbook(style: Style, invalid: &Invalid) -> Vec<String> {
    let place = |problem: &Problem| match problem.line {
        0 => format!("{}: ", invalid.origin),
        _ => format!("{}:{}:{}: ", invalid.origin, problem.line, problem.column),
    };
    let path = |problem: &Problem| if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
    let what = |problem: &Problem| format!("{}{}{}", place(problem), path(problem), problem.message);
    let shown = invalid.problems.iter().take(PROBLEMS_MAX);
    let lines = shown.flat_map(|problem| pair(style, &what(problem), problem.hint.as_deref()));
    lines.chain(beyond(style, invalid.problems.len())).collect()
}

/// The most that are shown; the first ones are fixed first.
const PROBLEMS_MAX: usize = 100;

/// How many there are beyond those shown.
fn beyond(style: Style, all: usize) -> Option<String> {
    let more = all.checked_sub(PROBLEMS_MAX).filter(|more| *more > 0)?;
    Some(format!("{} {} more like these", style.paint(Paint::Bad, "error:"), thousands(more as u64)))
}

fn of_obstacle(style: Style, obstacle: &Obstacle) -> Vec<String> {
    pair(style, &obstacle.what, obstacle.hint.as_deref())
}

/// One error and its hint.
pub(super) fn pair(style: Style, what: &str, hint: Option<&str>) -> Vec<String> {
    let mut lines = vec![format!("{} {}", style.paint(Paint::Bad, "error:"), printable(what))];
    lines.extend(hint.map(|hint| self::hint(style, hint)));
    lines
}

/// A hint, indented.
pub(super) fn hint(style: Style, hint: &str) -> String {
    format!("  {} {}", style.paint(Paint::Strong, "hint:"), printable(hint))
}

/// The error and its causes, each once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{io, path::PathBuf};

    use super::*;
    use crate::evidence::EvidenceError;

    #[test]
    fn every_obstacle_has_its_own_lines() {
        let obstacles = vec![
            Obstacle { what: "bucket a is missing".into(), hint: Some("check its name".into()) },
            Obstacle { what: "no\nroom".into(), hint: None },
        ];
        let lines = lines(Style::default(), &EngineError::NotReady(obstacles));
        assert_eq!(lines, ["error: bucket a is missing", "  hint: check its name", "error: no\\nroom"]);
    }

    #[test]
    fn causes_are_said_once() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let said = EngineError::Directory { path: "a".into(), source: full() };
        assert_eq!(chain(&said), format!("a: {}", full()));
        let told = EvidenceError::Io { action: "write", path: PathBuf::from("a"), source: full() };
        assert_eq!(chain(&EngineError::from(told)), format!("cannot write a: {}", full()));
    }

    #[test]
    fn a_playbook_shows_each_problem() {
        let problem = |line, path: &str, hint: Option<&str>| Problem {
            line,
            column: 3,
            path: path.into(),
            message: "wrong".into(),
            hint: hint.map(Into::into),
        };
        let problems = vec![problem(0, "", None), problem(2, "assets", Some("right"))];
        let invalid = Invalid { origin: "p.yaml".into(), problems };
        let lines = of_playbook(Style::default(), &invalid);
        assert_eq!(lines, ["error: p.yaml: wrong", "error: p.yaml:2:3: assets: wrong", "  hint: right"]);
        let many =
            Invalid { origin: "p.yaml".into(), problems: (1..=40_000).map(|line| problem(line, "", None)).collect() };
        let lines = of_playbook(Style::default(), &many);
        assert_eq!((lines.len(), lines[100].as_str()), (101, "error: 39,900 more like these"));
    }
}
