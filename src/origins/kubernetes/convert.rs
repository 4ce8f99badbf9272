//! From a Kubernetes object to what the mesh keeps of it. Pure: an object goes in, a [`Resource`] comes out.
//!
//! Whatever cannot be read is noted as a flaw and read as far as possible (`semantics.md` 7.6); only what has no kind or
//! no name is rejected.

use std::sync::Arc;

use serde_json::Value;

use super::event_type::event_type;
use super::fields::{Field, Findings};
use super::filters::filter;
use super::kinds::Reading;
use super::reference::{Place, group_of, reference};
use crate::mesh::intern::Shared;
use crate::mesh::object::{MESSAGING, Pairs};
use crate::mesh::resource::{Definition, Duck, Emitted, Resource, Role, Subscriber, Subscription};
use crate::mesh::{GroupKind, Key, ObjectRef, Uid};

/// Holds a whole copy of the object, made by kubectl; of no use in a catalog.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// No label has a longer value, and longer values of annotations hardly repeat.
const LONG: usize = 63;
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
///
/// A clone shares with the original what objects say alike, so that several tasks can read side by side.
#[derive(Debug, Clone)]
pub struct Converter {
    backstage_label: String,
    shared: Arc<Shared>,
}

impl Converter {
    /// `backstage_label` is the label that holds the Backstage id, `backstage.io/kubernetes-id` by default.
    pub fn new(backstage_label: impl Into<String>) -> Self {
        Self { backstage_label: backstage_label.into(), shared: Arc::default() }
    }

    /// The label that holds the Backstage id.
    pub fn backstage_label(&self) -> &str {
        &self.backstage_label
    }

    /// Reads one object, which says its kind.
    ///
    /// # Errors
    /// When it has no kind or no name.
    pub fn convert(&self, object: &Value) -> Result<Resource, Rejection> {
        let findings = Findings::default();
        let of = self.kind_of(&Field::root(object, &findings)).ok_or(Rejection::Kind)?;
        self.read(&of, object, findings)
    }

    /// Reads one object of a kind that is known. What the object says of its kind does not count: items of a list say
    /// nothing, and those of which only the metadata was asked for say that they are a `PartialObjectMetadata`.
    ///
    /// # Errors
    /// When it has no name.
    pub fn convert_as(&self, of: &GroupKind, object: &Value) -> Result<Resource, Rejection> {
        self.read(of, object, Findings::default())
    }

    fn read(&self, of: &GroupKind, value: &Value, findings: Findings) -> Result<Resource, Rejection> {
        let object = &Field::root(value, &findings);
        let metadata = object.get("metadata").ok_or(Rejection::Name)?;
        let name = metadata.filled("name").ok_or(Rejection::Name)?;
        let shared = &*self.shared;
        let place = Place { namespace: shared.text(&metadata.filled("namespace").unwrap_or_default()), shared };
        let labels = pairs(&metadata, "labels", shared, |_| true);
        let reading = Reading::of(of);
        let role = match reading {
            Reading::Definition => definition(object, &labels, shared),
            Reading::Broker => Role::Broker,
            Reading::EventType => Role::EventType(Box::new(event_type(object, &place))),
            Reading::Trigger => Role::Subscription(Arc::new(trigger(object, &place))),
            Reading::Subscription => Role::Subscription(Arc::new(subscription(object, &place))),
            Reading::Duck => duck(object, &place),
        };
        let backstage_id = labels.get(&self.backstage_label).filter(|id| !id.is_empty()).cloned();
        let annotations = pairs(&metadata, "annotations", shared, |name| name != LAST_APPLIED);
        let uid = Uid::from(&*metadata.filled("uid").unwrap_or_default());
        let key = if reading.is_referred_to() {
            shared.key(of, &place.namespace, &name)
        } else {
            Arc::new(ObjectRef::new(of.clone(), place.namespace, name))
        };
        Ok(Resource { key, uid, labels, annotations, backstage_id, role, flaws: findings.flaws(value).into() })
    }

    /// The kind of an object, as its `apiVersion` and `kind` say.
    fn kind_of(&self, object: &Field<'_>) -> Option<GroupKind> {
        let version = object.is_object().then(|| object.filled("apiVersion"))??;
        Some(self.shared.kind(group_of(&version), &object.filled("kind")?))
    }
}

/// Whole sets of labels are shared as well: what is deployed together is labeled alike.
fn pairs(metadata: &Field<'_>, name: &str, shared: &Shared, keep: impl Fn(&str) -> bool) -> Pairs {
    let Some(pairs) = metadata.get(name) else { return Pairs::default() };
    let kept = pairs.entries().into_iter().filter(|(name, _)| keep(name));
    let value = |text: &str| if text.len() > LONG { text.into() } else { shared.text(text) };
    shared.pairs.share(kept.filter_map(|(name, text)| Some((shared.text(name), value(&text.text()?)))).collect())
}

fn trigger(object: &Field<'_>, place: &Place<'_>) -> Subscription {
    let spec = object.spec();
    let by_reference = spec.as_ref().and_then(|it| it.get("brokerRef")).and_then(|it| {
        let name = it.filled("name")?;
        Some(place.broker(it.filled("namespace").as_deref(), &name))
    });
    let by_name = || Some(place.broker(None, &spec.as_ref()?.filled("broker")?));
    Subscription {
        conduit: by_reference.or_else(by_name),
        filter: filter(spec.as_ref(), place.shared),
        subscriber: subscriber(spec.as_ref(), place),
        reply: None,
    }
}

fn subscription(object: &Field<'_>, place: &Place<'_>) -> Subscription {
    let spec = object.spec();
    let spec = spec.as_ref();
    Subscription {
        conduit: spec.and_then(|it| reference(&it.get("channel")?, place)),
        filter: filter(None, place.shared),
        subscriber: subscriber(spec, place),
        reply: spec.and_then(|it| reference(&it.at(&["reply", "ref"])?, place)),
    }
}

/// `semantics.md` 5.2.
fn subscriber(spec: Option<&Field<'_>>, place: &Place<'_>) -> Subscriber {
    let Some(subscriber) = spec.and_then(|it| it.get("subscriber")) else { return Subscriber::Absent };
    match subscriber.get("ref").and_then(|it| reference(&it, place)) {
        Some(key) => Subscriber::Object(key),
        None if subscriber.filled("uri").is_some() => Subscriber::Uri,
        None => Subscriber::Absent,
    }
}

/// Of an object of any kind, what its kind may give a meaning to. What cannot be read is no flaw here, because the
/// fields may mean something else altogether.
fn duck(object: &Field<'_>, place: &Place<'_>) -> Role {
    let ignored = Findings::default();
    let object = object.reporting_to(&ignored);
    // Of many kinds only the metadata is asked for, of which nothing can be told.
    if object.get("spec").is_none() && object.get("status").is_none() {
        return Role::Plain;
    }
    let duck = Duck {
        backing: object.at(&["status", "channel"]).and_then(|it| reference(&it, place)),
        fronted_by: object.at(&["metadata", "ownerReferences"]).and_then(|it| owning_channel(&it, place)),
        sink: object.at(&["spec", "sink", "ref"]).and_then(|it| reference(&it, place)),
        emits: object.at(&["status", "ceAttributes"]).map(|it| emitted(&it, place.shared)).unwrap_or_default(),
    };
    if duck == Duck::default() { Role::Plain } else { Role::Duck(Box::new(duck)) }
}

fn owning_channel(owners: &Field<'_>, place: &Place<'_>) -> Option<Key> {
    let mut owners = owners.items().into_iter().filter_map(|it| reference(&it, place));
    owners.find(|owner| owner.of.is(MESSAGING, "Channel"))
}

fn emitted(attributes: &Field<'_>, shared: &Shared) -> Box<[Emitted]> {
    let entry = |it: Field<'_>| {
        Some(Emitted { of_type: shared.text(&it.filled("type")?), source: it.filled("source").map(Into::into) })
    };
    attributes.items().into_iter().filter_map(entry).collect()
}

/// `semantics.md` 1.2, 1.3, 6.1.
fn definition(object: &Field<'_>, labels: &Pairs, shared: &Shared) -> Role {
    let Some(spec) = object.spec() else { return Role::Plain };
    let (Some(group), Some(kind)) = (spec.filled("group"), spec.get("names").and_then(|it| it.filled("kind"))) else {
        object.flawed("the definition names no group or kind");
        return Role::Plain;
    };
    let versions = spec.get("versions").map(|it| it.items()).unwrap_or_default();
    let served = versions.iter().any(|it| it.get("served").is_some_and(|it| it.is_true()));
    let labeled = |name| labels.get(name).is_some_and(|value| &**value == "true");
    Role::Definition(Box::new(Definition {
        of: shared.kind(&group, &kind),
        subscribable: served && labeled(SUBSCRIBABLE),
        source: served && labeled(SOURCE),
        emits: object
            .at(&["metadata", "annotations", EVENT_TYPES])
            .map(|it| declared_types(&it, shared))
            .unwrap_or_default(),
    }))
}

fn declared_types(annotation: &Field<'_>, shared: &Shared) -> Arc<[Arc<str>]> {
    let text = annotation.text().unwrap_or_default();
    let Ok(Value::Array(entries)) = serde_json::from_str(&text) else {
        annotation.flawed("expected a JSON list of objects with a `type`");
        return Arc::default();
    };
    let of_type = |entry: &Value| entry.get("type")?.as_str().filter(|it| !it.is_empty()).map(|it| shared.text(it));
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
        Converter::new("backstage.io/kubernetes-id")
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
