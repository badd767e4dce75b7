//! The house rules, held by reading files: each rule is a test that says how to mend what breaks it.

mod documents;
mod floors;
mod layout;
pub mod markdown;
pub mod source;
mod style;
mod tables;

/// Fails with every offence, and says how to mend them.
#[track_caller]
fn none(offences: impl IntoIterator<Item = String>, mend: &str) {
    let offences: Vec<String> = offences.into_iter().collect();
    assert!(offences.is_empty(), "\n{}\n\nmend: {mend}\n", offences.join("\n"));
}

/// Fails unless two lists hold the same, in whatever order.
#[track_caller]
fn same(documented: Vec<String>, real: Vec<String>, mend: &str) {
    let missing = real.iter().filter(|one| !documented.contains(one));
    let missing = missing.map(|one| format!("in the code, not in the document: {one}"));
    let stale = documented.iter().filter(|one| !real.contains(one));
    let stale = stale.map(|one| format!("in the document, not in the code: {one}"));
    none(missing.chain(stale), mend);
    assert!(!real.is_empty(), "nothing was found to compare: the rule itself is broken");
}
