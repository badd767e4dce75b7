//! Slices stand on floors: the map is the one in `src/lib.rs`, and the code is held to it.

use super::{
    none, same,
    source::{self, Source},
};

const MAP: &str = "main ►";

/// The floors from top to bottom, each with its slices, as a text block draws them.
fn floors(text: &str) -> Vec<Vec<String>> {
    let block: String = text
        .lines()
        .map(|line| line.trim_start_matches("//!").trim())
        .skip_while(|line| !line.starts_with(MAP))
        .take_while(|line| !line.starts_with("```"))
        .collect::<Vec<_>>()
        .join(" ");
    let floors = block.trim_start_matches(MAP).split('·');
    floors.map(|floor| floor.split_whitespace().map(str::to_owned).collect()).collect()
}

fn map() -> Vec<Vec<String>> {
    floors(&source::read("src/lib.rs"))
}

/// The slice that a file of `src/` belongs to.
fn slice(path: &str) -> Option<&str> {
    let slice = path.strip_prefix("src/")?.split('/').next()?;
    let slice = slice.trim_end_matches(".rs");
    (!["lib", "main"].contains(&slice)).then_some(slice)
}

/// Names that follow a path prefix: one, or those of a group in braces.
fn names(rest: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(word(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// What a file takes from the crate's root, with the number of the line.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let code = source.code();
    let foreign =
        |at: usize| code[..at].ends_with(|c: char| c.is_alphanumeric() || "_$".contains(c));
    let mut found = Vec::new();
    let mut add = |at: usize, rest: &str| {
        let line = code[..at].matches('\n').count() + 1;
        found.extend(names(rest).into_iter().map(|name| (line, name)));
    };
    for (at, prefix) in code.match_indices("crate::") {
        if !foreign(at) {
            add(at, &code[at + prefix.len()..]);
        }
    }
    // `super` leads out of the slice where there are as many of them as folders.
    let depth = source.path.trim_end_matches("/mod.rs").matches('/').count();
    let out = "super::".repeat(depth);
    for (at, prefix) in code.match_indices(&format!("\nuse {out}")) {
        add(at + 1, &code[at + prefix.len()..]);
    }
    found
}

#[test]
fn the_map_shows_every_slice_once() {
    let mut slices: Vec<String> =
        source::paths("src").iter().filter_map(|path| slice(path)).map(str::to_owned).collect();
    slices.dedup();
    let mapped: Vec<String> = map().concat();
    let mut unique = mapped.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), mapped.len(), "a slice stands twice on the map in src/lib.rs");
    same(mapped, slices, "bring the map of floors in src/lib.rs up to date");
}

#[test]
fn a_file_imports_from_lower_floors_only() {
    let map = map();
    let rank = |slice: &str| map.iter().position(|floor| floor.iter().any(|on| on == slice));
    let mut offences = Vec::new();
    for source in source::service() {
        let Some(own) = slice(&source.path) else { continue };
        for (line, name) in imports(&source) {
            let place = format!("{}:{line} imports crate::{name}", source.path);
            match (rank(own), rank(&name)) {
                _ if name == own => {}
                (Some(here), Some(there)) if there > here => {}
                (Some(here), Some(there)) if there == here => {
                    offences.push(format!("{place}, a neighbour on its own floor"));
                }
                (Some(_), Some(_)) => offences.push(format!("{place}, which is on a higher floor")),
                _ => offences.push(format!("{place}, which is not on the map")),
            }
        }
    }
    none(offences, "move what both need to a lower floor, or hand it in from above");
}

#[test]
fn the_architecture_document_shows_the_same_floors() {
    let documented = floors(&source::read("docs/ARCHITECTURE.md"));
    assert_eq!(documented, map(), "mend: copy the map of src/lib.rs into docs/ARCHITECTURE.md");
}

#[test]
fn the_world_outside_never_imports_the_service() {
    let outside = source::texts().into_iter().filter(|source| {
        source.path.starts_with("tests/testkit/") || source.path.starts_with("loadtest/")
    });
    let name = "audio_transcription_api";
    let offences = outside.filter(|source| {
        let dependency = source.path.ends_with("Cargo.toml")
            && source.text.lines().any(|line| line.starts_with("audio-transcription-api"));
        dependency || source::is(&source.path, "rs") && source.text.contains(&format!("{name}::"))
    });
    let mend = "write the field out by hand: a wrong rename must not pass on both sides";
    none(offences.map(|source| source.path), mend);
}

#[test]
fn groups_and_nested_paths_are_read() {
    assert_eq!(names("{a::{B, c}, d, e::F}; g"), ["a", "d", "e"]);
    assert_eq!(names("model::Error;"), ["model"]);
    let text = "use super::other::X;\n\nuse super::{a, b};\nfn f() { crate::c::d(); }".to_owned();
    let source = Source { path: "src/live/mod.rs".into(), text: format!("\n{text}") };
    let found: Vec<String> = imports(&source).into_iter().map(|(_, name)| name).collect();
    assert_eq!(found, ["c", "other", "a", "b"]);
}
