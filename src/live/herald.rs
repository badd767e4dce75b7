//! Tells a room what its session says, beside the session: nothing of the stream waits for Redis.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

use super::bookmark::Bookmark;
use crate::{
    auth::Secrets,
    lifecycle::Shutdown,
    model::{ErrorKind, Segment, SessionId},
    rooms::{Label, Published, Publisher, Text},
    telemetry::{Metrics, metrics::label},
    transcripts::Keeper,
    usage::Mark,
};

/// Finals that may wait for a herald that waits for Redis; it takes them in every two seconds.
const WAITING: usize = 512;
/// How soon what Redis did not take is offered again.
const RETRY: Duration = Duration::from_millis(500);
/// For how long interims are not offered to a room that nobody listens to.
const UNHEARD: Duration = Duration::from_millis(500);
/// How long a session that is over goes on offering what it said.
const PATIENCE: Duration = Duration::from_secs(20);

/// How far a session is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// F as the next owner would find it, in milliseconds of session audio.
    pub covered_ms: u64,
    /// The same with all else, as it is stored.
    pub mark: Option<Mark>,
    /// Whether neither Redis nor Postgres takes what is said, for now.
    pub is_stuck: bool,
    /// Why this owner may tell no more, if it may not.
    pub lost: Option<Lost>,
}

/// Why an owner may tell no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Another has taken the session over.
    Replaced,
    /// The room is another account's.
    Forbidden,
}

/// What a session says: a final, or another thing with a number of its own.
#[derive(Debug)]
pub struct Record {
    /// Its number.
    pub n: u64,
    /// What viewers are given.
    pub body: String,
    /// What the transcript keeps of it, where that is asked for.
    pub kept: Option<Kept>,
}

/// What a transcript keeps under a number.
#[derive(Debug)]
pub enum Kept {
    /// What was said, and whose ears heard it.
    Said(Segment, &'static str),
    /// That audio has no transcript: from when to when, and why.
    Lost((u64, u64), &'static str),
}

/// What became of an attempt to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    /// The room has it, or is not to have it.
    Done,
    /// Postgres has it for the room, which is to be told again.
    Kept,
    /// Nobody has it.
    Failed,
}

/// How a session ended, for its transcript.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// `finished`, or the code of an error.
    pub outcome: &'static str,
    /// How many numbers were given.
    pub numbers: u64,
    /// Audio that was transcribed, in milliseconds.
    pub audio_ms: u64,
}

enum News {
    Said(Box<Record>, Box<Bookmark>),
    Moved(Box<Bookmark>),
    Ended(Ended),
}

/// A session's hand on its herald.
#[derive(Debug)]
pub struct Herald {
    session: SessionId,
    news: mpsc::Sender<News>,
    interim: watch::Sender<Option<Arc<Text>>>,
    heard: Arc<AtomicBool>,
    told: watch::Receiver<Told>,
    metrics: Metrics,
}

/// What a herald works with.
pub struct Ground {
    /// The session.
    pub session: SessionId,
    /// Where it stands now.
    pub from: Bookmark,
    /// Its way into the room.
    pub publisher: Publisher,
    /// Who keeps what is said, where that is asked for.
    pub keeper: Option<Keeper>,
    /// What seals bookmarks.
    pub secrets: Secrets,
    /// Where is counted.
    pub metrics: Metrics,
}

impl Herald {
    /// Sends a herald out, until the session lets go of it and all is told, or the hard stop.
    pub fn send(ground: Ground, shutdown: &Shutdown) -> Self {
        let (news, heard_news) = mpsc::channel(WAITING);
        let (interim, interims) = watch::channel(None);
        let covered_ms = ground.from.covered_ms;
        let (told, hears) = watch::channel(Told { covered_ms, ..Told::default() });
        let heard = Arc::new(AtomicBool::new(true));
        let (session, metrics) = (ground.session, ground.metrics.clone());
        let errand = Errand {
            ground,
            told,
            heard: heard.clone(),
            unkept: VecDeque::new(),
            latest: None,
            ended: None,
            quiet_until: Instant::now(),
        };
        let hard = shutdown.hard().clone();
        shutdown.spawn(async move {
            hard.run_until_cancelled(Box::pin(errand.run(heard_news, interims))).await;
        });
        Self { session, news, interim, heard, told: hears, metrics }
    }

    /// Tells a final, after which the session stands there. Never waits.
    pub fn tell(&self, record: Record, stands: Bookmark) {
        self.pass(News::Said(Box::new(record), Box::new(stands)));
    }

    /// The session stands elsewhere now, with nothing said. Never waits.
    pub fn note(&self, stands: Bookmark) {
        self.pass(News::Moved(Box::new(stands)));
    }

    /// The session has ended. Never waits.
    pub fn end(&self, ended: Ended) {
        self.pass(News::Ended(ended));
    }

    /// Whether anybody listens to interims, as far as is known.
    pub fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Says an interim; the newest wins.
    pub fn say(&self, n: u64, body: String) {
        let label = Label { session: self.session, n };
        self.interim.send_replace(Some(Arc::new(Text { label, body })));
    }

    /// How far the session is told.
    pub fn told(&self) -> watch::Receiver<Told> {
        self.told.clone()
    }

    fn pass(&self, news: News) {
        if self.news.try_send(news).is_err() {
            self.metrics.room_finals.add(1, &[label("outcome", "dropped")]);
        }
    }
}

struct Errand {
    ground: Ground,
    told: watch::Sender<Told>,
    heard: Arc<AtomicBool>,
    /// What is kept once it is in the room: what another owner says again must not be there twice.
    unkept: VecDeque<(u64, Kept)>,
    /// Where the session stands, if that is not told yet.
    latest: Option<Bookmark>,
    ended: Option<Ended>,
    quiet_until: Instant,
}

impl Errand {
    async fn run(
        mut self,
        mut news: mpsc::Receiver<News>,
        mut interims: watch::Receiver<Option<Arc<Text>>>,
    ) {
        let mut retry_at = None;
        loop {
            let retry = retry_at.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                heard = news.recv() => match heard {
                    Some(heard) => self.take(heard),
                    None => break,
                },
                () = sleep_until(retry), if retry_at.is_some() => {}
                // Kept until then: it may be the last for a while, and somebody may listen by then.
                () = sleep_until(self.quiet_until), if self.is_quiet() => continue,
                Ok(()) = interims.changed(), if !self.is_quiet() => {
                    let interim = interims.borrow_and_update().clone();
                    Box::pin(self.say(interim)).await;
                    continue;
                }
            }
            while let Ok(heard) = news.try_recv() {
                self.take(heard);
            }
            // In a box, which is there only now: a herald lives as long as its session.
            let told = Box::pin(self.tell()).await;
            retry_at = (told != Attempt::Done).then(|| Instant::now() + RETRY);
            if told == Attempt::Done && news.is_empty() {
                Box::pin(self.recall()).await;
            }
        }
        Box::pin(self.finish()).await;
    }

    fn take(&mut self, news: News) {
        match news {
            News::Said(record, stands) => {
                let Record { n, body, kept } = *record;
                let label = Label { session: self.ground.session, n };
                self.ground.publisher.hold(Text { label, body });
                self.unkept.extend(kept.map(|kept| (n, kept)));
                self.latest = Some(*stands);
            }
            News::Moved(stands) => self.latest = Some(*stands),
            News::Ended(ended) => self.ended = Some(ended),
        }
    }

    /// Tells what is not told yet.
    async fn tell(&mut self) -> Attempt {
        let Some(latest) = self.latest.clone().filter(|_| self.told.borrow().lost.is_none()) else {
            return Attempt::Done;
        };
        let Ok(bookmark) = latest.seal(&self.ground.secrets, self.ground.session) else {
            return Attempt::Done;
        };
        let mark = Mark { covered_ms: latest.covered_ms, last_n: latest.n, bookmark };
        self.ground.publisher.set_mark(mark.clone());
        let attempt = match self.ground.publisher.tell().await {
            Ok(Published::Stored { .. }) => Attempt::Done,
            Ok(Published::Kept) => Attempt::Kept,
            Ok(Published::Fenced) => return self.lose(Lost::Replaced),
            Err(error) if error.kind == ErrorKind::Forbidden => return self.lose(Lost::Forbidden),
            Err(error) => {
                tracing::debug!(session = %self.ground.session, ?error, "a room is not told");
                self.told.send_if_modified(|told| !std::mem::replace(&mut told.is_stuck, true));
                return Attempt::Failed;
            }
        };
        if attempt == Attempt::Done {
            self.latest = None;
        }
        self.keep(latest.n);
        let told = Told { covered_ms: latest.covered_ms, mark: Some(mark), ..Told::default() };
        self.told.send_if_modified(|before| std::mem::replace(before, told) != *before);
        attempt
    }

    /// Looks at a page of what owners before said; with the next word at another.
    async fn recall(&mut self) {
        if self.told.borrow().lost.is_none()
            && let Err(error) = self.ground.publisher.recall().await
        {
            tracing::debug!(session = %self.ground.session, ?error, "older finals are not recalled");
        }
    }

    fn lose(&mut self, lost: Lost) -> Attempt {
        self.told.send_modify(|told| told.lost = Some(lost));
        self.unkept.clear();
        Attempt::Done
    }

    /// Whether the room is left alone, since nobody listened a moment ago.
    fn is_quiet(&self) -> bool {
        Instant::now() < self.quiet_until
    }

    fn keep(&mut self, n: u64) {
        while let Some((n, kept)) = self.unkept.pop_front_if(|(told, _)| *told <= n) {
            match (&self.ground.keeper, kept) {
                (Some(keeper), Kept::Said(segment, provider)) => keeper.keep(n, &segment, provider),
                (Some(keeper), Kept::Lost(range, reason)) => keeper.gap(n, range, reason),
                (None, _) => {}
            }
        }
    }

    /// Says an interim to whoever listens; a loss costs nothing, since another follows.
    async fn say(&mut self, interim: Option<Arc<Text>>) {
        let Some(interim) = interim else { return };
        let listeners = self.ground.publisher.say(&interim).await.unwrap_or(0);
        self.heard.store(listeners > 0, Ordering::Relaxed);
        if listeners == 0 {
            self.quiet_until = Instant::now() + UNHEARD;
        }
    }

    /// The session is over: what is not told yet is offered for a while.
    async fn finish(mut self) {
        let offered = async {
            // What Postgres has is brought to the room by whoever finds it there.
            while Box::pin(self.tell()).await == Attempt::Failed {
                tokio::time::sleep(RETRY).await;
            }
        };
        if timeout(PATIENCE, offered).await.is_err() {
            let untold = self.ground.publisher.waiting() as u64;
            self.ground.metrics.room_finals.add(untold, &[label("outcome", "lost")]);
            // Whoever spoke was told these.
            self.keep(u64::MAX);
        }
        if let (Some(keeper), Some(Ended { outcome, numbers, audio_ms })) =
            (self.ground.keeper, self.ended)
        {
            keeper.finish(outcome, numbers, audio_ms);
        }
    }
}
