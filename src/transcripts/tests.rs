//! What is said is stored once, whatever is repeated, deleted or away.

use std::time::Duration;

use fred::interfaces::{ClientLike, KeysInterface};
use sqlx::Executor;
use testkit::process;
use tokio::time::timeout;

use super::{Start, Transcripts, sweep::sweep};
use crate::{
    auth::{Backing, Owner, Secrets, Users},
    config::RedisConfig,
    lifecycle::Shutdown,
    model::{Clock, Segment, SessionId, Timing, Word},
    postgres::{Database, migrate, private},
    redis::Redis,
    telemetry::Metrics,
};

const DEADLINE: Duration = Duration::from_secs(20);

fn redis(url: &str, shutdown: &Shutdown) -> Redis {
    let config = RedisConfig { url: url.into(), prefix: "test".to_owned() };
    Redis::connect(&config, shutdown).unwrap()
}

/// Transcripts of a replica that has no Redis, and sweeps nothing.
fn transcripts(database: &Database, days: i32, shutdown: &Shutdown) -> (Transcripts, Metrics) {
    let metrics = Metrics::new().unwrap();
    let backing = Backing {
        database: database.clone(),
        redis: redis("redis://127.0.0.1:1", shutdown),
        users: Users::default(),
        secrets: Secrets::new(None, None),
        metrics: metrics.clone(),
        shutdown: shutdown.clone(),
    };
    (Transcripts::new(&backing, days, Clock), metrics)
}

fn start() -> Start {
    Start {
        session_id: SessionId::mint(),
        owner: Owner::User(0),
        language: "en".to_owned(),
        provider: "deepgram".into(),
    }
}

fn segment(text: &str) -> Segment {
    let word = |text: &str| Word {
        word: text.to_owned(),
        punctuated_word: None,
        start_ms: 100,
        end_ms: 200,
        confidence: 0.5,
        speaker: Some(1),
    };
    Segment {
        start_ms: 100,
        end_ms: 900,
        transcript: text.to_owned(),
        confidence: 0.5,
        is_final: true,
        speech_final: false,
        from_finalize: false,
        words: text.split(' ').map(word).collect(),
        channel: (1, 2),
        timing: Timing::Measured,
    }
}

async fn session_row(database: &Database, start: &Start) {
    let insert = "INSERT INTO live_sessions (id, user_id, provider, model, language) \
                  VALUES ($1, 0, 'deepgram', 'nova-2', 'en')";
    sqlx::query(insert).bind(start.session_id.0).execute(database.pool()).await.unwrap();
}

async fn count(database: &Database, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(database.pool()).await.unwrap()
}

const FINALS: &str = "SELECT count(*) FROM session_finals";

#[tokio::test]
async fn what_is_said_is_stored_once_and_read_back() {
    let (database, shutdown) = (private::database().await, Shutdown::default());
    let (transcripts, metrics) = transcripts(&database, 30, &shutdown);
    let start = start();
    session_row(&database, &start).await;
    let id = start.session_id.0;
    let keeper = transcripts.keep(start);
    keeper.keep(1, &segment("a\0b c"), "deepgram");
    keeper.keep(2, &segment("d"), "deepgram");
    keeper.keep(2, &segment("another"), "deepgram");
    keeper.finish("finished", 2, 900);
    assert!(transcripts.flush(DEADLINE).await);
    let finals = transcripts.contents(id).await.unwrap().finals;
    let texts: Vec<_> = finals.iter().map(|said| said.text.as_str()).collect();
    assert_eq!(texts, ["ab c", "d"]);
    assert_eq!((finals[0].channel, finals[0].speaker), (Some(1), Some(1)));
    assert_eq!(finals[0].words[1], segment("a c").words[1]);
    let session = transcripts.session(0, id).await.unwrap().unwrap();
    let kept = session.transcript.unwrap();
    assert!(kept.complete && kept.expires_at.is_some(), "{kept:?}");
    assert_eq!((kept.finals, kept.stored, session.audio_ms), (2, 2, 900));
    assert_eq!(transcripts.session(7, id).await.unwrap(), None);
    let text = metrics.render().unwrap();
    assert!(text.contains("outcome=\"duplicate\""), "{text}");
    shutdown.abort();
}

#[tokio::test]
async fn a_gap_has_a_number_and_is_no_final() {
    let (database, shutdown) = (private::database().await, Shutdown::default());
    let (transcripts, _metrics) = transcripts(&database, 30, &shutdown);
    let start = start();
    session_row(&database, &start).await;
    let id = start.session_id.0;
    let keeper = transcripts.keep(start);
    keeper.keep(1, &segment("a"), "deepgram");
    for _ in 0..2 {
        keeper.gap(2, (900, 1_900), "provider_away");
    }
    keeper.keep(3, &segment("c"), "deepgram");
    keeper.finish("finished", 3, 2_900);
    assert!(transcripts.flush(DEADLINE).await);
    let gaps = transcripts.contents(id).await.unwrap().gaps;
    assert_eq!((gaps.len(), gaps[0].n, gaps[0].reason.as_str()), (1, 2, "provider_away"));
    let kept = transcripts.session(0, id).await.unwrap().unwrap().transcript.unwrap();
    assert_eq!((kept.finals, kept.stored, kept.complete), (2, 2, false));
    assert!(transcripts.delete(0, id).await.unwrap());
    assert!(transcripts.contents(id).await.unwrap().gaps.is_empty());
    shutdown.abort();
}

#[tokio::test]
async fn a_session_without_its_end_is_not_complete() {
    let (database, shutdown) = (private::database().await, Shutdown::default());
    let (transcripts, _metrics) = transcripts(&database, 0, &shutdown);
    let start = start();
    session_row(&database, &start).await;
    let id = start.session_id.0;
    let keeper = transcripts.keep(start);
    keeper.keep(1, &segment("a"), "deepgram");
    keeper.keep(3, &segment("c"), "deepgram");
    assert!(transcripts.flush(DEADLINE).await);
    let kept = async || transcripts.session(0, id).await.unwrap().unwrap().transcript.unwrap();
    let now = kept().await;
    assert_eq!((now.complete, now.finals, now.stored), (false, 3, 2));
    assert_eq!((now.outcome, now.expires_at), (None, None));
    keeper.finish("finished", 3, 900);
    assert!(transcripts.flush(DEADLINE).await);
    let now = kept().await;
    assert_eq!((now.complete, now.outcome.as_deref()), (false, Some("finished")));
    shutdown.abort();
}

#[tokio::test]
async fn what_was_deleted_is_not_written_again() {
    let (database, shutdown) = (private::database().await, Shutdown::default());
    let (transcripts, metrics) = transcripts(&database, 30, &shutdown);
    let start = start();
    session_row(&database, &start).await;
    let id = start.session_id.0;
    let keeper = transcripts.keep(start);
    keeper.keep(1, &segment("a"), "deepgram");
    assert!(transcripts.flush(DEADLINE).await);
    assert!(!transcripts.delete(7, id).await.unwrap(), "another's");
    assert_eq!(count(&database, FINALS).await, 1);
    assert!(transcripts.delete(0, id).await.unwrap());
    assert!(transcripts.delete(0, id).await.unwrap(), "again");
    keeper.keep(2, &segment("b"), "deepgram");
    keeper.finish("finished", 2, 900);
    assert!(transcripts.flush(DEADLINE).await);
    assert_eq!(count(&database, FINALS).await, 0);
    assert!(metrics.render().unwrap().contains("outcome=\"deleted\""));
    let kept = transcripts.session(0, id).await.unwrap().unwrap().transcript.unwrap();
    assert!(kept.deleted_at.is_some() && !kept.complete);
    shutdown.abort();
}

#[tokio::test]
async fn a_session_deleted_before_its_first_row_stays_deleted() {
    let (database, shutdown) = (private::database().await, Shutdown::default());
    let (transcripts, _metrics) = transcripts(&database, 30, &shutdown);
    let start = start();
    session_row(&database, &start).await;
    assert!(transcripts.delete(0, start.session_id.0).await.unwrap());
    let keeper = transcripts.keep(start);
    keeper.keep(1, &segment("a"), "deepgram");
    keeper.finish("finished", 1, 900);
    assert!(transcripts.flush(DEADLINE).await);
    assert_eq!(count(&database, FINALS).await, 0);
    shutdown.abort();
}

#[tokio::test]
async fn what_the_database_refuses_holds_nobody_up() {
    let (database, shutdown) = (private::database().await, Shutdown::default());
    let (transcripts, metrics) = transcripts(&database, 30, &shutdown);
    let nobody = transcripts.keep(Start { owner: Owner::User(4711), ..start() });
    let good = transcripts.keep(start());
    nobody.keep(1, &segment("a"), "deepgram");
    good.keep(1, &segment("b"), "deepgram");
    assert!(transcripts.flush(DEADLINE).await);
    assert_eq!(count(&database, FINALS).await, 1);
    assert!(metrics.render().unwrap().contains("outcome=\"refused\""));
    shutdown.abort();
}

#[tokio::test]
async fn more_than_may_wait_is_counted_and_forgotten() {
    let shutdown = Shutdown::default();
    let away = private::at("postgresql://127.0.0.1:1/none");
    let (transcripts, metrics) = transcripts(&away, 30, &shutdown);
    let keeper = transcripts.keep(start());
    let long = segment(&"x".repeat(20 * 1024 * 1024));
    for n in 1..=4 {
        keeper.keep(n, &long, "deepgram");
    }
    let full = || {
        let text = metrics.render().unwrap();
        text.lines().any(|line| line.contains("outcome=\"full\"") && line.ends_with(" 3"))
    };
    // Text and word both hold the twenty mebibytes.
    assert!(full(), "{}", metrics.render().unwrap());
    drop(keeper);
    shutdown.abort();
    timeout(DEADLINE, shutdown.wait()).await.unwrap();
    assert!(metrics.render().unwrap().contains("outcome=\"late\""));
}

#[tokio::test]
async fn a_drain_waits_for_a_server_that_comes_back() {
    let (mut server, url) = private::absent();
    let (database, shutdown) = (private::at(&url), Shutdown::default());
    let (transcripts, _metrics) = transcripts(&database, 30, &shutdown);
    let keeper = transcripts.keep(start());
    for n in 1..=1_200 {
        keeper.keep(n, &segment("word"), "deepgram");
    }
    shutdown.drain();
    keeper.finish("finished", 1_200, 900);
    assert!(!transcripts.flush(Duration::from_millis(300)).await);
    server.restart().unwrap();
    migrate(&database).await.unwrap();
    assert!(transcripts.flush(DEADLINE).await);
    assert_eq!(count(&database, FINALS).await, 1_200);
    let ended = "SELECT count(*) FROM session_transcripts WHERE outcome = 'finished'";
    assert_eq!(count(&database, ended).await, 1);
    shutdown.abort();
}

#[tokio::test]
async fn one_replica_sweeps_what_is_due_and_nothing_else() {
    let server = process::Redis::start().unwrap();
    let shutdown = Shutdown::default();
    let [one, two] = [(); 2].map(|()| redis(&server.url(), &shutdown));
    one.client().wait_for_connect().await.unwrap();
    two.client().wait_for_connect().await.unwrap();
    let database = private::database().await;
    let insert = "INSERT INTO session_transcripts (session_id, user_id, expires_at)
            SELECT gen_random_uuid(), 0, timezone('utc', now()) - n * interval '1 minute'
            FROM generate_series(1, 120) n
        UNION ALL SELECT gen_random_uuid(), 0, timezone('utc', now()) + interval '1 minute'
        UNION ALL SELECT gen_random_uuid(), 0, NULL;
        INSERT INTO session_finals
            (session_id, n, start_ms, end_ms, text, confidence, timing, language, provider)
        SELECT session_id, 1, 0, 1, 'a', 1, 'measured', 'en', 'deepgram' FROM session_transcripts";
    database.pool().execute(insert).await.unwrap();
    assert_eq!(sweep(&database, &one).await, Some(120));
    assert_eq!(count(&database, FINALS).await, 2);
    assert_eq!(sweep(&database, &two).await, None);
    let away = private::at("postgresql://127.0.0.1:1/none");
    let _deleted: i64 = one.client().del("test:sweep:session_transcripts").await.unwrap();
    assert_eq!(sweep(&away, &two).await, None, "the turn is given back");
    assert_eq!(sweep(&database, &one).await, Some(0));
    shutdown.abort();
}
