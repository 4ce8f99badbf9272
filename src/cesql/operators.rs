//! The operators on values. CESQL 1.0.0, section 3.4.
//!
//! Evaluation and decision both come here, so that a constant means the same to each.

use super::pattern::Pattern;
use super::syntax::{Arithmetic, Comparison};
use super::value::{ErrorKind, Value};

pub(super) fn not(operand: &Value) -> Result<Value, ErrorKind> {
    Ok(Value::Boolean(!operand.boolean()?))
}

/// Wraps at the ends of the range: see [`arithmetic`].
pub(super) fn negate(operand: &Value) -> Result<Value, ErrorKind> {
    Ok(Value::Integer(operand.integer()?.wrapping_neg()))
}

/// The specification does not say what a sum, difference or product out of range is. The Go SDK wraps around, without
/// an error, and so do we.
pub(super) fn arithmetic(operator: Arithmetic, left: &Value, right: &Value) -> Result<Value, ErrorKind> {
    let (left, right) = (left.integer()?, right.integer()?);
    let divides = matches!(operator, Arithmetic::Divide | Arithmetic::Remainder);
    if divides && right == 0 {
        return Err(ErrorKind::Math);
    }
    Ok(Value::Integer(match operator {
        Arithmetic::Add => left.wrapping_add(right),
        Arithmetic::Subtract => left.wrapping_sub(right),
        Arithmetic::Multiply => left.wrapping_mul(right),
        Arithmetic::Divide => left.wrapping_div(right),
        Arithmetic::Remainder => left.wrapping_rem(right),
    }))
}

/// Equality casts the left operand to the type of the right one; an order is one of integers. CESQL 1.0.0, section 3.7.
pub(super) fn compare(operator: Comparison, left: &Value, right: &Value) -> Result<Value, ErrorKind> {
    Ok(Value::Boolean(match operator {
        Comparison::Equal => left.cast(right.kind())? == *right,
        Comparison::NotEqual => left.cast(right.kind())? != *right,
        Comparison::Less => left.integer()? < right.integer()?,
        Comparison::LessOrEqual => left.integer()? <= right.integer()?,
        Comparison::Greater => left.integer()? > right.integer()?,
        Comparison::GreaterOrEqual => left.integer()? >= right.integer()?,
    }))
}

pub(super) fn like(text: &Value, pattern: &Pattern, negated: bool) -> Value {
    Value::Boolean(pattern.matches(&text.text()) != negated)
}
