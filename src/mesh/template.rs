//! Attribute values with variables, such as `geo.{entity}.changed`, and what can be said of the texts that they
//! stand for (`semantics.md` 4.1, 4.2).

use std::sync::Arc;

use crate::cesql::{PartialText, Verdict};

/// The value of a declared attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Literal(Arc<str>),
    Template(Box<Template>),
    Any,
}

impl Value {
    /// Reads a value as declared. Braces that do not pair make the whole value a literal.
    pub fn parse(text: &str) -> Self {
        if text.is_empty() {
            return Self::Any;
        }
        match Template::pieces(text) {
            Some(pieces) if pieces.len() > 1 => Self::Template(Box::new(Template::new(pieces))),
            Some(pieces) => Self::Literal(pieces.concat().into()),
            None => Self::Literal(text.into()),
        }
    }

    /// Whether this is, or can produce, `text`. A value that is not declared is not said to produce anything.
    pub fn can_be(&self, text: &str) -> bool {
        !matches!(self, Self::Any) && self.equals(text) != Verdict::Never
    }
}

impl PartialText for Value {
    fn equals(&self, text: &str) -> Verdict {
        match self {
            Self::Literal(literal) => certainly(**literal == *text),
            Self::Template(template) if template.can_produce(text) => Verdict::Possible,
            Self::Template(_) => Verdict::Never,
            Self::Any => Verdict::Possible,
        }
    }

    fn starts_with(&self, prefix: &str) -> Verdict {
        match self {
            Self::Literal(literal) => certainly(literal.starts_with(prefix)),
            Self::Template(it) if it.head.starts_with(prefix) => Verdict::Definite,
            Self::Template(it) if prefix.starts_with(&*it.head) => Verdict::Possible,
            Self::Template(_) => Verdict::Never,
            Self::Any => Verdict::Possible,
        }
    }

    fn ends_with(&self, suffix: &str) -> Verdict {
        match self {
            Self::Literal(literal) => certainly(literal.ends_with(suffix)),
            Self::Template(it) if it.tail.ends_with(suffix) => Verdict::Definite,
            Self::Template(it) if suffix.ends_with(&*it.tail) => Verdict::Possible,
            Self::Template(_) => Verdict::Never,
            Self::Any => Verdict::Possible,
        }
    }
}

fn certainly(holds: bool) -> Verdict {
    if holds { Verdict::Definite } else { Verdict::Never }
}

/// Fixed texts with variables between them; a variable stands for one or more characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Before the first variable.
    head: Box<str>,
    /// Between two variables each.
    middle: Box<[Box<str>]>,
    /// After the last variable.
    tail: Box<str>,
}

impl Template {
    fn new(mut pieces: Vec<String>) -> Self {
        let tail = pieces.pop().unwrap_or_default();
        let mut pieces = pieces.into_iter().map(String::into_boxed_str);
        let head = pieces.next().unwrap_or_default();
        Self { head, middle: pieces.collect(), tail: tail.into() }
    }

    /// The fixed texts around the variables, one more than there are variables; `None` where braces do not pair.
    fn pieces(text: &str) -> Option<Vec<String>> {
        let mut pieces = vec![String::new()];
        let mut in_variable = false;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let escaped = if c == '\\' { chars.next_if(|next| matches!(next, '{' | '}')) } else { None };
            match (escaped, c) {
                (None, '{') if !in_variable => in_variable = true,
                (None, '}') if in_variable => {
                    in_variable = false;
                    pieces.push(String::new());
                }
                (None, '{' | '}') => return None,
                (escaped, c) if !in_variable => pieces.last_mut()?.push(escaped.unwrap_or(c)),
                // The name of a variable says nothing.
                _ => {}
            }
        }
        (!in_variable).then_some(pieces)
    }

    /// Whether some values of the variables make this `text`.
    ///
    /// The leftmost place for each middle piece leaves the most room for the rest, so there is nothing to try twice.
    pub fn can_produce(&self, text: &str) -> bool {
        let Some(rest) = text.strip_prefix(&*self.head).and_then(|rest| rest.strip_suffix(&*self.tail)) else {
            return false;
        };
        let mut rest = rest;
        for piece in &self.middle {
            let Some(room) = after_one_char(rest) else { return false };
            let Some(at) = room.find(&**piece) else { return false };
            rest = room.get(at + piece.len()..).unwrap_or_default();
        }
        !rest.is_empty()
    }
}

fn after_one_char(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next().map(|_| chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_produces_what_fits_between_its_fixed_texts() {
        let cases = [
            ("geo.{entity}.changed", "geo.road.changed", true),
            ("geo.{entity}.changed", "geo..changed", false),
            ("geo.{entity}.changed", "geo.changed", false),
            ("/regions/{region}/hosts/{host}", "/regions/eu/hosts/h1", true),
            ("/regions/{region}/hosts/{host}", "/regions/eu", false),
            ("{}{}", "ab", true),
            ("{}{}", "a", false),
            ("{}", "ü", true),
            ("{a}x{b}", "xxx", true),
            ("{a}x{b}", "xx", false),
            ("a{b}a", "aa", false),
            (r"\{{a}\}", "{x}", true),
            (r"\{{a}\}", "x", false),
        ];
        for (template, text, expected) in cases {
            assert_eq!(Value::parse(template).can_be(text), expected, "{template} {text}");
        }
    }

    #[test]
    fn braces_that_do_not_pair_make_a_literal() {
        for text in ["a{b", "a}b", "a{b{c}}", "{}{"] {
            assert_eq!(Value::parse(text), Value::Literal(text.into()));
        }
        assert_eq!(Value::parse(r"a\{b\}"), Value::Literal("a{b}".into()));
        assert_eq!(Value::parse(""), Value::Any);
    }
}
