//! The value of an expression for one event.

use super::functions;
use super::operators;
use super::syntax::{Comparison, Connective, Expression, Node, Step};
use super::value::{ErrorKind, Failure, Type, Value};

/// The attributes of one concrete event.
pub trait Event {
    /// The value of one attribute, if the event has it. The name is given in lower case.
    fn attribute(&self, name: &str) -> Option<Value>;
}

impl Expression {
    /// Evaluates the expression for an event. CESQL 1.0.0, section 3.
    ///
    /// As a filter, it passes only events for which this is `Ok(Value::Boolean(true))`.
    ///
    /// # Errors
    ///
    /// The first error that is met, with the value that goes with it.
    pub fn evaluate(&self, event: &dyn Event) -> Result<Value, Failure> {
        evaluate(&self.root, event)
    }
}

fn evaluate(node: &Node, event: &dyn Event) -> Result<Value, Failure> {
    match node {
        Node::Literal(value) => Ok(value.clone()),
        Node::Attribute(name) => Ok(event.attribute(name).ok_or(ErrorKind::MissingAttribute)?),
        Node::Exists(name) => Ok(Value::Boolean(event.attribute(name).is_some())),
        Node::Not(operand) => unary(operators::not, operand, event).map_err(|failure| failure.returning(Type::Boolean)),
        Node::Negate(operand) => {
            unary(operators::negate, operand, event).map_err(|failure| failure.returning(Type::Integer))
        }
        Node::Call { name, arguments } => call(name, arguments, event),
        Node::Chain { first, steps } => chain(first, steps, event).map_err(|failure| match steps.last() {
            Some(last) => failure.returning(last.returns()),
            None => failure,
        }),
        Node::Logic { first, rest } => logic(first, rest, event).map_err(|failure| failure.returning(Type::Boolean)),
    }
}

fn unary(
    operator: fn(&Value) -> Result<Value, ErrorKind>,
    operand: &Node,
    event: &dyn Event,
) -> Result<Value, Failure> {
    Ok(operator(&evaluate(operand, event)?)?)
}

fn call(name: &str, arguments: &[Node], event: &dyn Event) -> Result<Value, Failure> {
    let function = functions::find(name, arguments.len())?;
    let values = arguments.iter().map(|argument| evaluate(argument, event));
    let values: Vec<Value> =
        values.collect::<Result<_, _>>().map_err(|failure: Failure| failure.returning(function.returns))?;
    function.call(&values)
}

fn chain(first: &Node, steps: &[Step], event: &dyn Event) -> Result<Value, Failure> {
    let first = evaluate(first, event)?;
    steps.iter().try_fold(first, |left, step| match step {
        Step::Arithmetic(operator, right) => {
            let right = evaluate(right, event)?;
            Ok(operators::arithmetic(*operator, &left, &right)?)
        }
        Step::Compare(operator, right) => {
            let right = evaluate(right, event)?;
            Ok(operators::compare(*operator, &left, &right)?)
        }
        Step::Like { negated, pattern } => Ok(operators::like(&left, pattern, *negated)),
        Step::In { negated, set } => Ok(Value::Boolean(is_in(&left, set, event)? != *negated)),
    })
}

/// The specification does not say whether the elements after the one that matches are evaluated, and so may fail.
/// The Go SDK stops at the match, and so do we.
fn is_in(value: &Value, set: &[Node], event: &dyn Event) -> Result<bool, Failure> {
    for element in set {
        let element = evaluate(element, event)?;
        // The element is cast to the type of the value, so it stands on the left. CESQL 1.0.0, section 3.7.
        if operators::compare(Comparison::Equal, &element, value)?.boolean()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// All three operators associate to the right. So AND and OR, where the left operand decides, decide all that follows;
/// where it does not, they are what follows; and XOR is what follows, or its negation.
fn logic(first: &Node, rest: &[(Connective, Node)], event: &dyn Event) -> Result<Value, Failure> {
    let mut negated = false;
    let mut left = evaluate(first, event)?.boolean()?;
    for (connective, right) in rest {
        let decided = match connective {
            Connective::And => !left,
            Connective::Or => left,
            Connective::Xor => {
                negated ^= left;
                false
            }
        };
        if decided {
            break;
        }
        left = evaluate(right, event)?.boolean()?;
    }
    Ok(Value::Boolean(left != negated))
}
