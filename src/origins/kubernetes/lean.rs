//! An object without what nobody here asks for: who wrote which of its fields is nearly half of it, and schemas are nearly
//! all of a definition.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// An object as it was written, but without `metadata.managedFields`.
///
/// # Errors
/// When it is none, or is nested more deeply than anything is parsed.
pub fn object(text: &str) -> Result<Value, serde_json::Error> {
    Part::Object.read(text)
}

/// The same of a definition, which comes without the schemas of its versions as well: those may be nested as deeply as they like.
///
/// # Errors
/// As of others.
pub fn definition(text: &str) -> Result<Value, serde_json::Error> {
    Part::Definition.read(text)
}

#[derive(Clone, Copy)]
enum Part {
    Object,
    Metadata,
    Definition,
    /// The `spec` of a definition.
    Spec,
    Versions,
    Version,
}

impl Part {
    fn read(self, text: &str) -> Result<Value, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = self.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }

    /// What a field is a part of its own for.
    fn part(self, field: &str) -> Option<Self> {
        match (self, field) {
            (Self::Object | Self::Definition, "metadata") => Some(Self::Metadata),
            (Self::Definition, "spec") => Some(Self::Spec),
            (Self::Spec, "versions") => Some(Self::Versions),
            _ => None,
        }
    }

    fn leaves_out(self, field: &str) -> bool {
        matches!((self, field), (Self::Metadata, "managedFields") | (Self::Version, "schema"))
    }
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            Self::Versions => deserializer.deserialize_seq(self),
            _ => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::Versions) { "a list of objects" } else { "an object" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if self.leaves_out(&name) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = match self.part(&name) {
                Some(part) => map.next_value_seed(part)?,
                None => map.next_value()?,
            };
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = vec![];
        while let Some(item) = seq.next_element_seed(Self::Version)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn only_managed_fields_of_the_object_itself_are_left_out() {
        let object = json!({
            "kind": "Trigger",
            "managedFields": 1,
            "metadata": { "name": "a", "managedFields": [{ "manager": "b" }], "labels": { "managedFields": "c" } },
            "spec": { "metadata": { "managedFields": 2 } },
        });
        let lean = super::object(&object.to_string()).expect("an object");
        let mut expected = object;
        expected["metadata"].as_object_mut().expect("an object").remove("managedFields");
        assert_eq!(lean, expected);
    }

    #[test]
    fn definitions_come_without_schemas() {
        let definition = json!({
            "metadata": { "name": "a", "managedFields": [], "annotations": { "schema": "b" } },
            "spec": {
                "group": "c",
                "schema": 1,
                "versions": [{ "name": "v1", "served": true, "schema": { "a": [] } }, { "name": "v2", "storage": true }],
            },
            "status": { "versions": [{ "schema": 2 }] },
        });
        let lean = super::definition(&definition.to_string()).expect("a definition");
        let mut expected = definition.clone();
        expected["metadata"].as_object_mut().expect("an object").remove("managedFields");
        expected["spec"]["versions"][0].as_object_mut().expect("an object").remove("schema");
        assert_eq!(lean, expected);
        let other = super::object(&definition.to_string()).expect("an object");
        assert_eq!(other["spec"], definition["spec"], "of other kinds, all is kept");
    }

    #[test]
    fn what_is_no_object_is_none() {
        for text in ["null", "7", "[]", r#"{ "metadata": null }"#, r#"{ "metadata": {"#] {
            assert!(super::object(text).is_err(), "{text}");
            assert!(super::definition(text).is_err(), "{text}");
        }
    }
}
