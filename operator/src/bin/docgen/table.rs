//! Tables in Markdown.

/// A table.
pub(crate) struct Table {
    text: String,
}

impl Table {
    /// With these heads of columns.
    pub(crate) fn new(heads: &[&str]) -> Self {
        Self { text: format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len())) }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: &[&str]) {
        for cell in cells {
            self.text.push_str("| ");
            self.text.push_str(&cell.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" "));
            self.text.push(' ');
        }
        self.text.push_str("|\n");
    }

    /// Its text.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}
