//! A document as a list of blocks, and Markdown of them.

use std::fmt::Write as _;

use serde::Serialize;

use super::table::{Table, class};
use crate::domain::finding::printable;

/// One piece of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "block", rename_all = "lowercase")]
pub enum Block {
    /// A heading of level 1 to 3.
    Heading { level: u8, text: String },
    /// A paragraph.
    Text { text: String },
    /// Names and values.
    Facts { rows: Vec<(String, String)> },
    /// Items.
    List { items: Vec<String> },
    /// Steps in their order.
    Steps { items: Vec<String> },
    /// A prominent verdict: its class, its text, and its meaning.
    Banner { class: String, verdict: String, lines: Vec<String> },
    /// Answers in boxes.
    Answers { answers: Vec<Boxed> },
    /// A highlighted paragraph.
    Warning { text: String },
    /// A figure as SVG, with a text alternative; its numbers are in a table beside it.
    Figure { svg: String, alt: String },
    /// A table. A cell that is a verdict is marked with its class; columns of numbers are marked as such.
    Table { headings: Vec<String>, rows: Vec<Vec<String>>, marks: Vec<Vec<Option<String>>>, numbers: Vec<bool> },
    /// Commands, literally.
    Code { language: String, text: String },
}

/// An answer in a box: the question, the number, a sentence, the names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Boxed {
    /// The question.
    pub title: String,
    /// The decisive number.
    pub number: String,
    /// What it means.
    pub text: String,
    /// What is named.
    pub items: Vec<String>,
    /// Whether it requires action.
    pub weighs: bool,
}

impl Block {
    pub(super) fn heading(level: u8, text: impl Into<String>) -> Self {
        Block::Heading { level, text: text.into() }
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Block::Text { text: text.into() }
    }

    pub(super) fn facts<T: AsRef<str>>(rows: &[(T, String)]) -> Self {
        Block::Facts { rows: rows.iter().map(|(name, value)| (name.as_ref().to_owned(), printable(value))).collect() }
    }

    pub(super) fn sh(text: impl Into<String>) -> Self {
        Block::Code { language: "sh".to_owned(), text: text.into() }
    }

    /// A table without verdicts.
    pub(super) fn plain_table(headings: &[&str], rows: Vec<Vec<String>>) -> Self {
        let marks = rows.iter().map(|row| vec![None; row.len()]).collect();
        let numbers = vec![false; headings.len()];
        Block::Table { headings: headings.iter().map(|heading| (*heading).to_owned()).collect(), rows, marks, numbers }
    }

    /// The first rows of a table, up to a number.
    pub(super) fn table(table: &Table, rows_max: usize) -> Self {
        let rows = || table.rows.iter().take(rows_max);
        Block::Table {
            headings: table.headings.iter().map(|heading| (*heading).to_owned()).collect(),
            rows: rows().map(|row| row.iter().map(|cell| printable(&cell.text)).collect()).collect(),
            marks: rows().map(|row| row.iter().map(|cell| cell.verdict.then(|| class(&cell.text))).collect()).collect(),
            numbers: (0..table.headings.len()).map(|column| table.is_numeric(column)).collect(),
        }
    }
}

/// The document as Markdown (CommonMark, with tables).
pub(super) fn markdown(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        write_block(&mut out, block);
    }
    out
}

fn write_block(out: &mut String, block: &Block) {
    if !out.is_empty() {
        out.push('\n');
    }
    let _ = match block {
        Block::Heading { level, text } => writeln!(out, "{} {}", "#".repeat(usize::from(*level)), plain(text)),
        Block::Text { text } => writeln!(out, "{}", prose(text)),
        Block::Warning { text } => writeln!(out, "**{}**", plain(text)),
        Block::Banner { verdict, lines, .. } => {
            let lines = lines.iter().map(|line| format!("\n{}\n", plain(line))).collect::<String>();
            write!(out, "**{}**\n{lines}", plain(verdict))
        }
        Block::Answers { answers } => answers.iter().try_for_each(|answer| {
            writeln!(out, "**{}: {}**\n\n{}\n", plain(&answer.title), plain(&answer.number), plain(&answer.text))?;
            answer.items.iter().try_for_each(|item| writeln!(out, "* {}", plain(item)))?;
            out.push('\n');
            Ok(())
        }),
        // Its numbers are in a table.
        Block::Figure { .. } => Ok(()),
        Block::Facts { rows } => {
            rows.iter().try_for_each(|(name, value)| writeln!(out, "* **{}:** {}", plain(name), plain(value)))
        }
        Block::List { items } => items.iter().try_for_each(|item| writeln!(out, "* {}", plain(item))),
        Block::Steps { items } => {
            (1..).zip(items).try_for_each(|(number, item)| writeln!(out, "{number}. {}", plain(item)))
        }
        Block::Table { headings, rows, .. } => write_table(out, headings, rows),
        Block::Code { language, text } => writeln!(out, "```{language}\n{}\n```", text.trim_end()),
    };
}

fn write_table(out: &mut String, headings: &[String], rows: &[Vec<String>]) -> std::fmt::Result {
    let cell = |text: &String| plain(text).replace('|', "\\|");
    let line = |cells: &[String]| format!("| {} |", cells.iter().map(cell).collect::<Vec<_>>().join(" | "));
    writeln!(out, "{}\n|{}", line(headings), "---|".repeat(headings.len()))?;
    rows.iter().try_for_each(|row| writeln!(out, "{}", line(row)))
}

/// A paragraph of walkaway's own text: backticks enclose code.
fn prose(text: &str) -> String {
    let parts = printable(text);
    let parts: Vec<&str> = parts.split('`').collect();
    // A single backtick is literal.
    if parts.len().is_multiple_of(2) {
        return plain(text);
    }
    let part = |(index, part): (usize, &&str)| if index % 2 == 0 { plain(part) } else { format!("`{part}`") };
    parts.iter().enumerate().map(part).collect()
}

/// Text escaped for Markdown.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '<' | '[' | ']' | '#') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_become_markdown() {
        let blocks = [
            Block::heading(2, "A_b"),
            Block::text("x *y* `cp a*` z_"),
            Block::plain_table(&["h"], vec![vec!["a|b".to_owned()]]),
            Block::sh("echo 1 *"),
        ];
        let expected = "## A\\_b\n\nx \\*y\\* `cp a*` z\\_\n\n| h |\n|---|\n| a\\|b |\n\n```sh\necho 1 *\n```\n";
        assert_eq!(markdown(&blocks), expected);
    }
}
