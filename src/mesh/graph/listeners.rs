//! The subscriptions on a conduit, by the type that they want.

use std::sync::Arc;

use hashbrown::HashMap;
use petgraph::stable_graph::NodeIndex;

use crate::cesql::Verdict;
use crate::mesh::resource::{EventType, Subscription};
use crate::mesh::template::Value;

/// Most triggers want one type. Held by it, an event type on a busy broker need not be tried against all of them.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    by_type: HashMap<Arc<str>, Vec<Listener>>,
    others: Vec<Listener>,
}

type Listener = (NodeIndex, Arc<Subscription>);

impl Listeners {
    pub(super) fn new(listeners: impl IntoIterator<Item = Listener>) -> Self {
        let mut sorted = Self::default();
        for listener in listeners {
            match listener.1.filter.required_type() {
                Some(of_type) => sorted.by_type.entry(of_type.clone()).or_default().push(listener),
                None => sorted.others.push(listener),
            }
        }
        sorted
    }

    /// Those that events of a type may pass, and how surely.
    pub(super) fn passed_by(&self, event_type: &EventType) -> HashMap<NodeIndex, Verdict> {
        let wanting: Vec<_> = match event_type.declaration.get("type").1 {
            Value::Literal(of_type) => self.by_type.get(of_type).into_iter().collect(),
            Value::Template(_) | Value::Any => self.by_type.values().collect(),
        };
        let tried = wanting.into_iter().flatten().chain(&self.others);
        let verdicts = tried.map(|(node, subscription)| (*node, subscription.verdict(event_type)));
        verdicts.filter(|(_, verdict)| *verdict != Verdict::Never).collect()
    }
}
