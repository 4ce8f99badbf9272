//! Which node stands for which object. The names themselves are in the graph, so that each is held once.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};
use petgraph::stable_graph::NodeIndex;

use super::Graph;
use crate::mesh::object::ObjectRef;

/// The nodes of a graph, by the names of their objects. What must stay true: each is told of here right after it came
/// into the graph, and right before it goes.
#[derive(Debug, Default)]
pub(super) struct Names {
    nodes: HashTable<NodeIndex>,
    hashing: DefaultHashBuilder,
}

impl Names {
    pub(super) fn get(&self, key: &ObjectRef, graph: &Graph) -> Option<NodeIndex> {
        let is_of = |node: &NodeIndex| graph.node_weight(*node).is_some_and(|it| *it.key == *key);
        self.nodes.find(self.hashing.hash_one(key), is_of).copied()
    }

    /// Makes room for more nodes.
    pub(super) fn reserve(&mut self, more: usize, graph: &Graph) {
        let Self { nodes, hashing } = self;
        nodes.reserve(more, |it| hash(hashing, *it, graph));
    }

    pub(super) fn insert(&mut self, node: NodeIndex, graph: &Graph) {
        let Self { nodes, hashing } = self;
        nodes.insert_unique(hash(hashing, node, graph), node, |it| hash(hashing, *it, graph));
    }

    pub(super) fn remove(&mut self, node: NodeIndex, graph: &Graph) {
        if let Ok(found) = self.nodes.find_entry(hash(&self.hashing, node, graph), |it| *it == node) {
            found.remove();
        }
    }
}

fn hash(hashing: &DefaultHashBuilder, node: NodeIndex, graph: &Graph) -> u64 {
    graph.node_weight(node).map(|it| hashing.hash_one(&*it.key)).unwrap_or_default()
}
