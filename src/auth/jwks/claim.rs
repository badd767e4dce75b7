//! Claims in Redis: of all replicas, one fetches.

use std::time::Duration;

use fred::{
    interfaces::KeysInterface,
    types::{Expiration, SetOptions},
};

use super::COOLDOWN;
use crate::redis::Redis;

const FETCHING: &str = "fetching";
const OVER: &str = "over";

/// What became of a wish to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nobody else will for a while.
    Ours,
    /// Somebody has; another may after this time.
    Held(Duration),
    /// Redis does not say.
    Away,
}

/// Claims a fetch before it is made. The claim ends by itself, and is kept whatever the fetch
/// brings.
pub(super) async fn make(redis: &Redis, name: &str) -> Claim {
    let life = Some(Expiration::PX(COOLDOWN.as_millis() as i64));
    let claimed: Result<Option<String>, _> =
        redis.client().set(name, FETCHING, life, Some(SetOptions::NX), false).await;
    match claimed {
        Ok(Some(_)) => Claim::Ours,
        Ok(None) => Claim::Held(left(redis, name).await),
        Err(_) => Claim::Away,
    }
}

/// How long a claim still stands; one without an end stands for a whole life more.
async fn left(redis: &Redis, name: &str) -> Duration {
    match redis.client().pttl::<i64, _>(name).await {
        Ok(left) if left >= 0 => Duration::from_millis(left.cast_unsigned()).min(COOLDOWN),
        // It has ended just now.
        Ok(-2) => Duration::ZERO,
        _ => COOLDOWN,
    }
}

/// Tells those who wait that the fetch under a claim is over; the claim stands on.
pub(super) async fn tell_over(redis: &Redis, name: &str) {
    let keep = Some(Expiration::KEEPTTL);
    let told: Result<Option<String>, _> =
        redis.client().set(name, OVER, keep, Some(SetOptions::XX), false).await;
    if let Err(error) = told {
        tracing::debug!("a claim could not be told to be over: {error}");
    }
}

/// Whether the fetch under a claim is over, well or not, as far as Redis says.
pub(super) async fn is_over(redis: &Redis, name: &str) -> bool {
    let state: Result<Option<String>, _> = redis.client().get(name).await;
    state.is_ok_and(|state| state.is_none_or(|state| state == OVER))
}
