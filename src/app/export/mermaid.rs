//! A graph as a flowchart for Mermaid, which Markdown renderers draw in place.

use super::graph::{Edge, Graph, Node, NodeKind, Relation};

const KINDS: [NodeKind; 5] =
    [NodeKind::EventType, NodeKind::Broker, NodeKind::Channel, NodeKind::Source, NodeKind::Consumer];

/// The text of a flowchart: from left to right, a box around each namespace, a class for each kind of node.
pub fn mermaid(graph: &Graph<'_>) -> String {
    let boxes = graph.by_namespace().enumerate().map(|(number, (namespace, nodes))| subgraph(number, namespace, nodes));
    let edges = graph.edges().iter().map(edge);
    let classes = KINDS.into_iter().map(|kind| class(kind, graph));
    let content: String = boxes.chain(edges).chain(classes).collect();
    format!("flowchart LR\n{content}")
}

fn subgraph(number: usize, namespace: Option<&str>, nodes: &[Node<'_>]) -> String {
    let Some(namespace) = namespace else {
        return nodes.iter().map(|it| node("  ", it)).collect();
    };
    let nodes: String = nodes.iter().map(|it| node("    ", it)).collect();
    format!("  subgraph ns{number}[\"{}\"]\n{nodes}  end\n", escaped(namespace))
}

fn node(indent: &str, node: &Node<'_>) -> String {
    let (open, close) = match node.is {
        NodeKind::EventType => ("([", "])"),
        NodeKind::Broker => ("{{", "}}"),
        NodeKind::Channel => ("[(", ")]"),
        NodeKind::Source => ("[[", "]]"),
        NodeKind::Consumer => ("[", "]"),
    };
    let lines: Vec<_> = [node.name].into_iter().chain(node.detail).map(escaped).collect();
    format!("{indent}n{}{open}\"{}\"{close}\n", node.number, lines.join("<br/>"))
}

fn edge(Edge { from, to, says }: &Edge) -> String {
    let arrow = match says {
        // What these say is plain from the shapes at their ends.
        Relation::Provides | Relation::Consumes => "-->",
        Relation::Delivers => "==>|delivers|",
        Relation::PossiblyConsumes => "-.->|possibly|",
    };
    format!("  n{from} {arrow} n{to}\n")
}

/// How the nodes of a kind look, and which they are; nothing for a kind without nodes, as an empty list is an error.
fn class(kind: NodeKind, graph: &Graph<'_>) -> String {
    let (name, style) = match kind {
        NodeKind::EventType => ("eventType", "fill:#fff3cd,stroke:#997404,color:#000"),
        NodeKind::Broker => ("broker", "fill:#cfe2ff,stroke:#084298,color:#000"),
        NodeKind::Channel => ("channel", "fill:#cff4fc,stroke:#055160,color:#000"),
        NodeKind::Source => ("source", "fill:#d1e7dd,stroke:#0f5132,color:#000"),
        NodeKind::Consumer => ("consumer", "fill:#f8f9fa,stroke:#495057,color:#000"),
    };
    let nodes = graph.nodes().iter().filter(|it| it.is == kind).map(|it| format!("n{}", it.number));
    let nodes: Vec<_> = nodes.collect();
    if nodes.is_empty() {
        return String::new();
    }
    format!("  classDef {name} {style}\n  class {} {name}\n", nodes.join(","))
}

/// A text inside a quoted label. Labels are read as Markdown and as HTML, so all that could mean something there is
/// written as an entity.
fn escaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '"' => text += "#quot;",
            ' ' | '-' | '_' | '.' | '/' => text.push(c),
            c if c.is_control() => text.push(' '),
            c if c.is_ascii_punctuation() => text.extend(["#", &u32::from(c).to_string(), ";"]),
            c => text.push(c),
        }
    }
    text
}
