//! What was used last, within a bound. What goes is gone at once: nothing of it is left to a collector.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

/// Values that are kept while there is room, each as a clone of what it is.
pub struct Kept<K: Hash + Eq, V> {
    entries: Mutex<Entries<K, V>>,
    room: usize,
    max_idle: Duration,
}

struct Entries<K: Hash + Eq, V> {
    by_key: LruCache<K, Entry<V>>,
    size: usize,
}

struct Entry<V> {
    value: V,
    size: usize,
    used: Instant,
}

impl<K: Hash + Eq, V: Clone> Kept<K, V> {
    /// Room for so many bytes. What nobody asks for goes after a while.
    pub fn new(room: usize, max_idle: Duration) -> Self {
        Self { entries: Mutex::new(Entries { by_key: LruCache::unbounded(), size: 0 }), room, max_idle }
    }

    pub fn get(&self, key: &K) -> Option<V> {
        self.locked().used(key)
    }

    /// The value of a key, or else a new one that takes so many bytes and is kept from now on.
    pub fn get_or(&self, key: &K, new: impl FnOnce() -> (V, usize)) -> V
    where
        K: Clone,
    {
        let mut entries = self.locked();
        if let Some(value) = entries.used(key) {
            return value;
        }
        let (value, size) = new();
        let gone = self.put_among(&mut entries, key.clone(), value.clone(), size);
        drop(entries);
        drop(gone);
        value
    }

    /// Keeps a value that takes so many bytes, in place of what has its key, at the cost of what was used least lately. What
    /// is larger than all room is not kept.
    pub fn put(&self, key: K, value: V, size: usize) {
        let mut entries = self.locked();
        let gone = self.put_among(&mut entries, key, value, size);
        // What goes may take its time, and other locks.
        drop(entries);
        drop(gone);
    }

    /// Returns what had to go.
    fn put_among(&self, entries: &mut Entries<K, V>, key: K, value: V, size: usize) -> Vec<V> {
        let mut gone = Vec::from_iter(entries.remove(&key));
        if size <= self.room {
            let used = Instant::now();
            entries.by_key.put(key, Entry { value, size, used });
            entries.size += size;
            while entries.size > self.room || entries.by_key.peek_lru().is_some_and(|(_, it)| self.is_idle(it, used)) {
                gone.extend(entries.remove_oldest());
            }
        }
        gone
    }

    pub fn remove(&self, key: &K) {
        let gone = self.locked().remove(key);
        drop(gone);
    }

    /// How many there are, and how many bytes they take.
    pub fn totals(&self) -> (usize, usize) {
        let entries = self.locked();
        (entries.by_key.len(), entries.size)
    }

    /// How many bytes they may take.
    pub fn room(&self) -> usize {
        self.room
    }

    fn is_idle(&self, entry: &Entry<V>, now: Instant) -> bool {
        now.duration_since(entry.used) > self.max_idle
    }

    /// Nothing panics with the lock in hand.
    fn locked(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, V: Clone> Entries<K, V> {
    /// The value of a key, which is used now.
    fn used(&mut self, key: &K) -> Option<V> {
        let entry = self.by_key.get_mut(key)?;
        entry.used = Instant::now();
        Some(entry.value.clone())
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.by_key.pop(key);
        self.without(entry)
    }

    fn remove_oldest(&mut self) -> Option<V> {
        let entry = self.by_key.pop_lru().map(|(_, it)| it);
        self.without(entry)
    }

    fn without(&mut self, entry: Option<Entry<V>>) -> Option<V> {
        let entry = entry?;
        self.size -= entry.size;
        Some(entry.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(kept: &Kept<&'static str, u8>) -> Vec<&'static str> {
        let mut keys: Vec<_> = kept.locked().by_key.iter().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn what_was_used_last_stays() {
        let kept = Kept::new(10, Duration::MAX);
        kept.put("a", 1, 4);
        kept.put("b", 2, 4);
        assert_eq!(kept.get(&"a"), Some(1));
        kept.put("c", 3, 4);
        assert_eq!((keys(&kept), kept.totals()), (vec!["a", "c"], (2, 8)));
        kept.put("a", 4, 6);
        assert_eq!((kept.get(&"a"), kept.totals()), (Some(4), (2, 10)));
        kept.put("d", 5, 10);
        assert_eq!(keys(&kept), ["d"]);
        kept.put("e", 6, 11);
        assert_eq!(keys(&kept), ["d"], "what is too large is not kept, and takes nobody's place");
        kept.put("d", 7, 11);
        assert_eq!(kept.totals(), (0, 0), "nor is what it replaces");
        kept.put("f", 8, 1);
        kept.remove(&"f");
        kept.remove(&"f");
        assert_eq!((kept.get(&"f"), kept.totals()), (None, (0, 0)));
        assert_eq!([kept.get_or(&"g", || (9, 1)), kept.get_or(&"g", || (10, 1))], [9, 9]);
        assert_eq!(kept.totals(), (1, 1));
    }

    #[test]
    fn what_nobody_asks_for_goes() {
        let kept = Kept::new(10, Duration::ZERO);
        kept.put("a", 1, 1);
        while kept.locked().by_key.peek(&"a").is_some_and(|it| it.used == Instant::now()) {}
        kept.put("b", 2, 1);
        assert_eq!(keys(&kept), ["b"]);
    }
}
