//! The limiter against a real Redis: its arithmetic in both languages, and what an outage costs.

use std::time::{Duration, Instant};

use fred::{
    interfaces::{ClientLike, KeysInterface},
    types::{Expiration, scripts::Script},
};
use proptest::prelude::*;
use testkit::process;

use super::{
    gcra::{self, Count},
    limiter::{Act, Limiter},
    *,
};
use crate::{config::RedisConfig, lifecycle::Shutdown};

/// A connected client on that server.
pub(super) async fn connect(server: &process::Redis, shutdown: &Shutdown) -> Redis {
    let config = RedisConfig { url: server.url().into(), prefix: "test".to_owned() };
    let redis = Redis::connect(&config, shutdown).unwrap();
    redis.client().wait_for_connect().await.unwrap();
    redis
}

async fn limiter(server: &process::Redis, shutdown: &Shutdown) -> (Limiter, Metrics) {
    let redis = connect(server, shutdown).await;
    let (fleet, metrics) = (Fleet::join(redis.clone(), shutdown), Metrics::new().unwrap());
    (Limiter::new(redis, fleet, metrics.clone()), metrics)
}

/// One step of a sequence: time that passes in microseconds, some of which is negative, and the
/// limit, which an operator may change.
fn steps() -> impl Strategy<Value = Vec<(i64, u32)>> {
    let passes = prop_oneof![Just(0), -70_000_000_i64..70_000_000, -1000_i64..2_000_000];
    let limit = prop_oneof![3 => 1_u32..12, 1 => 1_u32..=1_000_000];
    prop::collection::vec((passes, limit), 1..40)
}

/// Runs a sequence through the script, where time passes by moving back what is kept, and compares.
async fn compare(redis: &Redis, script: &Script, steps: &[(i64, u32)]) {
    let mut full_at: Option<u64> = None;
    let key = format!("subject-{}", uuid::Uuid::new_v4());
    for (passes_us, limit) in steps {
        if let Some(at) = &mut full_at {
            *at = at.saturating_add_signed(-passes_us);
            let minutes = Some(Expiration::EX(600));
            let kept = at.to_string();
            redis.client().set::<(), _, _>(&key, kept, minutes, None, false).await.unwrap();
        }
        let arguments = i64::from(*limit);
        let answer = script.evalsha_with_reload(redis.client(), key.clone(), arguments).await;
        let (allowed, remaining, reset_us, retry_us, now): (bool, u64, u64, u64, u64) =
            answer.unwrap();
        let mut ours = full_at.unwrap_or(now);
        let counted = gcra::count(&mut ours, now, *limit);
        assert_eq!(
            counted,
            Count { allowed, remaining, reset_us, retry_us },
            "at {now}: {steps:?}"
        );
        if counted.allowed {
            full_at = Some(ours);
        }
        // What is about to be full is forgotten, and counts the same.
        if reset_us > 1_000_000 {
            let kept: Option<u64> = redis.client().get(&key).await.unwrap();
            assert_eq!(kept, full_at, "{steps:?}");
        }
    }
}

#[test]
fn the_script_counts_as_we_do() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = process::Redis::start().unwrap();
    let shutdown = Shutdown::default();
    let redis = runtime.block_on(connect(&server, &shutdown));
    let script = Script::from_lua(include_str!("gcra.lua"));
    proptest!(ProptestConfig::with_cases(200), |(steps in steps())| {
        runtime.block_on(compare(&redis, &script, &steps));
    });
}

async fn count(limiter: &Limiter, subject: &str) -> Verdict {
    limiter.count(Act { action: LimitedAction::Request, subject, limit: 10 }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_costs_one_caller_a_second_half_a_second() {
    let mut server = process::Redis::start().unwrap();
    let shutdown = Shutdown::default();
    let (limiter, metrics) = limiter(&server, &shutdown).await;
    assert_eq!(
        (count(&limiter, "ann").await.remaining, count(&limiter, "bob").await.remaining),
        (9, 9)
    );
    for frozen in [true, false] {
        let gone = if frozen { server.freeze() } else { server.kill() };
        gone.unwrap();
        count(&limiter, "ann").await;
        let began = Instant::now();
        for _ in 0..1000 {
            count(&limiter, "ann").await;
        }
        let took = began.elapsed();
        assert!(took < Duration::from_millis(1200), "1000 checks took {took:?}, frozen: {frozen}");
        let back = if frozen { server.thaw() } else { server.restart() };
        back.unwrap();
        server.command(&["FLUSHALL"]).unwrap();
        let shared = async || {
            let _verdict = count(&limiter, "cat").await;
            server.command(&["EXISTS", "test:limit:requests:cat"]).unwrap() == ":1\r\n"
        };
        testkit::wait_until("limits to be shared again", Duration::from_secs(10), shared)
            .await
            .unwrap();
    }
    let told = metrics.render().unwrap();
    assert!(told.contains("source=\"share\"") && told.contains("source=\"redis\""), "{told}");
    shutdown.abort();
}
