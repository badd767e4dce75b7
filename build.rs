//! Rebuilds when a migration is added, which is compiled in, and tells the binary its commit.

use std::{env, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-env-changed=GIT_COMMIT");
    let told = told("GIT_COMMIT");
    // A build for development is not made anew for each commit.
    let commit = if told.is_none() && self::told("PROFILE").as_deref() == Some("release") {
        println!("cargo:rerun-if-changed=.git/logs/HEAD");
        checked_out()
    } else {
        told
    };
    println!("cargo:rustc-env=GIT_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts in variables")]
fn told(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The commit that is checked out, where this is a checkout.
fn checked_out() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !commit.is_empty()).then_some(commit)
}
