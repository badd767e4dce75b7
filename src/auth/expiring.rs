//! A bounded map whose entries end.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Keeps at most `capacity` entries, each until its end; the oldest make room.
#[derive(Debug)]
pub(super) struct Expiring<K, V> {
    capacity: usize,
    entries: Mutex<Entries<K, V>>,
}

#[derive(Debug)]
struct Entries<K, V> {
    by_key: HashMap<K, (V, Instant)>,
    in_order: VecDeque<K>,
    /// How often something was forgotten on purpose.
    epoch: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Expiring<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        let entries = Entries { by_key: HashMap::new(), in_order: VecDeque::new(), epoch: 0 };
        Self { capacity, entries: Mutex::new(entries) }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, ends) = entries.by_key.get(key)?;
        (Instant::now() < *ends).then(|| value.clone())
    }

    /// Forgets what does not pass.
    pub(super) fn retain(&self, keep: impl Fn(&K, &V) -> bool) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let Entries { by_key, in_order, epoch } = &mut *entries;
        *epoch += 1;
        by_key.retain(|key, (value, _)| keep(key, value));
        in_order.retain(|key| by_key.contains_key(key));
    }

    /// Changes values in place, which forgets what they were.
    pub(super) fn change(&self, change: impl Fn(&mut V)) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.epoch += 1;
        entries.by_key.values_mut().for_each(|(value, _)| change(value));
    }

    /// Changes whenever something is forgotten on purpose.
    pub(super) fn epoch(&self) -> u64 {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).epoch
    }

    /// Inserts what was looked up since that epoch, unless something was forgotten meanwhile: the
    /// look may be older than what it was forgotten for.
    pub(super) fn insert_since(&self, epoch: u64, key: K, value: V, life: Duration) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.epoch == epoch {
            self.put(entries, key, value, life);
        }
    }

    pub(super) fn insert(&self, key: K, value: V, life: Duration) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(entries, key, value, life);
    }

    fn put(&self, mut entries: MutexGuard<'_, Entries<K, V>>, key: K, value: V, life: Duration) {
        let Some(ends) = Instant::now().checked_add(life) else { return };
        if entries.by_key.insert(key.clone(), (value, ends)).is_some() {
            return;
        }
        entries.in_order.push_back(key);
        if entries.in_order.len() > self.capacity
            && let Some(oldest) = entries.in_order.pop_front()
        {
            entries.by_key.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_end_and_the_oldest_makes_room() {
        let map = Expiring::new(2);
        map.insert(1, 'a', Duration::ZERO);
        assert_eq!(map.get(&1), None);
        map.insert(1, 'b', Duration::from_mins(1));
        map.insert(2, 'c', Duration::from_mins(1));
        assert_eq!((map.get(&1), map.get(&2)), (Some('b'), Some('c')));
        map.insert(3, 'd', Duration::from_mins(1));
        assert_eq!((map.get(&1), map.get(&2), map.get(&3)), (None, Some('c'), Some('d')));
    }

    #[test]
    fn a_look_that_is_older_than_a_forgetting_is_not_kept() {
        let map = Expiring::new(2);
        let epoch = map.epoch();
        map.retain(|_, _| true);
        map.insert_since(epoch, 1, 'a', Duration::from_mins(1));
        assert_eq!(map.get(&1), None);
        map.insert_since(map.epoch(), 1, 'b', Duration::from_mins(1));
        assert_eq!(map.get(&1), Some('b'));
        let epoch = map.epoch();
        map.change(|value| *value = 'c');
        map.insert_since(epoch, 1, 'b', Duration::from_mins(1));
        assert_eq!(map.get(&1), Some('c'));
    }
}
