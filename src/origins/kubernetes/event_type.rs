//! Reading an `EventType` of any version (`semantics.md` 2.4, 3.3, 4.1).

use std::sync::Arc;

use super::fields::Field;
use super::reference::{broker, reference};
use crate::mesh::declaration::{Attribute, Declaration, attribute_name};
use crate::mesh::resource::EventType;
use crate::mesh::template::Value;

/// The names of the schema's attribute, in the order in which they are looked for.
const SCHEMA_NAMES: [&str; 3] = ["dataschema", "schemaurl", "schemadata"];

/// Two shapes are known: fields for the attributes (v1beta1, v1beta2) and a list of attributes (v1beta3). A version
/// that is not known or not told is read by its shape.
pub fn event_type(object: &Field<'_>, namespace: &str) -> EventType {
    let Some(spec) = object.spec() else { return flat(None) };
    let version = object.filled("apiVersion").unwrap_or_default();
    let version = version.rsplit('/').next().unwrap_or_default();
    let mut event_type = match version {
        "v1beta1" | "v1beta2" => flat(Some(&spec)),
        "v1beta3" => listed(&spec),
        unknown => {
            if !unknown.is_empty() {
                object.flawed(format!("EventType version {unknown} is not known; read as far as possible"));
            }
            if spec.get("attributes").is_some() { listed(&spec) } else { flat(Some(&spec)) }
        }
    };
    let by_reference = spec.get("reference").and_then(|it| reference(&it, namespace));
    let by_broker = || spec.filled("broker").map(|name| broker(namespace, &name));
    event_type.reference = by_reference.or_else(by_broker);
    event_type.description = spec.filled("description").map(Into::into);
    event_type
}

fn text(field: &Field<'_>, name: &str) -> Option<Arc<str>> {
    field.filled(name).map(Into::into)
}

/// v1beta1 and v1beta2.
fn flat(spec: Option<&Field<'_>>) -> EventType {
    let text = |name| spec.and_then(|it| text(it, name));
    let declared = text("type").unwrap_or_default();
    let schema_url = text("schema");
    let attribute = |name: &str, certain, value| Attribute { name: name.into(), certain, value };
    let attributes = [
        attribute("type", true, Value::parse(&declared)),
        attribute("source", true, text("source").map_or(Value::Any, |it| Value::parse(&unescaped(&it)))),
        attribute("dataschema", false, schema_url.clone().map_or(Value::Any, Value::Literal)),
    ];
    EventType {
        declared,
        description: None,
        schema_data: spec.and_then(|it| it.filled("schemaData")).map(Into::into),
        schema_url,
        reference: None,
        declaration: Declaration::new(attributes),
    }
}

/// Conversion from v1beta3 escapes the braces of a template in `spec.source`.
fn unescaped(source: &str) -> String {
    source.replace("%7B", "{").replace("%7b", "{").replace("%7D", "}").replace("%7d", "}")
}

/// v1beta3.
fn listed(spec: &Field<'_>) -> EventType {
    let attributes = spec.get("attributes").map(|it| it.items()).unwrap_or_default();
    let attributes: Vec<_> = attributes
        .iter()
        .filter_map(|it| {
            let certain = it.get("required").is_some_and(|it| it.is_true());
            Some((it.filled("name")?.to_lowercase(), certain, text(it, "value")))
        })
        .collect();
    let value_of = |wanted: &str| {
        let mut values = attributes.iter().filter(|(name, ..)| name == wanted);
        values.find_map(|(_, _, value)| value.clone())
    };
    // The schema's names mean one attribute, of which the first name with a value counts.
    let place = |name: &str| SCHEMA_NAMES.iter().position(|it| *it == name);
    let mut in_order: Vec<_> = attributes.iter().collect();
    in_order.sort_by_key(|(name, ..)| place(name));
    let attribute = |(name, certain, value): &(String, bool, Option<Arc<str>>)| Attribute {
        name: attribute_name(name).into(),
        certain: *certain,
        value: value.as_deref().map_or(Value::Any, Value::parse),
    };
    EventType {
        declared: value_of("type").unwrap_or_default(),
        description: None,
        schema_data: None,
        schema_url: SCHEMA_NAMES.iter().find_map(|name| value_of(name)),
        reference: None,
        declaration: Declaration::new(in_order.into_iter().map(attribute)),
    }
}
