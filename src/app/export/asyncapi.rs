//! An event type as an `AsyncAPI` document.

use serde_json::{Map, Value, json};

use crate::mesh::template;
use crate::mesh::view::EventTypeView;

/// Where the schema of the data goes, as a JSON pointer in the document.
const DATA: &str = "#/components/schemas/data";

/// An `AsyncAPI` 3.0.0 document, as JSON. One channel, the event as its one message, one operation: to receive it.
///
/// The message is a whole `CloudEvent`, as its content type says; what the event type declares as schema is that of its
/// `data`. The address is not known: brokers and channels have one only in a cluster, and each subscriber has its own.
pub fn document(event_type: &EventTypeView<'_>) -> String {
    let declared = &event_type.event_type;
    let mut schemas = Map::new();
    let data = match (declared_schema(event_type), http_url(event_type)) {
        (Some(schema), _) => {
            schemas.insert("data".into(), schema);
            Some(json!({ "$ref": DATA }))
        }
        (None, Some(url)) => Some(json!({ "$ref": url })),
        (None, None) => None,
    };
    let mut message = json!({
        "contentType": "application/cloudevents+json",
        "payload": payload(event_type, data),
    });
    set(&mut message, "name", Some(&*declared.declared).filter(|it| !it.is_empty()));
    set(&mut message, "summary", declared.description.as_deref());
    let mut channel = json!({ "address": null, "messages": { "event": message } });
    set(&mut channel, "title", declared.reference.as_ref().map(ToString::to_string).as_deref());
    let mut info = json!({ "title": &*event_type.resource.key.name, "version": "unversioned" });
    set(&mut info, "description", declared.description.as_deref());
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": info,
        "channels": { "events": channel },
        "operations": {
            "receive": {
                "action": "receive",
                "channel": { "$ref": "#/channels/events" },
                "messages": [{ "$ref": "#/channels/events/messages/event" }],
            },
        },
    });
    if let (false, Some(document)) = (schemas.is_empty(), document.as_object_mut()) {
        document.insert("components".into(), json!({ "schemas": schemas }));
    }
    format!("{document:#}\n")
}

/// The schema's address where something can be fetched from it.
pub fn http_url<'a>(event_type: &EventTypeView<'a>) -> Option<&'a str> {
    let url = event_type.event_type.schema_url.as_deref()?;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = authority.split_once(':').unwrap_or((authority, "0"));
    let is_host =
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    let is_rest = rest.bytes().all(|b| b.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&b));
    (is_host && is_rest && port.parse::<u16>().is_ok()).then_some(url)
}

/// The schema of the whole event: the attributes that each event has, and the data as far as it is known.
fn payload(event_type: &EventTypeView<'_>, data: Option<Value>) -> Value {
    let text = |attribute| match event_type.event_type.declaration.get(attribute) {
        (_, template::Value::Literal(value)) => json!({ "type": "string", "const": &**value }),
        _ => json!({ "type": "string", "minLength": 1 }),
    };
    let mut properties = json!({
        "specversion": { "type": "string", "const": "1.0" },
        "id": { "type": "string", "minLength": 1 },
        "source": text("source"),
        "type": text("type"),
    });
    if let (Some(data), Some(properties)) = (data, properties.as_object_mut()) {
        properties.insert("data".into(), data);
    }
    json!({ "type": "object", "required": ["specversion", "id", "source", "type"], "properties": properties })
}

/// The declared schema where it is a JSON object, fit for its place in the document.
fn declared_schema(event_type: &EventTypeView<'_>) -> Option<Value> {
    let text = event_type.event_type.schema_data.as_deref()?;
    let schema: Map<_, _> = serde_json::from_str(text).ok()?;
    Some(moved(Value::Object(schema)))
}

/// A schema whose references to itself follow it to its place in the document.
fn moved(schema: Value) -> Value {
    match schema {
        Value::Array(items) => items.into_iter().map(moved).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| match value {
                Value::String(to) if name == "$ref" => (name, Value::String(moved_reference(&to))),
                value => (name, moved(value)),
            });
            Value::Object(fields.collect())
        }
        scalar => scalar,
    }
}

fn moved_reference(to: &str) -> String {
    match to.strip_prefix('#') {
        Some(pointer) if pointer.is_empty() || pointer.starts_with('/') => format!("{DATA}{pointer}"),
        _ => to.to_owned(),
    }
}

fn set(object: &mut Value, field: &str, value: Option<&str>) {
    if let (Some(value), Some(object)) = (value, object.as_object_mut()) {
        object.insert(field.into(), value.into());
    }
}
