//! How many sockets of one account, or by one share token, are open on this replica.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::model::{Error, ErrorKind};

/// Open sockets by whose they are. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct OpenSockets(Arc<Mutex<HashMap<String, u32>>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct OpenSocket {
    among: OpenSockets,
    whose: String,
}

impl OpenSockets {
    /// Counts one more; refused with `rate_limited` where `most` are open.
    pub fn open(&self, whose: String, most: Option<u32>) -> Result<OpenSocket, Error> {
        let mut sockets = self.lock();
        let open = sockets.get(&whose).copied().unwrap_or(0);
        if most.is_some_and(|most| open >= most) {
            let text = "too many sockets are open at once: close one first";
            return Err(Error::new(ErrorKind::RateLimited, text));
        }
        sockets.insert(whose.clone(), open.saturating_add(1));
        drop(sockets);
        Ok(OpenSocket { among: self.clone(), whose })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        let mut sockets = self.among.lock();
        if let Some(open) = sockets.get_mut(&self.whose) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                sockets.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_and_what_is_closed_is_forgotten() {
        let sockets = OpenSockets::default();
        let open = |whose: &str, most| sockets.open(whose.to_owned(), most);
        let (one, two) = (open("a", Some(2)).expect("one"), open("a", Some(2)).expect("two"));
        assert_eq!(open("a", Some(2)).expect_err("a third").kind, ErrorKind::RateLimited);
        assert!(open("b", Some(2)).is_ok() && open("a", None).is_ok());
        drop(one);
        let again = open("a", Some(2)).expect("there is room");
        drop((two, again));
        assert!(sockets.lock().is_empty());
    }
}
