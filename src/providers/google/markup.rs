//! Texts with terms of a glossary, as markup in which those are left as they are.
//!
//! Wire facts: <https://cloud.google.com/translate/troubleshooting> (`translate="no"`).

const OPEN: &str = "<span translate=\"no\">";
const CLOSE: &str = "</span>";
/// A line's end, which markup would lose.
const BREAK: &str = "<br>";
const ENTITIES: [(&str, &str); 6] = [
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", "\""),
    ("&#39;", "'"),
    ("&nbsp;", "\u{a0}"),
    ("&amp;", "&"),
];

/// The text as markup, each term as what it is to become.
pub fn write(text: &str, glossary: &[(String, String)]) -> String {
    let (mut markup, mut left) = (String::with_capacity(text.len() * 2), text);
    let mut inside = false;
    while let Some(c) = left.chars().next() {
        let found = if inside { None } else { glossary.iter().find(|(term, _)| is_at(left, term)) };
        if let Some((term, meant)) = found {
            markup.push_str(OPEN);
            meant.chars().for_each(|c| escape(c, &mut markup));
            markup.push_str(CLOSE);
            left = &left[term.len()..];
            inside = false;
        } else {
            escape(c, &mut markup);
            left = &left[c.len_utf8()..];
            inside = c.is_alphanumeric();
        }
    }
    markup
}

/// The text of a markup that came back.
pub fn read(markup: &str) -> String {
    let (mut text, mut left) = (String::with_capacity(markup.len()), markup);
    while let Some(start) = left.find('<') {
        text.push_str(&left[..start]);
        let Some(end) = left[start..].find('>') else { break };
        if left[start..].starts_with("<br") {
            text.push('\n');
        }
        left = &left[start + end + 1..];
    }
    text.push_str(left);
    unescape(&text)
}

/// Whether the text begins with that term as a word of its own.
fn is_at(text: &str, term: &str) -> bool {
    let begins = text.get(..term.len()).is_some_and(|start| start.eq_ignore_ascii_case(term));
    begins && !text[term.len()..].chars().next().is_some_and(char::is_alphanumeric)
}

fn escape(c: char, markup: &mut String) {
    match c {
        '&' => markup.push_str("&amp;"),
        '<' => markup.push_str("&lt;"),
        '>' => markup.push_str("&gt;"),
        '\n' => markup.push_str(BREAK),
        '\r' => {}
        c => markup.push(c),
    }
}

fn unescape(text: &str) -> String {
    // `&` comes last, so that what was escaped twice is still escaped once.
    ENTITIES.iter().fold(text.to_owned(), |text, (entity, meant)| text.replace(entity, meant))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_term_becomes_what_it_is_to_become_where_it_is_a_word() {
        let glossary = [("Aspirin".to_owned(), "acido <acetil>".to_owned())];
        let markup = write("aspirin & Aspirins, ASPIRIN.", &glossary);
        let term = "<span translate=\"no\">acido &lt;acetil&gt;</span>";
        assert_eq!(markup, format!("{term} &amp; Aspirins, {term}."));
        assert_eq!(read(&markup), "acido <acetil> & Aspirins, acido <acetil>.");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(text in "[a-z<>&;#39\"' \n\u{e9}\u{4e2d}]{0,60}") {
            // An entity in the text itself comes back as it was, once escaped.
            prop_assert_eq!(read(&write(&text, &[])), text);
        }
    }
}
