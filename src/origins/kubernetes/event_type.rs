//! Reading an `EventType` of any version (`semantics.md` 2.4, 3.3, 4.1).

use std::sync::Arc;

use super::fields::Field;
use super::reference::{Place, reference};
use crate::mesh::declaration::{Attribute, Declaration, attribute_name};
use crate::mesh::intern::Shared;
use crate::mesh::resource::EventType;
use crate::mesh::template::Value;

/// The names of the schema's attribute, in the order in which they are looked for.
const SCHEMA_NAMES: [&str; 3] = ["dataschema", "schemaurl", "schemadata"];

/// Two shapes are known: fields for the attributes (v1beta1, v1beta2) and a list of attributes (v1beta3). A version
/// that is not known or not told is read by its shape.
pub fn event_type(object: &Field<'_>, place: &Place<'_>) -> EventType {
    let shared = place.shared;
    let Some(spec) = object.spec() else { return flat(None, shared) };
    let version = object.filled("apiVersion").unwrap_or_default();
    let version = version.rsplit('/').next().unwrap_or_default();
    let mut event_type = match version {
        "v1beta1" | "v1beta2" => flat(Some(&spec), shared),
        "v1beta3" => listed(&spec, shared),
        unknown => {
            if !unknown.is_empty() {
                object.flawed(format!("EventType version {unknown} is not known; read as far as possible"));
            }
            if spec.get("attributes").is_some() { listed(&spec, shared) } else { flat(Some(&spec), shared) }
        }
    };
    let by_reference = spec.get("reference").and_then(|it| reference(&it, place));
    let by_broker = || spec.filled("broker").map(|name| place.broker(None, &name));
    event_type.reference = by_reference.or_else(by_broker);
    event_type.description = spec.filled("description").map(Into::into);
    event_type
}

/// A declared value. As a rule it is a literal: then there is one text.
fn value(text: &Arc<str>) -> Value {
    match Value::parse(text) {
        Value::Literal(literal) if literal == *text => Value::Literal(text.clone()),
        other => other,
    }
}

/// v1beta1 and v1beta2.
fn flat(spec: Option<&Field<'_>>, shared: &Shared) -> EventType {
    let text = |name| spec.and_then(|it| it.filled(name));
    let declared = text("type").map(|it| shared.text(&it)).unwrap_or_default();
    let source = text("source").map(|it| shared.text(&unescaped(&it)));
    let schema_url: Option<Arc<str>> = text("schema").map(Into::into);
    let attribute = |name, certain, value| Attribute { name: shared.text(name), certain, value };
    let attributes = [
        Some(attribute("type", true, value(&declared))),
        source.map(|it| attribute("source", true, value(&it))),
        schema_url.clone().map(|it| attribute("dataschema", false, Value::Literal(it))),
    ];
    EventType {
        declared,
        description: None,
        schema_data: text("schemaData").map(Into::into),
        schema_url,
        reference: None,
        declaration: Declaration::new(attributes.into_iter().flatten()),
    }
}

/// Conversion from v1beta3 escapes the braces of a template in `spec.source`.
fn unescaped(source: &str) -> String {
    source.replace("%7B", "{").replace("%7b", "{").replace("%7D", "}").replace("%7d", "}")
}

/// v1beta3.
fn listed(spec: &Field<'_>, shared: &Shared) -> EventType {
    let attributes = spec.get("attributes").map(|it| it.items()).unwrap_or_default();
    let attributes: Vec<_> = attributes
        .iter()
        .filter_map(|it| {
            let certain = it.get("required").is_some_and(|it| it.is_true());
            Some((it.filled("name")?.to_lowercase(), certain, it.filled("value").map(|it| shared.text(&it))))
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
    let attribute = |(name, certain, text): &(String, bool, Option<Arc<str>>)| Attribute {
        name: shared.text(&attribute_name(name)),
        certain: *certain,
        value: text.as_ref().map_or(Value::Any, value),
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
