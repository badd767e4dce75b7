//! What the binary does with its environment: each variable missing, empty, malformed or a
//! placeholder, and each command.

mod commands;
mod effects;
mod malformed;
mod production;
mod running;
mod secrets;

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};

use crate::harness::binary::{self, Finished};

/// Processes that run at once.
const AT_ONCE: usize = 4;

/// Variables with which a replica starts, though neither database is there.
const DEVELOPMENT: [(&str, &str); 5] = [
    ("ENVIRONMENT", "development"),
    ("PORT", "0"),
    ("METRICS_PORT", "0"),
    ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"),
    ("REDIS_URL", "redis://127.0.0.1:1"),
];

/// Some variables over others.
fn over(base: &[(&str, &str)], more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = base.iter().chain(more);
    pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Runs `serve`, which must end by itself.
async fn refused(variables: &BTreeMap<String, String>) -> Finished {
    let pairs: Vec<_> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    binary::run_service(&["serve"], &pairs).await
}

/// Runs `serve` once for each row; each must end with that exit code and that sentence alone.
async fn assert_refused(rows: Vec<Row>) {
    stream::iter(rows.into_iter().map(assert_row)).buffer_unordered(AT_ONCE).collect::<()>().await;
}

/// Variables, an exit code, and a sentence.
type Row = (BTreeMap<String, String>, i32, String);

async fn assert_row((variables, code, sentence): Row) {
    let finished = refused(&variables).await;
    let told = (finished.code, finished.stderr.as_str());
    assert_eq!(told, (Some(code), format!("{sentence}\n").as_str()), "{finished:?}");
}
