//! The replicas that run beside each other: who this one is, and how many are alive.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use fred::{interfaces::SortedSetsInterface, types::scripts::Script};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{lifecycle::Shutdown, redis::Redis};

/// How often a replica says that it is alive.
pub const HEARTBEAT: Duration = Duration::from_secs(3);
/// How long a replica that says nothing counts as alive.
pub const EXPIRY: Duration = Duration::from_secs(10);
/// Counts that are remembered. A Redis that lost its memory knows only who has spoken since, so the
/// greatest of them is believed.
const REMEMBERED: usize = 4;
/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// The replicas on one Redis, as one of them sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fleet {
    id: Uuid,
    replicas: Arc<AtomicU32>,
    leaving: CancellationToken,
    left: CancellationToken,
}

impl Fleet {
    /// Joins the fleet and says so until [`Self::leave`] or the hard stop.
    pub fn join(redis: Redis, shutdown: &Shutdown) -> Self {
        let fleet = Self {
            id: Uuid::new_v4(),
            replicas: Arc::new(AtomicU32::new(1)),
            leaving: shutdown.hard().child_token(),
            left: CancellationToken::new(),
        };
        let member = fleet.clone();
        shutdown.spawn(async move {
            member.leaving.run_until_cancelled(member.beat(&redis)).await;
            member.say_goodbye(&redis).await;
            member.left.cancel();
        });
        fleet
    }

    /// Who this replica is.
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// How many replicas are alive, this one included; as last known while Redis is away.
    pub fn replicas(&self) -> u32 {
        self.replicas.load(Ordering::Relaxed).max(1)
    }

    /// Leaves; what is left undone, expiry does.
    pub async fn leave(&self) {
        self.leaving.cancel();
        // The others miss it soon enough by themselves.
        let _late = timeout(GOODBYE, self.left.cancelled()).await;
    }

    async fn beat(&self, redis: &Redis) {
        let script = Script::from_lua(include_str!("beat.lua"));
        let (id, expiry_ms) = (self.id.to_string(), EXPIRY.as_millis() as i64);
        let mut counts = VecDeque::new();
        let mut tick = interval(HEARTBEAT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let arguments: Vec<fred::types::Value> = vec![id.clone().into(), expiry_ms.into()];
            let keys = redis.keys().replicas();
            match script.evalsha_with_reload(redis.client(), keys, arguments).await {
                Ok(count) => self.learn(&mut counts, count),
                Err(error) => tracing::debug!("a heartbeat was not heard: {error}"),
            }
        }
    }

    fn learn(&self, counts: &mut VecDeque<u32>, count: u32) {
        counts.push_back(count);
        if counts.len() > REMEMBERED {
            counts.pop_front();
        }
        let most = counts.iter().copied().max().unwrap_or(1);
        self.replicas.store(most, Ordering::Relaxed);
    }

    async fn say_goodbye(&self, redis: &Redis) {
        let (keys, id) = (redis.keys().replicas(), self.id.to_string());
        let removed = redis.client().zrem::<i64, _, _>(keys, id);
        if let Ok(Err(error)) = timeout(GOODBYE, removed).await {
            tracing::debug!("a goodbye was not heard: {error}");
        }
    }
}
