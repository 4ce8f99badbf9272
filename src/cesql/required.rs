//! What an expression plainly asks of an attribute, so that it need not be tried on all that cannot pass.

use super::syntax::{Comparison, Connective, Expression, Node, Step};
use super::value::Value;

impl Expression {
    /// Texts of which the attribute must have one in an event that passes, where that is plain to see. The name is given
    /// in lower case.
    ///
    /// Never contradicts [`Expression::decide`]: where the attribute is known to have another text, that is *never*.
    pub fn required(&self, attribute: &str) -> Option<Vec<&str>> {
        required(&self.root, attribute)
    }
}

fn required<'a>(node: &'a Node, attribute: &str) -> Option<Vec<&'a str>> {
    match node {
        Node::Chain { first, steps } if matches!(&**first, Node::Attribute(name) if name == attribute) => {
            match steps.as_slice() {
                [Step::Compare(Comparison::Equal, text)] => literal(text).map(|it| vec![it]),
                [Step::In { negated: false, set }] => set.iter().map(literal).collect(),
                _ => None,
            }
        }
        Node::Logic { first, rest } => {
            let mut connectives = rest.iter().map(|(connective, _)| *connective).rev();
            let operands = std::iter::once(&**first).chain(rest.iter().map(|(_, operand)| operand));
            let mut operands = operands.rev().map(|it| required(it, attribute));
            let last = operands.next()?;
            operands.fold(last, |right, left| match connectives.next()? {
                Connective::And => left.or(right),
                Connective::Or => Some([left?, right?].concat()),
                Connective::Xor => None,
            })
        }
        _ => None,
    }
}

fn literal(node: &Node) -> Option<&str> {
    match node {
        Node::Literal(Value::String(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_to_see() {
        let cases: [(&str, Option<&[&str]>); 13] = [
            ("type = 'a'", Some(&["a"])),
            ("type IN ('a', 'b')", Some(&["a", "b"])),
            ("type = 'a' AND EXISTS region", Some(&["a"])),
            ("EXISTS region AND type = 'a'", Some(&["a"])),
            ("type = 'a' OR type = 'b'", Some(&["a", "b"])),
            ("zone = 'eu' AND (type = 'a' OR type = 'b')", Some(&["a", "b"])),
            ("type = 'a' OR zone = 'eu'", None),
            ("type = 'a' XOR type = 'b'", None),
            ("type != 'a'", None),
            ("NOT (type = 'a')", None),
            ("type NOT IN ('a')", None),
            ("type = 1", None),
            ("type LIKE 'a%'", None),
        ];
        for (text, expected) in cases {
            let expression = Expression::parse(text).expect("it parses");
            assert_eq!(expression.required("type").as_deref(), expected, "{text}");
        }
    }
}
