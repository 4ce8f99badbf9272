//! From a Kubernetes object to what the mesh keeps of it. Pure: an object goes in, a [`Resource`] comes out.
//!
//! Whatever cannot be read is noted as a flaw and read as far as possible (`semantics.md` 7.6); only what has no kind or
//! no name is rejected.

use std::cell::RefCell;
use std::sync::Arc;

use serde_json::Value;

use super::event_type::event_type;
use super::fields::Field;
use super::filters::filter;
use super::kinds::Reading;
use super::reference::{broker, group_of, reference};
use crate::mesh::object::{MESSAGING, Pairs};
use crate::mesh::resource::{Definition, Duck, Emitted, Flaw, Resource, Role, Subscriber, Subscription};
use crate::mesh::{GroupKind, Key, ObjectRef, Uid};

/// Holds a whole copy of the object, made by kubectl; of no use in a catalog.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const SUBSCRIBABLE: &str = "messaging.knative.dev/subscribable";
const SOURCE: &str = "duck.knative.dev/source";
const EVENT_TYPES: &str = "registry.knative.dev/eventTypes";

/// What is not an object of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("it has no `apiVersion` and `kind`")]
    Kind,
    #[error("it has no `metadata.name`")]
    Name,
}

/// How objects are read.
#[derive(Debug, Clone)]
pub struct Converter {
    /// The label that holds the Backstage id, `backstage.io/kubernetes-id` by default.
    pub backstage_label: String,
}

impl Converter {
    /// Reads one object, which says its kind.
    ///
    /// # Errors
    /// When it has no kind or no name.
    pub fn convert(&self, object: &Value) -> Result<Resource, Rejection> {
        let flaws = RefCell::default();
        let root = Field::root(object, &flaws);
        let of = kind_of(&root).ok_or(Rejection::Kind)?;
        self.read(&of, &root, &flaws)
    }

    /// Reads one object of a kind that is known. What the object says of its kind does not count: items of a list say
    /// nothing, and those of which only the metadata was asked for say that they are a `PartialObjectMetadata`.
    ///
    /// # Errors
    /// When it has no name.
    pub fn convert_as(&self, of: &GroupKind, object: &Value) -> Result<Resource, Rejection> {
        let flaws = RefCell::default();
        self.read(of, &Field::root(object, &flaws), &flaws)
    }

    fn read(&self, of: &GroupKind, object: &Field<'_>, flaws: &RefCell<Vec<Flaw>>) -> Result<Resource, Rejection> {
        let metadata = object.get("metadata").ok_or(Rejection::Name)?;
        let name = metadata.filled("name").ok_or(Rejection::Name)?;
        let namespace = metadata.filled("namespace").unwrap_or_default();
        let labels = pairs(&metadata, "labels", |_| true);
        let role = match Reading::of(of) {
            Reading::Definition => definition(object, &labels),
            Reading::Broker => Role::Broker,
            Reading::EventType => Role::EventType(Box::new(event_type(object, &namespace))),
            Reading::Trigger => Role::Subscription(Arc::new(trigger(object, &namespace))),
            Reading::Subscription => Role::Subscription(Arc::new(subscription(object, &namespace))),
            Reading::Duck => duck(object, &namespace),
        };
        let backstage_id = labels.get(&self.backstage_label).filter(|id| !id.is_empty()).cloned();
        let annotations = pairs(&metadata, "annotations", |name| name != LAST_APPLIED);
        let uid = Uid::from(&*metadata.filled("uid").unwrap_or_default());
        let key = Arc::new(ObjectRef::new(of.clone(), namespace, name));
        Ok(Resource { key, uid, labels, annotations, backstage_id, role, flaws: flaws.take().into() })
    }
}

/// The kind of an object, as its `apiVersion` and `kind` say.
fn kind_of(object: &Field<'_>) -> Option<GroupKind> {
    let version = object.is_object().then(|| object.filled("apiVersion"))??;
    Some(GroupKind::new(group_of(&version), object.filled("kind")?))
}

fn pairs(metadata: &Field<'_>, name: &str, keep: impl Fn(&str) -> bool) -> Pairs {
    let entries = metadata.get(name).map(|it| it.entries()).unwrap_or_default();
    let kept = entries.into_iter().filter(|(name, _)| keep(name));
    kept.filter_map(|(name, value)| Some((name, value.text()?))).collect()
}

fn trigger(object: &Field<'_>, namespace: &str) -> Subscription {
    let spec = object.spec();
    let by_reference = spec.as_ref().and_then(|it| it.get("brokerRef")).and_then(|it| {
        let name = it.filled("name")?;
        Some(broker(&it.filled("namespace").unwrap_or_else(|| namespace.into()), &name))
    });
    let by_name = || Some(broker(namespace, &spec.as_ref()?.filled("broker")?));
    Subscription {
        conduit: by_reference.or_else(by_name),
        filter: filter(spec.as_ref()),
        subscriber: subscriber(spec.as_ref(), namespace),
        reply: None,
    }
}

fn subscription(object: &Field<'_>, namespace: &str) -> Subscription {
    let spec = object.spec();
    let spec = spec.as_ref();
    Subscription {
        conduit: spec.and_then(|it| reference(&it.get("channel")?, namespace)),
        filter: filter(None),
        subscriber: subscriber(spec, namespace),
        reply: spec.and_then(|it| reference(&it.at(&["reply", "ref"])?, namespace)),
    }
}

/// `semantics.md` 5.2.
fn subscriber(spec: Option<&Field<'_>>, namespace: &str) -> Subscriber {
    let Some(subscriber) = spec.and_then(|it| it.get("subscriber")) else { return Subscriber::Absent };
    match subscriber.get("ref").and_then(|it| reference(&it, namespace)) {
        Some(key) => Subscriber::Object(key),
        None if subscriber.filled("uri").is_some() => Subscriber::Uri,
        None => Subscriber::Absent,
    }
}

/// Of an object of any kind, what its kind may give a meaning to. What cannot be read is no flaw here, because the
/// fields may mean something else altogether.
fn duck(object: &Field<'_>, namespace: &str) -> Role {
    let ignored = RefCell::default();
    let object = object.reporting_to(&ignored);
    // Of many kinds only the metadata is asked for, of which nothing can be told.
    if object.get("spec").is_none() && object.get("status").is_none() {
        return Role::Plain;
    }
    let duck = Duck {
        backing: object.at(&["status", "channel"]).and_then(|it| reference(&it, namespace)),
        fronted_by: object.at(&["metadata", "ownerReferences"]).and_then(|it| owning_channel(&it, namespace)),
        sink: object.at(&["spec", "sink", "ref"]).and_then(|it| reference(&it, namespace)),
        emits: object.at(&["status", "ceAttributes"]).map(|it| emitted(&it)).unwrap_or_default(),
    };
    if duck == Duck::default() { Role::Plain } else { Role::Duck(Box::new(duck)) }
}

fn owning_channel(owners: &Field<'_>, namespace: &str) -> Option<Key> {
    let mut owners = owners.items().into_iter().filter_map(|it| reference(&it, namespace));
    owners.find(|owner| owner.of.is(MESSAGING, "Channel"))
}

fn emitted(attributes: &Field<'_>) -> Box<[Emitted]> {
    let entry = |it: Field<'_>| {
        Some(Emitted { of_type: it.filled("type")?.into(), source: it.filled("source").map(Into::into) })
    };
    attributes.items().into_iter().filter_map(entry).collect()
}

/// `semantics.md` 1.2, 1.3, 6.1.
fn definition(object: &Field<'_>, labels: &Pairs) -> Role {
    let Some(spec) = object.spec() else { return Role::Plain };
    let (Some(group), Some(kind)) = (spec.filled("group"), spec.get("names").and_then(|it| it.filled("kind"))) else {
        object.flawed("the definition names no group or kind");
        return Role::Plain;
    };
    let versions = spec.get("versions").map(|it| it.items()).unwrap_or_default();
    let served = versions.iter().any(|it| it.get("served").is_some_and(|it| it.is_true()));
    let labeled = |name| labels.get(name).is_some_and(|value| &**value == "true");
    Role::Definition(Box::new(Definition {
        of: GroupKind::new(group, kind),
        subscribable: served && labeled(SUBSCRIBABLE),
        source: served && labeled(SOURCE),
        emits: object.at(&["metadata", "annotations", EVENT_TYPES]).map(|it| declared_types(&it)).unwrap_or_default(),
    }))
}

fn declared_types(annotation: &Field<'_>) -> Arc<[Arc<str>]> {
    let text = annotation.text().unwrap_or_default();
    let Ok(Value::Array(entries)) = serde_json::from_str(&text) else {
        annotation.flawed("expected a JSON list of objects with a `type`");
        return Arc::default();
    };
    let of_type = |entry: &Value| entry.get("type")?.as_str().filter(|it| !it.is_empty()).map(Arc::from);
    let types: Arc<[Arc<str>]> = entries.iter().filter_map(of_type).collect();
    if types.len() < entries.len() {
        annotation.flawed("some entries have no `type`; they are skipped");
    }
    types
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mesh::object::EVENTING;

    fn converter() -> Converter {
        Converter { backstage_label: "backstage.io/kubernetes-id".into() }
    }

    #[test]
    fn the_kind_that_is_given_counts() {
        let owner = json!([{ "apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "name": "front" }]);
        let metadata = json!({ "namespace": "shop", "name": "it", "ownerReferences": owner });
        let spec = json!({ "broker": "default", "subscriber": { "uri": "http://it" } });
        let cases = [
            (("", "Service"), json!({ "metadata": metadata }), "Service shop/it Plain"),
            (
                ("apps", "Deployment"),
                json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata }),
                "Deployment.apps shop/it Plain",
            ),
            (
                (MESSAGING, "InMemoryChannel"),
                json!({ "metadata": metadata, "spec": {} }),
                "InMemoryChannel.messaging.knative.dev shop/it Duck",
            ),
            (
                (EVENTING, "Broker"),
                json!({ "metadata": metadata, "spec": {} }),
                "Broker.eventing.knative.dev shop/it Broker",
            ),
            (
                (EVENTING, "Trigger"),
                json!({ "metadata": metadata, "spec": spec }),
                "Trigger.eventing.knative.dev shop/it Subscription",
            ),
            (
                (EVENTING, "EventType"),
                json!({ "metadata": metadata, "spec": { "attributes": [{ "name": "type", "value": "a.b" }] } }),
                "EventType.eventing.knative.dev shop/it EventType",
            ),
            (("", "Service"), json!({}), "it has no `metadata.name`"),
            (("", "Service"), json!({ "metadata": { "name": "" } }), "it has no `metadata.name`"),
            (("", "Service"), json!("it"), "it has no `metadata.name`"),
        ];
        for ((group, kind), object, expected) in cases {
            let of = GroupKind::new(group, kind);
            let read = match converter().convert_as(&of, &object) {
                Ok(it) => {
                    assert_eq!(it.flaws.iter().count(), 0, "{object}");
                    assert!(Arc::ptr_eq(&it.key.of.kind, &of.kind), "all objects share the texts of their kind");
                    let role = format!("{:?}", it.role);
                    format!("{} {}", it.key, role.split('(').next().unwrap_or_default())
                }
                Err(rejection) => rejection.to_string(),
            };
            assert_eq!(read, expected, "{object}");
        }
    }

    #[test]
    fn an_object_that_says_its_kind_is_read_as_that_kind() {
        let metadata = json!({ "namespace": "shop", "name": "it", "labels": { "a": "b" } });
        let cases = [
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata }),
            json!({ "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": metadata }),
            json!({
                "apiVersion": "eventing.knative.dev/v1beta2", "kind": "EventType", "metadata": metadata,
                "spec": { "type": "a.b", "broker": 7 },
            }),
        ];
        for object in cases {
            let read = converter().convert(&object).expect("an object");
            assert_eq!(converter().convert_as(&read.key.of, &object), Ok(read), "{object}");
        }
        assert_eq!(converter().convert(&json!({ "kind": "Service", "metadata": metadata })), Err(Rejection::Kind));
    }
}
