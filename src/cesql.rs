//! CESQL, the filter language of `CloudEvents`: parse an expression, evaluate it for one event, decide it for all
//! events of a type.
//!
//! The language is CESQL 1.0.0 (`cesql/spec.md` of `cloudevents/spec`); where the specification is silent the
//! `CloudEvents` Go SDK is followed, because that is what Knative runs. What must stay true:
//!
//! * Nothing here does IO, reads a clock or panics, and the same input gives the same output.
//! * The input is a stranger's text. It is bounded by [`MAX_LENGTH`] and [`MAX_DEPTH`]; only nesting recurses, chains
//!   of operators are flat lists and are walked with a loop.
//! * [`Expression::decide`] never contradicts [`Expression::evaluate`]: both go through the same `operators` and
//!   `functions`.

mod decide;
mod eval;
mod functions;
mod knowledge;
mod lexer;
mod operators;
mod outcomes;
mod parse;
mod pattern;
mod required;
mod syntax;
mod value;

pub use self::eval::Event;
pub use self::knowledge::{Attribute, Attributes, Known, PartialText, Verdict};
pub use self::lexer::ParseError;
pub use self::outcomes::Outcomes;
pub use self::parse::{MAX_DEPTH, MAX_LENGTH};
pub use self::syntax::Expression;
pub use self::value::{ErrorKind, Failure, Value};
