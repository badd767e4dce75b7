//! Usage outlives the replica that counted it: with Postgres away, with Redis away too, and through
//! kills of whoever writes it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};
use testkit::{
    deepgram::{self, Script, Simulator},
    process::{Postgres, Redis, free_port},
    speech::Pace,
    wait_until,
};

use crate::harness::{LONG, Ledger, SOON, ServiceProcess, Setup, Speaker, billed_once, doors};

const PREFIX: &str = "fallback";

/// Databases of a test's own, which it kills as it likes.
struct World {
    postgres: Postgres,
    redis: Redis,
    url: String,
    metrics_port: u16,
    folder: std::path::PathBuf,
    variables: BTreeMap<String, String>,
    /// Kept for as long as replicas call it.
    #[expect(dead_code, reason = "it ends when it is dropped")]
    deepgram: Simulator,
}

impl World {
    async fn new() -> Self {
        let (postgres, redis) =
            (Postgres::start().expect("postgres"), Redis::start().expect("redis"));
        let url = postgres.create_database().expect("a database");
        let config = deepgram::Config {
            longest_segment: Duration::from_secs(1),
            ..deepgram::Config::speaking(Script::numbered_audio())
        };
        let metrics_port = free_port().expect("a port");
        let name = format!("usage-fallback-{}", uuid::Uuid::new_v4().simple());
        let folder = std::env::temp_dir().join(name);
        let setup = Setup::on(&url, &redis.url())
            .with("REDIS_PREFIX", PREFIX)
            .with("METRICS_PORT", metrics_port.to_string())
            .with("USAGE_SCRATCH_DIR", folder.to_str().expect("a path"));
        let (variables, deepgram) = setup.deepgram(config).variables().await;
        let deepgram = deepgram.expect("a simulator");
        Self { postgres, redis, url, metrics_port, folder, variables, deepgram }
    }

    async fn start(&self) -> ServiceProcess {
        let process = ServiceProcess::start(&self.variables).await;
        process.wait_for_status("/ready", 200, SOON).await;
        process
    }

    /// A replica beside the first, whose metrics nobody reads.
    async fn start_another(&self) -> ServiceProcess {
        let mut variables = self.variables.clone();
        variables.insert("METRICS_PORT".into(), "0".into());
        ServiceProcess::start(&variables).await
    }

    fn redis(&self, words: &[&str]) -> String {
        self.redis.command(words).expect("an answer")
    }

    fn waiting(&self) -> String {
        self.redis(&["XLEN", &key("waiting")]).trim().to_owned()
    }

    /// A metric of the first replica, 0 where it has not moved.
    async fn metric(&self, name: &str) -> i64 {
        let url = format!("http://127.0.0.1:{}/metrics", self.metrics_port);
        let text = match reqwest::get(url).await {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        value.unwrap_or(0.0).round() as i64
    }

    async fn wait_for_metric(&self, name: &str, fits: impl Fn(i64) -> bool) {
        let waited = wait_until(name, LONG, async || fits(self.metric(name).await)).await;
        waited.expect("it moves");
    }

    /// Milliseconds billed of each session, each once.
    async fn billed(&self) -> BTreeMap<String, i64> {
        let query = "SELECT session_id::text, range_start_ms, range_end_ms FROM usage_logs \
                     ORDER BY session_id, range_start_ms";
        let rows: Vec<(String, i64, i64)> = Ledger(&self.url).rows(query).await.unwrap_or_default();
        let mut ranges = BTreeMap::<String, Vec<(i64, i64)>>::new();
        for (session, from, until) in rows {
            ranges.entry(session).or_default().push((from, until));
        }
        ranges.into_iter().map(|(session, ranges)| (session, billed_once(&ranges))).collect()
    }

    /// Waits until the stream is empty and at least that much is billed of each speaker.
    async fn wait_until_billed(&self, speakers: &[Speaker], least: impl Fn(&Speaker) -> i64) {
        let whole = async || {
            let billed = self.billed().await;
            let is_whole =
                |speaker: &Speaker| billed.get(&session(speaker)) >= Some(&least(speaker));
            speakers.iter().all(is_whole) && self.waiting() == ":0"
        };
        let waited = wait_until("everything to be billed", LONG, whole).await;
        let billed = self.billed().await;
        waited.unwrap_or_else(|error| panic!("{error}: {billed:?}, {} wait", self.waiting()));
        for speaker in speakers {
            let billed = billed[&session(speaker)];
            assert!(billed <= speaker.said_ms(), "no more is billed than was said");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // It is only there if a replica made it.
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn key(name: &str) -> String {
    format!("{PREFIX}:{{usage}}:{name}")
}

fn session(speaker: &Speaker) -> String {
    let mut ids = speaker.messages.iter().filter_map(|message| message["session_id"].as_str());
    ids.next().expect("a session").to_owned()
}

async fn speakers(process: &ServiceProcess, count: u16) -> Vec<Speaker> {
    let mut speakers = Vec::new();
    for number in 1..=count {
        let (socket, _) = doors::websocket(&process.url(), &process.token()).await.expect("in");
        speakers.push(Speaker::new(socket, number));
    }
    speakers
}

/// Leaves usage of finished sessions in Redis, and nobody to bring it to Postgres.
async fn abandoned(world: &mut World, count: u16) -> Vec<Speaker> {
    let mut process = world.start().await;
    let mut speakers = speakers(&process, count).await;
    world.postgres.kill().expect("killed");
    for speaker in &mut speakers {
        speaker.say(30).await;
    }
    for speaker in &mut speakers {
        speaker.finish().await;
        speaker.hear_ack(3_000).await;
    }
    process.guard.kill().expect("killed");
    assert_eq!(world.waiting(), format!(":{count}"), "a session has one entry");
    speakers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_without_postgres_is_billed_though_the_replica_is_killed() {
    let mut world = World::new().await;
    let mut process = world.start().await;
    let mut speakers = speakers(&process, 5).await;
    for speaker in &mut speakers {
        speaker.say(20).await;
        speaker.hear_ack(1_000).await;
    }
    world.postgres.kill().expect("killed");
    let killed = Instant::now();
    let before: Vec<i64> = speakers.iter().map(Speaker::acked_ms).collect();
    let mut pace = Pace::new(Duration::from_millis(100), 1.0);
    while killed.elapsed() < Duration::from_secs(10) {
        pace.beat().await;
        for speaker in &mut speakers {
            speaker.say(1).await;
            speaker.catch_up().await;
        }
    }
    process.guard.kill().expect("killed");
    for (speaker, before) in speakers.iter().zip(&before) {
        println!("acknowledged {before} before, {} in the outage", speaker.acked_ms());
        assert!(speaker.acked_ms() >= before + 5_000, "acknowledgements go on");
    }
    assert!(world.billed().await.is_empty(), "postgres is away");
    world.postgres.restart().expect("back");
    let _other = world.start_another().await;
    world.wait_until_billed(&speakers, Speaker::acked_ms).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drainer_is_killed_and_then_two_drain_at_once() {
    let mut world = World::new().await;
    let speakers = abandoned(&mut world, 3).await;
    world.postgres.restart().expect("back");
    let options: PgConnectOptions = world.url.parse().expect("options");
    let mut holder = options.connect().await.expect("connected");
    let mut held = holder.begin().await.expect("begun");
    let lock = "LOCK TABLE usage_logs IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut *held).await.expect("locked");
    let drainer = async || {
        let claim = world.redis(&["GET", &key("drain")]);
        claim.lines().nth(1).map(str::to_owned)
    };
    let mut first = world.start_another().await;
    let waited = wait_until("a claim", SOON, async || drainer().await.is_some()).await;
    waited.expect("somebody drains");
    first.guard.kill().expect("killed");
    let dead = drainer().await;
    let _second = world.start_another().await;
    let _third = world.start_another().await;
    let mut seen = Vec::new();
    let both = async || {
        if let Some(claim) = drainer().await
            && Some(&claim) != dead.as_ref()
            && !seen.contains(&claim)
        {
            seen.push(claim);
        }
        // The others do not wait for the end of a claim.
        world.redis(&["DEL", &key("drain")]);
        seen.len() == 2
    };
    wait_until("two drainers", LONG, both).await.expect("both drain");
    held.rollback().await.expect("unlocked");
    world.wait_until_billed(&speakers, Speaker::said_ms).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_neither_database_nothing_is_acknowledged_and_the_disk_keeps_it() {
    let mut world = World::new().await;
    let mut process = world.start().await;
    let mut all = speakers(&process, 1).await;
    let speaker = &mut all[0];
    speaker.say(20).await;
    speaker.hear_ack(1_000).await;
    world.postgres.kill().expect("killed");
    world.redis.kill().expect("killed");
    speaker.say(20).await;
    world.wait_for_metric("usage_at_risk_seconds", |seconds| seconds > 0).await;
    speaker.catch_up().await;
    let acked_ms = speaker.acked_ms();
    speaker.say(20).await;
    speaker.finish().await;
    let at_risk = (speaker.said_ms() - acked_ms + 999) / 1_000;
    println!("{acked_ms} ms acknowledged, {at_risk} s at risk");
    world.wait_for_metric("usage_at_risk_seconds", |seconds| seconds == at_risk).await;
    let scratched = "usage_fallback_total{outcome=\"scratched\"";
    assert!(world.metric(scratched).await >= 1);
    assert_eq!(speaker.acked_ms(), acked_ms, "nothing more is acknowledged");
    process.guard.kill().expect("killed");
    assert_eq!(std::fs::read_dir(&world.folder).expect("a folder").count(), 1);
    world.postgres.restart().expect("back");
    world.redis.restart().expect("back");
    let _next = world.start().await;
    world.wait_until_billed(&all, Speaker::said_ms).await;
    let cleared = async || {
        let files = std::fs::read_dir(&world.folder).expect("a folder").count();
        files == 0 && world.metric("usage_at_risk_seconds").await == 0
    };
    wait_until("the disk to be cleared", SOON, cleared).await.expect("cleared");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_refuses_and_what_is_forged_is_parked() {
    let mut world = World::new().await;
    let process = world.start().await;
    // Nobody drains meanwhile.
    world.redis(&["SET", &key("drain"), "the test"]);
    let fill = "for i = 1, 65536 do redis.call('XADD', KEYS[1], '*', 'usage', 'x') end return 1";
    world.redis(&["EVAL", fill, "1", &key("waiting")]);
    world.postgres.kill().expect("killed");
    let mut all = speakers(&process, 1).await;
    let speaker = &mut all[0];
    speaker.say(30).await;
    world.wait_for_metric("usage_fallback_total{outcome=\"full\"", |count| count > 0).await;
    speaker.catch_up().await;
    assert_eq!(speaker.acked_ms(), 0, "what is refused is not acknowledged");
    world.redis(&["DEL", &key("waiting")]);
    speaker.say(10).await;
    speaker.finish().await;
    speaker.hear_ack(4_000).await;
    let genuine = world.redis(&["XRANGE", &key("waiting"), "-", "+"]);
    let genuine = genuine.lines().find(|line| line.contains("until_ms")).expect("an entry");
    let forged = genuine.replace("\"until_ms\":4000", "\"until_ms\":4000000");
    assert_ne!(forged, genuine);
    for text in [forged.as_str(), "{}", ""] {
        world.redis(&["XADD", &key("waiting"), "*", "usage", text]);
    }
    world.redis(&["XADD", &key("waiting"), "*", "strange", "field"]);
    world.redis(&["DEL", &key("drain")]);
    world.postgres.restart().expect("back");
    world.wait_until_billed(&all, Speaker::said_ms).await;
    assert_eq!(world.redis(&["XLEN", &key("parked")]).trim(), ":4");
    world.wait_for_metric("usage_fallback_total{outcome=\"parked\"", |count| count == 4).await;
}
