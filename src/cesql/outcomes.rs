//! Sets of outcomes: what an expression may come to, for events described only in part. `semantics.md` 4.6.

use std::collections::BTreeSet;
use std::fmt;

use super::knowledge::{PartialText, Unknown, Verdict};
use super::value::{ErrorKind, Type, Value};

/// A value, or the values of one type of which no more than this is known.
#[derive(Clone)]
pub(super) enum Atom<'a> {
    Exactly(Value),
    Integer,
    Text(&'a dyn PartialText),
}

impl<'a> Atom<'a> {
    pub(super) fn kind(&self) -> Type {
        match self {
            Atom::Exactly(value) => value.kind(),
            Atom::Integer => Type::Integer,
            Atom::Text(_) => Type::String,
        }
    }

    /// One atom for both, if there is one. There is none for values of two types, and none for true and false.
    fn join(&self, other: &Atom<'a>) -> Option<Atom<'a>> {
        match (self, other) {
            (Atom::Exactly(one), Atom::Exactly(another)) if one == another => Some(self.clone()),
            _ if self.kind() != other.kind() => None,
            _ => match self.kind() {
                Type::Boolean => None,
                Type::Integer => Some(Atom::Integer),
                Type::String => Some(Atom::Text(&Unknown)),
            },
        }
    }
}

/// What an expression may come to. It never has more than two booleans, one integer and one text, so the work on it
/// does not grow with the expression.
#[derive(Clone, Default)]
pub(super) struct Set<'a> {
    pub(super) atoms: Vec<Atom<'a>>,
    pub(super) errors: BTreeSet<ErrorKind>,
}

impl<'a> Set<'a> {
    pub(super) fn any(kind: Type) -> Set<'a> {
        match kind {
            Type::Boolean => Set::from(Verdict::Possible),
            Type::Integer => Set::from(Atom::Integer),
            Type::String => Set::from(Atom::Text(&Unknown)),
        }
    }

    /// The outcomes of both, with those of one type that differ made one.
    pub(super) fn or(mut self, other: Set<'a>) -> Set<'a> {
        for atom in other.atoms {
            let joined = self.atoms.iter_mut().find_map(|mine| Some((mine.join(&atom)?, mine)));
            match joined {
                Some((joined, mine)) => *mine = joined,
                None => self.atoms.push(atom),
            }
        }
        self.errors.extend(other.errors);
        self
    }

    pub(super) fn or_error(mut self, errors: impl IntoIterator<Item = ErrorKind>) -> Set<'a> {
        self.errors.extend(errors);
        self
    }

    /// What follows from each of the values. The errors stay: evaluation ends at the first.
    pub(super) fn then(&self, next: impl Fn(&Atom<'a>) -> Set<'a>) -> Set<'a> {
        let errors = Set::default().or_error(self.errors.iter().copied());
        self.atoms.iter().fold(errors, |set, atom| set.or(next(atom)))
    }

    /// Whether an expression with these outcomes passes an event: only boolean true does, without any error.
    pub(super) fn verdict(&self) -> Verdict {
        let is_true = |atom: &Atom<'_>| matches!(atom, Atom::Exactly(Value::Boolean(true)));
        match self.atoms.iter().any(is_true) {
            false => Verdict::Never,
            true if self.atoms.len() == 1 && self.errors.is_empty() => Verdict::Definite,
            true => Verdict::Possible,
        }
    }
}

impl<'a> From<Atom<'a>> for Set<'a> {
    fn from(atom: Atom<'a>) -> Set<'a> {
        Set { atoms: vec![atom], errors: BTreeSet::new() }
    }
}

impl From<Value> for Set<'_> {
    fn from(value: Value) -> Self {
        Set::from(Atom::Exactly(value))
    }
}

impl From<ErrorKind> for Set<'_> {
    fn from(error: ErrorKind) -> Self {
        Set::default().or_error([error])
    }
}

impl<E: Into<ErrorKind>> From<Result<Value, E>> for Set<'_> {
    fn from(result: Result<Value, E>) -> Self {
        result.map_or_else(|error| Set::from(error.into()), Set::from)
    }
}

/// True where it holds, false where it does not.
impl From<Verdict> for Set<'_> {
    fn from(verdict: Verdict) -> Self {
        let truth = |boolean| Set::from(Value::Boolean(boolean));
        match verdict {
            Verdict::Never => truth(false),
            Verdict::Definite => truth(true),
            Verdict::Possible => truth(true).or(truth(false)),
        }
    }
}

/// All that an expression may come to for a set of events, for explanations.
///
/// Displays as, for example, `true or false, or an error (missing attribute)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcomes {
    verdict: Verdict,
    values: Vec<Told>,
    errors: BTreeSet<ErrorKind>,
}

/// What is told of a value. Declared, and so written, in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    True,
    False,
    Integer(i32),
    AnyInteger,
    Text(String),
    AnyText,
}

impl Outcomes {
    /// Whether the expression passes the events, as [`Expression::decide`](super::Expression::decide) says.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }
}

impl From<Set<'_>> for Outcomes {
    fn from(set: Set<'_>) -> Outcomes {
        let verdict = set.verdict();
        let mut values: Vec<Told> = set.atoms.into_iter().map(Told::from).collect();
        values.sort_unstable();
        Outcomes { verdict, values, errors: set.errors }
    }
}

impl From<Atom<'_>> for Told {
    fn from(atom: Atom<'_>) -> Told {
        match atom {
            Atom::Exactly(Value::Boolean(true)) => Told::True,
            Atom::Exactly(Value::Boolean(false)) => Told::False,
            Atom::Exactly(Value::Integer(integer)) => Told::Integer(integer),
            Atom::Exactly(Value::String(text)) => Told::Text(text),
            Atom::Integer => Told::AnyInteger,
            Atom::Text(_) => Told::AnyText,
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Told::True => f.write_str("true"),
            Told::False => f.write_str("false"),
            Told::Integer(integer) => integer.fmt(f),
            Told::AnyInteger => f.write_str("an integer"),
            Told::Text(text) => write!(f, "the text {text:?}"),
            Told::AnyText => f.write_str("a text"),
        }
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.values.iter().map(Told::to_string).collect();
        let errors: Vec<String> = self.errors.iter().map(ErrorKind::to_string).collect();
        let (values, errors) = (values.join(" or "), errors.join(", "));
        match (values.is_empty(), errors.is_empty()) {
            (_, true) => f.write_str(&values),
            (true, false) => write!(f, "an error ({errors})"),
            (false, false) => write!(f, "{values}, or an error ({errors})"),
        }
    }
}
