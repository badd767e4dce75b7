//! Tables for people: columns as wide as their widest cell, and nothing that moves the cursor.

use chrono::{DateTime, Utc};

/// The rows under their head, two spaces between columns.
pub(super) fn aligned<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let head = head.map(str::to_owned);
    let rows: Vec<_> = [head].into_iter().chain(rows).map(|row| row.map(clean)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  "));
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    rows.iter().map(line).collect()
}

/// A time to the minute, in UTC, or a dash.
pub(super) fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.format("%Y-%m-%d %H:%M").to_string())
}

/// Yes or no.
pub(super) fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// Users choose names; a terminal must not obey them.
fn clean(cell: String) -> String {
    let mut clean = String::with_capacity(cell.len());
    for c in cell.chars() {
        match c {
            '\'' | '"' | '\\' => clean.push(c),
            _ => clean.extend(c.escape_debug()),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_names_cannot_write_elsewhere() {
        let rows = vec![
            ["1".to_owned(), "Ada's \"key\"".to_owned(), "yes".to_owned()],
            ["12".to_owned(), "\u{1b}[2J\n\u{202e}é".to_owned(), String::new()],
        ];
        let expected = "id  name                  active\n\
                        1   Ada's \"key\"           yes\n\
                        12  \\u{1b}[2J\\n\\u{202e}é\n";
        assert_eq!(aligned(["id", "name", "active"], rows), expected);
        assert_eq!(time(None), "-");
        assert_eq!(time(DateTime::from_timestamp(1_740_823_872, 0)), "2025-03-01 10:11");
    }
}
