//! Aligned columns of text. Does not depend on their content.

use super::style::{Paint, Style};

/// One cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    text: String,
    paint: Paint,
    right: bool,
}

impl Cell {
    /// Text in a color.
    pub(super) fn painted(text: impl Into<String>, paint: Paint) -> Self {
        Cell { text: text.into(), paint, right: false }
    }

    /// Text against the right edge of its column.
    pub(super) fn right(text: impl Into<String>) -> Self {
        Cell { text: text.into(), paint: Paint::Plain, right: true }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    /// Padding stands outside the color.
    fn render(&self, style: Style, width: usize) -> String {
        let padding = " ".repeat(width.saturating_sub(self.width()));
        let text = style.paint(self.paint, &self.text);
        if self.right { format!("{padding}{text}") } else { format!("{text}{padding}") }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell { text: text.into(), ..Cell::default() }
    }
}

/// The cells of a heading.
pub(super) fn heading<const N: usize>(words: [&str; N]) -> Vec<Cell> {
    words.map(|word| Cell::painted(word, Paint::Faint)).to_vec()
}

/// Rows as lines, each column as wide as its widest cell, two spaces between.
pub(super) fn lines(style: Style, rows: &[Vec<Cell>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(Cell::width).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter().map(|row| line(style, row, &widths)).collect()
}

fn line(style: Style, row: &[Cell], widths: &[usize]) -> String {
    let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| cell.render(style, *width)).collect();
    cells.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align() {
        let rows =
            [heading(["asset", "n"]), vec!["a".into(), Cell::right("10")], vec!["files".into(), Cell::right("9")]];
        assert_eq!(lines(Style::default(), &rows), ["asset  n", "a      10", "files   9"]);
    }

    #[test]
    fn colors_do_not_count_as_width() {
        let rows = [vec![Cell::painted("x", Paint::Strong), "b".into()], vec!["yy".into(), "c".into()]];
        assert_eq!(lines(Style { color: true }, &rows), ["\u{1b}[1mx\u{1b}[0m   b", "yy  c"]);
    }
}
