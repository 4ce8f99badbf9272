//! What is known of events that are described only in part. `semantics.md` 4.1 and 4.2.

/// Whether something holds for events described only in part. Ordered: never < possible < definite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It holds for none of the events.
    Never,
    /// It may hold for some of the events.
    Possible,
    /// It holds for each of the events.
    Definite,
}

/// A text of which only a part is known, for example an event type attribute template `geo.{entity}.changed`.
///
/// An implementation must be sound: *never* only if it holds for no text described, *definite* only if for all.
/// How to compare is `semantics.md` 4.2.
pub trait PartialText {
    /// Whether the text equals `text`.
    fn equals(&self, text: &str) -> Verdict;
    /// Whether the text starts with `prefix`.
    fn starts_with(&self, prefix: &str) -> Verdict;
    /// Whether the text ends with `suffix`.
    fn ends_with(&self, suffix: &str) -> Verdict;
}

/// What is known of the value of an attribute, where the attribute is present.
#[derive(Clone, Copy)]
pub enum Known<'a> {
    /// It is this text.
    Literal(&'a str),
    /// It is a text of which a part is known.
    Partial(&'a dyn PartialText),
    /// It is a text.
    AnyText,
    /// It is a value of any type.
    Anything,
}

/// What is known of one attribute of a set of events.
#[derive(Clone, Copy)]
pub struct Attribute<'a> {
    /// Whether each of the events has it.
    pub certain: bool,
    pub value: Known<'a>,
}

/// What is known of the attributes of a set of events.
pub trait Attributes {
    /// What is known of one attribute. The name is given in lower case.
    fn attribute(&self, name: &str) -> Attribute<'_>;
}

/// A text of which nothing is known.
pub(super) struct Unknown;

impl PartialText for Unknown {
    fn equals(&self, _: &str) -> Verdict {
        Verdict::Possible
    }

    fn starts_with(&self, _: &str) -> Verdict {
        Verdict::Possible
    }

    fn ends_with(&self, _: &str) -> Verdict {
        Verdict::Possible
    }
}
