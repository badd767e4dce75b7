//! The replicas that run beside each other: who this one is, who else is alive, and how many.

mod peers;
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

use fred::{
    interfaces::SortedSetsInterface,
    types::{Value, scripts::Script},
};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use peers::{Member, Peer, Tag};

use crate::{lifecycle::Shutdown, redis::Redis};
use peers::Peers;

/// How often a replica says that it is alive.
pub const HEARTBEAT: Duration = Duration::from_secs(3);
/// How long a replica that says nothing counts as alive.
pub const EXPIRY: Duration = Duration::from_secs(10);
/// Counts that are remembered. A Redis that lost its memory knows only who has spoken since, so the
/// greatest of them is believed.
const REMEMBERED: usize = 4;
/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// Replicas that are told of at most.
const MAX_PEERS: i64 = 1000;
/// How often somebody unknown is looked for between heartbeats.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The replicas on one Redis, as one of them sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fleet {
    member: Arc<Member>,
    redis: Redis,
    replicas: Arc<AtomicU32>,
    peers: Arc<watch::Sender<Peers>>,
    looked: Arc<Mutex<Option<Instant>>>,
    leaving: CancellationToken,
    left: CancellationToken,
}

impl Fleet {
    /// Joins the fleet with nothing to say, until [`Self::leave`] or the hard stop.
    pub fn join(redis: Redis, shutdown: &Shutdown) -> Self {
        Self::join_as(Member::default(), redis, shutdown)
    }

    /// Joins the fleet as that member and says so until [`Self::leave`] or the hard stop.
    pub fn join_as(member: Member, redis: Redis, shutdown: &Shutdown) -> Self {
        let fleet = Self {
            member: Arc::new(member),
            redis,
            replicas: Arc::new(AtomicU32::new(1)),
            peers: Arc::default(),
            looked: Arc::default(),
            leaving: shutdown.hard().child_token(),
            left: CancellationToken::new(),
        };
        let beating = fleet.clone();
        shutdown.spawn(async move {
            beating.leaving.run_until_cancelled(beating.beat()).await;
            beating.say_goodbye().await;
            beating.left.cancel();
        });
        fleet
    }

    /// Who this replica is.
    pub fn id(&self) -> Uuid {
        self.member.id()
    }

    /// The short name of this replica.
    pub fn tag(&self) -> Tag {
        self.member.tag()
    }

    /// How many replicas are alive, this one included; as last known while Redis is away.
    pub fn replicas(&self) -> u32 {
        self.replicas.load(Ordering::Relaxed).max(1)
    }

    /// A replica that is alive; as last known while Redis is away.
    pub fn peer(&self, tag: Tag) -> Option<Peer> {
        self.peers.borrow().get(tag).cloned()
    }

    /// The same, looked for in Redis if it is not known yet, at most once a second for all callers.
    pub async fn find(&self, tag: Tag) -> Option<Peer> {
        if let Some(peer) = self.peer(tag) {
            return Some(peer);
        }
        self.look().await;
        self.peer(tag)
    }

    /// Waits until that replica is not alive any more; at once if it is not now.
    pub async fn gone(&self, tag: Tag) {
        let mut peers = self.peers.subscribe();
        if peers.wait_for(|peers| peers.get(tag).is_none()).await.is_err() {
            // Unreachable: this very fleet holds the sender.
            std::future::pending::<()>().await;
        }
    }

    /// Leaves; what is left undone, expiry does.
    pub async fn leave(&self) {
        self.leaving.cancel();
        // The others miss it soon enough by themselves.
        let _late = timeout(GOODBYE, self.left.cancelled()).await;
    }

    async fn look(&self) {
        // Whoever comes while one looks waits for what it finds, no longer than a command may take.
        let mut looked = self.looked.lock().await;
        if looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        *looked = Some(Instant::now());
        let keys = self.redis.keys().replicas();
        let told =
            self.redis.client().zrevrange::<Vec<(String, f64)>, _>(keys, 0, MAX_PEERS - 1, true);
        match told.await {
            Ok(told) => {
                let entries: Vec<_> =
                    told.into_iter().map(|(entry, ms)| (entry, ms as i64)).collect();
                self.peers.send_modify(|peers| peers.learn(&entries));
            }
            Err(error) => tracing::debug!("replicas could not be looked for: {error}"),
        }
    }

    async fn beat(&self) {
        let script = Script::from_lua(include_str!("beat.lua"));
        let (entry, expiry_ms) = (self.member.entry(), EXPIRY.as_millis() as i64);
        let mut counts = VecDeque::new();
        let mut tick = interval(HEARTBEAT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let arguments: Vec<Value> =
                vec![entry.clone().into(), expiry_ms.into(), MAX_PEERS.into()];
            let keys = self.redis.keys().replicas();
            match script.evalsha_with_reload(self.redis.client(), keys, arguments).await {
                Ok(told) => self.learn(&mut counts, told),
                Err(error) => tracing::debug!("a heartbeat was not heard: {error}"),
            }
        }
    }

    fn learn(&self, counts: &mut VecDeque<u32>, told: Vec<String>) {
        let mut told = told.into_iter();
        let mut number = || told.next().and_then(|text| text.parse::<f64>().ok());
        let (Some(count), Some(now_ms)) = (number(), number()) else { return };
        counts.push_back(count as u32);
        if counts.len() > REMEMBERED {
            counts.pop_front();
        }
        let most = counts.iter().copied().max().unwrap_or(1);
        self.replicas.store(most, Ordering::Relaxed);
        let mut entries = Vec::new();
        while let (Some(entry), Some(seen)) = (told.next(), told.next()) {
            entries.push((entry, seen.parse::<f64>().map_or(0, |ms| ms as i64)));
        }
        self.peers.send_modify(|peers| {
            peers.learn(&entries);
            peers.expire(now_ms as i64);
        });
    }

    async fn say_goodbye(&self) {
        let (keys, entry) = (self.redis.keys().replicas(), self.member.entry());
        let removed = self.redis.client().zrem::<i64, _, _>(keys, entry);
        if let Ok(Err(error)) = timeout(GOODBYE, removed).await {
            tracing::debug!("a goodbye was not heard: {error}");
        }
    }
}
