//! The order of the line in both languages, and that it is fair whoever comes and goes.

use std::collections::BTreeMap;

use fred::interfaces::{HashesInterface, KeysInterface, SortedSetsInterface};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::limits::slots::{
    line::{Had, Waiter, in_order},
    seek::Answer,
};

const ACCOUNTS: [&str; 4] = ["ann", "bob", "cat", "with spaces and | more"];

/// A Redis, replicas on it, and a client.
struct World {
    runtime: tokio::runtime::Runtime,
    _server: process::Redis,
    stop: Shutdown,
    redis: Redis,
    replicas: Vec<Slots>,
}

impl World {
    fn new(lines: &[Line]) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = process::Redis::start().unwrap();
        let stop = Shutdown::default();
        let redis = runtime.block_on(connect(&server, &stop));
        let fleet = runtime.block_on(async { Fleet::join(redis.clone(), &stop) });
        let metrics = Metrics::new().unwrap();
        let replica = |line: &Line| {
            let lines = [(PROVIDER, *line)];
            runtime.block_on(async { Slots::new(&lines, &redis, &fleet, &metrics, &stop) })
        };
        let replicas = lines.iter().map(replica).collect();
        Self { runtime, _server: server, stop, redis, replicas }
    }

    async fn clear(&self) {
        let keys = self.redis.keys();
        let mut names = vec![
            keys.slots(PROVIDER),
            keys.slots_waiting(PROVIDER),
            keys.slots_line(PROVIDER),
            keys.slots_served(PROVIDER),
        ];
        names.extend(ACCOUNTS.map(|account| keys.slots_of(PROVIDER, account)));
        self.redis.client().del::<(), _>(names).await.unwrap();
    }

    async fn ask(&self, replica: usize, named: &Named) -> Answer {
        let pool = self.replicas[replica % self.replicas.len()].pool(PROVIDER).unwrap();
        pool.ask(named, pool.line.bound, 0).await.expect("an answer").0
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.abort();
    }
}

const FAR: f64 = 9e12;

/// Who waits, by account and since when; what each account holds, and when it was served.
type Scene = (Vec<(usize, u64)>, [u64; 4], [u64; 4]);

fn scenes() -> impl Strategy<Value = Scene> {
    let waiting = prop::collection::vec((0..4_usize, 1..12_u64), 1..15);
    (waiting, prop::array::uniform4(0..4_u64), prop::array::uniform4(0..15_u64))
}

/// Writes a scene into Redis, and asks for each of those who wait what its place is.
async fn compare(world: &World, (waiting, held, served): &Scene) {
    world.clear().await;
    let (keys, client) = (world.redis.keys(), world.redis.client());
    for (account, (held, served)) in ACCOUNTS.iter().zip(held.iter().zip(served)) {
        for _ in 0..*held {
            let one = (FAR, Uuid::new_v4().to_string());
            for key in [keys.slots(PROVIDER), keys.slots_of(PROVIDER, account)] {
                client.zadd::<(), _, _>(key, None, None, false, false, one.clone()).await.unwrap();
            }
        }
        let one = (*served as f64, *account);
        let key = keys.slots_served(PROVIDER);
        client.zadd::<(), _, _>(key, None, None, false, false, one).await.unwrap();
    }
    let mut waiters = Vec::new();
    for (account, since) in waiting {
        let (session, account) = (SessionId::mint(), ACCOUNTS[*account]);
        let one = (FAR, session.to_string());
        let key = keys.slots_waiting(PROVIDER);
        client.zadd::<(), _, _>(key, None, None, false, false, one).await.unwrap();
        let known = (session.to_string(), format!("{since} {account}"));
        client.hset::<(), _, _>(keys.slots_line(PROVIDER), known).await.unwrap();
        waiters.push(Waiter { session, account, since: *since });
    }
    let had = |account: &str| {
        let number = ACCOUNTS.iter().position(|known| *known == account).unwrap();
        Had { held: held[number], served: served[number] }
    };
    let order = in_order(waiters.clone(), had);
    for waiter in &waiters {
        let named = Named { session: waiter.session, account: waiter.account.into() };
        let place = order.iter().position(|session| *session == waiter.session).unwrap() + 1;
        assert_eq!(world.ask(0, &named).await, Answer::Waiting(place as u32), "{waiters:?}");
    }
}

#[test]
fn the_script_serves_in_our_order() {
    // Without a slot everybody waits.
    let world = World::new(&[Line { cap: 0, bound: 100, ..Line::of(1) }]);
    proptest!(ProptestConfig::with_cases(60), |(scene in scenes())| {
        world.runtime.block_on(compare(&world, &scene));
    });
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A session of some account asks.
    Come(usize),
    /// Some session that has a slot ends.
    End(usize),
    /// Some session that waits leaves.
    Leave(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        5 => prop_oneof![2 => Just(0), 1 => 1..4_usize].prop_map(Act::Come),
        4 => any::<usize>().prop_map(Act::End),
        1 => any::<usize>().prop_map(Act::Leave),
    ];
    prop::collection::vec(act, 1..30)
}

/// Who has slots and who waits, in the order in which they came.
#[derive(Default)]
struct Crowd {
    held: Vec<Named>,
    waiting: Vec<Named>,
}

impl Crowd {
    async fn act(&mut self, world: &World, act: Act) {
        let pick = |all: &mut Vec<Named>, which: usize| {
            (!all.is_empty()).then(|| all.remove(which % all.len()))
        };
        let gone = match act {
            Act::Come(account) => {
                let account = ACCOUNTS[account].into();
                self.waiting.push(Named { session: SessionId::mint(), account });
                None
            }
            Act::End(which) => pick(&mut self.held, which),
            Act::Leave(which) => pick(&mut self.waiting, which),
        };
        let Some(Named { session, account }) = gone else { return };
        for set in Scope::Slots(PROVIDER).sets(world.redis.keys(), &account) {
            world.redis.client().zrem::<(), _, _>(set, session.to_string()).await.unwrap();
        }
    }

    /// Lets everybody ask, the last to come first, until nobody is served; who was.
    async fn settle(&mut self, world: &World) -> Vec<Named> {
        let mut served = Vec::new();
        loop {
            let before = served.len();
            for number in (0..self.waiting.len()).rev() {
                let named = self.waiting[number].clone();
                if world.ask(number, &named).await == Answer::Granted {
                    self.held.push(self.waiting.remove(number));
                    served.push(named);
                }
            }
            if served.len() == before {
                return served;
            }
        }
    }

    fn holds(&self, account: &str) -> usize {
        self.held.iter().filter(|named| &*named.account == account).count()
    }

    fn assert_fair(&self, cap: usize, served: &[Named]) {
        assert!(self.held.len() <= cap, "{} of {cap}", self.held.len());
        assert!(self.held.len() == cap || self.waiting.is_empty(), "a slot lies idle");
        let waiting: BTreeMap<&str, usize> = self
            .waiting
            .iter()
            .map(|named| (&*named.account, self.holds(&named.account)))
            .collect();
        let known = self.held.iter().chain(&self.waiting).map(|named| &*named.account);
        let accounts = known.collect::<std::collections::BTreeSet<_>>().len();
        let share = (cap / accounts.max(1)).max(1);
        for named in served {
            let holds = self.holds(&named.account);
            for (other, has) in &waiting {
                assert!(holds <= has + 1, "{} was served before {other}", named.account);
                assert!(*has > 0 || holds <= share + 1, "{other} starves");
            }
        }
    }
}

#[test]
fn whoever_comes_and_goes_the_one_with_less_is_served_first() {
    let caps = [1, 2, 3, 5, 8];
    let worlds = caps.map(|cap| World::new(&[Line { bound: 100, ..Line::of(cap) }; 3]));
    let cases = ProptestConfig::with_cases(24);
    proptest!(cases, |(acts in acts(), which in 0..caps.len())| {
        let world = &worlds[which];
        world.runtime.block_on(async {
            world.clear().await;
            let mut crowd = Crowd::default();
            for act in &acts {
                crowd.act(world, *act).await;
                let served = crowd.settle(world).await;
                crowd.assert_fair(caps[which] as usize, &served);
            }
        });
    });
}
