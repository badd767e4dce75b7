//! Databases that are away, at boot and in mid-stream, and databases that refuse.

mod boot;
mod identity;
mod keys;
mod refusal;
mod streaming;

use std::collections::BTreeMap;

use serde_json::Value;
use testkit::deepgram::{self, Script, Simulator};

use crate::harness::{ServiceProcess, Setup};

/// A Deepgram that hears numbered audio and gives a final every second.
fn numbered() -> deepgram::Config {
    deepgram::Config {
        longest_segment: std::time::Duration::from_secs(1),
        ..deepgram::Config::speaking(Script::numbered_audio())
    }
}

/// Variables of a replica on these databases, and its Deepgram.
async fn variables(postgres: &str, redis: &str) -> (BTreeMap<String, String>, Simulator) {
    let setup = Setup::on(postgres, redis).deepgram(numbered());
    let (variables, deepgram) = setup.variables().await;
    (variables, deepgram.expect("a simulator"))
}

/// The answer of `/ready`: its status, its word, and which dependencies are away.
async fn ready(process: &ServiceProcess) -> (u16, String, Vec<String>) {
    let answer = reqwest::get(format!("{}/ready", process.url())).await.expect("an answer");
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.expect("JSON");
    let away = body["away"].as_array().expect("a list").iter();
    let away = away.map(|one| one["dependency"].as_str().expect("a name").to_owned()).collect();
    (status, body["status"].as_str().expect("a word").to_owned(), away)
}

/// Waits until `/ready` answers so.
async fn wait_until_ready(process: &ServiceProcess, status: u16, word: &str, away: &[&str]) {
    let what = format!("/ready to say {status} {word} {away:?}");
    let fits = async || {
        let (is, said, missing) = ready(process).await;
        is == status && said == word && missing == away
    };
    let waited = testkit::wait_until(&what, crate::harness::LONG, fits).await;
    if let Err(error) = waited {
        panic!("{error}; it says {:?}\n{}", ready(process).await, process.log());
    }
}
