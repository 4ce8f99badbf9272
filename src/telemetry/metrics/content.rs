//! What there is in a snapshot, counted once for each.

use std::collections::{BTreeMap, BTreeSet};

use crate::cesql::Verdict;
use crate::mesh::diagnostic::{self, Severity};
use crate::mesh::resource::Role;
use crate::mesh::snapshot::Links;
use crate::mesh::{GroupKind, Snapshot};

/// The objects, relations and findings of a snapshot.
#[derive(Debug, Default)]
pub struct Content {
    revision: Option<u64>,
    pub objects: BTreeMap<GroupKind, u64>,
    /// The kinds that definitions speak of, or that need none.
    pub defined: BTreeSet<GroupKind>,
    pub edges: Edges,
    pub findings: BTreeMap<(&'static str, Severity), u64>,
}

/// How many relations there are of each sort.
#[derive(Debug, Default)]
pub struct Edges {
    provides: usize,
    supplies: usize,
    forwards: usize,
    consumes: usize,
    may_consume: usize,
}

impl Content {
    /// Counts what there is, unless that is what was counted last.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        if self.revision == Some(snapshot.revision()) {
            return;
        }
        *self = Self { revision: Some(snapshot.revision()), findings: diagnostic::count(snapshot), ..Self::default() };
        for entry in snapshot.entries() {
            let of = &entry.resource.key.of;
            if let Some(count) = self.objects.get_mut(of) {
                *count += 1;
            } else {
                self.objects.insert(of.clone(), 1);
            }
            match &entry.resource.role {
                Role::Definition(definition) => {
                    self.defined.extend([of.clone(), definition.of.clone()]);
                }
                Role::Broker | Role::EventType(_) | Role::Subscription(_) => _ = self.defined.insert(of.clone()),
                Role::Duck(_) | Role::Plain => (),
            }
            self.edges.add(&entry.links);
        }
    }
}

impl Edges {
    fn add(&mut self, links: &Links) {
        if let Some(conduit) = &links.conduit {
            self.provides += conduit.provides.len();
            self.forwards += conduit.forwards.len();
        }
        if let Some(source) = &links.source {
            self.supplies += source.supplies.len();
        }
        if let Some(event_type) = &links.event_type {
            let definite = event_type.consumers.iter().filter(|it| it.verdict == Verdict::Definite).count();
            self.consumes += definite;
            self.may_consume += event_type.consumers.len() - definite;
        }
    }

    /// By what they say of an event type and somebody else, or of two conduits.
    pub fn by_kind(&self) -> [(&'static str, usize); 5] {
        [
            // A conduit has the type.
            ("provides", self.provides),
            // A source sends it.
            ("supplies", self.supplies),
            // A subscriber gets it for certain, or may.
            ("consumes", self.consumes),
            ("may-consume", self.may_consume),
            // A trigger or subscription passes events on from one conduit to another.
            ("forwards", self.forwards),
        ]
    }
}
