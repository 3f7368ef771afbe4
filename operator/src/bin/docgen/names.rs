//! The page of annotations and labels.

use mainstay_crds::names::{ASKED, LABELS, Name, TOLD};

use crate::table::Table;

/// The page.
pub(crate) fn page() -> String {
    let mut text = "# Annotations and labels\n".to_owned();
    for (title, all) in
        [("Annotations that people set", ASKED), ("Annotations that the operator sets", TOLD), ("Labels that the operator sets", LABELS)]
    {
        text.push_str(&format!("\n## {title}\n\n{}", table(all)));
    }
    text
}

fn table(all: &[Name]) -> String {
    let mut table = Table::new(&["key", "what it is"]);
    for name in all {
        table.row(&[&format!("`{}`", name.key), name.meaning]);
    }
    table.into_text()
}
