//! [`Expectation`]: what the result of a check must be, as `> 0` or `= text`.
//!
//! `=` and `!=` compare as numbers when both sides are, as text otherwise; the others compare numbers only.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::problem::{Wrong, shown};

/// The comparisons, longest first.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("!=", Comparison::Not),
    ("=", Comparison::Is),
    ("<", Comparison::Below),
    (">", Comparison::Above),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtMost,
    AtLeast,
    Not,
    Is,
    Below,
    Above,
}

/// A comparison and what is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    written: String,
    comparison: Comparison,
    bound: String,
}

impl Expectation {
    /// Whether an answer is as expected. An answer that is not a number never passes a comparison of numbers.
    #[must_use]
    pub fn accepts(&self, answer: &str) -> bool {
        let numbers = answer.trim().parse::<f64>().ok().zip(self.bound.parse::<f64>().ok());
        let numbers = numbers.filter(|(one, other)| !one.is_nan() && !other.is_nan());
        match (self.comparison, numbers) {
            (Comparison::Is, Some((answer, bound))) => answer == bound,
            (Comparison::Not, Some((answer, bound))) => answer != bound,
            (Comparison::Is, None) => answer == self.bound,
            (Comparison::Not, None) => answer != self.bound,
            (Comparison::AtMost, Some((answer, bound))) => answer <= bound,
            (Comparison::AtLeast, Some((answer, bound))) => answer >= bound,
            (Comparison::Below, Some((answer, bound))) => answer < bound,
            (Comparison::Above, Some((answer, bound))) => answer > bound,
            (_, None) => false,
        }
    }
}

impl FromStr for Expectation {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let found = COMPARISONS.iter().find_map(|(sign, kind)| Some((*kind, text.trim().strip_prefix(sign)?.trim())));
        let begins = |bound: &str| bound.starts_with(['<', '>', '=', '!']);
        let Some((comparison, bound)) = found.filter(|(_, bound)| !bound.is_empty() && !begins(bound)) else {
            return Err(Wrong::new(format!("`{}` expects nothing", shown(text)))
                .hint("write a comparison and a value, as in > 0, >= 100, = t or != 0"));
        };
        let of_numbers = !matches!(comparison, Comparison::Is | Comparison::Not);
        if of_numbers && bound.parse::<f64>().is_err() {
            return Err(Wrong::new(format!("`{}` is no number to compare with", shown(bound)))
                .hint("write a number after <, <=, > or >="));
        }
        Ok(Self { written: text.trim().to_owned(), comparison, bound: bound.to_owned() })
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Serialize for Expectation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(expectation: &str, answer: &str) -> bool {
        expectation.parse::<Expectation>().unwrap().accepts(answer)
    }

    #[test]
    fn numbers_compare_as_numbers_and_text_as_text() {
        assert!(accepts("> 0", "10") && !accepts("> 9", "10.0e-1") && accepts(">= 10", "10"));
        assert!(accepts("= 1", "1.0") && accepts("= t", "t") && !accepts("= t", "f") && accepts("!= x", "y"));
        assert!(!accepts("> 0", "") && !accepts("< 5", "many") && !accepts("< 5", "NaN"));
    }

    #[test]
    fn an_expectation_needs_a_comparison_and_a_value() {
        for text in ["", "5", "=", "> many", "=> 5"] {
            assert!(text.parse::<Expectation>().is_err(), "{text}");
        }
    }
}
