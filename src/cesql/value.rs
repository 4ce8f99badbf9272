//! Values, their types and casts, and what is returned when an evaluation goes wrong.
//!
//! CESQL 1.0.0, sections 3.1 (types), 3.3 (errors) and 3.7 (casts).

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

/// The value of an attribute or of an expression. CESQL 1.0.0, section 3.1.
///
/// Attributes of any other `CloudEvents` type (URI, timestamp, binary) are represented by their text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Boolean(bool),
    Integer(i32),
    String(String),
}

/// Writes the value as a cast to a string does, so a string has no quotes. CESQL 1.0.0, section 3.7.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(boolean) => boolean.fmt(f),
            Value::Integer(integer) => integer.fmt(f),
            Value::String(text) => text.fmt(f),
        }
    }
}

impl Value {
    pub(super) fn kind(&self) -> Type {
        match self {
            Value::Boolean(_) => Type::Boolean,
            Value::Integer(_) => Type::Integer,
            Value::String(_) => Type::String,
        }
    }

    /// The value as a value of another type. CESQL 1.0.0, section 3.7.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cast`] when a text is not the text of such a value.
    pub(super) fn cast(&self, to: Type) -> Result<Value, ErrorKind> {
        Ok(match to {
            Type::Boolean => Value::Boolean(self.boolean()?),
            Type::Integer => Value::Integer(self.integer()?),
            Type::String => Value::String(self.text().into_owned()),
        })
    }

    pub(super) fn boolean(&self) -> Result<bool, ErrorKind> {
        match self {
            Value::Boolean(boolean) => Ok(*boolean),
            Value::Integer(integer) => Ok(*integer != 0),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Value::String(_) => Err(ErrorKind::Cast),
        }
    }

    pub(super) fn integer(&self) -> Result<i32, ErrorKind> {
        match self {
            Value::Boolean(boolean) => Ok(i32::from(*boolean)),
            Value::Integer(integer) => Ok(*integer),
            Value::String(text) => text.parse().map_err(|_| ErrorKind::Cast),
        }
    }

    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Value::String(text) => Cow::Borrowed(text),
            other => Cow::Owned(other.to_string()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Boolean,
    Integer,
    String,
}

impl Type {
    /// What stands in for a value of this type beside an error. CESQL 1.0.0, section 3.1.
    pub(super) fn zero(self) -> Value {
        match self {
            Type::Boolean => Value::Boolean(false),
            Type::Integer => Value::Integer(0),
            Type::String => Value::String(String::new()),
        }
    }
}

/// What can go wrong while an expression is evaluated. CESQL 1.0.0, section 3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum ErrorKind {
    /// A division by zero, or an absolute value out of range.
    #[error("math")]
    Math,
    /// A text that is not the text of a value of the required type.
    #[error("cast")]
    Cast,
    /// No function has this name and this number of arguments.
    #[error("missing function")]
    MissingFunction,
    /// An argument outside what a function accepts.
    #[error("function evaluation")]
    FunctionEvaluation,
    /// The event does not have the attribute.
    #[error("missing attribute")]
    MissingAttribute,
    /// Anything else.
    #[error("generic")]
    Generic,
}

/// An evaluation that met an error, with the value that CESQL says goes with it.
///
/// Evaluation is "fail fast" (CESQL 1.0.0, section 4.1): the first error ends it. The value is the zero value of the
/// type of the expression, unless a function at its root names another.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{error} error")]
pub struct Failure {
    pub value: Value,
    pub error: ErrorKind,
}

impl Failure {
    /// The same error, in an operator or a function that returns `kind`.
    pub(super) fn returning(self, kind: Type) -> Failure {
        Failure { value: kind.zero(), ..self }
    }
}

/// "Where the return type cannot be determined, assume Boolean": CESQL 1.0.0, section 3.2.
impl From<ErrorKind> for Failure {
    fn from(error: ErrorKind) -> Failure {
        Failure { value: Type::Boolean.zero(), error }
    }
}

impl From<Failure> for ErrorKind {
    fn from(failure: Failure) -> ErrorKind {
        failure.error
    }
}
