//! What is in a page of the docs that a machine can judge: fenced blocks, the commands of a shell, links and headings.

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Line of its first fence, counted from 1.
    pub line: usize,
    /// First word behind the fence: `sh`, `yaml`; empty for what a program printed.
    pub language: String,
    /// What follows: `run` or `example`.
    pub mark: String,
    /// What is in it, without the indentation of the fence.
    pub text: String,
}

/// The fenced blocks of a page.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut all: Vec<Block> = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    for (number, line) in page.lines().enumerate() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        match (&mut open, text.strip_prefix("```")) {
            (None, Some(info)) => {
                let (language, mark) = info.trim().split_once(' ').unwrap_or((info.trim(), ""));
                let block = Block { line: number + 1, language: language.to_owned(), mark: mark.trim().to_owned(), text: String::new() };
                open = Some((block, indent));
            }
            (Some(_), Some("")) => all.extend(open.take().map(|(block, _)| block)),
            (Some((block, indent)), _) => {
                block.text.push_str(line.get(*indent..).unwrap_or(text));
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    all
}

/// The page without its fenced blocks, line by line: those lines are empty.
fn prose(page: &str) -> Vec<&str> {
    let mut inside = false;
    page.lines()
        .map(|line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            if inside || fence { "" } else { line }
        })
        .collect()
}

/// The commands of a script: here-documents and continued lines belong to their command, comments to none.
pub fn commands(script: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut lines = script.lines();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let mut command = line.to_owned();
        while command.ends_with('\\') {
            let Some(next) = lines.next() else { break };
            command = format!("{command}\n{next}");
        }
        if let Some(end) = here_document(&command) {
            for line in lines.by_ref() {
                command = format!("{command}\n{line}");
                if line == end {
                    break;
                }
            }
        }
        all.push(command);
    }
    all
}

/// What a command is given as a here-document.
pub fn input(command: &str) -> Option<String> {
    let (first, rest) = command.split_once('\n')?;
    let end = here_document(first)?;
    let lines: Vec<&str> = rest.lines().take_while(|line| *line != end).collect();
    Some(lines.join("\n"))
}

/// The word that ends the here-document of a command.
fn here_document(command: &str) -> Option<String> {
    let (_, word) = command.split_once("<<")?;
    let word = word.split_whitespace().next()?.trim_matches(['\'', '"']);
    Some(word.to_owned())
}

/// Where the links of a page go, each with its line; not those in blocks or behind backticks.
pub fn links(page: &str) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    for (number, line) in prose(page).into_iter().enumerate() {
        // Every second part stands between backticks.
        let text: String = line.split('`').enumerate().map(|(part, text)| if part % 2 == 0 { text } else { "code" }).collect();
        all.extend(text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()).map(|to| (number + 1, to.to_owned())));
    }
    all
}

/// The anchors of a page's headings, as forges make them.
pub fn anchors(page: &str) -> Vec<String> {
    let headings = prose(page).into_iter().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[cfg(test)]
#[path = "guide_tests.rs"]
mod tests;
