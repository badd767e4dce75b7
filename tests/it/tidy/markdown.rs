//! Tables and links of Markdown documents.

/// The rows of the first table under a heading: cells without their backticks.
pub fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let titled =
        |line: &&str| line.starts_with('#') && line.trim_start_matches(['#', ' ']) == heading;
    let under = text.lines().skip_while(|line| !titled(line)).skip(1);
    let section = under.take_while(|line| !line.starts_with('#'));
    let rows =
        section.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rows: Vec<Vec<String>> = rows.skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "there is no table under the heading \"{heading}\"");
    rows
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_matches('|');
    inner.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
}

/// The first cells of a table's rows.
pub fn first_column(text: &str, heading: &str) -> Vec<String> {
    table(text, heading).into_iter().map(|row| row[0].clone()).collect()
}

/// Words in backticks, outside fenced blocks.
pub fn quoted(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, block) in text.split("```").enumerate() {
        if number % 2 == 0 {
            let spans = block.split('`').enumerate().filter(|(number, _)| number % 2 == 1);
            found.extend(spans.map(|(_, span)| span.to_owned()));
        }
    }
    found
}

/// Targets of links, outside fenced blocks.
pub fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, block) in text.split("```").enumerate() {
        if number % 2 == 0 {
            let targets = block.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            found.extend(targets.map(str::to_owned));
        }
    }
    found
}

/// The anchor of each heading, as it is linked to.
pub fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let title = line.trim_start_matches(['#', ' ']).to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn a_table_is_read() {
    let text =
        "# A\n\n## Codes\n\nwhy\n\n| code | x |\n|---|---|\n| `a` | 1 |\n| `b` | 2 |\n\n## B\n";
    assert_eq!(table(text, "Codes"), [["a", "1"], ["b", "2"]]);
    assert_eq!(first_column(text, "Codes"), ["a", "b"]);
    assert_eq!(links("[a](b.md) ```[c](d.md)``` [e](f.md#g)"), ["b.md", "f.md#g"]);
    assert_eq!(anchors("## What it is, today\n"), ["what-it-is-today"]);
    assert_eq!(quoted("`a` b ```\n`c`\n``` `d`"), ["a", "d"]);
}
