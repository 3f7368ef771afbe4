//! Columns and colours. Pure: whether there are colours is decided by the caller.

use crate::failure::one_line;

/// What a word says, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// As wanted.
    Good,
    /// Under way, or somebody's decision.
    Waiting,
    /// A problem.
    Bad,
    /// Less important.
    Dim,
}

/// Puts colours on words, or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    /// The text in the colour of its tone.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Waiting => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
            Tone::Plain => return text.to_owned(),
        };
        if self.0 && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// One field of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A field; what is empty is shown as `-`.
    pub(crate) fn new(tone: Tone, text: impl AsRef<str>) -> Self {
        let text = one_line(text.as_ref());
        if text.is_empty() { Self { text: "-".to_owned(), tone: Tone::Dim } } else { Self { text, tone } }
    }

    /// A field without a colour.
    pub(crate) fn plain(text: impl AsRef<str>) -> Self {
        Self::new(Tone::Plain, text)
    }

    /// A field that may be empty.
    pub(crate) fn maybe(text: Option<&str>) -> Self {
        Self::plain(text.unwrap_or_default())
    }
}

/// The width of every column; it grows with what is shown, so that lines that come later (`-w`) fit the first.
#[derive(Debug, Default)]
pub(crate) struct Widths(Vec<usize>);

impl Widths {
    /// The lines of rows of equal length, each column as wide as its widest field so far.
    pub(crate) fn render(&mut self, rows: &[Vec<Cell>], paint: Paint) -> String {
        for row in rows {
            for (column, cell) in row.iter().enumerate() {
                let width = cell.text.chars().count();
                match self.0.get_mut(column) {
                    Some(known) => *known = (*known).max(width),
                    None => self.0.push(width),
                }
            }
        }
        let mut text = String::new();
        for row in rows {
            let last = row.len().saturating_sub(1);
            for (column, (cell, width)) in row.iter().zip(&self.0).enumerate() {
                text.push_str(&paint.paint(cell.tone, &cell.text));
                if column < last {
                    text.push_str(&" ".repeat(width.saturating_sub(cell.text.chars().count()) + 3));
                }
            }
            text.push('\n');
        }
        text
    }
}

/// The first row of a table.
pub(crate) fn header(words: &[&str]) -> Vec<Cell> {
    words.iter().map(Cell::plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_with_and_without_colours() {
        let rows = [
            header(&["NAME", "STATE"]),
            vec![Cell::plain("grafana"), Cell::new(Tone::Good, "UpToDate")],
            vec![Cell::plain("cv"), Cell::plain("")],
        ];
        assert_eq!(Widths::default().render(&rows, Paint(false)), "NAME      STATE\ngrafana   UpToDate\ncv        -\n");
        let painted = Widths::default().render(&rows, Paint(true));
        assert!(painted.contains("grafana   \u{1b}[32mUpToDate\u{1b}[0m\n"), "{painted:?}");
    }

    #[test]
    fn later_lines_fit_the_first() {
        let mut widths = Widths::default();
        widths.render(&[header(&["NAME", "B"]), header(&["grafana", "x"])], Paint(false));
        assert_eq!(widths.render(&[header(&["cv", "y"])], Paint(false)), "cv        y\n");
    }
}
