//! A parsed expression, and its canonical text.

use std::fmt;

use super::lexer::quote;
use super::pattern::Pattern;
use super::value::{Type, Value};

/// A CESQL expression.
///
/// Displays as canonical text: keywords and function names in upper case, attribute names in lower case, blanks around
/// operators, and parentheses where they are needed. The text parses back to an equal expression, as long as the blanks
/// do not make it longer than [`MAX_LENGTH`](super::MAX_LENGTH).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    pub(super) root: Node,
}

/// A part of an expression. It nests no deeper than the text did; chains of operators are lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Literal(Value),
    /// The name is in lower case, here and in `Exists`.
    Attribute(String),
    Exists(String),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// The name is in upper case.
    Call {
        name: String,
        arguments: Vec<Node>,
    },
    /// Steps applied one after the other: all operators that associate to the left.
    Chain {
        first: Box<Node>,
        steps: Vec<Step>,
    },
    /// Operands joined to the right: `a AND b OR c` is `a AND (b OR c)`.
    Logic {
        first: Box<Node>,
        rest: Vec<(Connective, Node)>,
    },
}

/// An operator with all but its left operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Arithmetic(Arithmetic, Node),
    Compare(Comparison, Node),
    Like { negated: bool, pattern: Pattern },
    In { negated: bool, set: Vec<Node> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connective {
    And,
    Or,
    Xor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// How tightly a part holds together, from loose to tight. `CESQLParser.g4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precedence {
    Logic,
    Comparison,
    Additive,
    Multiplicative,
    Membership,
    Unary,
}

impl Precedence {
    /// The next tighter one: what the right operand of an operator that associates to the left must have.
    pub(super) fn tighter(self) -> Precedence {
        match self {
            Precedence::Logic => Precedence::Comparison,
            Precedence::Comparison => Precedence::Additive,
            Precedence::Additive => Precedence::Multiplicative,
            Precedence::Multiplicative => Precedence::Membership,
            Precedence::Membership | Precedence::Unary => Precedence::Unary,
        }
    }
}

impl Arithmetic {
    pub(super) fn precedence(self) -> Precedence {
        match self {
            Arithmetic::Add | Arithmetic::Subtract => Precedence::Additive,
            Arithmetic::Multiply | Arithmetic::Divide | Arithmetic::Remainder => Precedence::Multiplicative,
        }
    }
}

impl Step {
    fn precedence(&self) -> Precedence {
        match self {
            Step::Arithmetic(operator, _) => operator.precedence(),
            Step::Compare(..) => Precedence::Comparison,
            Step::Like { .. } | Step::In { .. } => Precedence::Membership,
        }
    }

    /// The type of what the operator returns. CESQL 1.0.0, section 3.4.
    pub(super) fn returns(&self) -> Type {
        match self {
            Step::Arithmetic(..) => Type::Integer,
            Step::Compare(..) | Step::Like { .. } | Step::In { .. } => Type::Boolean,
        }
    }
}

impl Node {
    fn precedence(&self) -> Precedence {
        match self {
            Node::Logic { .. } => Precedence::Logic,
            Node::Chain { steps, .. } => steps.iter().map(Step::precedence).min().unwrap_or(Precedence::Unary),
            _ => Precedence::Unary,
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Literal(Value::Boolean(true)) => f.write_str("TRUE"),
            Node::Literal(Value::Boolean(false)) => f.write_str("FALSE"),
            Node::Literal(Value::Integer(integer)) => integer.fmt(f),
            Node::Literal(Value::String(text)) => f.write_str(&quote(text)),
            Node::Attribute(name) => f.write_str(name),
            Node::Exists(name) => write!(f, "EXISTS {name}"),
            Node::Not(operand) => write!(f, "NOT {}", Operand(operand, Precedence::Unary)),
            // Without the blank, the sign would become part of a number.
            Node::Negate(operand) => write!(f, "- {}", Operand(operand, Precedence::Unary)),
            Node::Call { name, arguments } => write!(f, "{name}{}", List(arguments)),
            Node::Chain { first, steps } => {
                Operand(first, Precedence::Unary).fmt(f)?;
                steps.iter().try_for_each(|step| write!(f, " {step}"))
            }
            Node::Logic { first, rest } => {
                let loosest = Precedence::Logic.tighter();
                Operand(first, loosest).fmt(f)?;
                rest.iter().try_for_each(|(connective, node)| write!(f, " {connective} {}", Operand(node, loosest)))
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right = self.precedence().tighter();
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        match self {
            Step::Arithmetic(operator, node) => write!(f, "{operator} {}", Operand(node, right)),
            Step::Compare(operator, node) => write!(f, "{operator} {}", Operand(node, right)),
            Step::Like { negated, pattern } => {
                write!(f, "{}LIKE {}", not(negated), quote(pattern.source()))
            }
            Step::In { negated, set } => write!(f, "{}IN {}", not(negated), List(set)),
        }
    }
}

/// A node where nothing looser than the precedence may stand without parentheses.
struct Operand<'a>(&'a Node, Precedence);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Operand(node, loosest) = self;
        if node.precedence() < *loosest { write!(f, "({node})") } else { node.fmt(f) }
    }
}

/// Nodes in parentheses, with commas between them.
struct List<'a>(&'a [Node]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (index, node) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{node}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Connective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Connective::And => "AND",
            Connective::Or => "OR",
            Connective::Xor => "XOR",
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        })
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::Remainder => "%",
        })
    }
}
