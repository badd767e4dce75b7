//! Faults on purpose: each is injected while people speak and watch, and the judge of the testkit
//! says whether anything was lost, doubled, or heard by somebody else.
//!
//! Every fault has the number under which the documents list it. A few run with all other tests;
//! `make chaos` (`CHAOS=all`) runs all of them and prints a table.

mod replicas;
mod run;
mod scene;

use futures_util::{FutureExt, future::LocalBoxFuture};

/// One fault and what must come of it.
pub struct Fault {
    /// Its number.
    pub name: &'static str,
    /// What is done.
    pub injected: &'static str,
    /// What must come of it, beside nothing lost, nothing twice and nobody in.
    pub expected: &'static str,
    /// Does it, with that seed; what was seen, or what is wrong.
    pub run: fn(u64) -> LocalBoxFuture<'static, anyhow::Result<String>>,
}

macro_rules! catalogue {
    ($($name:ident: $injected:literal => $expected:literal, $run:path;)*) => {
        /// Every fault, in the order of their numbers.
        pub const CATALOGUE: &[Fault] = &[$(Fault {
            name: stringify!($name),
            injected: $injected,
            expected: $expected,
            run: |seed| $run(seed).boxed_local(),
        }),*];
    };
}

catalogue! {
    F1: "a replica is killed in mid-utterance" => "live words elsewhere within 5 s", replicas::killed;
    F3: "a replica is told to stop in mid-utterance" => "sessions migrate, exit code 0", replicas::told_to_stop;
    F59: "a second socket claims a session" => "the newest wins, the other hears 4501", replicas::claimed_twice;
}

/// Faults that run with all other tests.
mod short {
    macro_rules! short {
        ($($name:ident $fault:literal)*) => {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::run::alone($fault).await;
            })*
        };
    }

    short! {
        f1_a_replica_is_killed "F1"
        f3_a_replica_is_told_to_stop "F3"
        f59_a_session_is_claimed_twice "F59"
    }
}
