//! Where finals wait while Redis refuses them: in Postgres, from where any replica brings them to
//! their rooms.

mod drain;
mod store;
mod writer;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    Label, Text,
    history::{Claim, History},
};
use crate::{
    lifecycle::Shutdown,
    model::{Error, ErrorKind, SessionId},
    postgres::{self, Database},
    telemetry::Metrics,
    usage::{Mark, Marks},
};
use drain::Drain;
use writer::{Letter, Writer};

/// Sessions that may wait for one writer at once.
const WAITING: usize = 4096;
/// How long a session's finals may take into Postgres before they count as refused there too.
const PATIENCE: Duration = Duration::from_secs(3);

/// The refuge of one replica's sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Refuge {
    letters: mpsc::Sender<Letter>,
    database: Database,
    marks: Marks,
}

impl Refuge {
    /// Starts the writer, until the hard stop, and the drain, until the soft one.
    pub(super) fn start(
        (database, marks): (Database, Marks),
        history: History,
        metrics: Metrics,
        shutdown: &Shutdown,
    ) -> Self {
        let (letters, waiting) = mpsc::channel(WAITING);
        let (hard, soft) = (shutdown.hard().clone(), shutdown.soft().clone());
        let writer = Writer::new(database.clone(), waiting);
        shutdown.spawn(async move {
            hard.run_until_cancelled(writer.run()).await;
        });
        let drain = Drain { database: database.clone(), history, metrics, lacking: HashMap::new() };
        shutdown.spawn(async move {
            soft.run_until_cancelled(Box::pin(drain.run())).await;
        });
        Self { letters, database, marks }
    }

    pub(super) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Keeps finals and the mark that goes with the last of them; false if another owner has taken
    /// over. Fails while Postgres is away too, or does not know the session yet.
    pub(super) async fn keep(
        &self,
        claim: &Claim,
        finals: Vec<Arc<Text>>,
        mark: Option<Mark>,
    ) -> Result<bool, Error> {
        self.look().await?;
        let (answer, answered) = oneshot::channel();
        let letter = Letter { claim: claim.clone(), finals, mark, answer };
        let full = |_| Error::new(ErrorKind::Overloaded, "too many finals wait for the database");
        self.letters.try_send(letter).map_err(full)?;
        match timeout(PATIENCE, answered).await {
            Ok(Ok(kept)) => kept,
            Ok(Err(gone)) => Err(postgres::unavailable().because(gone)),
            Err(late) => Err(postgres::unavailable().because(late)),
        }
    }

    /// Whether no other owner has taken over, as far as Postgres knows.
    pub(super) async fn is_current(&self, claim: &Claim) -> bool {
        let found = self.marks.find(claim.session).await;
        !found.is_ok_and(|left| left.is_some_and(|left| left.fence > claim.fence))
    }

    /// What a session said that is still here, in order.
    pub(super) async fn read(&self, session: SessionId) -> Result<Vec<Text>, Error> {
        self.look().await?;
        let found = store::list_records(self.database.pool(), session.0);
        let text = |(n, body)| Text { label: Label { session, n }, body };
        Ok(self.database.run(found).await?.into_iter().map(text).collect())
    }

    async fn look(&self) -> Result<(), Error> {
        if !self.database.schema_seen() {
            return Err(postgres::unavailable());
        }
        self.database.health().await.map_err(|away| postgres::unavailable().because(away))
    }
}
