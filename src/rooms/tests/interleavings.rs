//! Any order of publishing, retrying, changing owners, losing and reading: what a viewer sees is
//! whole, or it is told.

use proptest::{collection::vec, prelude::*};

use super::*;

/// Whether a case of few finals keeps few, so that reading comes too late at times.
const FEW: Bounds = Bounds { finals: 12, bytes: MAX_BYTES, life: LIFE };

/// One thing that happens to a room.
#[derive(Clone, Debug)]
enum Act {
    /// The owner says so many finals more.
    Say(u64),
    /// What was said is told again, from that many finals back.
    Retry(u64),
    /// Another replica takes the session over, knowing everything.
    TakeOver,
    /// Another replica takes the session over, knowing only up to which number it was told.
    TakeOverBlind,
    /// A new session begins in the room.
    Begin,
    /// An owner of the past says something else.
    Zombie,
    /// Redis forgets everything.
    Forget,
    /// The oldest finals are trimmed.
    Trim(u64),
    /// A reader reads at most so much.
    Read(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (1..6_u64).prop_map(Act::Say),
        2 => (1..8_u64).prop_map(Act::Retry),
        1 => Just(Act::TakeOver),
        1 => Just(Act::TakeOverBlind),
        1 => Just(Act::Begin),
        1 => Just(Act::Zombie),
        1 => Just(Act::Forget),
        1 => (1..5_u64).prop_map(Act::Trim),
        5 => (1..10_usize).prop_map(Act::Read),
    ];
    vec(act, 1..60)
}

/// The room, its owners, and one who reads it.
struct Case<'a> {
    replica: &'a Replica,
    server: &'a process::Redis,
    room: RoomName,
    session: SessionId,
    said: Vec<Label>,
    publisher: Publisher,
    zombies: Vec<Claim>,
    claim: Claim,
    position: Position,
    cursor: Cursor,
}

impl<'a> Case<'a> {
    async fn new(replica: &'a Replica, server: &'a process::Redis) -> Self {
        let room: RoomName = Uuid::new_v4().to_string().parse().unwrap();
        let session = session();
        let claim = replica.rooms.history().claim(&room, ACCOUNT, session, 0).await.unwrap().0;
        Self {
            publisher: replica.rooms.publisher(claim.clone()),
            replica,
            server,
            room,
            session,
            said: Vec::new(),
            zombies: Vec::new(),
            claim,
            position: Position::default(),
            cursor: Cursor::default(),
        }
    }

    fn last_n(&self) -> u64 {
        self.said.iter().filter(|label| label.session == self.session).count() as u64
    }

    async fn run(&mut self, act: &Act) {
        match *act {
            Act::Say(count) => {
                for _ in 0..count {
                    let next = text(self.session, self.last_n() + 1);
                    self.said.push(next.label);
                    self.stored(Some(next)).await;
                }
            }
            Act::Retry(back) => self.retry(back).await,
            Act::TakeOver => self.take_over().await,
            Act::TakeOverBlind => self.take_over_blind().await,
            Act::Begin => {
                self.session = session();
                self.take_over().await;
                // Each session has owners of its own.
                self.zombies.clear();
            }
            Act::Zombie => self.zombie().await,
            Act::Forget => drop(self.server.command(&["FLUSHALL"]).unwrap()),
            Act::Trim(count) => self.trim(count),
            Act::Read(limit) => self.read(limit).await,
        }
    }

    async fn stored(&mut self, next: Option<Text>) {
        let published = match next {
            Some(next) => self.publisher.publish(next).await.unwrap(),
            None => self.publisher.flush().await.unwrap(),
        };
        let Published::Stored { position, .. } = published else { panic!("{published:?}") };
        self.position = position;
    }

    async fn retry(&mut self, back: u64) {
        let last_n = self.last_n();
        let finals = texts(self.session, last_n.saturating_sub(back).max(1)..=last_n);
        let history = self.replica.rooms.history();
        let appended =
            history.append(&self.claim, self.position, false, &finals, None).await.unwrap();
        assert!(!matches!(appended, Appended::Fenced { .. }));
    }

    async fn take_over(&mut self) {
        self.zombies.push(self.claim.clone());
        // A Redis that forgot gives a fence of its clock, which has gone on.
        let history = self.replica.rooms.history();
        let claimed = history.claim(&self.room, ACCOUNT, self.session, 0).await;
        self.claim = claimed.unwrap().0;
        let said = (1..=self.last_n()).map(|n| text(self.session, n));
        let publisher = self.replica.rooms.publisher(self.claim.clone());
        self.publisher = publisher.resumed(said, 0, self.position);
        self.stored(None).await;
    }

    async fn take_over_blind(&mut self) {
        self.zombies.push(self.claim.clone());
        let history = self.replica.rooms.history();
        let claimed = history.claim(&self.room, ACCOUNT, self.session, 0).await;
        self.claim = claimed.unwrap().0;
        let publisher = self.replica.rooms.publisher(self.claim.clone());
        self.publisher = publisher.resumed([], self.last_n(), Position::default());
    }

    async fn zombie(&self) {
        let Some(claim) = self.zombies.last().filter(|claim| claim.fence < self.claim.fence) else {
            return;
        };
        let history = self.replica.rooms.history();
        // The owner has just told everything again, so that Redis knows its fence.
        let known = texts(self.session, 1..=self.last_n());
        if self.last_n() > 0 {
            history.append(&self.claim, self.position, false, &known, None).await.unwrap();
            let said = texts(self.session, [self.last_n() + 1]);
            let refused = history.append(claim, self.position, true, &said, None).await.unwrap();
            assert_eq!(refused, Appended::Fenced { told: true });
        }
    }

    fn trim(&self, count: u64) {
        let key = format!("test:{{room:{}}}:history", self.room);
        let answer = self.server.command(&["XLEN", &key]).unwrap();
        let length: u64 = answer[1..].trim().parse().unwrap();
        let left = length.saturating_sub(count).max(1).to_string();
        self.server.command(&["XTRIM", &key, "MAXLEN", "=", &left]).unwrap();
    }

    /// Reads on, and holds what comes against what was said.
    async fn read(&mut self, limit: usize) {
        let history = self.replica.rooms.history();
        let before = self.cursor;
        let read = history.read_after(&self.room, &before, limit).await.unwrap().1;
        let (finals, whole) = match read {
            Read::Recovered { finals, .. } => (finals, true),
            Read::NotRecovered { rest, .. } => (rest, false),
        };
        let place = |label: Label| self.said.iter().position(|said| *said == label).unwrap();
        let mut seen = before.last.map(place);
        for recorded in &finals {
            let at = place(recorded.text.label);
            // Whoever has seen nothing yet begins where the room does now.
            let expected = seen.map_or(at, |seen| seen + 1);
            let told = !whole && seen == before.last.map(&place);
            assert!(
                at == expected || (told && at > expected),
                "{at} after {seen:?} (whole: {whole})"
            );
            (seen, self.cursor) = (Some(at), recorded.cursor());
        }
    }
}

#[test]
fn what_is_read_is_whole_or_told() {
    let server = process::Redis::start().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let replicas = [BOUNDS, FEW].map(|bounds| runtime.block_on(replica_with(&server, bounds)));
    let config = ProptestConfig { cases: 150, ..ProptestConfig::default() };
    proptest!(config, |(acts in acts(), few: bool)| {
        runtime.block_on(async {
            let mut case = Case::new(&replicas[usize::from(few)], &server).await;
            for act in &acts {
                case.run(act).await;
            }
        });
    });
}
