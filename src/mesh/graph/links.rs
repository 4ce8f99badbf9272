//! Reading the relations of entries off the graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use petgraph::Direction::{self, Incoming, Outgoing};
use petgraph::stable_graph::{EdgeReference, NodeIndex};
use petgraph::visit::EdgeRef as _;

use super::listeners::Listeners;
use super::{Edge, MeshGraph, Touched};
use crate::cesql::Verdict;
use crate::mesh::object::Key;
use crate::mesh::reach::reaches;
use crate::mesh::resource::{EventType, Resource};
use crate::mesh::snapshot::{
    ConduitLinks, Consumer, Entries, Entry, Links, Provided, Route, SourceLinks, Supplied, Twins, TypeLinks,
};
use crate::mesh::template::Value;

/// The pairs of each group that was looked at, by the first of its nodes: of a large one they are many, and the same for all.
#[derive(Default)]
struct Pairs(HashMap<NodeIndex, Arc<[(Key, Key)]>>);

impl MeshGraph {
    /// Brings what is touched up to date and reads its entries.
    pub(super) fn link(&mut self, mut touched: Touched) -> Entries {
        for node in &touched.routes {
            let route = self.route(*node);
            let Some(weight) = self.graph.node_weight_mut(*node) else { continue };
            if weight.route != route {
                weight.route = route;
                touched.entries.extend(self.passed_by(*node));
            }
        }
        for node in &touched.subscriptions {
            touched.entries.extend(self.passed_by(*node));
            self.set_passes(*node, Outgoing, self.passing(*node));
            touched.entries.extend(self.passed_by(*node));
        }
        let conduit_of = |node: &NodeIndex| (self.beyond(*node, Outgoing, Edge::Refers).next(), *node);
        let mut types: Vec<_> = touched.types.iter().map(conduit_of).collect();
        types.sort_unstable();
        for on_one in types.chunk_by(|(a, _), (b, _)| a == b) {
            let listeners = on_one.first().and_then(|(conduit, _)| Some(self.listeners((*conduit)?)));
            for (_, node) in on_one {
                let passed_by = |it| listeners.as_ref().map(|listeners| listeners.passed_by(it));
                let wanted = self.event_type(*node).and_then(passed_by).unwrap_or_default();
                self.set_passes(*node, Incoming, wanted);
            }
        }
        touched.entries.extend(&touched.types);
        let mut pairs = Pairs::default();
        touched.entries.into_iter().filter_map(|node| self.entry(node, &mut pairs)).collect()
    }

    fn passed_by(&self, subscription: NodeIndex) -> Vec<NodeIndex> {
        let passes = self.graph.edges(subscription).filter(|it| matches!(it.weight(), Edge::Passes(_)));
        passes.map(|it| it.target()).collect()
    }

    fn route(&self, subscription: NodeIndex) -> Option<Arc<Route>> {
        let node = self.graph.node_weight(subscription)?;
        let says = node.resource.as_ref()?.subscription()?;
        let subscriber = self.resource_of(says.subscriber()?)?;
        Some(Arc::new(Route {
            subscription: node.key.clone(),
            conduit: says.conduit.clone()?,
            subscriber: subscriber.key.clone(),
            backstage_id: subscriber.backstage_id.clone()?,
        }))
    }

    /// Brings the `Passes` edges of one node up to date: of a subscription the outgoing ones, of an event type the
    /// incoming ones.
    fn set_passes(&mut self, node: NodeIndex, direction: Direction, wanted: Vec<(NodeIndex, Verdict)>) {
        let mut there = HashMap::new();
        for edge in self.graph.edges_directed(node, direction) {
            let Edge::Passes(verdict) = edge.weight() else { continue };
            let other = if direction == Outgoing { edge.target() } else { edge.source() };
            there.insert((other, *verdict), edge.id());
        }
        let missing: Vec<_> = wanted.into_iter().filter(|it| there.remove(it).is_none()).collect();
        for edge in there.into_values() {
            self.graph.remove_edge(edge);
        }
        for (other, verdict) in missing {
            let (subscription, event_type) = if direction == Outgoing { (node, other) } else { (other, node) };
            self.graph.add_edge(subscription, event_type, Edge::Passes(verdict));
        }
    }

    /// The event types that may pass a subscription.
    fn passing(&self, node: NodeIndex) -> Vec<(NodeIndex, Verdict)> {
        let conduit = self.beyond(node, Outgoing, Edge::Listens).next();
        let group = conduit.map(|it| self.group(it)).unwrap_or_default();
        let verdict = |it| Some((it, self.subscription(node)?.verdict(self.event_type(it)?)));
        let verdicts = self.declared_on(&group).into_iter().filter_map(verdict);
        verdicts.filter(|(_, verdict)| *verdict != Verdict::Never).collect()
    }

    /// The subscriptions on a conduit and those that are one with it.
    fn listeners(&self, conduit: NodeIndex) -> Listeners {
        let nodes = self.group(conduit).into_iter().flat_map(|it| self.beyond(it, Incoming, Edge::Listens));
        Listeners::new(nodes.filter_map(|it| Some((it, self.subscription(it)?))))
    }

    fn entry(&self, node: NodeIndex, pairs: &mut Pairs) -> Option<(Key, Option<Entry>)> {
        let weight = self.graph.node_weight(node)?;
        let mut links = |resource: &Arc<Resource>| Links {
            event_type: resource.event_type().map(|_| self.type_links(node, pairs).into()),
            conduit: self.is_conduit(node).then(|| self.conduit_links(node, pairs).into()),
            source: self.kinds.is_source(&resource.key.of).then(|| self.source_links(node, resource).into()),
        };
        let entry = weight.resource.as_ref().map(|it| Entry::new(it.clone(), links(it)));
        Some((weight.key.clone(), entry))
    }

    fn type_links(&self, node: NodeIndex, pairs: &mut Pairs) -> TypeLinks {
        let consumer = |edge: EdgeReference<'_, Edge>| match edge.weight() {
            Edge::Passes(verdict) => {
                let route = self.graph.node_weight(edge.source())?.route.clone()?;
                Some(Consumer { route, verdict: *verdict })
            }
            _ => None,
        };
        let mut consumers: Vec<_> = self.graph.edges_directed(node, Incoming).filter_map(consumer).collect();
        consumers.sort_unstable_by(|a, b| a.route.subscription.cmp(&b.route.subscription));
        let group = self.beyond(node, Outgoing, Edge::Refers).next().map(|it| self.group(it)).unwrap_or_default();
        TypeLinks { consumers: consumers.into(), twins: self.twins(&group, pairs) }
    }

    /// The pairs that make a group one, sorted. All of a group share them.
    fn twins(&self, group: &[NodeIndex], known: &mut Pairs) -> Twins {
        let first = group.iter().min().filter(|_| group.len() > 1)?;
        Some(known.0.entry(*first).or_insert_with(|| self.pairs(group)).clone())
    }

    fn pairs(&self, group: &[NodeIndex]) -> Arc<[(Key, Key)]> {
        let mut pairs = vec![];
        for (n, twin) in group.iter().flat_map(|n| self.twins_of(*n).map(move |twin| (*n, twin))) {
            if let (Some(a), Some(b)) = (self.graph.node_weight(n), self.graph.node_weight(twin)) {
                pairs.push(if a.key < b.key { (a.key.clone(), b.key.clone()) } else { (b.key.clone(), a.key.clone()) });
            }
        }
        pairs.sort();
        pairs.dedup();
        pairs.into()
    }

    fn conduit_links(&self, node: NodeIndex, pairs: &mut Pairs) -> ConduitLinks {
        let group = self.group(node);
        let mut provides: Vec<_> = (self.declared_on(&group).into_iter())
            .filter_map(|it| self.resource(it))
            .filter_map(|it| {
                Some(Provided { event_type: it.key.clone(), reference: it.event_type()?.reference.clone()? })
            })
            .collect();
        provides.sort_unstable();
        let mut forwards: Vec<_> = (self.beyond(node, Incoming, Edge::Listens))
            .filter(|it| self.forwards(*it).is_some())
            .filter_map(|it| self.resource(it)?.forward())
            .collect();
        forwards.sort_unstable_by(|a, b| a.by.cmp(&b.by));
        ConduitLinks { provides: provides.into(), forwards: forwards.into(), twins: self.twins(&group, pairs) }
    }

    /// `semantics.md` 6.1, 6.2.
    fn source_links(&self, node: NodeIndex, source: &Arc<Resource>) -> SourceLinks {
        let emitted = self.kinds.emitted(source);
        let sink = source.duck().and_then(|it| it.sink.as_ref()).filter(|it| self.kinds.is_conduit(&it.of));
        let mut candidates: HashSet<NodeIndex> = self.templates.clone();
        candidates.extend(emitted.iter().filter_map(|(of_type, _)| self.literals.get(of_type)).flatten());

        let mut supplies = BTreeMap::new();
        for candidate in candidates {
            let Some(resource) = self.resource(candidate) else { continue };
            let Some(event_type) = resource.event_type() else { continue };
            let of_a_source = event_type.reference.as_ref().is_some_and(|it| self.kinds.is_source(&it.of));
            if of_a_source || !emits(&emitted, event_type) {
                continue;
            }
            let if_reachable = sink.is_some() && event_type.reference.is_some();
            if !if_reachable || self.reachable(node, candidate, event_type) {
                supplies.insert(resource.key.clone(), if_reachable);
            }
        }
        for own in self.beyond(node, Incoming, Edge::Refers).filter_map(|it| self.resource(it)) {
            supplies.insert(own.key.clone(), false);
        }
        let mut emits: Vec<_> = emitted.into_iter().map(|(of_type, _)| of_type).collect();
        emits.sort_unstable();
        emits.dedup();
        let as_supplied = |(event_type, if_reachable)| Supplied { event_type, if_reachable };
        SourceLinks { emits: emits.into(), supplies: supplies.into_iter().map(as_supplied).collect() }
    }

    /// Whether events of a type get from a source's sink to the type's reference.
    fn reachable(&self, source: NodeIndex, node: NodeIndex, event_type: &EventType) -> bool {
        let sink = self.beyond(source, Outgoing, Edge::Sinks).find(|it| self.is_conduit(*it));
        let goal = self.beyond(node, Outgoing, Edge::Refers).find(|it| self.is_conduit(*it));
        let (Some(sink), Some(goal)) = (sink, goal) else { return false };
        reaches(sink, goal, |conduit, next| {
            next.extend(self.twins_of(conduit));
            for subscription in self.beyond(conduit, Incoming, Edge::Listens) {
                let Some(says) = self.subscription(subscription) else { continue };
                if let Some(onward) = self.forwards(subscription)
                    && says.verdict(event_type) != Verdict::Never
                {
                    next.push(onward);
                }
            }
        })
    }
}

/// Whether what a source emits includes events of a type (`semantics.md` 6.2, the first two conditions).
fn emits(emitted: &[(Arc<str>, Option<Arc<str>>)], event_type: &EventType) -> bool {
    let (_, of_type) = event_type.declaration.get("type");
    let (_, source) = event_type.declaration.get("source");
    emitted.iter().filter(|(emitted, _)| of_type.can_be(emitted)).any(|(_, from)| match from {
        None => true,
        Some(from) => *source == Value::Any || source.can_be(from),
    })
}
