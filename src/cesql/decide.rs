//! Whether an expression passes events that are described only in part. `semantics.md` 4.6.
//!
//! Each part of an expression yields a set of outcomes that contains at least those that evaluation may come to, for
//! any event that fits the description. Two mentions of one attribute are taken for independent, which only adds
//! outcomes. Where values are known exactly, the operators and functions of evaluation itself are used.

use std::iter;

use super::functions::{self, Function};
use super::knowledge::{Attributes, Known, Verdict};
use super::operators;
use super::outcomes::{Atom, Outcomes, Set};
use super::parse::MAX_LENGTH;
use super::syntax::{Arithmetic, Comparison, Connective, Expression, Node, Step};
use super::value::{ErrorKind, Type, Value};

impl Expression {
    /// Whether the expression passes events of which only this is known. `semantics.md` 4.6.
    ///
    /// *Never* only if it passes no such event, *definite* only if it passes each: evaluation comes to boolean true,
    /// without any error.
    pub fn decide(&self, attributes: &dyn Attributes) -> Verdict {
        outcomes(&self.root, attributes).verdict()
    }

    /// All that the expression may come to, for events of which only this is known.
    pub fn outcomes(&self, attributes: &dyn Attributes) -> Outcomes {
        outcomes(&self.root, attributes).into()
    }
}

fn outcomes<'a>(node: &Node, attributes: &'a dyn Attributes) -> Set<'a> {
    match node {
        Node::Literal(value) => value.clone().into(),
        Node::Attribute(name) => attribute(name, attributes),
        Node::Exists(name) if attributes.attribute(name).certain => Verdict::Definite.into(),
        Node::Exists(_) => Verdict::Possible.into(),
        Node::Not(operand) => not(&outcomes(operand, attributes)),
        Node::Negate(operand) => outcomes(operand, attributes).then(|operand| match operand {
            Atom::Exactly(value) => operators::negate(value).into(),
            unknown => cast(unknown, Type::Integer),
        }),
        Node::Call { name, arguments } => call(name, arguments, attributes),
        Node::Chain { first, steps } => {
            let first = outcomes(first, attributes);
            steps.iter().fold(first, |left, step| apply(&left, step, attributes))
        }
        Node::Logic { first, rest } => logic(first, rest, attributes),
    }
}

fn attribute<'a>(name: &str, attributes: &'a dyn Attributes) -> Set<'a> {
    let attribute = attributes.attribute(name);
    let value = match attribute.value {
        Known::Literal(text) => Value::String(text.to_owned()).into(),
        Known::Partial(text) => Atom::Text(text).into(),
        Known::AnyText => Set::any(Type::String),
        Known::Anything => Set::any(Type::Boolean).or(Set::any(Type::Integer)).or(Set::any(Type::String)),
    };
    value.or_error((!attribute.certain).then_some(ErrorKind::MissingAttribute))
}

fn apply<'a>(left: &Set<'a>, step: &Step, attributes: &'a dyn Attributes) -> Set<'a> {
    match step {
        Step::Arithmetic(operator, right) => {
            let right = outcomes(right, attributes);
            left.then(|left| right.then(|right| arithmetic(*operator, left, right)))
        }
        Step::Compare(operator, right) => {
            let right = outcomes(right, attributes);
            left.then(|left| right.then(|right| compare(*operator, left, right)))
        }
        Step::Like { negated, pattern } => {
            let matches = left.then(|text| match text {
                Atom::Exactly(value) => operators::like(value, pattern, false).into(),
                Atom::Integer => Verdict::Possible.into(),
                Atom::Text(text) => pattern.decide(*text).into(),
            });
            negate_if(*negated, matches)
        }
        Step::In { negated, set } => {
            let set: Vec<Set<'a>> = set.iter().map(|element| outcomes(element, attributes)).collect();
            negate_if(*negated, left.then(|value| is_in(value, &set)))
        }
    }
}

/// The values of another type that these values are cast to. An unknown text may be the text of such a value or not.
fn cast<'a>(atom: &Atom<'a>, to: Type) -> Set<'a> {
    match atom {
        Atom::Exactly(value) => value.cast(to).into(),
        same if same.kind() == to => same.clone().into(),
        Atom::Integer => Set::any(to),
        Atom::Text(_) => Set::any(to).or_error([ErrorKind::Cast]),
    }
}

fn arithmetic<'a>(operator: Arithmetic, left: &Atom<'a>, right: &Atom<'a>) -> Set<'a> {
    if let (Atom::Exactly(left), Atom::Exactly(right)) = (left, right) {
        return operators::arithmetic(operator, left, right).into();
    }
    cast(left, Type::Integer).then(|_| cast(right, Type::Integer).then(|right| any_result(operator, right)))
}

/// The results for any left operand. Whether there is one depends on the right operand alone.
fn any_result<'a>(operator: Arithmetic, right: &Atom<'a>) -> Set<'a> {
    let result = |right: &Value| operators::arithmetic(operator, &Value::Integer(1), right);
    match right {
        Atom::Exactly(right) => match result(right) {
            Ok(_) => Set::any(Type::Integer),
            Err(error) => error.into(),
        },
        _ => Set::any(Type::Integer).or_error(result(&Value::Integer(0)).err()),
    }
}

fn compare<'a>(operator: Comparison, left: &Atom<'a>, right: &Atom<'a>) -> Set<'a> {
    if let (Atom::Exactly(left), Atom::Exactly(right)) = (left, right) {
        return operators::compare(operator, left, right).into();
    }
    match operator {
        Comparison::Equal => cast(left, right.kind()).then(|left| equal(left, right)),
        Comparison::NotEqual => not(&cast(left, right.kind()).then(|left| equal(left, right))),
        Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => {
            cast(left, Type::Integer).then(|_| cast(right, Type::Integer).then(|_| Verdict::Possible.into()))
        }
    }
}

/// Whether two values of one type are equal. `semantics.md` 4.2.
fn equal<'a>(one: &Atom<'a>, another: &Atom<'a>) -> Set<'a> {
    match (one, another) {
        (Atom::Exactly(one), Atom::Exactly(another)) => operators::compare(Comparison::Equal, one, another).into(),
        (Atom::Text(unknown), Atom::Exactly(Value::String(text)))
        | (Atom::Exactly(Value::String(text)), Atom::Text(unknown)) => unknown.equals(text).into(),
        _ => Verdict::Possible.into(),
    }
}

/// A set is searched from the left until an element is equal, as OR goes through its operands. Each element is cast to
/// the type of the value, so it stands on the left. CESQL 1.0.0, section 3.7.
fn is_in<'a>(value: &Atom<'a>, set: &[Set<'a>]) -> Set<'a> {
    set.iter().rev().fold(Verdict::Never.into(), |rest, element| {
        let found = element.then(|element| compare(Comparison::Equal, element, value));
        connect(&found, Connective::Or, &rest)
    })
}

fn logic<'a>(first: &Node, rest: &[(Connective, Node)], attributes: &'a dyn Attributes) -> Set<'a> {
    let connectives = rest.iter().map(|(connective, _)| *connective).rev();
    let mut operands = iter::once(first)
        .chain(rest.iter().map(|(_, operand)| operand))
        .rev()
        .map(|operand| outcomes(operand, attributes).then(|value| cast(value, Type::Boolean)));
    let last = operands.next().unwrap_or_default();
    connectives.zip(operands).fold(last, |right, (connective, left)| connect(&left, connective, &right))
}

/// The outcomes of two sets of booleans, joined: the right one counts only where the left one does not decide.
fn connect<'a>(left: &Set<'a>, connective: Connective, right: &Set<'a>) -> Set<'a> {
    left.then(|left| match (connective, left) {
        (Connective::And, Atom::Exactly(Value::Boolean(false)))
        | (Connective::Or, Atom::Exactly(Value::Boolean(true))) => left.clone().into(),
        (Connective::Xor, Atom::Exactly(Value::Boolean(true))) => not(right),
        _ => right.clone(),
    })
}

fn not<'a>(set: &Set<'a>) -> Set<'a> {
    set.then(|value| match value {
        Atom::Exactly(value) => operators::not(value).into(),
        unknown => cast(unknown, Type::Boolean),
    })
}

fn negate_if(negated: bool, set: Set<'_>) -> Set<'_> {
    if negated { not(&set) } else { set }
}

/// Exact where all arguments are known; otherwise any value that the function may return, or its error.
fn call<'a>(name: &str, arguments: &[Node], attributes: &'a dyn Attributes) -> Set<'a> {
    let function = match functions::find(name, arguments.len()) {
        Ok(function) => function,
        Err(error) => return error.into(),
    };
    let arguments: Vec<Set<'a>> = arguments.iter().map(|argument| outcomes(argument, attributes)).collect();
    let errors = arguments.iter().flat_map(|argument| argument.errors.iter().copied());
    let result = match constants(&arguments) {
        Some(values) => function.call(&values).into(),
        None => any_call(function, &arguments),
    };
    result.or_error(errors)
}

fn any_call<'a>(function: &Function, arguments: &[Set<'a>]) -> Set<'a> {
    let result = Set::any(function.returns).or_error(function.fails);
    let arguments = arguments.iter().zip(function.parameters());
    arguments.fold(result, |result, (argument, kind)| argument.then(|value| cast(value, kind).then(|_| result.clone())))
}

/// The one value of each argument, if each has one, and together they are no longer than an expression may be: repeated
/// mentions of a long attribute must not add up.
fn constants(arguments: &[Set<'_>]) -> Option<Vec<Value>> {
    let values = arguments.iter().map(|argument| match argument.atoms.as_slice() {
        [Atom::Exactly(value)] => Some(value),
        _ => None,
    });
    let values: Vec<&Value> = values.collect::<Option<_>>()?;
    let length: usize = values.iter().map(|value| value.text().len()).sum();
    (length <= MAX_LENGTH).then(|| values.into_iter().cloned().collect())
}
