//! A graph in the language of Graphviz.

use super::graph::{Edge, Graph, Node, NodeKind, Relation};

const HEAD: &str = r#"digraph eventmesh {
  rankdir=LR;
  node [fontname="sans-serif"];
  edge [fontname="sans-serif"];
"#;

/// The text for `dot`: from left to right, a box around each namespace.
pub fn dot(graph: &Graph<'_>) -> String {
    let boxes = graph.by_namespace().enumerate().map(|(number, (namespace, nodes))| cluster(number, namespace, nodes));
    let edges = graph.edges().iter().map(edge);
    let content: String = boxes.chain(edges).collect();
    format!("{HEAD}{content}}}\n")
}

fn cluster(number: usize, namespace: Option<&str>, nodes: &[Node<'_>]) -> String {
    let Some(namespace) = namespace else {
        return nodes.iter().map(|it| node("  ", it)).collect();
    };
    let label = quoted([namespace]);
    let nodes: String = nodes.iter().map(|it| node("    ", it)).collect();
    format!("  subgraph cluster_{number} {{\n    label={label};\n    fontname=\"sans-serif\";\n{nodes}  }}\n")
}

fn node(indent: &str, node: &Node<'_>) -> String {
    let shape = match node.is {
        NodeKind::EventType => "note",
        NodeKind::Broker => "hexagon",
        NodeKind::Channel => "cylinder",
        NodeKind::Source => "ellipse",
        NodeKind::Consumer => "box",
    };
    let label = quoted([node.name].into_iter().chain(node.detail));
    format!("{indent}n{} [label={label}, shape={shape}];\n", node.number)
}

fn edge(Edge { from, to, says }: &Edge) -> String {
    let attributes = match says {
        // What these say is plain from the shapes at their ends.
        Relation::Provides | Relation::Consumes => "",
        Relation::Delivers => " [label=\"delivers\", style=bold]",
        Relation::PossiblyConsumes => " [label=\"possibly\", style=dashed]",
    };
    format!("  n{from} -> n{to}{attributes};\n")
}

/// A label of some lines. Graphviz reads a label twice: for escapes such as `\N`, the node's name, and for entities.
fn quoted<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let lines: Vec<_> = lines.into_iter().map(escaped).collect();
    format!("\"{}\"", lines.join("\\n"))
}

fn escaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '"' => text += "\\\"",
            '\\' => text += "\\\\",
            '&' => text += "&amp;",
            c if c.is_control() => text.push(' '),
            c => text.push(c),
        }
    }
    text
}
