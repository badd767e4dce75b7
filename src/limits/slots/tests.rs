//! Slots of several replicas on a real Redis.

mod order;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::join_all};
use testkit::process;

use super::*;
use crate::{
    fleet::{EXPIRY, HEARTBEAT},
    limits::tests::connect,
    model::{Error, ErrorKind},
};

/// How long anything may take that waits for no expiry.
const SOON: Duration = Duration::from_secs(10);
const PROVIDER: &str = "somebody";

/// A replica with such a line, and who stops it.
async fn replica(server: &process::Redis, line: Line) -> (Slots, Shutdown) {
    let shutdown = Shutdown::default();
    let redis = connect(server, &shutdown).await;
    let fleet = Fleet::join(redis.clone(), &shutdown);
    let metrics = Metrics::new().unwrap();
    (Slots::new(&[(PROVIDER, line)], &redis, &fleet, &metrics, &shutdown), shutdown)
}

fn seeker(account: &str) -> Seeker {
    Seeker { session: SessionId::mint(), account: account.to_owned() }
}

/// One who looks for a slot, and every place that it was told.
struct Customer {
    seek: Seek,
    places: Mutex<Vec<u32>>,
}

impl Customer {
    fn new(slots: &Slots, seeker: &Seeker) -> Self {
        Self { seek: slots.seek(PROVIDER, seeker), places: Mutex::default() }
    }

    fn of(slots: &Slots, account: &str) -> Self {
        Self::new(slots, &seeker(account))
    }

    async fn slot(&mut self) -> Result<Slot, Error> {
        let places = &self.places;
        tokio::time::timeout(2 * SOON, self.seek.slot(|place| places.lock().unwrap().push(place)))
            .await
            .expect("an end of waiting")
    }

    /// Waits until it has a place in the line, or another one than before.
    async fn stand(&mut self) -> u32 {
        let known = self.told().len();
        let places = &self.places;
        let told = async || places.lock().unwrap().len() > known;
        tokio::select! {
            found = self.seek.slot(|place| places.lock().unwrap().push(place)) => {
                panic!("no place, but {found:?}")
            }
            told = testkit::wait_until("a place in the line", 2 * SOON, told) => told.unwrap(),
        }
        *self.told().last().unwrap()
    }

    fn told(&self) -> Vec<u32> {
        self.places.lock().unwrap().clone()
    }
}

fn counted(server: &process::Redis, part: &str) -> String {
    server.command(&["ZCARD", &format!("test:{{slots:{PROVIDER}}}:{part}")]).unwrap()
}

async fn until(server: &process::Redis, part: &str, count: usize) {
    let what = format!("{count} {part}");
    let is = async || counted(server, part) == format!(":{count}\r\n");
    testkit::wait_until(&what, SOON, is).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_never_exceeds_the_cap_and_all_are_served() {
    let server = process::Redis::start().unwrap();
    let line = Line { bound: 100, ..Line::of(5) };
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(replica(&server, line).await);
    }
    let (held, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let serve = async |number: usize| {
        let (slots, _) = &replicas[number % 3];
        let slot = Customer::of(slots, &format!("account {}", number % 7)).slot().await.unwrap();
        most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(number as u64 % 50)).await;
        held.fetch_sub(1, Ordering::SeqCst);
        drop(slot);
    };
    join_all((0..40).map(serve)).await;
    assert_eq!(most.load(Ordering::SeqCst), 5);
    until(&server, "held", 0).await;
    assert_eq!(counted(&server, "waiting"), ":0\r\n");
    for (_, stop) in &replicas {
        stop.abort();
    }
}

#[tokio::test]
async fn accounts_take_turns() {
    let server = process::Redis::start().unwrap();
    let (slots, stop) = replica(&server, Line { bound: 10, ..Line::of(1) }).await;
    let mut slot = Customer::of(&slots, "ann").slot().await.unwrap();
    let mut waiting = Vec::new();
    for (name, account) in
        [("a1", "ann"), ("a2", "ann"), ("a3", "ann"), ("b1", "bob"), ("b2", "bob")]
    {
        let mut customer = Customer::of(&slots, account);
        customer.stand().await;
        waiting.push((name, customer));
    }
    let mut served = Vec::new();
    while !waiting.is_empty() {
        drop(slot);
        let each = waiting.iter_mut().map(|(_, customer)| customer.slot().boxed());
        let (found, number, others) = futures_util::future::select_all(each).await;
        drop(others);
        slot = found.unwrap();
        let (name, customer) = waiting.remove(number);
        let told = customer.told();
        assert_eq!(told.last(), Some(&0), "{name}: {told:?}");
        served.push(name);
    }
    // Whoever has waited longest comes first, and from then on the accounts take turns.
    assert_eq!(served, ["a1", "b1", "a2", "b2", "a3"]);
    stop.abort();
}

#[tokio::test]
async fn a_line_that_one_account_fills_has_room_for_another() {
    let server = process::Redis::start().unwrap();
    let line = Line { bound: 3, patience: 2 * HEARTBEAT, ..Line::of(1) };
    let (slots, stop) = replica(&server, line).await;
    let _slot = Customer::of(&slots, "ann").slot().await.unwrap();
    let mut crowd = Vec::new();
    for place in 1..=3 {
        let mut customer = Customer::of(&slots, "ann");
        assert_eq!(customer.stand().await, place);
        crowd.push(customer);
    }
    let refused = Customer::of(&slots, "ann").slot().await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Overloaded);
    assert!(refused.retry_after.is_some());
    let mut bob = Customer::of(&slots, "bob");
    assert_eq!(bob.stand().await, 1, "who has none is next");
    let pushed_out = crowd.pop().unwrap().slot().await.unwrap_err();
    assert_eq!(pushed_out.kind, ErrorKind::Overloaded);
    let began = Instant::now();
    assert_eq!(bob.slot().await.unwrap_err().kind, ErrorKind::Overloaded);
    assert!(began.elapsed() > HEARTBEAT, "as long as it may");
    stop.abort();
}

#[tokio::test]
async fn a_session_takes_its_slot_and_its_place_over() {
    let server = process::Redis::start().unwrap();
    let (one, stop_one) = replica(&server, Line::of(1)).await;
    let (other, stop_other) = replica(&server, Line::of(1)).await;
    let (runs, waits) = (seeker("ann"), seeker("bob"));
    let old = Customer::new(&one, &runs).slot().await.unwrap();
    let mut before = Customer::new(&one, &waits);
    assert_eq!(before.stand().await, 1);
    let mut last = Customer::of(&other, "bob");
    assert_eq!(last.stand().await, 2);
    let new = Customer::new(&other, &runs).slot().await.unwrap();
    old.hand_over(runs.session);
    before.seek.hand_over();
    let mut after = Customer::new(&other, &waits);
    assert_eq!(after.stand().await, 1, "it is as long in the line as it was");
    assert_eq!(
        (counted(&server, "held"), counted(&server, "waiting")),
        (":1\r\n".into(), ":2\r\n".into())
    );
    drop(new);
    after.slot().await.unwrap();
    stop_one.abort();
    stop_other.abort();
}

/// The next owner asks in the session's name, and would wait for what nobody has.
#[tokio::test]
async fn a_slot_in_another_name_is_not_left_to_anybody() {
    let server = process::Redis::start().unwrap();
    let (slots, stop) = replica(&server, Line::of(1)).await;
    let second = seeker("ann");
    let slot = Customer::new(&slots, &second).slot().await.unwrap();
    let began = Instant::now();
    slot.hand_over(seeker("ann").session);
    let free = async || counted(&server, "held") == ":0\r\n";
    testkit::wait_until("the slot to be free", SOON, free).await.unwrap();
    assert!(began.elapsed() < EXPIRY, "it is given back, and does not expire");
    stop.abort();
}

#[tokio::test]
async fn what_a_dead_replica_had_is_free_after_its_expiry() {
    let server = process::Redis::start().unwrap();
    let (one, stop_one) = replica(&server, Line::of(1)).await;
    let (other, stop_other) = replica(&server, Line::of(1)).await;
    let slot = Customer::of(&one, "ann").slot().await.unwrap();
    let mut waits = Customer::of(&one, "bob");
    assert_eq!(waits.stand().await, 1);
    let mut next = Customer::of(&other, "cat");
    assert_eq!(next.stand().await, 2);
    // Nobody renews and nobody asks again, as in a process that was killed.
    stop_one.abort();
    let died = Instant::now();
    assert_eq!(next.stand().await, 1);
    assert!(died.elapsed() < EXPIRY, "{:?}", died.elapsed());
    next.slot().await.unwrap();
    assert!(died.elapsed() < EXPIRY + 2 * FORGOTTEN_AFTER, "{:?}", died.elapsed());
    drop((slot, waits));
    stop_other.abort();
}

#[tokio::test]
async fn after_a_loss_of_all_slots_owners_and_those_who_wait_keep_their_places() {
    let server = process::Redis::start().unwrap();
    let (owner, stop_owner) = replica(&server, Line::of(1)).await;
    let (other, stop_other) = replica(&server, Line::of(1)).await;
    let slot = Customer::of(&owner, "ann").slot().await.unwrap();
    let mut waits = Customer::of(&other, "bob");
    assert_eq!(waits.stand().await, 1);
    // Both have seen the marker once each has renewed after it was made.
    tokio::time::sleep(HEARTBEAT).await;
    server.command(&["FLUSHALL"]).unwrap();
    let mut newcomer = Customer::of(&owner, "bob");
    assert_eq!(newcomer.stand().await, 1, "it is the first that is known");
    let both = async { tokio::join!(waits.stand(), newcomer.stand()) };
    let quiet = tokio::time::timeout(Duration::from_secs(1), both).await;
    assert!(quiet.is_err() || quiet == Ok((1, 2)), "{quiet:?}");
    until(&server, "held", 1).await;
    drop(slot);
    let first = tokio::select! {
        _slot = waits.slot() => "bob's first",
        _slot = newcomer.slot() => "the newcomer",
    };
    assert_eq!(first, "bob's first");
    stop_owner.abort();
    stop_other.abort();
}

#[tokio::test]
async fn without_redis_each_replica_grants_its_share() {
    let mut server = process::Redis::start().unwrap();
    let (one, stop_one) = replica(&server, Line::of(4)).await;
    let (other, stop_other) = replica(&server, Line::of(4)).await;
    let replicas = |slots: &Slots| slots.pool(PROVIDER).unwrap().keeper.replicas();
    let known = async || replicas(&one) == 2 && replicas(&other) == 2;
    testkit::wait_until("the replicas to know of each other", SOON, known).await.unwrap();
    let mut held = vec![Customer::of(&one, "ann").slot().await.unwrap()];
    server.kill().unwrap();
    held.push(Customer::of(&one, "ann").slot().await.unwrap());
    let mut waits = Customer::of(&one, "ann");
    assert_eq!(waits.stand().await, 1, "what Redis granted counts too");
    let mut lighter = Customer::of(&one, "bob");
    assert_eq!(lighter.stand().await, 1, "who has none is next");
    assert!(one.take_now(PROVIDER, &seeker("cat")).await.is_none());
    for _ in 0..2 {
        held.push(Customer::of(&other, "ann").slot().await.unwrap());
    }
    assert_eq!(Customer::of(&other, "ann").stand().await, 1);
    drop(held.remove(1));
    held.push(lighter.slot().await.unwrap());
    server.restart().unwrap();
    until(&server, "held", 4).await;
    assert!(other.take_now(PROVIDER, &seeker("cat")).await.is_none());
    held.pop();
    waits.slot().await.unwrap();
    stop_one.abort();
    stop_other.abort();
}

/// Connections that are open stay open, whatever Redis forgot of them.
#[tokio::test]
async fn who_runs_is_registered_past_the_cap() {
    let server = process::Redis::start().unwrap();
    let (slots, stop) = replica(&server, Line::of(1)).await;
    let slot = Customer::of(&slots, "ann").slot().await.unwrap();
    let stranger = Customer::of(&slots, "bob");
    let all = format!("test:{{slots:{PROVIDER}}}:held");
    for key in [&all, &format!("{all}:ann")] {
        server.command(&["DEL", key]).unwrap();
    }
    server.command(&["ZADD", &all, "99999999999999", "a session elsewhere"]).unwrap();
    until(&server, "held", 2).await;
    drop((slot, stranger));
    until(&server, "held", 1).await;
    stop.abort();
}

#[tokio::test]
async fn a_session_that_would_have_to_wait_begins_with_the_next_provider() {
    let server = process::Redis::start().unwrap();
    let shutdown = Shutdown::default();
    let redis = connect(&server, &shutdown).await;
    let fleet = Fleet::join(redis.clone(), &shutdown);
    let lines = [(PROVIDER, Line::of(1)), ("another", Line::of(1))];
    let slots = Slots::new(&lines, &redis, &fleet, &Metrics::new().unwrap(), &shutdown);
    let (both, all) = ([PROVIDER, "another"], [PROVIDER, "another", "unlimited"]);
    let (first, slot) = slots.begin_with(&both, &seeker("ann")).await;
    assert!(first == 0 && slot.is_some());
    let (second, other_slot) = slots.begin_with(&both, &seeker("ann")).await;
    assert!(second == 1 && other_slot.is_some());
    let (third, none) = slots.begin_with(&both, &seeker("ann")).await;
    assert!(third == 0 && none.is_none(), "it waits for the first");
    assert_eq!(counted(&server, "waiting"), ":0\r\n", "nobody waits yet");
    let (third, unlimited) = slots.begin_with(&all, &seeker("ann")).await;
    assert!(third == 2 && unlimited.is_some());
    let (only, none) = slots.begin_with(&["another"], &seeker("ann")).await;
    assert!(only == 0 && none.is_none());
    drop(other_slot);
    until(&server, "held", 1).await;
    shutdown.abort();
}
