//! One copy of what many objects say alike: namespaces, kinds, labels, references, filters. A large mesh repeats itself
//! so much that this is most of its memory, and what is one is found equal at a glance.
//!
//! Always true:
//! - sharing is not seen: a shared value equals the value that was given, and no answer depends on who shared what;
//! - what nobody uses any more goes, see [`Pool::share`];
//! - no lock is held while anything is parsed or made.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{Equivalent, HashSet};

use super::filter::Filter;
use super::object::{GroupKind, Key, ObjectRef, Pairs};

/// Names are not longer than this, in bytes.
const LONG: usize = 253;

/// What the objects of one origin share. Several tasks may read objects side by side.
#[derive(Debug, Default)]
pub struct Shared {
    pub texts: Pool<Arc<str>>,
    pub kinds: Pool<GroupKind>,
    pub keys: Pool<Key>,
    pub pairs: Pool<Pairs>,
    pub filters: Pool<Arc<Filter>>,
}

impl Shared {
    pub fn text(&self, text: &str) -> Arc<str> {
        // A long text is hardly said twice, and a pool of them may hold much that nobody uses.
        if text.len() > LONG {
            return text.into();
        }
        self.texts.get(text).unwrap_or_else(|| self.texts.share(text.into()))
    }

    pub fn kind(&self, group: &str, kind: &str) -> GroupKind {
        let new = || GroupKind::new(self.text(group), self.text(kind));
        self.kinds.get(&(group, kind)).unwrap_or_else(|| self.kinds.share(new()))
    }

    pub fn key(&self, of: &GroupKind, namespace: &Arc<str>, name: &str) -> Key {
        let new = || Arc::new(ObjectRef::new(of.clone(), namespace.clone(), name));
        self.keys.get(&Parts { namespace, name, of }).unwrap_or_else(|| self.keys.share(new()))
    }
}

/// An [`ObjectRef`] to look for without making one; hashed as that is.
struct Parts<'a> {
    namespace: &'a str,
    name: &'a str,
    of: &'a GroupKind,
}

impl Hash for Parts<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.namespace, self.name).hash(state);
    }
}

impl Equivalent<Key> for Parts<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.name == *key.name && *self.namespace == *key.namespace && *self.of == key.of
    }
}

/// What is behind a counted pointer.
pub trait Counted {
    /// How many pointers there are to it.
    fn holders(&self) -> usize;
}

impl<T: ?Sized> Counted for Arc<T> {
    fn holders(&self) -> usize {
        Arc::strong_count(self)
    }
}

/// Values of one sort, each once.
#[derive(Debug)]
pub struct Pool<T>(Mutex<Values<T>>);

#[derive(Debug)]
struct Values<T> {
    values: HashSet<T>,
    /// How many values there have to be before it is worth looking for unused ones.
    sweep_at: usize,
}

/// A pool is not swept before it has so many values.
const SMALL: usize = 1024;

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::new(Values { values: HashSet::new(), sweep_at: SMALL }))
    }
}

impl<T: Counted + Clone + Eq + Hash> Pool<T> {
    /// The value that equals the one wanted, if it is there.
    pub fn get<Q: ?Sized + Hash + Equivalent<T>>(&self, wanted: &Q) -> Option<T> {
        self.locked().values.get(wanted).cloned()
    }

    /// The one copy of a value.
    ///
    /// Whenever the values have doubled, those that only the pool holds are let go. So there are never more than twice
    /// as many as were in use at one time, and each costs no more than a few looks.
    pub fn share(&self, value: T) -> T {
        let mut pool = self.locked();
        let one = pool.values.get_or_insert(value).clone();
        if pool.values.len() >= pool.sweep_at {
            pool.values.retain(|it| it.holders() > 1);
            pool.sweep_at = SMALL.max(2 * pool.values.len());
        }
        one
    }

    /// No one panics with the lock in hand, and a set of equal values has no state to spoil.
    fn locked(&self) -> MutexGuard<'_, Values<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one() {
        let shared = Shared::default();
        assert!(Arc::ptr_eq(&shared.text("a"), &shared.text("a")));
        let [a, b] = [(); 2].map(|()| shared.kind("apps", "Deployment"));
        assert_eq!((&a, a.holders()), (&b, 3));
        assert_eq!(a, GroupKind::new("apps", "Deployment"));
        let [a, b] = [(); 2].map(|()| shared.filters.share(Arc::new(Filter::sql("type = 'a'"))));
        assert!(Arc::ptr_eq(&a, &b));
    }

    #[test]
    fn what_nobody_uses_goes() {
        let shared = Shared::default();
        let kept: Vec<_> = (0..SMALL / 2).map(|n| shared.text(&format!("kept {n}"))).collect();
        for n in 0..100 * SMALL {
            shared.text(&format!("gone {n}"));
            assert!(shared.texts.locked().values.len() <= 2 * SMALL);
        }
        assert!(kept.iter().all(|it| Arc::ptr_eq(it, &shared.text(it))));
    }

    #[test]
    fn tasks_share_side_by_side() {
        let shared = Shared::default();
        let texts = || (0..10_000).map(|n| shared.text(&(n % 100).to_string())).collect::<Vec<_>>();
        std::thread::scope(|scope| {
            let threads = [scope.spawn(texts), scope.spawn(texts)];
            let [a, b] = threads.map(|it| it.join().expect("no panic"));
            assert!(a.iter().zip(&b).all(|(a, b)| Arc::ptr_eq(a, b)));
        });
    }
}
