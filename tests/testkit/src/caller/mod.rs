//! A speaker of numbered audio who keeps what is not acknowledged, comes back after any loss, and
//! writes down what it lived through; or, if so wished, an older client that does neither.

mod attempt;
mod kept;
mod news;
mod run;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::history::Spoken;
use crate::seed::Dice;
use crate::tasks::Tasks;
use crate::wait::Watched;

/// Commands that may wait for a caller.
const COMMANDS: usize = 16;

/// Who speaks, where, and how faithful a client it is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `http://host:port` of each way in, tried in turn from `first` on.
    pub addresses: Vec<String>,
    /// Which of them is the first.
    pub first: usize,
    /// The credential.
    pub token: String,
    /// Whose audio it is.
    pub tenant: u16,
    /// Which audio of the tenant's.
    pub session: u16,
    /// Bytes of a second of its audio: 32 000 for 16 kHz mono linear16, what `start` says otherwise.
    pub bytes_per_second: u32,
    /// Options of the session, and the room.
    pub start: Value,
    /// Whether it takes its session up again; if not, it begins another with what it says next.
    pub resumes: bool,
    /// Whether it goes elsewhere when it is asked to.
    pub migrates: bool,
    /// How much unacknowledged audio it keeps.
    pub keeps: Duration,
    /// How long nothing may come while it speaks before it takes the socket for dead.
    pub silence: Duration,
    /// Decides its waits.
    pub seed: u64,
}

impl Plan {
    /// A faithful client that begins at the first address.
    pub fn new(addresses: &[String], token: &str, tenant: u16, session: u16) -> Self {
        Self {
            addresses: addresses.to_vec(),
            first: 0,
            token: token.to_owned(),
            tenant,
            session,
            bytes_per_second: 32_000,
            start: json!({}),
            resumes: true,
            migrates: true,
            keeps: Duration::from_secs(60),
            silence: Duration::from_secs(5),
            seed: Dice::fresh_seed(),
        }
    }

    /// The same, publishing into that room.
    pub fn in_room(mut self, room: &str) -> Self {
        self.start["room"] = room.into();
        self
    }

    /// The same as over a telephone: 8 kHz mu-law, a quarter of the bytes.
    pub fn narrow(mut self) -> Self {
        self.bytes_per_second = 8_000;
        self.start["encoding"] = "mulaw".into();
        self.start["sample_rate"] = 8_000.into();
        self
    }

    /// The same, beginning at that address.
    pub const fn at(mut self, first: usize) -> Self {
        self.first = first;
        self
    }

    /// The same without resume, as clients were before there was one.
    pub const fn old(mut self) -> Self {
        self.resumes = false;
        self.migrates = false;
        self
    }
}

/// What a caller is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Command {
    Finish,
    Hush,
    Speak,
    Move(usize),
    Renew(String),
}

/// A client that speaks in real time until it is told to finish.
#[derive(Debug)]
pub struct Caller {
    history: Arc<Watched<Spoken>>,
    commands: mpsc::Sender<Command>,
    began: Instant,
    _tasks: Tasks,
}

impl Caller {
    /// Begins to speak at once, whether or not anybody is there to hear it.
    #[expect(clippy::unused_async, reason = "it spawns, so that it needs a runtime around it")]
    pub async fn start(plan: Plan) -> Self {
        let (commands, told) = mpsc::channel(COMMANDS);
        let history = Spoken {
            tenant: plan.tenant,
            session: plan.session,
            resumes: plan.resumes,
            ..Spoken::default()
        };
        let (history, began) = (Arc::new(Watched::new(history)), Instant::now());
        let tasks = Tasks::new();
        let run = run::Run::new(plan, Arc::clone(&history), began, tasks.spawner());
        tasks.spawner().spawn(run.run(told));
        Self { history, commands, began, _tasks: tasks }
    }

    /// Time since it began, as its history counts it.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Looks at what it has lived through so far.
    pub fn read<R>(&self, look: impl FnOnce(&Spoken) -> R) -> R {
        self.history.read(look)
    }

    /// Waits until its history fits; the error tells it.
    pub async fn wait(
        &self,
        what: &str,
        deadline: Duration,
        fits: impl Fn(&Spoken) -> bool,
    ) -> anyhow::Result<()> {
        let find = |history: &Spoken| fits(history).then_some(());
        let waited = self.history.wait(deadline, find, Spoken::story).await;
        waited.map_err(|error| error.context(format!("speaker waits for {what}")))
    }

    /// Speaks no more, but stays.
    pub async fn hush(&self) {
        self.tell(Command::Hush).await;
    }

    /// Speaks again.
    pub async fn speak(&self) {
        self.tell(Command::Speak).await;
    }

    /// Claims its session through another address while the socket at the old one is open.
    pub async fn move_to(&self, address: usize) {
        self.tell(Command::Move(address)).await;
    }

    /// Opens its next sockets with another credential.
    pub async fn renew(&self, token: &str) {
        self.tell(Command::Renew(token.to_owned())).await;
    }

    /// Ends its session in order, with everything said and acknowledged, and tells its history as
    /// it is then, or after `deadline`.
    pub async fn finish(&self, deadline: Duration) -> Spoken {
        self.tell(Command::Finish).await;
        let over = |history: &Spoken| history.over.then_some(());
        // What is missing is for the reader of the history to find.
        drop(self.history.wait(deadline, over, |_| String::new()).await);
        self.read(Spoken::clone)
    }

    async fn tell(&self, command: Command) {
        // A caller that has ended needs no command.
        let _ = self.commands.send(command).await;
    }
}
