//! What every connection of a simulator shares.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use uuid::Uuid;

use super::config::Config;
use super::fault::{Action, Faults};
use super::query::Query;
use super::record::{Book, Record, Request};
use super::refusal::Refusal;
use crate::script::Script;
use crate::wait::{Watched, lock};

/// Injected actions that may wait for a stream.
const INJECTED: usize = 64;

/// State behind a simulator's handle.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) script: Mutex<Script>,
    pub(crate) keys: Mutex<Option<Vec<String>>>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) book: Watched<Book>,
    pub(crate) open: Mutex<HashMap<usize, mpsc::Sender<Action>>>,
    grants: Mutex<HashMap<String, Instant>>,
}

impl Shared {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            script: Mutex::new(config.script.clone()),
            keys: Mutex::new(config.keys.clone()),
            faults: Mutex::default(),
            book: Watched::new(Book::default()),
            open: Mutex::default(),
            grants: Mutex::default(),
            config,
        }
    }

    pub(crate) fn change(&self, index: usize, change: impl FnOnce(&mut Record)) {
        self.book.update(|book| book.change(index, change));
    }

    pub(crate) fn note_request(&self, request: Request) {
        let kept = self.config.kept_records;
        self.book.update(|book| book.note_request(kept, request));
    }

    /// Opens a stream's record and the way to inject into it, unless too many are open.
    pub(crate) fn admit(
        &self,
        request_id: Uuid,
        query: Query,
        headers: Vec<(String, String)>,
    ) -> Result<(usize, mpsc::Receiver<Action>), Refusal> {
        let mut open = lock(&self.open);
        if self.config.max_streams.is_some_and(|most| open.len() >= most) {
            return Err(Refusal::of(429));
        }
        let kept = self.config.kept_records;
        let index = self.book.update(|book| book.open(kept, request_id, query, headers));
        let (sender, receiver) = mpsc::channel(INJECTED);
        open.insert(index, sender);
        Ok((index, receiver))
    }

    pub(crate) fn leave(&self, index: usize) {
        lock(&self.open).remove(&index);
    }

    /// A token that is let in for `life`.
    pub(crate) fn grant(&self, life: Duration) -> String {
        let part = || Uuid::new_v4().simple().to_string();
        let token = format!("eyJ{}.{}.{}", part(), part(), part());
        lock(&self.grants).insert(token.clone(), Instant::now() + life);
        token
    }

    /// Whether a key, or a granted token, opens the door.
    pub(crate) fn admits(&self, credential: &str) -> bool {
        let granted = lock(&self.grants).get(credential).map(|until| Instant::now() < *until);
        granted.unwrap_or_else(|| match &*lock(&self.keys) {
            None => !credential.is_empty(),
            Some(keys) => keys.iter().any(|key| key == credential),
        })
    }

    pub(crate) fn script(&self) -> Script {
        lock(&self.script).clone()
    }
}
