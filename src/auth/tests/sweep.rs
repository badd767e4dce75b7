//! The daily sweep of `token_blacklist`: ended rows only, and one replica only.

use fred::interfaces::{ClientLike, KeysInterface};
use sqlx::Executor;
use testkit::process;

use crate::{
    auth::sweep::sweep,
    config::RedisConfig,
    lifecycle::Shutdown,
    postgres::{Database, private},
    redis::Redis,
};

fn replica(server: &process::Redis, shutdown: &Shutdown) -> Redis {
    let config = RedisConfig { url: server.url().into(), prefix: "test".to_owned() };
    Redis::connect(&config, shutdown).unwrap()
}

async fn rows(database: &Database) -> Vec<String> {
    let rows = sqlx::query_scalar("SELECT DISTINCT token_type FROM token_blacklist ORDER BY 1");
    rows.fetch_all(database.pool()).await.unwrap()
}

#[tokio::test]
async fn one_replica_deletes_what_has_ended() {
    let server = process::Redis::start().unwrap();
    let shutdown = Shutdown::default();
    let [one, two] = [(); 2].map(|()| replica(&server, &shutdown));
    one.client().wait_for_connect().await.unwrap();
    two.client().wait_for_connect().await.unwrap();
    let database = private::database().await;
    let insert = "INSERT INTO token_blacklist (jti, token_type, user_id, expires_at)
        SELECT 'old-' || n, 'access', '7', timezone('utc', now()) - interval '2 hours'
            FROM generate_series(1, 2500) n
        UNION ALL SELECT 'just', 'refresh', '7', timezone('utc', now()) - interval '1 minute'
        UNION ALL SELECT 'live', 'family', '7', timezone('utc', now()) + interval '1 day'";
    database.pool().execute(insert).await.unwrap();
    assert_eq!(sweep(&database, &one).await, Some(2500));
    assert_eq!(rows(&database).await, ["family", "refresh"]);
    database.pool().execute("UPDATE token_blacklist SET expires_at = '2020-01-01'").await.unwrap();
    for redis in [&two, &one, &two] {
        assert_eq!(sweep(&database, redis).await, None);
    }
    assert_eq!(rows(&database).await, ["family", "refresh"]);
    let left: i64 = one.client().ttl("test:sweep:token_blacklist").await.unwrap();
    assert!((86_000..=86_400).contains(&left), "{left}");
    let _deleted: i64 = one.client().del("test:sweep:token_blacklist").await.unwrap();
    assert_eq!(sweep(&database, &two).await, Some(2), "the next day");
    shutdown.abort();
}

#[tokio::test]
async fn without_redis_nobody_sweeps_and_without_postgres_the_turn_is_given_back() {
    let mut server = process::Redis::start().unwrap();
    let shutdown = Shutdown::default();
    let redis = replica(&server, &shutdown);
    redis.client().wait_for_connect().await.unwrap();
    let away = private::at("postgresql://127.0.0.1:1/none");
    assert_eq!(sweep(&away, &redis).await, None);
    let database = private::database().await;
    assert_eq!(sweep(&database, &redis).await, Some(0));
    server.stop().unwrap();
    assert_eq!(sweep(&database, &redis).await, None);
    shutdown.abort();
}
