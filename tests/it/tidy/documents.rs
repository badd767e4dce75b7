//! Documents and their links, and the variables, routes and names that they speak of.

use audio_transcription_api::config::{self, VARIABLES};
use serde_json::Value;

use super::{
    markdown::{anchors, links, quoted},
    none,
    source::{self, read, root},
};

/// Words in capitals that are no variables of ours.
const NOT_OURS: [&str; 5] =
    ["TCP_USER_TIMEOUT", "KEY_PREVIOUS", "GIT_COMMIT", "SIGTERM_", "ENGINE_IO"];

fn documents() -> Vec<source::Source> {
    let mut documents = source::texts();
    documents.retain(|source| source::is(&source.path, "md"));
    documents
}

#[test]
fn configuration_is_documented() {
    let hint = "run: audio-transcription-api config --markdown > docs/CONFIGURATION.md";
    assert!(read("docs/CONFIGURATION.md") == config::markdown(), "mend: {hint}");
    let hint = "run: audio-transcription-api config --env-example > .env.example";
    assert!(read(".env.example") == config::env_example(), "mend: {hint}");
}

#[test]
fn documents_speak_of_variables_that_exist() {
    let looks_like_one = |word: &str| {
        word.contains('_')
            && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let mut offences = Vec::new();
    for document in documents() {
        for span in quoted(&document.text) {
            let word = span.split('=').next().unwrap_or_default();
            let known = VARIABLES.iter().any(|variable| variable.name == word);
            if looks_like_one(word) && !known && !NOT_OURS.contains(&word) {
                offences.push(format!("{}: {word}", document.path));
            }
        }
    }
    none(offences, "use the name of src/config/variables.rs");
}

#[test]
fn documents_speak_of_files_that_exist() {
    const KINDS: [&str; 8] = [".json", ".md", ".mjs", ".py", ".rs", ".sql", ".yaml", "/"];
    let files = source::paths(".");
    let there = |name: &str| {
        let below = format!("/{name}");
        files.iter().any(|path| {
            let folder = name.ends_with('/') && (path.starts_with(name) || path.contains(&below));
            path == name || path.ends_with(&below) || folder
        })
    };
    let mut offences = Vec::new();
    // What fixtures are taken from has files of its own.
    for document in documents().into_iter().filter(|of| !of.path.starts_with("tests/fixtures/")) {
        for span in quoted(&document.text) {
            let plain = span.chars().all(|c| c.is_alphanumeric() || "._-/".contains(c));
            let ours = plain && !span.starts_with(['/', '.']) && !span.starts_with("vendor/");
            if ours && KINDS.iter().any(|kind| span.ends_with(kind)) && !there(&span) {
                offences.push(format!("{}: {span}", document.path));
            }
        }
    }
    none(offences, "correct the name: the file was moved, renamed or never written");
}

#[test]
fn links_lead_somewhere() {
    let mut offences = Vec::new();
    for document in documents() {
        let folder = document.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in links(&document.text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link.as_str(), ""));
            let target = root().join(folder).join(path);
            let there =
                if path.is_empty() { Some(document.text.clone()) } else { content(&target) };
            let found = there.is_some_and(|text| {
                anchor.is_empty() || anchors(&text).iter().any(|known| known == anchor)
            });
            if !found {
                offences.push(format!("{}: {link}", document.path));
            }
        }
    }
    none(offences, "correct the link, or write what it promises");
}

/// The text of a file, or nothing at all of a folder that is there.
fn content(path: &std::path::Path) -> Option<String> {
    if path.is_dir() { Some(String::new()) } else { std::fs::read_to_string(path).ok() }
}

#[test]
fn decisions_are_numbered_and_listed() {
    let index = read("docs/adr/README.md");
    let files = source::paths("docs/adr");
    let names = files.iter().filter_map(|path| path.strip_prefix("docs/adr/"));
    let decisions: Vec<&str> = names.filter(|name| *name != "README.md").collect();
    let mut offences = Vec::new();
    for (number, name) in decisions.iter().enumerate() {
        if !name.starts_with(&format!("{:04}-", number + 1)) {
            offences.push(format!("{name} should be number {:04}", number + 1));
        }
        if !links(&index).iter().any(|link| link == name) {
            offences.push(format!("{name} is not in docs/adr/README.md"));
        }
        for heading in ["## Context", "## Decision", "## Consequences"] {
            if !read(&format!("docs/adr/{name}")).contains(heading) {
                offences.push(format!("{name} lacks \"{heading}\""));
            }
        }
    }
    none(offences, "number decisions without holes, list them, and say why and at what price");
}

/// Every `$ref` below a value.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn references_of_the_openapi_document_lead_somewhere() {
    let document: Value = serde_json::from_str(&read("docs/openapi.json")).expect("valid JSON");
    let found = references(&document);
    assert!(found.len() > 50, "the rule itself is broken: {found:?}");
    let dangling = found.into_iter().filter(|reference| {
        let pointer = reference.strip_prefix('#');
        pointer.is_none_or(|pointer| document.pointer(pointer).is_none())
    });
    none(dangling, "write the component in docs/openapi.json");
}

#[test]
fn the_asyncapi_document_names_every_event_option_and_code() {
    use audio_transcription_api::{live::options, live::wire::Close, model::ErrorKind};
    let document = read("docs/asyncapi.yaml");
    let protocol = read("docs/PROTOCOL.md");
    let events = ["Events from the server", "Events from the client"];
    let events = events.into_iter().flat_map(|of| super::markdown::first_column(&protocol, of));
    let names = events
        .chain(options::NAMES.map(str::to_owned))
        .chain(ErrorKind::ALL.map(|kind| kind.code().to_owned()))
        .chain(Close::ALL.map(|close| close.code().to_string()));
    let whole = |name: &str| {
        document.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
    };
    none(names.filter(|name| !whole(name)), "describe it in docs/asyncapi.yaml");
}
