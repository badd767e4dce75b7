//! Rules that a reader feels: short files, short functions, no loose ends.

use super::{
    none,
    source::{self, Source},
};

const LONGEST_FILE_LINES: usize = 400;
const LONGEST_FUNCTION_LINES: usize = 60;

#[test]
fn every_file_opens_with_a_sentence() {
    let opens = |source: &Source| {
        let first: Vec<&str> = source.text.lines().take_while(|line| line.len() > 4).collect();
        let paragraph = first.iter().take_while(|line| line.starts_with("//! "));
        paragraph.last().is_some_and(|line| line.ends_with(['.', ':']))
    };
    let offences = source::rust().into_iter().filter(|source| !opens(source));
    let mend = "open the file with one `//!` sentence that says what it is for";
    none(offences.map(|source| source.path), mend);
}

#[test]
fn files_are_short() {
    let long = source::rust().into_iter().filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > LONGEST_FILE_LINES).then(|| format!("{}: {lines} lines", source.path))
    });
    none(long, "split the file by the stages of what it does; at most 400 lines");
}

/// The longest stretch of lines from a function's head to its closing brace.
fn long_functions(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let closes = |next: &&str| {
            next.strip_prefix(indent).is_some_and(|rest| {
                rest.starts_with('}') || rest.starts_with(')') && rest.ends_with(';')
            })
        };
        let inline = line.ends_with(['}', ';']);
        let length = if inline { 0 } else { lines[at..].iter().take_while(|l| !closes(l)).count() };
        if length + 1 > LONGEST_FUNCTION_LINES {
            found.push(format!("{}:{} {name}: {} lines", source.path, at + 1, length + 1));
        }
    }
    found
}

/// The name in a function's head.
fn function(line: &str) -> Option<&str> {
    let (before, after) = line.trim_start().split_once("fn ")?;
    let qualifier = |word: &str| {
        ["async", "const", "unsafe", "pub"].contains(&word) || word.starts_with("pub(")
    };
    if !before.split_whitespace().all(qualifier) {
        return None;
    }
    let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    (end > 0).then(|| &after[..end])
}

#[test]
fn functions_are_short() {
    let offences = source::rust().iter().flat_map(long_functions).collect::<Vec<_>>();
    none(offences, "cut the function where its blank lines or comments are; at most 60 lines");
}

#[test]
fn a_long_function_is_seen() {
    let text = format!(
        "fn short() {{}}\n    pub(super) async fn long(\n    ) {{\n{}    }}\n",
        "x\n".repeat(70)
    );
    let source = Source { path: "a.rs".into(), text };
    assert_eq!(long_functions(&source), ["a.rs:2 long: 73 lines"]);
}

/// Places in code where one of the words stands.
fn places(sources: &[Source], text: impl Fn(&Source) -> String, words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        for (number, line) in text(source).lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(word.as_str())) {
                found.push(format!("{}:{}: {word}", source.path, number + 1));
            }
        }
    }
    found
}

#[test]
fn lints_are_never_silenced_without_a_reason() {
    let words = ["[allow(".to_owned()].map(|word| format!("#{word}"));
    let inner = words.clone().map(|word| word.replace('#', "#!"));
    let offences = places(&source::rust(), Source::code, &[words, inner].concat());
    let offences = offences.into_iter().filter(|place| !place.starts_with("tests/it/tidy/"));
    none(offences, "use #[expect(lint, reason = \"…\")], which fails once it is not needed");
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["TO DO", "FIX ME", "XX X"].map(|word| word.replace(' ', ""));
    let stands_alone = |line: &str, word: &str| {
        line.match_indices(word).any(|(at, _)| {
            let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            !letter(line[..at].chars().next_back())
                && !letter(line[at + word.len()..].chars().next())
        })
    };
    let mut offences = Vec::new();
    for source in source::texts() {
        for (number, line) in source.text.lines().enumerate() {
            if words.iter().any(|word| stands_alone(line, word)) {
                offences.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    none(offences, "do it, or write in the documents that it is not there");
}

#[test]
fn the_service_does_not_panic() {
    let sources = source::service();
    let tests = source::test_modules(&sources);
    let tested = |path: &str| {
        let stem = path.trim_end_matches(".rs");
        tests.iter().any(|module| stem == module || path.starts_with(&format!("{module}/")))
    };
    let sources: Vec<Source> = sources.into_iter().filter(|source| !tested(&source.path)).collect();
    let words =
        [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!("].map(str::to_owned);
    let offences = places(&sources, Source::production, &words);
    none(offences, "return an error, or make the impossible case unrepresentable");
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let words = ["/wo rk/", "../sha red", "/ro ot/", "/ho me/", "sub agent"]
        .map(|word| word.replace(' ', ""));
    let sources = source::texts();
    let offences = places(&sources, |source| source.text.clone(), &words);
    none(offences, "say it without the machine or the circumstances in which it was written");
}
