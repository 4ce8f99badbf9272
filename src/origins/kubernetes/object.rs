//! One object, from its text to what is kept of it.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::convert::{Converter, Rejection};
use super::kinds::Reading;
use super::lean;
use crate::kubernetes::endpoint::{Endpoint, endpoint_of};
use crate::kubernetes::failure::Failure;
use crate::kubernetes::list::Scope;
use crate::kubernetes::server::Form;
use crate::mesh::object::Pairs;
use crate::mesh::resource::{Resource, Role};

/// An object as it is read.
#[derive(Debug, Clone)]
pub struct Object {
    pub resource: Arc<Resource>,
    /// Of a definition: where the objects of its kind are.
    pub endpoint: Option<Box<Endpoint>>,
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::Garbled(rejection.to_string())
    }
}

/// What every object begins with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    api_version: Value,
    metadata: Value,
}

/// Reads an object.
///
/// # Errors
/// When it is none.
pub fn read(converter: &Converter, scope: &Scope, text: &str) -> Result<Object, Failure> {
    Ok(convert(converter, scope, &parse(scope, text)?)?)
}

/// An object that is nested more deeply than anything is parsed counts as far as it can be read: one such object must
/// not keep all others from being read (`semantics.md` 7.6). A definition decides on many objects, and has to be whole; what
/// of it may be deep, its schemas, is not looked at.
fn parse(scope: &Scope, text: &str) -> Result<Value, serde_json::Error> {
    if Reading::of(&scope.endpoint.of) == Reading::Definition {
        return lean::definition(text);
    }
    lean::object(text).or_else(|_| {
        // What is not looked at is skipped, however deep it is.
        let Head { api_version, metadata } = serde_json::from_str(text)?;
        Ok(json!({"apiVersion": api_version, "metadata": metadata}))
    })
}

fn convert(converter: &Converter, scope: &Scope, object: &Value) -> Result<Object, Rejection> {
    let mut resource = converter.convert_as(&scope.endpoint.of, object)?;
    if scope.form == Form::Metadata {
        // It is a subscriber and nothing else: only who that is matters.
        (resource.labels, resource.annotations, resource.role) = (Pairs::default(), Pairs::default(), Role::Plain);
    }
    let endpoint = resource.definition().and_then(|_| endpoint_of(object)).map(Box::new);
    Ok(Object { resource: Arc::new(resource), endpoint })
}

#[cfg(test)]
mod tests {
    use super::super::kinds::definitions_endpoint;
    use super::*;

    #[test]
    fn what_is_too_deep_does_not_hide_the_object() {
        let deep = format!("{}{}", "{\"not\":".repeat(5_000), "}".repeat(5_000)).replace(":}", ":1}");
        let text = format!(
            r#"{{"apiVersion":"eventing.knative.dev/v1","metadata":{{"name":"a","namespace":"n"}},"spec":{{"filters":[{deep}]}}}}"#
        );
        let definitions = Scope::all(definitions_endpoint());
        assert!(read(&Converter::new("id"), &definitions, &text).is_err());
        let schema = format!(
            r#"{{"apiVersion":"apiextensions.k8s.io/v1","metadata":{{"name":"robots.x.io"}},"spec":{{"group":"x.io","scope":
            "Namespaced","names":{{"kind":"Robot","plural":"robots"}},"versions":[{{"name":"v1","served":true,"storage":true,
            "schema":{{"openAPIV3Schema":{deep}}}}}]}},"status":{{"conditions":[{{"type":"Established","status":"True"}}]}}}}"#
        );
        let definition = read(&Converter::new("id"), &definitions, &schema).unwrap();
        assert_eq!(definition.endpoint.unwrap().path(), "/apis/x.io/v1/robots");
        let mut triggers = definitions;
        triggers.endpoint.of = crate::mesh::GroupKind::new("eventing.knative.dev", "Trigger");
        let object = read(&Converter::new("id"), &triggers, &text).unwrap();
        assert_eq!(object.resource.key.to_string(), "Trigger.eventing.knative.dev n/a");
        assert_eq!(object.resource.flaws.iter().count(), 1);
    }
}
