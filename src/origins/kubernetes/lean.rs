//! An object without what nobody here asks for: who wrote which of its fields is nearly half of it.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// An object as it was written, but without `metadata.managedFields`.
pub struct Lean(pub Value);

impl<'de> Deserialize<'de> for Lean {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Part::Object.deserialize(deserializer).map(Self)
    }
}

#[derive(Clone, Copy)]
enum Part {
    Object,
    Metadata,
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = match (self, &*name) {
                (Self::Object, "metadata") => map.next_value_seed(Self::Metadata)?,
                (Self::Metadata, "managedFields") => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => map.next_value()?,
            };
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_managed_fields_of_the_object_itself_are_left_out() {
        let object = json!({
            "kind": "Trigger",
            "managedFields": 1,
            "metadata": { "name": "a", "managedFields": [{ "manager": "b" }], "labels": { "managedFields": "c" } },
            "spec": { "metadata": { "managedFields": 2 } },
        });
        let Lean(lean) = serde_json::from_str(&object.to_string()).expect("an object");
        let mut expected = object;
        expected["metadata"].as_object_mut().expect("an object").remove("managedFields");
        assert_eq!(lean, expected);
    }

    #[test]
    fn what_is_no_object_is_none() {
        for text in ["null", "7", "[]", r#"{ "metadata": null }"#, r#"{ "metadata": {"#] {
            assert!(serde_json::from_str::<Lean>(text).is_err(), "{text}");
        }
    }
}
