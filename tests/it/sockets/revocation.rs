//! A credential that is taken back stops its streams on every replica, announced or not.

use std::time::Duration;

use serde_json::json;
use testkit::process::Redis;

use super::{Door, Line, USER_KEY, assert_closed, execute, insert_key, now_ms, with_tenant};
use crate::{
    harness::{Ledger, Setup, TestApp, postgres, redis},
    oracle::{self, CHUNK_MS, SOON},
};
use testkit::auth0::Auth0;

const DEACTIVATE: &str = "UPDATE api_keys SET is_active = false WHERE id = 3";

/// Announces as a replica does, once so many replicas listen.
async fn announce(prefix: &str, revoked: &serde_json::Value, replicas: usize) {
    let channel = format!("{prefix}:revocations");
    let listen = async || {
        let told = redis().command(&["PUBSUB", "NUMSUB", &channel]).expect("an answer");
        told.ends_with(&format!(":{replicas}\r\n"))
    };
    testkit::wait_until("the replicas to listen", SOON, listen).await.expect("they listen");
    redis().command(&["PUBLISH", &channel, &revoked.to_string()]).expect("published");
}

async fn replicas(prefix: &str) -> Vec<TestApp> {
    let setup = Setup::new().with("REDIS_PREFIX", prefix).deepgram(oracle::numbered());
    let apps = setup.start_many(2).await;
    insert_key(&apps[0]).await;
    apps
}

/// Lines at both doors of a replica, which speak until they are closed.
async fn speak_at_both(app: &TestApp) -> Vec<(Door, Line)> {
    let mut lines = Vec::new();
    for door in Door::BOTH {
        let line = Line::open(door, &app.url(), USER_KEY).await.expect("admitted");
        lines.push((door, line));
    }
    lines
}

async fn speak(lines: &mut [(Door, Line)], time: Duration) {
    futures_util::future::join_all(lines.iter_mut().map(|(_, line)| line.speak(time))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_stops_its_stream_on_another_replica_within_a_second() {
    let prefix = format!("it-{}", uuid::Uuid::new_v4().simple());
    let apps = replicas(&prefix).await;
    let mut lines = speak_at_both(&apps[0]).await;
    speak(&mut lines, Duration::from_secs(1)).await;
    execute(&apps[1], DEACTIVATE).await;
    announce(&prefix, &json!({ "key": 3 }), 2).await;
    let revoked_ms = now_ms();
    speak(&mut lines, Duration::from_secs(5)).await;
    for (door, line) in &mut lines {
        let (_, closed_ms) = line.hear_out(SOON).await;
        assert!(closed_ms < revoked_ms + 1300, "{} ms later", closed_ms - revoked_ms);
        assert_closed(line, *door, 4500, "credential_revoked");
        assert!(line.chunks_heard().end >= 5, "{:?}", line.heard);
        // Nobody comes back with it, on either replica.
        for app in &apps {
            assert!(Line::open(*door, &app.url(), USER_KEY).await.is_err());
        }
    }
    let heard: u32 = lines.iter().map(|(_, line)| line.chunks_heard().end).sum();
    let billed = "SELECT coalesce(sum(range_end_ms - range_start_ms), 0)::bigint FROM usage_logs";
    let all = async || apps[0].sql::<i64>(billed).await == i64::from(heard) * CHUNK_MS as i64;
    testkit::wait_until("all that was said to be billed", SOON, all).await.expect("billed");
    assert_eq!(apps[0].metric("rechecks_total", &["unauthenticated"]), 2);
}

/// An announcement proves nothing: the database decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_or_foreign_announcement_stops_nothing() {
    let prefix = format!("it-{}", uuid::Uuid::new_v4().simple());
    let apps = replicas(&prefix).await;
    let mut lines = speak_at_both(&apps[0]).await;
    let looks = || apps[0].metric("rechecks_total", &["ok"]);
    for revoked in [json!({ "key": 4 }), json!({ "user": 8 }), json!({ "token": "x" })] {
        announce(&prefix, &revoked, 2).await;
    }
    // These are about anybody, or about these two.
    for revoked in [json!({ "key": 3 }), json!({ "user": 7 }), json!("unknown"), json!("nonsense")]
    {
        let before = looks();
        announce(&prefix, &revoked, 2).await;
        let looked = async || looks() == before + 2;
        testkit::wait_until("both sockets to look again", SOON, looked).await.expect("looked");
    }
    assert_eq!(looks(), 8, "what is about others concerns nobody here");
    speak(&mut lines, Duration::from_secs(1)).await;
    for (_, line) in &mut lines {
        line.finish().await;
        line.assert_whole();
    }
    let others = apps[0].metric("rechecks_total", &[]) - apps[0].metric("rechecks_total", &["ok"]);
    assert_eq!(others, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_user_is_stopped() {
    let prefix = format!("it-{}", uuid::Uuid::new_v4().simple());
    let apps = replicas(&prefix).await;
    let mut lines = speak_at_both(&apps[0]).await;
    execute(&apps[1], "UPDATE users SET is_active = false WHERE id = 7").await;
    announce(&prefix, &json!({ "user": 7 }), 2).await;
    for (door, line) in &mut lines {
        line.hear_out(SOON).await;
        assert_closed(line, *door, 4500, "credential_revoked");
    }
}

/// Announcements that were missed are made up for once there may have been some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_in_the_announcements_makes_sockets_look_again() {
    let mut redis = Redis::start().expect("redis");
    let tenant = Auth0::start().await.expect("a tenant");
    let database = postgres().create_database().expect("a database");
    let setup = with_tenant(Setup::on(&database, &redis.url()), &tenant);
    let app = setup.start().await;
    insert_key(&app).await;
    let mut lines = speak_at_both(&app).await;
    redis.kill().expect("killed");
    execute(&app, DEACTIVATE).await;
    speak(&mut lines, Duration::from_millis(500)).await;
    assert!(lines.iter().all(|(_, line)| line.end.is_none()), "nobody can have heard of it");
    redis.restart().expect("back");
    for (door, line) in &mut lines {
        line.hear_out(SOON).await;
        assert_closed(line, *door, 4500, "credential_revoked");
    }
}

/// Nothing is announced at all: the key was taken back with SQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_sql_took_back_stops_its_stream_within_a_minute() {
    let apps = replicas(&format!("it-{}", uuid::Uuid::new_v4().simple())).await;
    let mut lines = speak_at_both(&apps[0]).await;
    speak(&mut lines, Duration::from_secs(1)).await;
    execute(&apps[1], DEACTIVATE).await;
    let revoked_ms = now_ms();
    let wait = Duration::from_secs(65);
    futures_util::future::join_all(lines.iter_mut().map(|(_, line)| line.hear_out(wait))).await;
    for (door, line) in &lines {
        let (_, closed_ms) = line.end.clone().expect("an end");
        assert!(closed_ms < revoked_ms + 60_000, "{} ms later", closed_ms - revoked_ms);
        assert_closed(line, *door, 4500, "credential_revoked");
        line.assert_whole();
    }
}

/// Nobody can tell whether the key still holds: the stream goes on, and so does its bill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_while_nobody_can_tell() {
    let mut database = testkit::process::Postgres::start().expect("postgres");
    let url = database.create_database().expect("a database");
    let prefix = format!("it-{}", uuid::Uuid::new_v4().simple());
    let setup = Setup::on(&url, &redis().url()).with("REDIS_PREFIX", &prefix);
    let app = setup.deepgram(oracle::numbered()).start().await;
    insert_key(&app).await;
    let mut line = Line::open(Door::WebSocket, &app.url(), USER_KEY).await.expect("admitted");
    database.kill().expect("killed");
    announce(&prefix, &json!({ "key": 3 }), 1).await;
    let asked = async || app.metric("rechecks_total", &[]) >= 1;
    testkit::wait_until("the key to be looked at", SOON, asked).await.expect("looked at");
    line.speak(Duration::from_secs(2)).await;
    assert!(line.end.is_none(), "{:?}", line.heard);
    database.restart().expect("back");
    line.finish().await;
    line.assert_whole();
    Ledger(&app.database_url).wait_for(2000, SOON).await;
}

/// `key renew` announces the key, whose sockets then learn of its new end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_renewed_keeps_its_stream() {
    let prefix = format!("it-{}", uuid::Uuid::new_v4().simple());
    let apps = replicas(&prefix).await;
    let ends = "UPDATE api_keys SET expires_at = timezone('utc', now()) + interval '4 s'";
    execute(&apps[1], ends).await;
    let mut lines = speak_at_both(&apps[0]).await;
    let renewed = "UPDATE api_keys SET expires_at = timezone('utc', now()) + interval '1 h'";
    execute(&apps[1], renewed).await;
    announce(&prefix, &json!({ "key": 3 }), 2).await;
    speak(&mut lines, Duration::from_secs(6)).await;
    for (_, line) in &mut lines {
        line.finish().await;
        line.assert_whole();
        assert!(line.named("closing").is_empty() && line.end.is_none(), "{:?}", line.heard);
    }
    let looks = apps[0].metric("rechecks_total", &["ok"]);
    assert!(looks <= 4, "{looks}: what was heard, and what it changed");
}
