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
    /// Applies updates in their order. Objects that end as they were are not among the changes, and stay the very ones
    /// that they were: others hold them as well.
    pub fn apply(&mut self, updates: impl IntoIterator<Item = Update>) -> Changes {
        let mut before = BTreeMap::new();
        for update in updates {
            match update {
                Update::Upsert(resource) => self.put(resource, &mut before),
                Update::Remove(key) => self.take(&key, &mut before),
                Update::Replace(kind, resources) => self.replace(&kind, resources, &mut before),
            }
        }
        let mut changed = |(key, old): (Key, Option<Arc<Resource>>)| {
            let new = self.get(&key).cloned();
            if new != old {
                return Some((key, new));
            }
            if let Some(old) = old {
                self.kinds.entry(key.of.clone()).or_default().replace(Named(old));
            }
            None
        };
        before.into_iter().filter_map(&mut changed).collect()
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
        let kind = self.kinds.entry(resource.key.of.clone()).or_default();
        if kind.get::<ObjectRef>(&resource.key).is_some_and(|held| held.0 == resource) {
            return;
        }
        let key = resource.key.clone();
        let old = kind.replace(Named(resource));
        before.entry(key).or_insert(old.map(|it| it.0));
    }

    fn take(&mut self, key: &Key, before: &mut Changes) {
        if let Some(old) = self.kinds.get_mut(&key.of).and_then(|it| it.take::<ObjectRef>(key)) {
            before.entry(key.clone()).or_insert(Some(old.0));
        }
    }

    fn replace(&mut self, kind: &GroupKind, resources: Vec<Arc<Resource>>, before: &mut Changes) {
        let held = self.kinds.entry(kind.clone()).or_default();
        if held.is_empty() {
            held.reserve(resources.len());
        } else {
            let named: HashSet<_> = resources.iter().map(|it| it.key.clone()).collect();
            for Named(old) in held.extract_if(|it| !named.contains(&it.0.key)) {
                before.entry(old.key.clone()).or_insert(Some(old));
            }
        }
        if held.is_empty() && resources.is_empty() {
            // Kinds come and go as triggers name them.
            self.kinds.remove(kind);
        }
        for resource in resources {
            self.put(resource, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::resource::testing::broker;

    /// The graph and the snapshot hold them: a list of what is known already must not make all of it anew.
    #[test]
    fn what_is_equal_to_what_is_held_does_not_take_its_place() {
        let [stays, changes, goes] = ["stays", "changes", "goes"].map(|it| broker(it, "1"));
        let of = stays.key.of.clone();
        let equal = || broker("stays", "1");
        let cases = [
            ("upsert", vec![Update::Upsert(equal())]),
            ("replace", vec![Update::Replace(of.clone(), vec![equal(), broker("changes", "2")])]),
            ("another and back", vec![Update::Upsert(broker("stays", "2")), Update::Upsert(equal())]),
            ("gone and back", vec![Update::Remove(equal().key.clone()), Update::Upsert(equal())]),
            ("gone and back at once", vec![Update::Replace(of.clone(), vec![]), Update::Replace(of, vec![equal()])]),
        ];
        for (name, updates) in cases {
            let mut inventory = Inventory::default();
            inventory.apply([&stays, &changes, &goes].map(|it| Update::Upsert(it.clone())));
            let changes = inventory.apply(updates);
            assert!(!changes.contains_key(&stays.key), "{name}");
            assert!(inventory.get(&stays.key).is_some_and(|it| Arc::ptr_eq(it, &stays)), "{name}");
        }
    }

    #[test]
    fn a_replacement_says_what_is_gone_new_and_other() {
        let mut inventory = Inventory::default();
        inventory.apply(["a", "b", "c"].map(|it| Update::Upsert(broker(it, "1"))));
        let of = broker("a", "1").key.of.clone();
        let all = vec![broker("a", "1"), broker("b", "2"), broker("d", "1")];
        let changes = inventory.apply([Update::Replace(of, all)]);
        let told: Vec<_> = changes
            .iter()
            .map(|(key, new)| format!("{} {}", key.name, new.as_ref().map_or("-".into(), |it| it.uid.to_string())))
            .collect();
        assert_eq!(told, ["b 2", "c -", "d 1"]);
        assert_eq!(inventory.len(), 3);
    }
}
