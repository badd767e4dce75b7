//! Tables of the documents that repeat what the code says: each must say the same.

use audio_transcription_api::{
    config::{Config, VARIABLES},
    limits::LimitedAction,
    live::{options, wire::Close},
    model::{ErrorKind, Plan},
};
use axum::http::StatusCode;

use super::{
    markdown::{first_column, table},
    none, same,
    source::{self, read},
};
use crate::chaos::{CATALOGUE, Fault, SIZES};

const PROTOCOL: &str = "docs/PROTOCOL.md";
const TELEMETRY: &str = "docs/TELEMETRY.md";

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// String literals that stand right after a marker in code.
fn literals(code: &str, marker: &str) -> Vec<String> {
    let after = code.split(marker).skip(1);
    after.filter_map(|rest| rest.strip_prefix('"')?.split('"').next()).map(str::to_owned).collect()
}

/// The body of the item whose head holds a text, up to the closing brace of its indentation.
fn body(code: &str, head: &str) -> String {
    let mut lines = code.lines().skip_while(|line| !line.contains(head));
    let first = lines.next().unwrap_or_else(|| panic!("{head} is not in the code any more"));
    let indent = &first[..first.len() - first.trim_start().len()];
    let end = format!("{indent}}}");
    lines.take_while(|line| !line.starts_with(&end)).collect::<Vec<_>>().join("\n")
}

/// The HTTP status that `src/web/error.rs` gives a kind.
fn status(kind: ErrorKind) -> u16 {
    let code = body(&read("src/web/error.rs"), "fn status(");
    let named = |arm: &&str| {
        let variants = arm.split(|c: char| !c.is_alphanumeric());
        variants.into_iter().any(|word| word == format!("{kind:?}"))
    };
    let arm = code.split(",\n").find(named).unwrap_or_else(|| panic!("no status of {kind:?}"));
    let name = arm.rsplit("StatusCode::").next().unwrap_or_default();
    let reason = name.trim().replace('_', " ");
    let statuses = (100..600).filter_map(|number| StatusCode::from_u16(number).ok());
    let known = |status: &StatusCode| {
        status.canonical_reason().is_some_and(|text| text.eq_ignore_ascii_case(&reason))
    };
    statuses.into_iter().find(known).unwrap_or_else(|| panic!("no status {name}")).as_u16()
}

#[test]
fn error_codes() {
    let text = read(PROTOCOL);
    let documented = table(&text, "Error codes").into_iter().map(|row| row[..3].join(" "));
    let real = ErrorKind::ALL
        .map(|kind| format!("{} {} {}", kind.code(), yes(kind.retryable()), status(kind)));
    same(
        documented.collect(),
        real.to_vec(),
        "correct the table of error codes in docs/PROTOCOL.md",
    );
}

#[test]
fn every_kind_of_error_is_in_the_list() {
    let arms = body(&read("src/model/error.rs"), "fn code(self)").matches("=>").count();
    assert_eq!(arms, ErrorKind::ALL.len(), "mend: add the new kind to ErrorKind::ALL");
}

#[test]
fn close_codes() {
    let text = read(PROTOCOL);
    let documented = table(&text, "Close codes").into_iter().map(|row| row[..3].join(" "));
    let real = Close::ALL
        .map(|close| format!("{} {} {}", close.code(), close.reason(), yes(close.reconnect())));
    same(
        documented.collect(),
        real.to_vec(),
        "correct the table of close codes in docs/PROTOCOL.md",
    );
}

#[test]
fn every_close_is_in_the_list() {
    let arms = body(&read("src/live/wire/close.rs"), "fn reason(self)").matches("=>").count();
    assert_eq!(arms, Close::ALL.len(), "mend: add the new close to Close::ALL");
}

#[test]
fn limited_actions() {
    let documented = table(&read("docs/LIMITS.md"), "Acts in a minute");
    let real = LimitedAction::ALL.map(|action| {
        let row = documented.iter().find(|row| row[0] == action.name());
        let name = row.map_or_else(String::new, |row| row[1].clone());
        let variable = VARIABLES.iter().find(|variable| variable.name == name);
        let default = variable.map_or("", |variable| variable.default);
        format!("{} {name} {default} {}", action.name(), action.sentence())
    });
    let documented = documented.into_iter().map(|row| row.join(" "));
    same(documented.collect(), real.to_vec(), "correct the table of acts in docs/LIMITS.md");
}

#[test]
fn every_limited_action_has_the_variable_that_is_documented() {
    for row in table(&read("docs/LIMITS.md"), "Acts in a minute") {
        let action = LimitedAction::ALL.into_iter().find(|action| action.name() == row[0]);
        let set = std::iter::once((row[1].clone(), "77".to_owned())).collect();
        let config = Config::load(&set).expect("a good configuration");
        let limit = action.expect("a known action").allowance(&config.limits).of(Plan::Free);
        assert_eq!(limit, Some(77), "{}: correct its variable in docs/LIMITS.md", row[0]);
    }
    let arms = body(&read("src/limits/action.rs"), "fn name(self)").matches("=>").count();
    assert_eq!(arms, LimitedAction::ALL.len(), "mend: add the new act to LimitedAction::ALL");
}

#[test]
fn events_of_the_server() {
    let documented = first_column(&read(PROTOCOL), "Events from the server");
    let real = literals(&body(&read("src/live/wire/mod.rs"), "fn name(&self)"), "=> ");
    same(documented, real, "correct the table of events in docs/PROTOCOL.md");
}

#[test]
fn events_of_the_client() {
    let documented = first_column(&read(PROTOCOL), "Events from the client");
    let door = read("src/live/socketio.rs");
    let mut real = literals(&door, ".on(");
    let listed = door.split("for event in [").nth(1).and_then(|rest| rest.split(']').next());
    real.extend(
        listed.into_iter().flat_map(|list| list.split(", ")).map(|name| name.replace('"', "")),
    );
    same(documented, real, "correct the table of the client's events in docs/PROTOCOL.md");
}

#[test]
fn options_of_a_session() {
    let documented = first_column(&read(PROTOCOL), "Options of a session");
    let real = options::NAMES.map(str::to_owned).to_vec();
    same(documented, real, "correct the table of options in docs/PROTOCOL.md");
}

/// Instruments under the names that Prometheus sees, each with its field in `Metrics`.
fn instruments() -> Vec<(String, String)> {
    let code = read("src/telemetry/metrics.rs");
    let kinds = [("counter", "_total"), ("gauge", ""), ("milliseconds", "")];
    let mut found = Vec::new();
    for line in code.lines() {
        let Some((field, made)) = line.trim().split_once(": ") else { continue };
        for (kind, suffix) in kinds {
            for name in literals(made, &format!("{kind}(")) {
                found.push((format!("{name}{suffix}"), field.to_owned()));
            }
        }
    }
    found
}

#[test]
fn metrics() {
    let documented = first_column(&read(TELEMETRY), "Metrics");
    let real = instruments().into_iter().map(|(name, _)| name).collect();
    same(documented, real, "correct the table of metrics in docs/TELEMETRY.md");
}

#[test]
fn every_instrument_is_moved() {
    let service = source::service();
    let others = service.iter().filter(|source| source.path != "src/telemetry/metrics.rs");
    let code: String = others.map(source::Source::production).collect();
    let mut idle = instruments();
    idle.retain(|(_, field)| !code.contains(&format!(".{field}")));
    let mend = "count where it happens, or remove the instrument";
    none(idle.into_iter().map(|(name, _)| format!("{name} never moves")), mend);
}

#[test]
fn labels_of_metrics() {
    let code = read("src/telemetry/metrics.rs");
    let documented = table(&read(TELEMETRY), "Metrics");
    let mut offences = Vec::new();
    for (name, field) in instruments() {
        let declared = code.split(&format!("pub {field}:")).next().unwrap_or_default();
        let comment = declared.lines().rev().skip_while(|line| !line.contains("///"));
        let comment: Vec<&str> = comment.take_while(|line| line.contains("///")).collect();
        let row =
            documented.iter().find(|row| row[0] == name).map_or(String::new(), |row| row.join(" "));
        let comment = comment.into_iter().rev().collect::<Vec<_>>().join(" ");
        for label in super::markdown::quoted(&comment) {
            if !row.contains(&label) {
                offences.push(format!("{name}: `{label}`"));
            }
        }
    }
    none(offences, "name the labels of src/telemetry/metrics.rs in the table of docs/TELEMETRY.md");
}

#[test]
fn spans_and_their_attributes() {
    let document = read(TELEMETRY);
    let sources = source::service();
    let code: String = sources.iter().map(source::Source::production).collect();
    let quote = |text: &str, prefix: &str| -> Vec<String> {
        let rest = text.split(prefix).skip(1);
        let word = |rest: &str| -> String {
            rest.chars().take_while(|c| c.is_alphanumeric() || "._".contains(*c)).collect()
        };
        let mut found: Vec<String> = rest.map(word).collect();
        found.sort();
        found.dedup();
        found
    };
    let documented = quote(&document, "`transcribe.");
    let real = quote(&code, "\"transcribe.");
    same(documented, real, "correct the attributes of spans in docs/TELEMETRY.md");
    let spans =
        ["provider.call", "session.start", "utterance", "silence", "untranscribed", "audio.chunk"];
    let gone = spans.iter().filter(|name| !code.contains(&format!("\"{name}\"")));
    none(gone.map(|name| format!("no span {name}")), "correct the spans in docs/TELEMETRY.md");
    same(
        first_column(&document, "Spans"),
        spans.map(str::to_owned).to_vec(),
        "correct the spans in docs/TELEMETRY.md",
    );
}

#[test]
fn faults_on_purpose() {
    let text = read("docs/CHAOS.md");
    for (heading, faults) in [("Faults", CATALOGUE), ("At full size", SIZES)] {
        let documented = table(&text, heading).into_iter().map(|row| row[..3].join(" | "));
        let row = |fault: &Fault| [fault.name, fault.injected, fault.expected].join(" | ");
        let real = faults.iter().map(row).collect();
        let mend = "bring docs/CHAOS.md and tests/it/chaos/mod.rs together";
        same(documented.collect(), real, mend);
    }
    let script = std::process::Command::new("bash").args(["scripts/chaos", "--list"]).output();
    let listed = String::from_utf8(script.expect("bash runs").stdout).expect("text");
    let names = listed.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned()));
    let real = CATALOGUE.iter().chain(SIZES).map(|fault| fault.name.to_owned());
    same(names.collect(), real.collect(), "mend the pattern of --list in scripts/chaos");
}

#[test]
fn log_lines_for_operators() {
    let code = read("src/telemetry/log_patterns.rs");
    let template = |at: usize| {
        let literal = code[at..].split('"').nth(1)?;
        (!literal.is_empty()).then(|| literal.to_owned())
    };
    let macros = ["info!(", "warn!(", "error!(", "debug!("];
    let calls = macros.iter().flat_map(|name| code.match_indices(name).map(|(at, _)| at));
    let documented = read("docs/OPERATIONS.md");
    let offences = calls.filter_map(template).filter(|line| !documented.contains(line.as_str()));
    none(offences, "add the line to the table of log lines in docs/OPERATIONS.md");
}
