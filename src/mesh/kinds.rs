//! Which kinds are conduits and which are sources, as the definitions among the objects say.

use std::sync::Arc;

use hashbrown::HashMap;

use super::object::{EVENTING, GroupKind};
use super::resource::{Definition, Resource};

/// The kinds that the definitions speak of.
#[derive(Debug, Default)]
pub struct Kinds(HashMap<GroupKind, Definition>);

impl Kinds {
    /// Of two definitions of one kind, the one first by name counts.
    pub fn new<'a>(resources: impl IntoIterator<Item = &'a Arc<Resource>>) -> Self {
        let mut definitions: Vec<_> = resources.into_iter().filter(|it| it.definition().is_some()).collect();
        definitions.sort_by(|a, b| b.key.cmp(&a.key));
        let definitions = definitions.into_iter().filter_map(|it| it.definition());
        Self(definitions.map(|it| (it.of.clone(), it.clone())).collect())
    }

    /// Brokers and subscribables (`semantics.md` 1.6).
    pub fn is_conduit(&self, kind: &GroupKind) -> bool {
        kind.is(EVENTING, "Broker") || self.0.get(kind).is_some_and(|it| it.subscribable)
    }

    pub fn is_source(&self, kind: &GroupKind) -> bool {
        self.0.get(kind).is_some_and(|it| it.source)
    }

    /// The types that a source emits, each with the source attribute where it is known (`semantics.md` 6.1).
    pub fn emitted(&self, source: &Resource) -> Vec<(Arc<str>, Option<Arc<str>>)> {
        let by_status = source.duck().map(|it| &*it.emits).unwrap_or_default();
        if !by_status.is_empty() {
            return by_status.iter().map(|it| (it.of_type.clone(), it.source.clone())).collect();
        }
        let by_kind = self.0.get(&source.key.of).map(|it| &*it.emits).unwrap_or_default();
        by_kind.iter().map(|it| (it.clone(), None)).collect()
    }
}
