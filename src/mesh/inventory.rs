//! The ground state: which objects there are. Origins report updates, what really changed comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::object::{GroupKind, Key};
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
    kinds: HashMap<GroupKind, HashMap<Key, Arc<Resource>>>,
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
        self.kinds.get(&key.of)?.get(key)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.kinds.values().map(HashMap::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.kinds.values().flat_map(HashMap::values)
    }

    fn put(&mut self, resource: Arc<Resource>, before: &mut Changes) {
        let key = resource.key.clone();
        let objects = self.kinds.entry(key.of.clone()).or_default();
        let old = objects.insert(key.clone(), resource);
        before.entry(key).or_insert(old);
    }

    fn take(&mut self, key: &Key, before: &mut Changes) {
        if let Some(old) = self.kinds.get_mut(&key.of).and_then(|objects| objects.remove(key)) {
            before.entry(key.clone()).or_insert(Some(old));
        }
    }

    fn replace(&mut self, kind: &GroupKind, resources: Vec<Arc<Resource>>, before: &mut Changes) {
        for (key, old) in self.kinds.remove(kind).unwrap_or_default() {
            before.entry(key).or_insert(Some(old));
        }
        for resource in resources {
            self.put(resource, before);
        }
    }
}
