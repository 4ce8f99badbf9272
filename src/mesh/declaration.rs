//! What an event type says about the attributes of its events (`semantics.md` 4.1).

use std::sync::Arc;

use super::template::Value;
use crate::cesql::{self, Known};

/// Attributes that every CloudEvent has, however they are declared.
const REQUIRED: [&str; 4] = ["type", "source", "id", "specversion"];
/// Attributes of the CloudEvents specification whose value is always a text.
const TEXTS: [&str; 8] = ["type", "source", "id", "specversion", "subject", "time", "datacontenttype", "dataschema"];

/// The declared attributes, sorted by name, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declaration(Box<[Attribute]>);

/// One declared attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// In lower case.
    pub name: Arc<str>,
    /// Present in each event.
    pub certain: bool,
    pub value: Value,
}

/// The name under which an attribute is compared: in lower case, and the older names of `dataschema` resolved.
pub fn attribute_name(name: &str) -> String {
    current_name(&name.to_lowercase()).into()
}

fn current_name(lower: &str) -> &str {
    match lower {
        "schemaurl" | "schemadata" => "dataschema",
        _ => lower,
    }
}

impl Declaration {
    /// Of an attribute declared twice, the first with a value counts, and it is certain when any says so.
    pub fn new(attributes: impl IntoIterator<Item = Attribute>) -> Self {
        let mut attributes: Vec<_> = attributes.into_iter().collect();
        attributes.sort_by(|a, b| a.name.cmp(&b.name));
        attributes.dedup_by(|later, first| {
            let same = later.name == first.name;
            if same {
                first.certain |= later.certain;
                if first.value == Value::Any {
                    first.value = later.value.clone();
                }
            }
            same
        });
        Self(attributes.into())
    }

    /// Whether each event has the attribute, and what is known of its value.
    ///
    /// `name` as [`attribute_name`] gives it.
    pub fn get(&self, name: &str) -> (bool, &Value) {
        let declared = self.0.binary_search_by(|a| (*a.name).cmp(name)).ok().and_then(|at| self.0.get(at));
        let required = REQUIRED.contains(&name);
        match declared {
            Some(attribute) => (attribute.certain || required, &attribute.value),
            None => (required, &Value::Any),
        }
    }
}

impl cesql::Attributes for Declaration {
    fn attribute(&self, name: &str) -> cesql::Attribute<'_> {
        let name = current_name(name);
        let (certain, value) = self.get(name);
        let value = match value {
            Value::Literal(text) => Known::Literal(text),
            Value::Template(_) => Known::Partial(value),
            Value::Any if TEXTS.contains(&name) => Known::AnyText,
            Value::Any => Known::Anything,
        };
        cesql::Attribute { certain, value }
    }
}
