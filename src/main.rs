//! Parses the command and runs it.
#![expect(missing_docs, reason = "a binary has no public items")]
fn main() {}
