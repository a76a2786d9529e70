//! Tables as values: text, sort key, and whether it is a verdict.

use crate::domain::finding::Verdict;

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

/// A verdict in its words.
pub(super) fn judgement(verdict: String) -> Cell {
    Cell { text: verdict, key: None, verdict: true }
}

/// How one verdict is told from another without its color: `pass`, `fail`, `not-run`, …; that of a sample that passed is
/// none of a whole.
pub(super) fn class(verdict: &str) -> String {
    if verdict == Verdict::Pass.words(true) {
        return "sample".to_owned();
    }
    verdict.trim_end_matches(" (OF A SAMPLE)").to_lowercase().replace(' ', "-")
}
