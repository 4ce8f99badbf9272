//! The ground state: which objects there are. Origins report updates, what really changed comes out.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::object::{GroupKind, Key, ObjectRef};
use super::resource::Resource;

/// What an origin reports.
#[derive(Debug, Clone)]
pub enum Update {
    Upsert(Arc<Resource>),
    Remove(Key),
    /// All objects of a kind. A relist omits what was deleted meanwhile, so it replaces rather than merges.
    Replace(GroupKind, Vec<Arc<Resource>>),
}

/// What has changed: the new state of each object, `None` for those that are gone.
pub type Changes = BTreeMap<Key, Option<Arc<Resource>>>;

/// All objects, by kind and name.
#[derive(Debug, Default)]
pub struct Inventory {
    kinds: HashMap<GroupKind, HashSet<Named>>,
}

/// An object found by its name, which it has in it.
#[derive(Debug)]
struct Named(Arc<Resource>);

impl Borrow<ObjectRef> for Named {
    fn borrow(&self) -> &ObjectRef {
        &self.0.key
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Named {}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl Inventory {
    /// Applies updates in their order. Objects that end as they were are not among the changes.
    pub fn apply(&mut self, updates: impl IntoIterator<Item = Update>) -> Changes {
        let mut before = BTreeMap::new();
        for update in updates {
            match update {
                Update::Upsert(resource) => self.put(resource, &mut before),
                Update::Remove(key) => self.take(&key, &mut before),
                Update::Replace(kind, resources) => self.replace(&kind, resources, &mut before),
            }
        }
        let changed = |(key, old): (Key, Option<Arc<Resource>>)| {
            let new = self.get(&key).cloned();
            (new != old).then_some((key, new))
        };
        before.into_iter().filter_map(changed).collect()
    }

    pub fn get(&self, key: &Key) -> Option<&Arc<Resource>> {
        self.kinds.get(&key.of)?.get::<ObjectRef>(key).map(|it| &it.0)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.kinds.values().map(HashSet::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.kinds.values().flatten().map(|it| &it.0)
    }

    fn put(&mut self, resource: Arc<Resource>, before: &mut Changes) {
        let key = resource.key.clone();
        let old = self.kinds.entry(key.of.clone()).or_default().replace(Named(resource));
        before.entry(key).or_insert(old.map(|it| it.0));
    }

    fn take(&mut self, key: &Key, before: &mut Changes) {
        if let Some(old) = self.kinds.get_mut(&key.of).and_then(|it| it.take::<ObjectRef>(key)) {
            before.entry(key.clone()).or_insert(Some(old.0));
        }
    }

    fn replace(&mut self, kind: &GroupKind, resources: Vec<Arc<Resource>>, before: &mut Changes) {
        for Named(old) in self.kinds.remove(kind).unwrap_or_default() {
            before.entry(old.key.clone()).or_insert(Some(old));
        }
        self.kinds.entry(kind.clone()).or_default().reserve(resources.len());
        for resource in resources {
            self.put(resource, before);
        }
    }
}
