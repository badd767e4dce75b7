//! What was heard is billed once: whoever hangs up, and whatever is away meanwhile.

use std::collections::BTreeMap;

use testkit::{
    process::{Postgres, Redis},
    recorded::{Recorders, Refusal},
    wait_until,
};

use super::{CLIP, clip, file, form, post, said, send, setup, start};
use crate::harness::{LONG, Ledger, SOON, ServiceProcess};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_pays_for_what_was_done() {
    let (app, recorders) = start().await;
    // The first attempt fails, and the next comes a second later: nobody waits for it any more.
    recorders.refuse("deepgram", [Refusal { retry_after: Some(1), ..Refusal::of(503) }]);
    let upload = form(&[]).part("audio", file(clip(CLIP).wav(), "a.wav"));
    let url = format!("{}/transcriptions/deepgram", app.url());
    let request = reqwest::Client::new().post(url).bearer_auth(app.token()).multipart(upload);
    let asking = tokio::spawn(request.send());
    wait_until("the provider to be asked", SOON, async || recorders.asked("deepgram") == 1)
        .await
        .expect("asked");
    asking.abort();
    let billed = async || app.sql::<i64>("SELECT count(*) FROM usage_logs").await == 1;
    wait_until("the act to be billed", SOON, billed).await.expect("billed");
    assert_eq!(recorders.asked("deepgram"), 2);
}

/// Servers of a test's own, and what a replica before them is told.
struct World {
    postgres: Postgres,
    redis: Redis,
    url: String,
    variables: BTreeMap<String, String>,
    _recorders: Recorders,
}

impl World {
    async fn new() -> Self {
        let (postgres, redis) =
            (Postgres::start().expect("postgres"), Redis::start().expect("redis"));
        let url = postgres.create_database().expect("a database");
        let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
        let folder = std::env::temp_dir().join(format!("acts-{}", uuid::Uuid::new_v4().simple()));
        let setup = setup(&recorders)
            .with("DATABASE_URL", &url)
            .with("REDIS_URL", redis.url())
            .with("USAGE_SCRATCH_DIR", folder.display().to_string());
        let (variables, _) = setup.variables().await;
        Self { postgres, redis, url, variables, _recorders: recorders }
    }

    async fn start(&self) -> ServiceProcess {
        ServiceProcess::start(&self.variables).await
    }

    async fn ready(&self) -> ServiceProcess {
        let process = self.start().await;
        process.wait_for_status("/ready", 200, LONG).await;
        process
    }

    async fn wait_until_billed_once(&self) {
        let query = "SELECT count(*), sum(cost_micros)::bigint FROM usage_logs";
        let billed = async || {
            let rows: Result<Vec<(i64, Option<i64>)>, _> = Ledger(&self.url).rows(query).await;
            rows.is_ok_and(|rows| rows == [(1, Some(11 * 4_300 / 60))])
        };
        wait_until("the act to be billed", LONG, billed).await.expect("billed");
    }
}

/// Has the clip transcribed, which works without either database.
async fn transcribe(process: &ServiceProcess) {
    let upload = form(&[]).part("audio", file(clip(CLIP).wav(), "a.wav"));
    let request = reqwest::Client::new().post(format!("{}/transcriptions/deepgram", process.url()));
    let request = request.bearer_auth(process.token()).multipart(upload).send();
    let answer = super::Answer::read(request.await.expect("an answer")).await;
    assert_eq!((answer.status, answer.json()["transcript"].clone()), (200, said().into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_waits_for_a_postgres_that_is_away() {
    let mut world = World::new().await;
    let process = world.ready().await;
    world.postgres.kill().expect("killed");
    transcribe(&process).await;
    world.postgres.restart().expect("back");
    world.wait_until_billed_once().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_outlives_its_replica_while_postgres_is_away() {
    let mut world = World::new().await;
    let process = world.ready().await;
    world.postgres.kill().expect("killed");
    transcribe(&process).await;
    drop(process);
    let _another = world.start().await;
    world.postgres.restart().expect("back");
    world.wait_until_billed_once().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_outlives_its_replica_while_both_databases_are_away() {
    let mut world = World::new().await;
    let process = world.ready().await;
    world.postgres.kill().expect("killed");
    world.redis.kill().expect("killed");
    transcribe(&process).await;
    drop(process);
    let _another = world.start().await;
    world.redis.restart().expect("back");
    world.postgres.restart().expect("back");
    world.wait_until_billed_once().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_at_once_is_billed_once() {
    let (app, recorders) = start().await;
    let all = (0..20).map(|_| send(&app, "deepgram", &[]));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.json()["transcript"], said());
    }
    assert_eq!(recorders.asked("deepgram"), 20);
    let (rows, keys): (i64, i64) = (
        app.sql("SELECT count(*) FROM usage_logs").await,
        app.sql("SELECT count(DISTINCT idempotency_key) FROM usage_logs").await,
    );
    assert_eq!((rows, keys), (20, 20));
    let user: i32 = app.sql("SELECT DISTINCT user_id FROM usage_logs").await;
    assert!(user > 0, "the development account has a row");
}

/// The embedded engine hears real speech in real files.
#[cfg(feature = "local-speech")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_engine_costs_nothing() {
    use testkit::speech::{fixture_path, word_error_rate};
    let app = crate::harness::Setup::new().local().start().await;
    for name in ["jfk.wav", "jfk.mp3"] {
        let bytes = std::fs::read(fixture_path(name)).expect("the clip");
        let upload = form(&[]).part("audio", file(bytes, "speech"));
        let answer = post(&app, "local", upload).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let body = answer.json();
        let heard = body["transcript"].as_str().expect("text");
        assert!(word_error_rate(&said(), heard) <= 0.1, "{name}: {heard}");
        assert_eq!((&body["provider"], &body["service"]), (&"local".into(), &"local".into()));
        assert!(body["words"].as_array().is_some_and(|words| words.len() >= 20), "{body}");
    }
    let other = form(&[("language", "fr")]).part("audio", file(clip(CLIP).wav(), "a.wav"));
    let failure = post(&app, "local", other).await.failure();
    let text = "Local transcription failed: the local engine hears English only";
    assert_eq!(failure, (400, "unsupported_language".into(), text.into()));
    let rows: (i64, i64) = (
        app.sql("SELECT count(*) FROM usage_logs").await,
        app.sql("SELECT sum(cost_micros)::bigint FROM usage_logs").await,
    );
    assert_eq!(rows, (2, 0));
}
