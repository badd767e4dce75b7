//! Writes what sessions leave in the refuge, many of them in one transaction.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::store::{self, Kept};
use crate::{
    model::{Error, ErrorKind, SessionId},
    postgres::{self, Database},
    rooms::{Text, history::Claim},
    usage::{Mark, Marked},
};

/// Sessions of one transaction.
const BATCH: usize = 200;
/// How long a batch waits for more.
const GATHER: Duration = Duration::from_millis(30);

/// What one session leaves, and who wants to know what became of it.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) claim: Claim,
    pub(super) finals: Vec<Arc<Text>>,
    pub(super) mark: Option<Mark>,
    pub(super) answer: oneshot::Sender<Result<bool, Error>>,
}

impl Letter {
    pub(super) fn marked(&self) -> Marked<'_> {
        let Claim { session, fence, .. } = self.claim;
        Marked { session, fence, mark: self.mark.as_ref() }
    }
}

/// The one writer of a replica.
pub(super) struct Writer {
    database: Database,
    letters: mpsc::Receiver<Letter>,
    /// Letters of sessions that were in the batch before already.
    later: Vec<Letter>,
}

impl Writer {
    pub(super) const fn new(database: Database, letters: mpsc::Receiver<Letter>) -> Self {
        Self { database, letters, later: Vec::new() }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        while let Some(batch) = self.gather().await {
            Box::pin(self.write(batch)).await;
        }
    }

    /// The next letters, of different sessions and in the order of their ids.
    async fn gather(&mut self) -> Option<Vec<Letter>> {
        let mut letters = std::mem::take(&mut self.later);
        if letters.is_empty() {
            letters.push(self.letters.recv().await?);
        }
        let until = Instant::now() + GATHER;
        while letters.len() < BATCH {
            match timeout_at(until, self.letters.recv()).await {
                Ok(Some(letter)) => letters.push(letter),
                Ok(None) | Err(_) => break,
            }
        }
        let mut seen = HashSet::<SessionId>::new();
        let (mut batch, later): (Vec<Letter>, Vec<Letter>) =
            letters.into_iter().partition(|letter| seen.insert(letter.claim.session));
        self.later = later;
        batch.sort_by_key(|letter| letter.claim.session.0);
        Some(batch)
    }

    async fn write(&self, mut batch: Vec<Letter>) {
        // Who waits no longer will come again with the same and more.
        batch.retain(|letter| !letter.answer.is_closed());
        match self.database.run(store::insert_records(self.database.pool(), &batch)).await {
            Ok(kept) => {
                for (letter, kept) in batch.into_iter().zip(kept) {
                    answer(letter, kept);
                }
            }
            Err(error) if batch.len() > 1 && error.kind != ErrorKind::DatabaseUnavailable => {
                for letter in batch {
                    Box::pin(self.write(vec![letter])).await;
                }
            }
            Err(error) => {
                tracing::debug!(?error, "finals are not kept in the database");
                for letter in batch {
                    let refused = postgres::unavailable().because(error.to_string());
                    // Who waits no longer needs no answer.
                    drop(letter.answer.send(Err(refused)));
                }
            }
        }
    }
}

fn answer(letter: Letter, kept: Kept) {
    let answer = match kept {
        Kept::There => Ok(true),
        Kept::Fenced => Ok(false),
        Kept::Unknown => Err(postgres::unavailable().because("the session has no row yet")),
    };
    // Who waits no longer needs no answer.
    drop(letter.answer.send(answer));
}
