//! The mesh as nodes and edges, for formats that draw it. Equal views give equal graphs, in the same order.

use std::collections::BTreeMap;

use crate::cesql::Verdict;
use crate::mesh::{ObjectRef, View};

/// What is selected, and the edges between it. An edge to what is not selected or not there is left out.
#[derive(Debug)]
pub struct Graph<'a> {
    /// By namespace, then name; consumers last, by id.
    nodes: Vec<Node<'a>>,
    /// By their ends.
    edges: Vec<Edge>,
}

#[derive(Debug)]
pub struct Node<'a> {
    pub number: usize,
    /// None for consumers, which are not objects, and for objects without one.
    pub namespace: Option<&'a str>,
    pub is: NodeKind,
    pub name: &'a str,
    /// What a reader needs beside the name: the declared type of an event type, the kind of an object.
    pub detail: Option<&'a str>,
}

/// What is both a channel and a source is drawn as a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeKind {
    EventType,
    Broker,
    Channel,
    Source,
    /// A Backstage id.
    Consumer,
}

/// From one node to another, by their numbers.
#[derive(Debug)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    pub says: Relation,
}

/// No two nodes have more than one relation in the same direction, as their kinds tell the relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Broker, channel or source to event type.
    Provides,
    /// Source to the broker or channel that is its sink.
    Delivers,
    /// Event type to consumer.
    Consumes,
    /// As before, but only some of the events may pass.
    PossiblyConsumes,
}

/// What a node is known by; the order of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Id<'a> {
    Object(&'a ObjectRef),
    Consumer(&'a str),
}

#[derive(Default)]
struct Builder<'a> {
    nodes: BTreeMap<Id<'a>, (NodeKind, Option<&'a str>)>,
    relations: BTreeMap<(Id<'a>, Id<'a>), Relation>,
}

impl<'a> Graph<'a> {
    pub fn new(view: View<'a>) -> Self {
        let mut builder = Builder::default();
        builder.add_conduits(view);
        builder.add_sources(view);
        builder.add_event_types(view);
        builder.build()
    }

    pub fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The nodes in runs of one namespace each.
    pub fn by_namespace(&self) -> impl Iterator<Item = (Option<&'a str>, &[Node<'a>])> {
        let runs = self.nodes.chunk_by(|a, b| a.namespace == b.namespace);
        runs.map(|run| (run.first().and_then(|it| it.namespace), run))
    }
}

impl<'a> Builder<'a> {
    fn add_conduits(&mut self, view: View<'a>) {
        let brokers = view.brokers().map(|it| (NodeKind::Broker, it));
        for (is, conduit) in brokers.chain(view.subscribables().map(|it| (NodeKind::Channel, it))) {
            let key = &*conduit.resource.key;
            self.nodes.insert(Id::Object(key), (is, Some(&key.of.kind)));
            self.add_provided(key, &conduit.provides);
        }
    }

    fn add_sources(&mut self, view: View<'a>) {
        for source in view.sources() {
            let key = &*source.resource.key;
            self.nodes.entry(Id::Object(key)).or_insert((NodeKind::Source, Some(&key.of.kind)));
            self.add_provided(key, &source.provides);
            if let Some(sink) = source.sink {
                self.relations.insert((Id::Object(key), Id::Object(sink)), Relation::Delivers);
            }
        }
    }

    fn add_provided(&mut self, by: &'a ObjectRef, event_types: &[&'a ObjectRef]) {
        let pairs = event_types.iter().map(|it| ((Id::Object(by), Id::Object(it)), Relation::Provides));
        self.relations.extend(pairs);
    }

    fn add_event_types(&mut self, view: View<'a>) {
        for event_type in view.event_types() {
            let key = &*event_type.resource.key;
            let declared = Some(&*event_type.event_type.declared).filter(|it| !it.is_empty());
            self.nodes.insert(Id::Object(key), (NodeKind::EventType, declared));
            for consumer in &event_type.consumers {
                let to = Id::Consumer(&consumer.route.backstage_id);
                self.nodes.insert(to, (NodeKind::Consumer, None));
                let relation = self.relations.entry((Id::Object(key), to)).or_insert(Relation::PossiblyConsumes);
                // Of several ways to one consumer, the surest counts.
                if consumer.verdict == Verdict::Definite {
                    *relation = Relation::Consumes;
                }
            }
        }
    }

    fn build(self) -> Graph<'a> {
        let numbers: BTreeMap<_, _> = self.nodes.keys().zip(0..).collect();
        let edge = |((from, to), says): (&(Id<'_>, Id<'_>), &Relation)| {
            // A sink may name anything.
            let is_conduit = || matches!(self.nodes.get(to), Some((NodeKind::Broker | NodeKind::Channel, _)));
            let fits = *says != Relation::Delivers || is_conduit();
            let (from, to) = (*numbers.get(from)?, *numbers.get(to)?);
            fits.then_some(Edge { from, to, says: *says })
        };
        let edges = self.relations.iter().filter_map(edge).collect();
        let node = |(number, (id, (is, detail))): (usize, (&Id<'a>, &(NodeKind, Option<&'a str>)))| {
            let (namespace, name) = match *id {
                Id::Object(key) => (Some(&*key.namespace).filter(|it| !it.is_empty()), &*key.name),
                Id::Consumer(backstage_id) => (None, backstage_id),
            };
            Node { number, namespace, is: *is, name, detail: *detail }
        };
        Graph { nodes: self.nodes.iter().enumerate().map(node).collect(), edges }
    }
}
