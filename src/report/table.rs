//! Tables as values: text, sort key, and whether it is a verdict.

use crate::finding::Verdict;

/// A table: headings and rows.
pub(super) struct Table {
    pub headings: Vec<&'static str>,
    pub rows: Vec<Vec<Cell>>,
}

/// Tables with more columns than this don't fit on paper.
const COLUMNS_MAX: usize = 8;

impl Table {
    /// Whether a column holds numbers, which are right-aligned.
    pub(super) fn is_numeric(&self, column: usize) -> bool {
        column > 0 && !self.is_wide() && self.rows.iter().any(|row| row[column].key.is_some())
    }

    /// Whether it has more columns than a page has space for.
    pub(super) fn is_wide(&self) -> bool {
        self.headings.len() > COLUMNS_MAX
    }
}

/// A longer word may break anywhere.
const WORD_MAX: usize = 24;

/// A cell: its text and its sort key.
#[derive(Clone)]
pub(super) struct Cell {
    pub text: String,
    pub key: Option<u64>,
    pub verdict: bool,
}

impl Cell {
    /// Whether it has a word, such as a digest or a path, that is too long for a column.
    pub(super) fn has_long_word(&self) -> bool {
        self.text.split_whitespace().any(|word| word.chars().count() > WORD_MAX)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell { text: text.into(), key: None, verdict: false }
    }
}

pub(super) fn number(text: impl Into<String>, key: u64) -> Cell {
    Cell { text: text.into(), key: Some(key), verdict: false }
}

pub(super) fn judgement(verdict: Verdict) -> Cell {
    Cell { text: verdict.to_string(), key: None, verdict: true }
}

/// The class of a verdict: `pass`, `fail`, `not-run`, …
pub(super) fn class(verdict: &str) -> String {
    verdict.to_lowercase().replace(' ', "-")
}
