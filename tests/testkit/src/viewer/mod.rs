//! A viewer of a room who goes on where it was after any loss, and writes down what it heard.

mod run;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::history::Viewed;
use crate::seed::Dice;
use crate::tasks::Tasks;
use crate::wait::Watched;

/// Commands that may wait for a viewer.
const COMMANDS: usize = 4;

/// Who watches what, and where.
#[derive(Clone, Debug)]
pub struct Watch {
    /// `http://host:port` of each way in, tried in turn from `first` on.
    pub addresses: Vec<String>,
    /// Which of them is the first.
    pub first: usize,
    /// The credential.
    pub token: String,
    /// Whose room it is.
    pub tenant: u16,
    /// What people call it.
    pub name: String,
    /// The room.
    pub room: String,
    /// How long nothing may come before it takes the socket for dead.
    pub silence: Duration,
    /// Decides its waits.
    pub seed: u64,
}

impl Watch {
    /// A viewer of a room of its own account who begins at the first address.
    pub fn new(addresses: &[String], token: &str, tenant: u16, name: &str, room: &str) -> Self {
        Self {
            addresses: addresses.to_vec(),
            first: 0,
            token: token.to_owned(),
            tenant,
            name: name.to_owned(),
            room: room.to_owned(),
            silence: Duration::from_secs(5),
            seed: Dice::fresh_seed(),
        }
    }

    /// The same, beginning at that address.
    pub const fn at(mut self, first: usize) -> Self {
        self.first = first;
        self
    }
}

/// What a viewer is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    /// To read nothing for that long.
    Doze(Duration),
}

/// A client that watches a room until it is dropped.
#[derive(Debug)]
pub struct Viewer {
    history: Arc<Watched<Viewed>>,
    commands: mpsc::Sender<Command>,
    began: Instant,
    _tasks: Tasks,
}

impl Viewer {
    /// Begins to watch.
    #[expect(clippy::unused_async, reason = "it spawns, so that it needs a runtime around it")]
    pub async fn start(watch: Watch) -> Self {
        let (commands, told) = mpsc::channel(COMMANDS);
        let history = Viewed {
            name: watch.name.clone(),
            tenant: watch.tenant,
            room: watch.room.clone(),
            ..Viewed::default()
        };
        let (history, began) = (Arc::new(Watched::new(history)), Instant::now());
        let tasks = Tasks::new();
        let run = run::Run::new(watch, Arc::clone(&history), began);
        tasks.spawner().spawn(run.run(told));
        Self { history, commands, began, _tasks: tasks }
    }

    /// Time since it began, as its history counts it.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Looks at what it has heard so far.
    pub fn read<R>(&self, look: impl FnOnce(&Viewed) -> R) -> R {
        self.history.read(look)
    }

    /// Waits until its history fits; the error tells it.
    pub async fn wait(
        &self,
        what: &str,
        deadline: Duration,
        fits: impl Fn(&Viewed) -> bool,
    ) -> anyhow::Result<()> {
        let find = |history: &Viewed| fits(history).then_some(());
        let waited = self.history.wait(deadline, find, Viewed::story).await;
        waited.map_err(|error| error.context(format!("viewer waits for {what}")))
    }

    /// Reads nothing for that long.
    pub async fn doze(&self, time: Duration) {
        // A viewer never ends by itself.
        let _ = self.commands.send(Command::Doze(time)).await;
    }
}
