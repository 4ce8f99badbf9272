//! The linking rules (`semantics.md` 1.6, 5 and 6), kept up to date as objects change.
//!
//! A node is an object, there or only spoken of. An edge is what one object says of another, or, between a subscription
//! and an event type, that events of the type may pass. All relations of an entry are read off the edges around its
//! node, so a change relinks the nodes around it and no others. What must stay true: linking change by change and
//! building afresh give the same entries.

mod links;
mod listeners;
mod names;

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use petgraph::Direction::{Incoming, Outgoing};
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef as _;

use self::names::Names;
use super::inventory::Changes;
use super::kinds::Kinds;
use super::object::{Key, ObjectRef};
use super::resource::{EventType, Resource, Role, Subscription};
use super::snapshot::{Entries, Route};
use super::template::Value;
use crate::cesql::Verdict;

/// The graph of all objects, owned by the one who writes snapshots.
#[derive(Debug, Default)]
pub struct MeshGraph {
    graph: Graph,
    names: Names,
    kinds: Kinds,
    /// Sources by each type that they emit.
    emitters: ByType,
    /// Event types by their literal type.
    literals: ByType,
    /// Event types whose type is a template.
    templates: HashSet<NodeIndex>,
}

/// What part of its size the graph may grow by before it needs new room.
const SLACK: usize = 16;

type Graph = StableDiGraph<Node, Edge>;
type ByType = HashMap<Arc<str>, HashSet<NodeIndex>>;

#[derive(Debug)]
struct Node {
    key: Key,
    /// `None`: other objects speak of it, but it is not there.
    resource: Option<Arc<Resource>>,
    /// Of a subscription whose subscriber is there and has a Backstage id.
    route: Option<Arc<Route>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Edge {
    /// Event type to its reference.
    Refers,
    /// Subscription to the conduit it listens to.
    Listens,
    /// Subscription to its subscriber.
    Delivers,
    /// Subscription without subscriber to its reply.
    Replies,
    /// Generic channel to the channel behind it, by its status.
    Backed,
    /// Channel to the generic channel before it, by its owner reference.
    Fronted,
    /// Source to its sink.
    Sinks,
    /// Subscription to an event type on its conduit; never `Never`.
    Passes(Verdict),
}

/// What a change touches.
#[derive(Debug, Default)]
struct Touched {
    /// Nodes whose entry may differ.
    entries: HashSet<NodeIndex>,
    /// Subscriptions whose route may differ.
    routes: HashSet<NodeIndex>,
    /// Event types that other subscriptions may pass now.
    types: HashSet<NodeIndex>,
    /// Subscriptions that may pass other event types now.
    subscriptions: HashSet<NodeIndex>,
}

impl MeshGraph {
    /// Links all resources from nothing.
    pub fn build<'a>(resources: impl IntoIterator<Item = &'a Arc<Resource>>) -> (Self, Entries) {
        let resources: Vec<_> = resources.into_iter().collect();
        let mut graph = Self { kinds: Kinds::new(resources.iter().copied()), ..Self::default() };
        graph.graph.reserve_nodes(resources.len());
        graph.names.reserve(resources.len(), &graph.graph);
        let mut touched = Touched::default();
        for resource in resources {
            let node = graph.node(&resource.key);
            graph.set(node, Some(resource.clone()));
            touched.entries.insert(node);
            if resource.event_type().is_some() {
                touched.types.insert(node);
            }
            if resource.subscription().is_some() {
                touched.routes.insert(node);
            }
        }
        let entries = graph.link(touched);
        graph.trim();
        (graph, entries)
    }

    /// Gives back the room that nothing is in, which is up to a half, except for some that changes may need.
    fn trim(&mut self) {
        self.graph.shrink_to_fit();
        self.graph.reserve_exact_nodes(self.graph.node_count() / SLACK);
        self.graph.reserve_exact_edges(self.graph.edge_count() / SLACK);
    }

    /// Links what changes touch and says how the entries around them are now.
    ///
    /// Returns `None` when the definition of a kind is among the changes: then everything has to be built afresh.
    #[must_use]
    pub fn relink(&mut self, changes: Changes) -> Option<Entries> {
        let defines = |resource: Option<&Arc<Resource>>| resource.is_some_and(|it| it.definition().is_some());
        if changes.iter().any(|(key, new)| defines(new.as_ref()) || defines(self.resource_of(key))) {
            return None;
        }
        let mut touched = Touched::default();
        let changes: Vec<_> = changes.into_iter().map(|(key, new)| (self.node(&key), new)).collect();
        let relinks = changes.iter().filter(|(node, new)| self.relinks(*node, new.as_deref()));
        let relinks: Vec<_> = relinks.map(|(node, _)| *node).collect();
        self.touch(&relinks, &mut touched);
        let mut left = vec![];
        for (node, new) in changes {
            touched.entries.insert(node);
            touched.routes.extend(self.beyond(node, Incoming, Edge::Delivers));
            left.extend(self.set(node, new));
            left.push(node);
        }
        self.touch(&relinks, &mut touched);
        let entries = self.link(touched);
        for node in left {
            self.forget_unspoken(node);
        }
        Some(entries)
    }

    /// Whether a new state means other relations: not when only labels, descriptions or the like differ.
    fn relinks(&self, node: NodeIndex, new: Option<&Resource>) -> bool {
        match (self.resource(node).map(|it| &it.role), new.map(|it| &it.role)) {
            (Some(Role::EventType(old)), Some(Role::EventType(new))) => {
                (&old.reference, &old.declaration) != (&new.reference, &new.declaration)
            }
            (old, new) => old != new,
        }
    }

    // What objects say.

    fn node(&mut self, key: &Key) -> NodeIndex {
        if let Some(node) = self.names.get(key, &self.graph) {
            return node;
        }
        let node = self.graph.add_node(Node { key: key.clone(), resource: None, route: None });
        self.names.insert(node, &self.graph);
        node
    }

    fn resource(&self, node: NodeIndex) -> Option<&Arc<Resource>> {
        self.graph.node_weight(node)?.resource.as_ref()
    }

    fn resource_of(&self, key: &Key) -> Option<&Arc<Resource>> {
        self.resource(self.names.get(key, &self.graph)?)
    }

    fn event_type(&self, node: NodeIndex) -> Option<&EventType> {
        self.resource(node)?.event_type()
    }

    fn subscription(&self, node: NodeIndex) -> Option<&Subscription> {
        self.resource(node)?.subscription()
    }

    /// The nodes at the other end of the edges of one meaning.
    fn beyond(&self, node: NodeIndex, direction: petgraph::Direction, edge: Edge) -> impl Iterator<Item = NodeIndex> {
        self.graph.edges_directed(node, direction).filter(move |it| *it.weight() == edge).map(move |it| match direction
        {
            Incoming => it.source(),
            Outgoing => it.target(),
        })
    }

    /// Puts a new state of an object in place of the old one, with all that it says of others. Returns the nodes of
    /// which it no longer speaks.
    fn set(&mut self, node: NodeIndex, resource: Option<Arc<Resource>>) -> Vec<NodeIndex> {
        self.index(node, false);
        let statements = resource.as_deref().map(statements).unwrap_or_default();
        let mut wanted: Vec<_> = statements.into_iter().map(|(edge, key)| (edge, self.node(&key))).collect();
        let mut stale = vec![];
        for edge in self.graph.edges(node).filter(|it| !matches!(it.weight(), Edge::Passes(_))) {
            match wanted.iter().position(|it| *it == (*edge.weight(), edge.target())) {
                Some(at) => _ = wanted.swap_remove(at),
                None => stale.push((edge.id(), edge.target())),
            }
        }
        for (edge, target) in wanted {
            self.graph.add_edge(node, target, edge);
        }
        if let Some(node) = self.graph.node_weight_mut(node) {
            // The name that came with the new state is as good as the old one, which nobody else may hold any more.
            node.key = resource.as_ref().map_or_else(|| node.key.clone(), |it| it.key.clone());
            node.resource = resource;
        }
        self.index(node, true);
        stale.into_iter().filter_map(|(edge, target)| self.graph.remove_edge(edge).map(|_| target)).collect()
    }

    /// Enters what an object says of types into the indexes, or takes it out.
    fn index(&mut self, node: NodeIndex, enter: bool) {
        let Some(resource) = self.graph.node_weight(node).and_then(|it| it.resource.as_ref()) else { return };
        if let Some(event_type) = resource.event_type() {
            match event_type.declaration.get("type").1 {
                Value::Literal(literal) => set_indexed(&mut self.literals, literal, node, enter),
                Value::Template(_) if enter => _ = self.templates.insert(node),
                Value::Template(_) => _ = self.templates.remove(&node),
                Value::Any => {}
            }
        }
        if self.kinds.is_source(&resource.key.of) {
            for (of_type, _) in self.kinds.emitted(resource) {
                set_indexed(&mut self.emitters, &of_type, node, enter);
            }
        }
    }

    /// Removes a node that is not there and that nobody speaks of.
    fn forget_unspoken(&mut self, node: NodeIndex) {
        let unspoken = self.graph.neighbors_undirected(node).next().is_none();
        if unspoken && self.resource(node).is_none() {
            self.names.remove(node, &self.graph);
            self.graph.remove_node(node);
        }
    }

    // Conduits.

    fn is_conduit(&self, node: NodeIndex) -> bool {
        self.resource(node).is_some_and(|it| self.kinds.is_conduit(&it.key.of))
    }

    /// The conduits that are one with this one, itself first; none where this is no conduit (`semantics.md` 1.6).
    fn group(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let mut group: Vec<_> = Some(node).filter(|it| self.is_conduit(*it)).into_iter().collect();
        let mut seen: HashSet<_> = group.iter().copied().collect();
        let mut at = 0;
        while let Some(member) = group.get(at) {
            let new: Vec<_> = self.twins_of(*member).filter(|twin| seen.insert(*twin)).collect();
            group.extend(new);
            at += 1;
        }
        group
    }

    fn twins_of(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        // Brokers have no twins, and so many edges that looking for some takes its time.
        let has_twins = self.graph.node_weight(node).is_some_and(|it| !it.key.is_broker());
        let directions = [Outgoing, Incoming].into_iter().filter(move |_| has_twins);
        let twins = directions.flat_map(move |direction| {
            self.beyond(node, direction, Edge::Backed).chain(self.beyond(node, direction, Edge::Fronted))
        });
        twins.filter(|twin| self.is_conduit(*twin))
    }

    fn declared_on(&self, group: &[NodeIndex]) -> Vec<NodeIndex> {
        group.iter().flat_map(|member| self.beyond(*member, Incoming, Edge::Refers)).collect()
    }

    /// The conduit that a subscription passes events on to, if it does.
    fn forwards(&self, subscription: NodeIndex) -> Option<NodeIndex> {
        self.beyond(subscription, Outgoing, Edge::Delivers)
            .chain(self.beyond(subscription, Outgoing, Edge::Replies))
            .find(|it| self.is_conduit(*it))
    }

    /// What may pass events on to a conduit: where the subscriptions listen that name it.
    fn feeders(&self, conduit: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        let named_by = [Edge::Delivers, Edge::Replies].into_iter();
        let subscriptions = named_by.flat_map(move |edge| self.beyond(conduit, Incoming, edge));
        subscriptions.flat_map(|it| self.beyond(it, Outgoing, Edge::Listens))
    }

    // What a change touches. Asked before and after, so that old and new neighbors are found.

    fn touch(&self, nodes: &[NodeIndex], touched: &mut Touched) {
        for node in nodes {
            if self.is_conduit(*node) {
                self.touch_conduit(*node, touched);
            }
            if self.event_type(*node).is_some() {
                self.touch_event_type(*node, touched);
            }
            if self.subscription(*node).is_some() {
                self.touch_subscription(*node, touched);
            }
        }
    }

    fn touch_subscription(&self, node: NodeIndex, touched: &mut Touched) {
        touched.routes.insert(node);
        touched.subscriptions.insert(node);
        if self.forwards(node).is_some() {
            for conduit in self.beyond(node, Outgoing, Edge::Listens) {
                touched.entries.insert(conduit);
                self.touch_upstream(conduit, touched);
            }
        }
    }

    fn touch_conduit(&self, node: NodeIndex, touched: &mut Touched) {
        let group = self.group(node);
        touched.types.extend(self.declared_on(&group));
        touched.entries.extend(self.declared_on(&group));
        // Those who pass events on to it do so only while it is there.
        touched.entries.extend(self.feeders(node));
        touched.entries.extend(group);
        self.touch_upstream(node, touched);
    }

    fn touch_event_type(&self, node: NodeIndex, touched: &mut Touched) {
        touched.types.insert(node);
        for reference in self.beyond(node, Outgoing, Edge::Refers) {
            touched.entries.insert(reference);
            touched.entries.extend(self.group(reference));
        }
        let Some(event_type) = self.event_type(node) else { return };
        let declared = event_type.declaration.get("type").1;
        match declared {
            Value::Literal(literal) => touched.entries.extend(self.emitters.get(literal).into_iter().flatten()),
            Value::Template(_) => {
                let matching = self.emitters.iter().filter(|(of_type, _)| declared.can_be(of_type));
                touched.entries.extend(matching.flat_map(|(_, sources)| sources));
            }
            Value::Any => {}
        }
    }

    /// The sources whose events may get to a conduit, whatever the filters on the way.
    fn touch_upstream(&self, conduit: NodeIndex, touched: &mut Touched) {
        let mut seen = HashSet::new();
        let mut next = vec![conduit];
        while let Some(node) = next.pop() {
            if !seen.insert(node) {
                continue;
            }
            touched.entries.extend(self.beyond(node, Incoming, Edge::Sinks));
            next.extend(self.group(node));
            next.extend(self.feeders(node));
        }
    }
}

/// Puts a node under a type or takes it away; a type without nodes is not kept.
fn set_indexed(index: &mut ByType, of_type: &Arc<str>, node: NodeIndex, is_there: bool) {
    if is_there {
        index.entry(of_type.clone()).or_default().insert(node);
    } else if let Some(nodes) = index.get_mut(of_type) {
        nodes.remove(&node);
        if nodes.is_empty() {
            index.remove(of_type);
        }
    }
}

/// What an object says of others, as edges to them.
fn statements(resource: &Resource) -> Vec<(Edge, Key)> {
    let mut statements = vec![];
    let mut state = |edge, key: Option<&Key>| statements.extend(key.map(|key| (edge, key.clone())));
    if let Some(event_type) = resource.event_type() {
        state(Edge::Refers, event_type.reference.as_ref());
    }
    if let Some(subscription) = resource.subscription() {
        state(Edge::Listens, subscription.conduit.as_ref());
        state(Edge::Delivers, subscription.subscriber());
        if subscription.subscriber().is_none() {
            state(Edge::Replies, subscription.forwards_to());
        }
    }
    if let Some(duck) = resource.duck() {
        state(Edge::Backed, duck.backing.as_ref().filter(|it| can_front(&resource.key, it)));
        state(Edge::Fronted, duck.fronted_by.as_ref().filter(|it| can_front(it, &resource.key)));
        state(Edge::Sinks, duck.sink.as_ref());
    }
    statements
}

fn can_front(generic: &ObjectRef, channel: &ObjectRef) -> bool {
    generic.is_generic_channel() && !channel.is_generic_channel() && !channel.is_broker()
}
