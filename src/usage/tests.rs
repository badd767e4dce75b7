//! Every millisecond is billed once, whatever is retried, cut or raced.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::json;
use tokio::{sync::watch, time::timeout};

use super::{
    Course, Meter, Price, SessionStart, Taken, Usage,
    meter::{Cursor, Entry},
    store,
};
use crate::{
    auth::{Owner, Users},
    lifecycle::Shutdown,
    model::{Clock, SessionId},
    postgres::{Database, migrate, private},
    telemetry::Metrics,
};

const DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn start(owner: Owner) -> SessionStart {
    SessionStart {
        session_id: SessionId::mint(),
        owner,
        service: "deepgram".into(),
        model: "nova-2".to_owned(),
        language: "en".to_owned(),
        diarize: false,
        billed_channels: 1,
        endpoint: "/audio-stream".into(),
        ip: Some([192, 0, 2, 1].into()),
        user_agent: Some("x".repeat(400)),
        options: json!({"keyterms": ["a\0b"]}),
    }
}

fn usage(database: &Database, shutdown: &Shutdown) -> (Usage, Metrics) {
    let metrics = Metrics::new().unwrap();
    (
        Usage::new(database.clone(), Users::default(), metrics.clone(), shutdown, Clock, None),
        metrics,
    )
}

fn open(usage: &Usage, start: SessionStart) -> Meter {
    usage.open(start, Taken::default())
}

async fn until(durable: &mut watch::Receiver<u64>, ms: u64) {
    let reached = timeout(DEADLINE, durable.wait_for(|durable| *durable >= ms)).await;
    assert_eq!(*reached.unwrap().unwrap(), ms);
}

/// The ranges of a session in order, each with its cost.
pub(super) async fn rows(database: &Database, session: SessionId) -> Vec<(i64, i64, i64)> {
    sqlx::query_as(
        "SELECT range_start_ms, range_end_ms, cost_micros FROM usage_logs WHERE session_id = $1
         ORDER BY range_start_ms",
    )
    .bind(session.0)
    .fetch_all(database.pool())
    .await
    .unwrap()
}

fn nova_2() -> Price {
    Price::of("deepgram", "nova-2", "en", false, 1)
}

#[tokio::test]
async fn checkpoints_are_rows_and_the_view_is_one() {
    let (database, shutdown) = (private::database().await, Shutdown::default());
    let (usage, metrics) = usage(&database, &shutdown);
    let start = start(Owner::User(0));
    let session = start.session_id;
    let meter = open(&usage, start);
    let mut durable = meter.durable_ms();
    for ms in [5_000, 4_000, 10_001] {
        meter.checkpoint(ms);
        until(&mut durable, ms.max(5_000)).await;
    }
    meter.finish(12_345);
    assert!(usage.flush(DEADLINE).await);
    let expected = [(0_i64, 5_000_i64), (5_000, 10_001), (10_001, 12_345)]
        .map(|(from, to)| (from, to, nova_2().between(from.cast_unsigned(), to.cast_unsigned()).0));
    assert_eq!(rows(&database, session).await, expected);
    let view: (i64, i64, f64, i64, bool, String) = sqlx::query_as(
        "SELECT v.checkpoints, v.cost_micros::bigint, v.cost_usd, v.audio_ms::bigint,
                s.ended_at IS NOT NULL, s.options->'keyterms'->>0
         FROM usage_sessions v JOIN live_sessions s ON s.id = v.session_id",
    )
    .fetch_one(database.pool())
    .await
    .unwrap();
    let total = nova_2().between(0, 12_345).0;
    assert_eq!(view, (3, total, total as f64 / 1e6, 12_345, true, "ab".to_owned()));
    let text = metrics.render().unwrap();
    assert!(text.lines().any(|line| line.starts_with("usage_rows_total{outcome=\"inserted\"")));
}

#[tokio::test]
async fn a_dropped_meter_is_billed_and_the_recorder_ends() {
    let (database, shutdown) = (private::database().await, Shutdown::default());
    let (usage, _metrics) = usage(&database, &shutdown);
    let start = start(Owner::Development);
    let session = start.session_id;
    let meter = open(&usage, start);
    meter.checkpoint(700);
    shutdown.drain();
    drop(meter);
    timeout(DEADLINE, shutdown.wait()).await.unwrap();
    assert_eq!(rows(&database, session).await, [(0, 700, nova_2().between(0, 700).0)]);
    assert_eq!(usage.pending(), 0);
}

#[tokio::test]
async fn usage_waits_for_a_server_that_is_away() {
    let (mut server, url) = private::absent();
    let database = private::at(&url);
    let (usage, _metrics) = usage(&database, &Shutdown::default());
    let start = start(Owner::Auth0 { sub: "auth0|1".to_owned(), email: None });
    let session = start.session_id;
    let meter = open(&usage, start);
    let asked = Instant::now();
    for ms in 0..10_000 {
        meter.checkpoint(ms);
    }
    assert!(asked.elapsed() < Duration::from_secs(1));
    assert_eq!(usage.pending(), 1);
    let mut durable = meter.durable_ms();
    server.restart().unwrap();
    migrate(&database).await.unwrap();
    until(&mut durable, 9_999).await;
    assert_eq!(rows(&database, session).await.len(), 1);
}

#[tokio::test]
async fn a_row_that_is_refused_holds_nobody_up() {
    let (database, shutdown) = (private::database().await, Shutdown::default());
    let (usage, metrics) = usage(&database, &shutdown);
    let nobody = open(&usage, start(Owner::User(4711)));
    let good: Vec<_> = (0..20).map(|_| open(&usage, start(Owner::User(0)))).collect();
    nobody.checkpoint(1_000);
    for meter in &good {
        meter.checkpoint(1_000);
    }
    for meter in &good {
        until(&mut meter.durable_ms(), 1_000).await;
    }
    assert!(usage.flush(DEADLINE).await);
    assert_eq!(*nobody.durable_ms().borrow(), 0);
    let text = metrics.render().unwrap();
    assert!(text.contains("outcome=\"lost\""), "{text}");
}

#[tokio::test]
async fn the_hard_shutdown_does_not_wait_for_an_absent_server() {
    let shutdown = Shutdown::default();
    let (usage, metrics) = usage(&private::at("postgresql://127.0.0.1:1/none"), &shutdown);
    let meter = open(&usage, start(Owner::User(0)));
    meter.finish(1_000);
    shutdown.abort();
    timeout(DEADLINE, shutdown.wait()).await.unwrap();
    assert_eq!(usage.pending(), 0);
    assert!(metrics.render().unwrap().contains("outcome=\"lost\""));
}

pub(super) fn entry(cursor: &Arc<Cursor>, from_ms: u64, until_ms: u64) -> Entry {
    let mut course = Course::default();
    course.bill(from_ms);
    course.switch(0, cursor.start.service.clone(), cursor.start.model.clone());
    let (cursor, at) = (Arc::clone(cursor), cursor.started_at);
    Entry { cursor, from_ms, until_ms, course, mark: None, at, finished: false }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_billed_once() {
    let database = private::database().await;
    let cursor = Arc::new(Cursor::new(start(Owner::User(0)), Taken::default(), Clock));
    let write = async || {
        let entries = [entry(&cursor, 0, 900)];
        store::write(database.pool(), &Users::default(), &entries).await.unwrap()[0].billed_ms
    };
    assert_eq!((write().await, write().await, write().await), (900, 0, 0));
    assert_eq!(rows(&database, cursor.start.session_id).await.len(), 1);
}

#[tokio::test]
async fn a_session_ends_when_the_last_of_its_owners_finishes_it() {
    let database = private::database().await;
    let start = start(Owner::User(0));
    let owner = |fence| {
        let taken = Taken { fence, ..Taken::default() };
        Arc::new(Cursor::new(start.clone(), taken, Clock))
    };
    let (first, second) = (owner(1), owner(2));
    let at = |second| first.started_at + chrono::Duration::seconds(second);
    let cases = [
        (&first, 900, true, 10, Some(10)),
        // What waited elsewhere meanwhile, and an end that is said again.
        (&first, 500, false, 5, Some(10)),
        (&first, 900, true, 11, Some(10)),
        // Nobody speaks after it was gone on with, or all that is said comes with the end.
        (&second, 900, true, 20, Some(20)),
        (&second, 1_500, true, 30, Some(20)),
        (&first, 900, true, 40, Some(20)),
        (&owner(3), 1_600, false, 50, None),
        (&owner(3), 1_600, true, 60, Some(60)),
        (&owner(4), 1_700, true, 70, Some(70)),
        (&second, 1_800, true, 80, Some(70)),
    ];
    for (cursor, until_ms, finished, second, expected) in cases {
        let entry = Entry { finished, at: at(second), ..entry(cursor, 0, until_ms) };
        store::write(database.pool(), &Users::default(), &[entry]).await.unwrap();
        let ended = sqlx::query_scalar("SELECT ended_at FROM live_sessions");
        let ended: Option<chrono::NaiveDateTime> = ended.fetch_one(database.pool()).await.unwrap();
        // Seconds are enough to tell them apart, and the table keeps microseconds.
        let ended = ended.map(|ended| (ended - first.started_at).num_milliseconds());
        let about = ended.map(|ended| (ended + 500) / 1_000);
        assert_eq!(about, expected, "an entry of fence {} up to {until_ms}", cursor.fence);
    }
}

/// Writes every range of every writer, the writers all at once.
async fn race(database: &Database, writers: Vec<Vec<(u64, u64)>>) -> SessionId {
    let cursor = Arc::new(Cursor::new(start(Owner::User(0)), Taken::default(), Clock));
    let write = async |ranges: Vec<(u64, u64)>| {
        for (from, length) in ranges {
            let entries = [entry(&cursor, from, from + length)];
            store::write(database.pool(), &Users::default(), &entries).await.unwrap();
        }
    };
    futures_util::future::join_all(writers.into_iter().map(write)).await;
    cursor.start.session_id
}

#[test]
fn ranges_in_any_order_from_anywhere_bill_each_millisecond_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(private::database());
    let range = (0_u64..5_000, 1_u64..1_000);
    let writers = proptest::collection::vec(proptest::collection::vec(range, 1..12), 1..5);
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() };
    let outcome = TestRunner::new(config).run(&writers, |writers| {
        let last = writers.iter().flatten().map(|(from, length)| from + length).max();
        let rows = runtime.block_on(async {
            let session = race(&database, writers.clone()).await;
            rows(&database, session).await
        });
        for pair in rows.windows(2) {
            prop_assert!(pair[0].1 <= pair[1].0, "{pair:?} overlap");
        }
        let covered = |ms: i64| {
            writers.iter().flatten().any(|(from, length)| {
                (from.cast_signed()..(from + length).cast_signed()).contains(&ms)
            })
        };
        for (from, until, cost) in &rows {
            prop_assert!((*from..*until).all(covered));
            prop_assert_eq!(*cost, nova_2().between(from.cast_unsigned(), until.cast_unsigned()).0);
        }
        let billed: i64 = rows.iter().map(|(from, until, _)| until - from).sum();
        let said = (0..last.unwrap_or(0).cast_signed()).filter(|ms| covered(*ms)).count();
        prop_assert_eq!(billed.cast_unsigned() as usize, said);
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test]
async fn a_drain_waits_for_a_server_that_comes_back() {
    let (mut server, url) = private::absent();
    let (database, shutdown) = (private::at(&url), Shutdown::default());
    let (usage, _metrics) = usage(&database, &shutdown);
    let start = start(Owner::User(0));
    let session = start.session_id;
    let meter = open(&usage, start);
    shutdown.drain();
    meter.finish(2_500);
    assert!(!usage.flush(Duration::from_millis(300)).await);
    server.restart().unwrap();
    migrate(&database).await.unwrap();
    timeout(DEADLINE, shutdown.wait()).await.unwrap();
    assert_eq!(rows(&database, session).await.len(), 1);
}

#[tokio::test]
async fn a_thousand_sessions_are_a_few_transactions() {
    let (database, shutdown) = (private::database().await, Shutdown::default());
    let (usage, _metrics) = usage(&database, &shutdown);
    let meters: Vec<_> = (0..1_000).map(|_| open(&usage, start(Owner::User(0)))).collect();
    assert!(usage.flush(DEADLINE).await);
    let commits = "SELECT count(DISTINCT xmin::text) FROM usage_logs";
    let asked = Instant::now();
    for meter in &meters {
        meter.checkpoint(5_000);
    }
    assert!(usage.flush(DEADLINE).await);
    println!("1000 checkpoints were durable after {:?}", asked.elapsed());
    let commits: i64 = sqlx::query_scalar(commits).fetch_one(database.pool()).await.unwrap();
    assert!((2..=4).contains(&commits), "{commits}");
}
