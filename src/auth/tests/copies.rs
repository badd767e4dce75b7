//! Signing keys shared through a real Redis: who fetches, what is believed, and for how long.

use std::time::Duration;

use chrono::TimeDelta;
use fred::interfaces::KeysInterface;
use futures_util::future::join_all;
use jsonwebtoken::Header;
use serde_json::{Value, json};
use testkit::process;

use super::{
    Replica,
    tenant::{Tenant, header, key, other_key},
};
use crate::{
    auth::{Purpose, Secrets},
    config::Environment,
    model::Clock,
    postgres::private,
};

async fn replica(tenant: &Tenant, redis: &process::Redis) -> Replica {
    let database = private::database().await;
    Replica::start(&tenant.config(), Environment::Test, database, &redis.url())
}

impl Replica {
    async fn accepts(&self, token: &str) -> bool {
        self.authenticator.authenticate(token).await.is_ok()
    }

    /// How often a copy was met with that outcome.
    fn copies(&self, outcome: &str) -> bool {
        let text = self.metrics.render().unwrap();
        let outcome = format!("outcome=\"{outcome}\"");
        text.lines().any(|line| line.starts_with("jwks_copies_total") && line.contains(&outcome))
    }

    /// Puts a copy there as another replica would, and stops.
    async fn leave(self, secrets: &Secrets, copy: &Value) {
        let name = self.redis.keys().jwks();
        let sealed = secrets.seal(Purpose::Jwks, &name, copy).unwrap();
        self.put(&name, &sealed).await;
    }

    async fn put(self, name: &str, value: &str) {
        let _: () = self.redis.client().set(name, value, None, None, false).await.unwrap();
        self.shutdown.abort();
    }
}

/// A copy of that age with the second key, which the tenant itself does not publish.
fn copy(tenant: &Tenant, age: TimeDelta) -> Value {
    let fetched_at = Clock.now() - age;
    json!({ "issuer": tenant.issuer, "fetched_at": fetched_at, "keys": [other_key().public()] })
}

/// A token of the second key.
fn other_token(tenant: &Tenant) -> String {
    let header = Header { kid: Some("two".to_owned()), ..header() };
    other_key().sign(&header, &tenant.claims())
}

/// A replica that finds that copy, and its tenant; another replica holds the claim to refresh.
async fn finding(copy: impl AsyncFnOnce(Replica, &Tenant)) -> (process::Redis, Tenant, Replica) {
    let redis = process::Redis::start().unwrap();
    let tenant = Tenant::start().await;
    let other = replica(&tenant, &redis).await;
    assert!(other.accepts(&tenant.token()).await);
    redis.command(&["SET", "test:jwks:refresh", "fetching"]).unwrap();
    copy(other, &tenant).await;
    let found = replica(&tenant, &redis).await;
    (redis, tenant, found)
}

#[tokio::test]
async fn replicas_that_boot_together_fetch_once() {
    let redis = process::Redis::start().unwrap();
    let tenant = Tenant::start().await;
    let replicas = join_all((0..4).map(|_| replica(&tenant, &redis))).await;
    let token = tenant.token();
    let accepted = join_all(replicas.iter().map(|replica| replica.accepts(&token))).await;
    assert!(accepted.iter().all(|accepted| *accepted));
    assert_eq!(tenant.fetches(), 1);
}

#[tokio::test]
async fn a_copy_of_another_replica_is_enough() {
    let leave = async |other: Replica, tenant: &Tenant| {
        let secrets = other.secrets.clone();
        other.leave(&secrets, &copy(tenant, TimeDelta::minutes(6))).await;
    };
    let (_redis, tenant, replica) = finding(leave).await;
    assert!(replica.accepts(&other_token(&tenant)).await && replica.copies("adopted"));
    assert_eq!(tenant.fetches(), 1, "the claim is respected");
}

/// What is believed of a copy, told by a key that only the copy has.
#[tokio::test]
async fn copies_that_are_not_believed() {
    for (outcome, age, issuer, secret) in [
        ("bad_mac", TimeDelta::zero(), None, "not the replicas'"),
        ("wrong_issuer", TimeDelta::zero(), Some("https://evil.test/"), "shared by replicas"),
        ("too_old", TimeDelta::hours(25), None, "shared by replicas"),
        ("from_future", TimeDelta::minutes(-2), None, "shared by replicas"),
    ] {
        let leave = async |other: Replica, tenant: &Tenant| {
            let mut copy = copy(tenant, age);
            if let Some(issuer) = issuer {
                copy["issuer"] = json!(issuer);
            }
            other.leave(&Secrets::new(Some(secret.into()), None), &copy).await;
        };
        let (redis, tenant, replica) = finding(leave).await;
        redis.command(&["DEL", "test:jwks:refresh"]).unwrap();
        assert!(!replica.accepts(&other_token(&tenant)).await, "{outcome}");
        assert!(replica.copies(outcome) && !replica.copies("adopted"), "{outcome}");
        assert!(replica.accepts(&tenant.token()).await, "{outcome}");
    }
}

#[tokio::test]
async fn garbage_is_no_copy() {
    let put = async |other: Replica, _: &Tenant| other.put("test:jwks", "garbage").await;
    let (redis, tenant, replica) = finding(put).await;
    redis.command(&["DEL", "test:jwks:refresh"]).unwrap();
    assert!(replica.accepts(&tenant.token()).await && replica.copies("bad_mac"));
}

#[tokio::test]
async fn a_claim_that_is_held_for_ever_stops_nobody_who_needs_keys() {
    let leave = async |other: Replica, tenant: &Tenant| {
        let secrets = other.secrets.clone();
        other.leave(&secrets, &copy(tenant, TimeDelta::hours(2))).await;
    };
    let (_redis, tenant, replica) = finding(leave).await;
    assert!(replica.accepts(&other_token(&tenant)).await, "two hours old is good enough");
    let fetched = async || tenant.fetches() == 2;
    testkit::wait_until("a fetch", Duration::from_secs(20), fetched).await.unwrap();
    let good = async || replica.accepts(&tenant.token()).await;
    testkit::wait_until("the new keys", Duration::from_secs(5), good).await.unwrap();
}

#[tokio::test]
async fn a_flood_at_several_replicas_is_one_fetch_beside_the_first() {
    let redis = process::Redis::start().unwrap();
    let tenant = Tenant::start().await;
    let replicas = [replica(&tenant, &redis).await, replica(&tenant, &redis).await];
    let flood = super::flood::unknown(&tenant, 300);
    for round in 0..5 {
        let asked = flood.iter().enumerate();
        let asked = asked.map(|(at, token)| replicas[at % 2].authenticator.authenticate(token));
        for refused in join_all(asked).await {
            let wait = refused.unwrap_err().retry_after.unwrap();
            assert!(wait <= Duration::from_secs(30), "{round}: {wait:?}");
        }
        assert!(replicas[0].accepts(&key().sign(&header(), &tenant.claims())).await);
    }
    assert_eq!(tenant.fetches(), 2);
}
