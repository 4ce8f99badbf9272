//! What one caller may see (`semantics.md` 7.2). Unknown is never yes: a grant says what is allowed, the rest is not.

use std::collections::{BTreeMap, BTreeSet};

use super::object::{GroupKind, Key, ObjectRef};

/// The rights of a caller on the objects of the mesh.
///
/// Definitions of kinds and namespaces count as seen by everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Grant {
    /// What the caller may list: these objects are seen.
    pub list: Rights,
    /// What the caller may get: these are seen as subscribers only. What may be listed needs no mention here.
    pub get: Rights,
    /// Of the snapshot that it was made for, it hides nothing. Of another one it might.
    pub is_whole: bool,
}

/// Where something is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Rights {
    /// For every kind.
    pub all_kinds: Scope,
    /// For one kind, beside what is allowed for every kind.
    pub kinds: BTreeMap<GroupKind, Scope>,
    /// For single objects.
    pub objects: BTreeSet<Key>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    Everywhere,
    Namespaces(BTreeSet<String>),
}

impl Default for Scope {
    /// Nowhere.
    fn default() -> Self {
        Self::Namespaces(BTreeSet::new())
    }
}

impl Scope {
    fn names(&self) -> usize {
        match self {
            Self::Everywhere => 0,
            Self::Namespaces(namespaces) => namespaces.len(),
        }
    }

    fn includes(&self, namespace: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Namespaces(namespaces) => namespaces.contains(namespace),
        }
    }
}

impl Rights {
    /// Allows a kind within a scope, in place of what was allowed of it. Where that is nowhere, nothing is said of it: rights
    /// that allow the same are equal, whatever else there is that they do not allow.
    pub fn allow(&mut self, of: GroupKind, scope: Scope) {
        if scope == Scope::default() {
            self.kinds.remove(&of);
        } else {
            self.kinds.insert(of, scope);
        }
    }

    fn names(&self) -> usize {
        self.all_kinds.names() + self.kinds.values().map(Scope::names).sum::<usize>() + self.objects.len()
    }

    fn include(&self, key: &ObjectRef) -> bool {
        self.all_kinds.includes(&key.namespace)
            || self.kinds.get(&key.of).is_some_and(|scope| scope.includes(&key.namespace))
            || self.objects.contains(key)
    }
}

impl Grant {
    /// Sees everything.
    pub fn everything() -> Self {
        Self::scoped(Scope::Everywhere)
    }

    /// Sees everything within a scope.
    pub fn scoped(scope: Scope) -> Self {
        Self { list: Rights { all_kinds: scope, ..Rights::default() }, ..Self::default() }
    }

    /// Whether nothing is hidden of the snapshot that it was made for.
    pub fn is_everything(&self) -> bool {
        self.is_whole || self.list.all_kinds == Scope::Everywhere
    }

    /// How many namespaces and objects it names: it is as large as that.
    pub fn names(&self) -> usize {
        self.list.names() + self.get.names()
    }

    /// Whether the object is seen.
    pub fn sees(&self, key: &ObjectRef) -> bool {
        self.is_whole || self.list.include(key)
    }

    /// Whether the object is seen as a subscriber.
    pub fn sees_subscriber(&self, key: &ObjectRef) -> bool {
        self.sees(key) || self.get.include(key)
    }
}
