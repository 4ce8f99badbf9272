//! The subscriptions on a conduit, by the types that they want.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use petgraph::stable_graph::NodeIndex;

use crate::cesql::Verdict;
use crate::mesh::filter::Filter;
use crate::mesh::resource::{EventType, Subscription};
use crate::mesh::template::Value;

/// Most triggers want one type. Held by it, an event type on a busy broker need not be tried against all of them. And
/// many filter alike: as a rule they share a filter, which is tried once.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    all: Vec<Alike>,
    /// Places in `all` of those that want certain types, by each of these.
    by_type: HashMap<String, Vec<usize>>,
    /// Places in `all` of the others.
    others: Vec<usize>,
}

/// A filter and the subscriptions that have it.
type Alike = (Arc<Filter>, Vec<NodeIndex>);

impl Listeners {
    pub(super) fn new<'a>(listeners: impl IntoIterator<Item = (NodeIndex, &'a Subscription)>) -> Self {
        let mut alike: HashMap<*const Filter, Alike> = HashMap::new();
        for (node, Subscription { filter, .. }) in listeners {
            let (_, nodes) = alike.entry(Arc::as_ptr(filter)).or_insert_with(|| (filter.clone(), vec![]));
            nodes.push(node);
        }
        let mut sorted = Self { all: alike.into_values().collect(), ..Self::default() };
        for (place, (filter, _)) in sorted.all.iter().enumerate() {
            match filter.required_types() {
                Some(types) => {
                    for of_type in types.into_iter().collect::<HashSet<_>>() {
                        sorted.by_type.entry_ref(of_type).or_default().push(place);
                    }
                }
                None => sorted.others.push(place),
            }
        }
        sorted
    }

    /// Those that events of a type may pass, and how surely.
    pub(super) fn passed_by(&self, event_type: &EventType) -> Vec<(NodeIndex, Verdict)> {
        let mut passed_by = vec![];
        let mut try_all = |tried: &mut dyn Iterator<Item = &Alike>| {
            for (filter, nodes) in tried {
                let verdict = filter.verdict(&event_type.declaration);
                if verdict != Verdict::Never {
                    passed_by.extend(nodes.iter().map(|node| (*node, verdict)));
                }
            }
        };
        match event_type.declaration.get("type").1 {
            Value::Literal(of_type) => {
                let wanting = self.by_type.get(&**of_type).into_iter().flatten();
                try_all(&mut wanting.chain(&self.others).filter_map(|place| self.all.get(*place)));
            }
            Value::Template(_) | Value::Any => try_all(&mut self.all.iter()),
        }
        passed_by
    }
}
