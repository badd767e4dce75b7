//! Owners of one session after each other, some of which do not know that they are of the past:
//! every millisecond is billed once, by whom it was transcribed, and no gap is.

use std::{sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use tokio::sync::mpsc;

use super::tests::Place;
use crate::{
    auth::{Owner, Users},
    model::{Clock, SessionId},
    usage::{
        Course, Marks, Meter, SessionStart, Taken,
        meter::{Cursor, Entry, Queue},
        store,
        tests::start,
    },
};

const SERVICES: [(&str, &str); 3] =
    [("deepgram", "nova-2"), ("assemblyai", "universal-streaming"), ("local", "zipformer")];

/// One thing that happens.
#[derive(Clone, Debug)]
enum Act {
    /// The owner stores finals that reach so much further.
    Tell(u64),
    /// It declares so much audio lost.
    Lose(u64),
    /// Another provider goes on.
    Switch(usize),
    /// Some owner writes to Postgres, and may not hear what became of it.
    Write(usize, bool),
    /// Some owner's write sets out, and comes later or never.
    Send(usize),
    Arrive(usize),
    /// Some owner leaves its usage in Redis.
    Leave(usize),
    Drain,
    /// Another replica takes the session over, perhaps by Postgres, and its client has lost so much.
    TakeOver(bool, u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1_u64..200).prop_map(Act::Tell),
        2 => (1_u64..50).prop_map(Act::Lose),
        1 => (0_usize..3).prop_map(Act::Switch),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(who, hears)| Act::Write(who, hears)),
        2 => any::<usize>().prop_map(Act::Send),
        2 => any::<usize>().prop_map(Act::Arrive),
        3 => any::<usize>().prop_map(Act::Leave),
        1 => Just(Act::Drain),
        2 => (any::<bool>(), 0_u64..60).prop_map(|(by, lost)| Act::TakeOver(by, lost)),
    ]
}

/// What the next owner finds.
struct Bookmark {
    covered_ms: u64,
    course: Course,
}

struct World<'a> {
    place: &'a Place,
    session: SessionId,
    queue: Queue,
    _receiver: mpsc::Receiver<Arc<Cursor>>,
    owners: Vec<(Meter, Arc<Cursor>)>,
    bookmark: Bookmark,
    service: usize,
    /// Who transcribed each millisecond; nobody a gap.
    truth: Vec<Option<usize>>,
    under_way: Vec<Entry>,
}

impl<'a> World<'a> {
    fn new(place: &'a Place) -> Self {
        let (sender, receiver) = mpsc::channel(1_000);
        let mut world = Self {
            place,
            session: SessionId::mint(),
            queue: Queue::new(sender, place.writer.queue.metrics.clone()),
            _receiver: receiver,
            owners: Vec::new(),
            bookmark: Bookmark { covered_ms: 0, course: Course::default() },
            service: 0,
            truth: Vec::new(),
            under_way: Vec::new(),
        };
        world.own(0);
        world
    }

    fn now_ms(&self) -> u64 {
        self.truth.len() as u64
    }

    /// A new owner, whose client has lost so much audio.
    fn own(&mut self, lost_ms: u64) {
        let (service, model) = SERVICES[self.service];
        let start = SessionStart {
            session_id: self.session,
            service: service.into(),
            model: model.to_owned(),
            ..start(Owner::User(0))
        };
        let Bookmark { covered_ms, course } = &self.bookmark;
        let fence = self.owners.len() as u64 + 1;
        let taken = Taken { fence, course: course.clone(), covered_ms: *covered_ms };
        let cursor = Arc::new(Cursor::new(start, taken, Clock));
        self.owners.push((Meter::new(cursor.clone(), self.queue.clone(), Clock), cursor));
        self.lose(lost_ms);
    }

    fn meter(&self) -> &Meter {
        &self.owners[self.owners.len() - 1].0
    }

    /// What the herald and the next checkpoint do.
    fn tell(&mut self, ms: u64, by: Option<usize>) {
        self.truth.extend((0..ms).map(|_| by));
        self.meter().checkpoint(self.now_ms());
        let course = self.meter().course();
        self.bookmark = Bookmark { covered_ms: self.now_ms(), course };
    }

    fn lose(&mut self, ms: u64) {
        let from_ms = self.now_ms();
        self.meter().skip(from_ms, from_ms + ms);
        self.tell(ms, None);
    }

    fn some(&self, who: usize) -> &Arc<Cursor> {
        &self.owners[who % self.owners.len()].1
    }

    async fn write(&self, entry: Entry, hears: bool) {
        let entries = [entry];
        if hears {
            self.place.writer.write(&entries).await.unwrap();
        } else {
            store::write(self.place.database.pool(), &Users::default(), &entries).await.unwrap();
        }
    }

    async fn run(&mut self, act: &Act) {
        match *act {
            Act::Tell(ms) => self.tell(ms, Some(self.service)),
            Act::Lose(ms) => self.lose(ms),
            Act::Switch(service) => {
                self.service = service;
                let (name, model) = SERVICES[service];
                self.meter().switch(self.now_ms(), name, model);
            }
            Act::Write(who, hears) => self.write(self.some(who).take(), hears).await,
            Act::Send(who) => {
                let entry = self.some(who).take();
                self.under_way.push(entry);
            }
            Act::Arrive(which) if !self.under_way.is_empty() => {
                let entry = self.under_way.swap_remove(which % self.under_way.len());
                self.write(entry, true).await;
            }
            Act::Arrive(_) => {}
            Act::Leave(who) => {
                let (cursor, fallback) = (self.some(who), &self.place.fallback);
                let entry = cursor.take();
                let until_ms = entry.until_ms;
                let left = (cursor.waiting_id(), fallback.sealed.seal(&entry).unwrap());
                let ids = fallback.waiting.append(vec![left]).await.unwrap();
                cursor.set_waiting(ids[0].clone().unwrap(), until_ms);
            }
            Act::Drain => drop(self.place.drain().step().await.unwrap()),
            Act::TakeOver(by_postgres, lost_ms) => {
                if by_postgres {
                    let marks = Marks::new(self.place.database.clone(), Duration::from_secs(60));
                    let fence = self.owners.len() as u64 + 1;
                    let claimed = marks.claim(self.session, fence, None).await.unwrap();
                    assert!(claimed.is_none_or(|left| left.fence == fence));
                }
                self.own(lost_ms);
            }
        }
    }

    async fn finish(mut self) -> Vec<Option<usize>> {
        let (last, cursor) = self.owners.pop().unwrap();
        last.finish(self.truth.len() as u64);
        self.write(cursor.take(), true).await;
        for entry in std::mem::take(&mut self.under_way) {
            self.write(entry, true).await;
        }
        self.place.drain_all().await;
        self.truth
    }
}

/// How often each millisecond is billed, and by whom it was transcribed.
async fn billed(place: &Place, session: SessionId, ms: usize) -> Vec<Vec<String>> {
    let rows: Vec<(i64, i64, String)> = sqlx::query_as(
        "SELECT range_start_ms, range_end_ms, provider FROM usage_logs WHERE session_id = $1",
    )
    .bind(session.0)
    .fetch_all(place.database.pool())
    .await
    .unwrap();
    let mut billed = vec![Vec::new(); ms];
    for (from, until, provider) in rows {
        (from..until).for_each(|ms| billed[ms as usize].push(provider.clone()));
    }
    billed
}

#[test]
fn whoever_owns_it_each_millisecond_is_billed_once_and_no_gap_is() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Place::new());
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() };
    let outcome = TestRunner::new(config).run(&vec(act(), 1..40), |acts| {
        let (truth, billed) = runtime.block_on(async {
            let mut world = World::new(&place);
            for act in &acts {
                world.run(act).await;
            }
            let session = world.session;
            let truth = world.finish().await;
            let billed = billed(&place, session, truth.len()).await;
            (truth, billed)
        });
        for (ms, (by, billed)) in truth.iter().zip(&billed).enumerate() {
            let expected: Vec<&str> = by.iter().map(|service| SERVICES[*service].0).collect();
            prop_assert_eq!(billed, &expected, "millisecond {}", ms);
        }
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test]
async fn an_owner_of_the_past_is_refused_and_learns_it() {
    let place = Place::new().await;
    let mut world = World::new(&place);
    world.run(&Act::Tell(100)).await;
    world.run(&Act::Write(0, true)).await;
    // Of what the first has transcribed since, only what it stored counts.
    world.run(&Act::Tell(50)).await;
    world.run(&Act::Leave(0)).await;
    world.run(&Act::TakeOver(false, 10)).await;
    world.run(&Act::Write(1, true)).await;
    world.owners[0].0.checkpoint(500);
    world.run(&Act::Write(0, true)).await;
    assert!(world.owners[0].0.is_fenced() && !world.owners[1].0.is_fenced());
    let (session, until) = (world.session, world.truth.len());
    assert_eq!(until, 160);
    world.finish().await;
    let billed = billed(&place, session, 500).await;
    assert_eq!(billed.iter().map(Vec::len).sum::<usize>(), 150);
}
