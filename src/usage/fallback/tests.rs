//! Whatever goes straight to Postgres, waits in Redis, or is drained by two at once: each
//! millisecond is billed once.

use std::sync::Arc;

use proptest::{prelude::*, test_runner::TestRunner};
use testkit::process;
use tokio::sync::mpsc;

use super::{Drain, Fallback, drain::Looked};
use crate::{
    auth::{Owner, Secrets, Users},
    config::RedisConfig,
    lifecycle::Shutdown,
    model::Clock,
    postgres::{Database, private},
    redis::Redis,
    telemetry::Metrics,
    usage::{
        Taken,
        meter::{Cursor, Queue},
        tests::{entry, rows, start},
        writer::Writer,
    },
};

/// A private Redis, and what uses it.
pub(super) struct Place {
    pub(super) database: Database,
    pub(super) fallback: Fallback,
    pub(super) writer: Writer,
    metrics: Metrics,
    redis: Redis,
    shutdown: Shutdown,
    _server: process::Redis,
}

impl Place {
    pub(super) async fn new() -> Self {
        let (database, server) = (private::database().await, process::Redis::start().unwrap());
        let config = RedisConfig { url: server.url().into(), prefix: "test".to_owned() };
        let (shutdown, metrics) = (Shutdown::default(), Metrics::new().unwrap());
        let redis = Redis::connect(&config, &shutdown).unwrap();
        let secrets = Secrets::new(Some("secret".into()), None);
        let fallback = Fallback::new(redis.clone(), secrets, "test", None);
        let queue = Queue::new(mpsc::channel(1).0, metrics.clone());
        let users = Users::default();
        let writer = Writer { database: database.clone(), users, queue };
        Self { database, fallback, writer, metrics, redis, shutdown, _server: server }
    }

    pub(super) fn drain(&self) -> Drain {
        let Fallback { waiting, sealed, .. } = self.fallback.clone();
        Drain::new(waiting, sealed, self.writer.clone())
    }

    async fn append(&self, cursor: &Arc<Cursor>, from_ms: u64, until_ms: u64) {
        let sealed = self.fallback.sealed.seal(&entry(cursor, from_ms, until_ms)).unwrap();
        let ids = self.fallback.waiting.append(vec![(cursor.waiting_id(), sealed)]).await.unwrap();
        cursor.set_waiting(ids[0].clone().unwrap(), until_ms);
    }

    pub(super) async fn drain_all(&self) {
        let drain = self.drain();
        // A claim of a drainer that was dropped.
        self.fallback.waiting.release().await.unwrap();
        while drain.step().await.unwrap() == Looked::Drained {}
    }

    fn counted(&self, outcome: &str) -> bool {
        let text = self.metrics.render().unwrap();
        let wanted = format!("usage_fallback_total{{outcome=\"{outcome}\"");
        text.lines().any(|line| line.starts_with(&wanted))
    }
}

/// Something that may happen to usage.
#[derive(Clone, Debug)]
enum Act {
    Write(u64, u64),
    /// Waits in an entry of its own.
    Append(u64, u64),
    Drain,
    /// Another replica does not wait for the claim's end.
    Steal,
}

fn act() -> impl Strategy<Value = Act> {
    let range = || (0_u64..4_000, 1_u64..1_000);
    prop_oneof![
        3 => range().prop_map(|(from, length)| Act::Write(from, from + length)),
        4 => range().prop_map(|(from, length)| Act::Append(from, from + length)),
        2 => Just(Act::Drain),
        1 => Just(Act::Steal),
    ]
}

async fn play(place: &Place, cursor: &Arc<Cursor>, acts: &[Act]) {
    let drain = place.drain();
    for act in acts {
        match act {
            Act::Write(from, until) => {
                place.writer.write(&[entry(cursor, *from, *until)]).await.unwrap();
            }
            Act::Append(from, until) => {
                let sealed = place.fallback.sealed.seal(&entry(cursor, *from, *until)).unwrap();
                place.fallback.waiting.append(vec![(None, sealed)]).await.unwrap();
            }
            Act::Drain => drop(drain.step().await.unwrap()),
            Act::Steal => place.fallback.waiting.release().await.unwrap(),
        }
    }
}

#[test]
fn any_interleaving_bills_each_millisecond_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Place::new());
    let replicas = proptest::collection::vec(proptest::collection::vec(act(), 1..10), 1..4);
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() };
    let outcome = TestRunner::new(config).run(&replicas, |replicas| {
        let cursor = Arc::new(Cursor::new(start(Owner::User(0)), Taken::default(), Clock));
        let billed = runtime.block_on(async {
            let played = replicas.iter().map(|acts| play(&place, &cursor, acts));
            futures_util::future::join_all(played).await;
            place.drain_all().await;
            rows(&place.database, cursor.start.session_id).await
        });
        let mut times = vec![0; 5_000];
        for (from, until, _) in billed {
            (from..until).for_each(|ms| times[ms as usize] += 1);
        }
        let mut said = vec![0; 5_000];
        for act in replicas.iter().flatten() {
            if let Act::Write(from, until) | Act::Append(from, until) = act {
                (*from..*until).for_each(|ms| said[ms as usize] = 1);
            }
        }
        prop_assert!(times == said, "some millisecond is not billed once");
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test]
async fn a_session_has_one_entry_and_a_late_one_does_not_open_it_again() {
    let place = Place::new().await;
    let cursor = Arc::new(Cursor::new(start(Owner::User(0)), Taken::default(), Clock));
    for until_ms in 1..=200 {
        place.append(&cursor, 0, until_ms * 10).await;
    }
    let found = place.fallback.waiting.claim("me", 1_000, 1_000).await.unwrap();
    assert_eq!(found.len(), 1);
    place.fallback.waiting.release().await.unwrap();
    let mut last = entry(&cursor, 0, 2_500);
    last.finished = true;
    place.writer.write(&[last]).await.unwrap();
    place.drain_all().await;
    let ended = "SELECT ended_at IS NOT NULL FROM live_sessions";
    let ended: bool = sqlx::query_scalar(ended).fetch_one(place.database.pool()).await.unwrap();
    assert!(ended);
    assert_eq!(rows(&place.database, cursor.start.session_id).await.len(), 1);
    place.shutdown.abort();
}

#[tokio::test]
async fn what_is_not_ours_or_refused_is_parked_and_the_rest_is_billed() {
    use fred::interfaces::StreamsInterface;
    let place = Place::new().await;
    let good = Arc::new(Cursor::new(start(Owner::User(0)), Taken::default(), Clock));
    let nobody = Arc::new(Cursor::new(start(Owner::User(4711)), Taken::default(), Clock));
    let upside_down = Arc::new(Cursor::new(start(Owner::User(0)), Taken::default(), Clock));
    let key = place.redis.keys().usage_waiting();
    let forged = place.fallback.sealed.seal(&entry(&good, 0, 900)).unwrap().replace("900", "999");
    let binary = bytes::Bytes::from_static(b"\xff\xfe\x00");
    let (client, any) = (place.redis.client(), "*");
    client.xadd::<String, _, _, _, _>(&key, false, None, any, ("usage", forged)).await.unwrap();
    client.xadd::<String, _, _, _, _>(&key, false, None, any, ("usage", binary)).await.unwrap();
    let long = "x".repeat(1 << 20);
    client.xadd::<String, _, _, _, _>(&key, false, None, any, ("other", long)).await.unwrap();
    place.append(&upside_down, 700, 600).await;
    place.append(&nobody, 0, 500).await;
    place.append(&good, 0, 800).await;
    place.drain_all().await;
    let parked: i64 = client.xlen(place.redis.keys().usage_parked()).await.unwrap();
    let waiting: i64 = client.xlen(&key).await.unwrap();
    assert_eq!((parked, waiting), (5, 0));
    let ranges = rows(&place.database, good.start.session_id).await;
    assert_eq!(ranges.iter().map(|row| (row.0, row.1)).collect::<Vec<_>>(), [(0, 800)]);
    assert_eq!(rows(&place.database, nobody.start.session_id).await, []);
    assert!(place.counted("parked") && place.counted("drained"));
    place.shutdown.abort();
}
