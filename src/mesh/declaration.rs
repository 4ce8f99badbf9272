//! What an event type says about the attributes of its events (`semantics.md` 4.1).

use std::sync::Arc;

use super::template::Value;
use crate::cesql::{self, Known};

/// Attributes that every CloudEvent has, however they are declared.
const REQUIRED: [&str; 4] = ["type", "source", "id", "specversion"];
/// The longest text, in bytes, that expressions may work on as on one that is known. Of longer ones they know no more than
/// of a template: what they are equal to, and how they begin and end. An expression may mention an attribute thousands of
/// times, and with LIKE the work is a product of lengths.
const LONGEST_KNOWN: usize = 512;
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
            Value::Literal(text) if text.len() <= LONGEST_KNOWN => Known::Literal(text),
            Value::Literal(_) | Value::Template(_) => Known::Partial(value),
            Value::Any if TEXTS.contains(&name) => Known::AnyText,
            Value::Any => Known::Anything,
        };
        cesql::Attribute { certain, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cesql::{Expression, Verdict};

    #[test]
    fn of_what_is_long_little_is_known_and_nothing_wrong() {
        use Verdict::{Definite, Never, Possible};
        let verdict = |text: &str, expression: &str| {
            let attribute = Attribute { name: "type".into(), certain: true, value: Value::parse(text) };
            Expression::parse(expression).unwrap().decide(&Declaration::new([attribute]))
        };
        let [short, long] = [LONGEST_KNOWN, LONGEST_KNOWN + 1].map(|length| format!("{}b", "a".repeat(length - 1)));
        for (expression, of_short, of_long) in [
            (format!("type = '{short}'"), Definite, Never),
            (format!("type = '{long}'"), Never, Definite),
            (format!("type <> '{long}'"), Definite, Never),
            (format!("type IN ('x', '{long}')"), Never, Definite),
            ("type LIKE 'aa%b'".into(), Definite, Definite),
            ("type LIKE '%ba'".into(), Never, Never),
            ("type LIKE '%ab%'".into(), Definite, Possible),
            (format!("LENGTH(type) = {LONGEST_KNOWN}"), Definite, Possible),
        ] {
            let found = (verdict(&short, &expression), verdict(&long, &expression));
            assert_eq!(found, (of_short, of_long), "{expression}");
        }
    }

    /// The longest expression, on the longest text that it may work on. It takes moments; of a long text it would take
    /// minutes, or a gigabyte.
    #[test]
    fn no_expression_takes_long() {
        let text = "a".repeat(1 << 20);
        let attribute = Attribute { name: "type".into(), certain: true, value: Value::parse(&text) };
        let declaration = Declaration::new([attribute]);
        let mentions = "type,".repeat(12_000);
        for (expression, expected) in [
            (format!("type LIKE '%{}b%'", "a".repeat(65_000)), Verdict::Possible),
            (format!("'x' IN ({mentions}type)"), Verdict::Never),
            (format!("CONCAT({mentions}type) = 'x'"), Verdict::Possible),
        ] {
            let parsed = Expression::parse(&expression).unwrap();
            assert_eq!(parsed.decide(&declaration), expected, "{}", &expression[..20]);
        }
    }
}
