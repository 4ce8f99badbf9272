//! CESQL: the conformance cases, the rules of `semantics.md` 4.6 as tables, and properties of random expressions.

#[path = "cesql/conformance.rs"]
mod conformance;
#[path = "cesql/decision.rs"]
mod decision;
#[path = "cesql/language.rs"]
mod language;
#[path = "cesql/limits.rs"]
mod limits;
#[path = "cesql/properties.rs"]
mod properties;
mod support;

use std::collections::BTreeMap;

use eventmesh_catalog::cesql::{Attribute, Attributes, Event, Known, PartialText, Value, Verdict};

/// One event.
struct Concrete(pub BTreeMap<String, Value>);

impl Event for Concrete {
    fn attribute(&self, name: &str) -> Option<Value> {
        self.0.get(name).cloned()
    }
}

/// What is known of one attribute.
#[derive(Debug, Clone)]
struct Fact {
    certain: bool,
    value: Described,
}

#[derive(Debug, Clone)]
enum Described {
    Literal(String),
    Template(Template),
    AnyText,
    Anything,
}

/// `{head}{variable}{tail}`, where the variable is one or more characters.
#[derive(Debug, Clone)]
struct Template(String, String);

fn if_possible(possible: bool) -> Verdict {
    if possible { Verdict::Possible } else { Verdict::Never }
}

impl PartialText for Template {
    fn equals(&self, text: &str) -> Verdict {
        let Template(head, tail) = self;
        if_possible(text.len() > head.len() + tail.len() && text.starts_with(head) && text.ends_with(tail))
    }

    fn starts_with(&self, prefix: &str) -> Verdict {
        if self.0.starts_with(prefix) { Verdict::Definite } else { if_possible(prefix.starts_with(&self.0)) }
    }

    fn ends_with(&self, suffix: &str) -> Verdict {
        if self.1.ends_with(suffix) { Verdict::Definite } else { if_possible(suffix.ends_with(&self.1)) }
    }
}

#[derive(Debug)]
struct World(BTreeMap<&'static str, Fact>);

impl Attributes for World {
    fn attribute(&self, name: &str) -> Attribute<'_> {
        let Some(Fact { certain, value }) = self.0.get(name) else {
            return Attribute { certain: false, value: Known::Anything };
        };
        let value = match value {
            Described::Literal(text) => Known::Literal(text),
            Described::Template(template) => Known::Partial(template),
            Described::AnyText => Known::AnyText,
            Described::Anything => Known::Anything,
        };
        Attribute { certain: *certain, value }
    }
}
