//! Faults on purpose: each is injected while people speak and watch, and the judge of the testkit
//! says whether anything was lost, doubled, or heard by somebody else.
//!
//! Every fault has the number under which docs/CHAOS.md lists it. A few run with all other tests;
//! `make chaos` (`CHAOS=all`) runs all of them and prints a table: first the small ones (F), two at
//! a time, then those at full size (S), one after the other.

mod audio;
mod boots;
mod clients;
mod crowd;
mod fleet;
mod panics;
mod postgres;
mod provider;
mod redis;
mod replicas;
mod run;
mod scene;
mod sizes;
mod standing;
mod stock;
mod viewers;

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
    ($list:ident, $($name:ident: $injected:literal => $expected:literal, $run:path;)*) => {
        /// Faults in the order of their numbers.
        pub const $list: &[Fault] = &[$(Fault {
            name: stringify!($name),
            injected: $injected,
            expected: $expected,
            run: |seed| $run(seed).boxed_local(),
        }),*];
    };
}

catalogue! { CATALOGUE,
    F1: "a replica is killed in mid-utterance" => "live words elsewhere within 5 s", replicas::killed;
    F2: "a replica is frozen, and thaws once others own its sessions" => "its late writes are refused", replicas::frozen;
    F3: "a replica is told to stop in mid-utterance" => "sessions migrate, exit code 0", replicas::told_to_stop;
    F4: "a replica is told to stop, its clients stay" => "closed at the limit, their audio taken up elsewhere", replicas::told_in_vain;
    F6: "the task of one session panics" => "only that session is restarted, by its client", panics::one_session;
    F8: "Redis is killed, and back empty after 10 s" => "streams go on; then all is acknowledged and can move", redis::killed;
    F9: "Redis is emptied" => "streams go on; then all is acknowledged and can move", redis::emptied;
    F10: "Redis fails over to a replica that lags" => "the lost tail is told again", redis::failed_over;
    F11: "Redis falls silent for 10 s" => "streams go on; nothing is stuck afterwards", redis::silent;
    F12: "Redis takes half a second for each reply" => "streams go on, sessions can move meanwhile", redis::slow;
    F13: "Redis has no memory for writes for 10 s" => "streams go on; then all is acknowledged", redis::full;
    F14: "Redis throws our subscribers out" => "they are back at once", redis::subscribers_cut;
    F16: "Postgres is killed, and back after 10 s" => "streams go on and move, REST 503, each millisecond billed once", postgres::killed;
    F17: "Postgres is killed, and a copy of it takes over elsewhere" => "streams go on, no row twice", postgres::failed_over;
    F18: "commits are done and their answers lost" => "no row twice", postgres::unanswered;
    F19: "the table of usage is locked for 10 s" => "streams go on", postgres::locked;
    F24: "the provider answers 401, then 403" => "clients are told, no storm, our key in no log", provider::unauthorised;
    F25: "the provider answers 402" => "clients are told, no storm", provider::unpaid;
    F26: "the provider answers 429 for a while" => "sessions wait and go on", provider::too_many;
    F27: "the provider breaks and answers 500 and 503" => "sessions go on, attempts are few", provider::flapping;
    F28: "the provider closes with 1011" => "sessions go on", provider::closed;
    F29: "the provider closes one session with 1008" => "not sent again, others untouched", provider::poisoned;
    F30: "nobody speaks for long" => "kept alive, let go, opened again", provider::idle;
    F31: "the way to the provider is open and dead" => "noticed, and gone round", provider::half_open;
    F32: "the provider reads a thousand bytes a second" => "kept, and said later", provider::slow;
    F33: "the provider says finals twice" => "each word once", provider::doubled;
    F34: "the provider sends garbage" => "sessions go on", provider::garbled;
    F35: "the provider does not answer the close" => "a bounded wait, and every word", provider::never_closed;
    F38: "no way to any replica for 10 s, twice" => "the same sessions go on, with all that was said", clients::offline;
    F39: "a viewer reads a thousand bytes a second" => "let go, and back where it was", viewers::slow;
    F40: "everybody comes back at once" => "within 10 s, keys fetched at most once", clients::storm;
    F41: "every replica is replaced in turn" => "silent for 5 s at most", fleet::rolling_deploy;
    F42: "a balancer keeps nobody, replicas are replaced and killed" => "the same sessions go on, over sockets and by polling", fleet::balanced_at_random;
    F45: "bytes that are no WebSocket" => "closed, others untouched", clients::malformed;
    F46: "messages without end, thousands of pings" => "closed, others untouched", clients::oversized;
    F47: "audio cut anywhere, options and containers that cannot be" => "clear errors, every word, others untouched", audio::strange;
    F48: "numbered chunks twice and out of order" => "taken once, those ahead refused", audio::out_of_order;
    F53: "the credential ends in mid-stream" => "closed with 4003, resumed with another", clients::token_ends;
    F59: "a second socket claims a session" => "the newest wins, the other hears 4501", replicas::claimed_twice;
    F63: "a crowd watches, its speakers' replica dies, no database" => "all are back where they were", viewers::crowd;
    F64: "Redis goes, replicas are replaced, clients are cut" => "every promise holds", fleet::everything;
    F65: "Redis is killed, then a replica" => "acknowledged, and gone on with, by Postgres alone", standing::killed_without_redis;
    F66: "Redis is emptied, and a replica killed at once" => "the same sessions go on, by Postgres", standing::killed_after_a_flush;
    F67: "a replica is frozen while Redis is away, and thaws" => "its sessions are others', by Postgres", standing::frozen_without_redis;
    F68: "the first of two providers dies for good" => "the other goes on, in the same sessions", provider::replaced;
}

catalogue! { SIZES,
    S1: "every replica is replaced under 300 live sessions" => "99 of 100 finals within 2 s, no session begun anew", sizes::rolled;
    S2: "the same with clients that neither migrate nor resume" => "nothing lost that was taken, each millisecond billed once at most", sizes::rolled_with_older_clients;
    S3: "1000 watch a room, its speaker's replica is killed" => "live within 5 s, whole within 20 s, few queries", crowd::moved;
    S4: "1000 silent sessions lose their sockets at once" => "all are back, keys fetched at most once", sizes::storm;
    S5: "20 boots with Postgres, Redis or the tenant's keys away" => "listens, serves, catches up, exit code 0", boots::twenty;
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
        f8_redis_is_killed "F8"
        f16_postgres_is_killed "F16"
        f28_the_provider_closes "F28"
        f38_clients_are_offline "F38"
        f59_a_session_is_claimed_twice "F59"
        f65_redis_is_killed_then_a_replica "F65"
        f66_redis_is_emptied_and_a_replica_killed "F66"
    }

    /// A few of the boots of S5.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn s5_boots_without_what_is_needed() {
        let (_place, seed) = (super::run::place().await, super::run::seed());
        if let Err(wrong) = super::boots::boots(seed, 4).await {
            panic!("seed {seed}: {wrong:#}");
        }
    }
}
