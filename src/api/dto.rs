//! The wire types of the contract, and how a view becomes them. Field by field, in the order of `semantics.md` 3.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::mesh::object::ObjectRef;
use crate::mesh::resource::Resource;
use crate::mesh::view::{self, ConduitView, EventTypeView, SourceView, View};

/// The event mesh, as far as the caller may see it. All lists are sorted by namespace, then name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventMesh {
    /// All event types.
    pub event_types: Vec<EventType>,
    /// All brokers.
    pub brokers: Vec<Broker>,
    /// All channels and other objects that can be subscribed to.
    pub subscribables: Vec<Subscribable>,
    /// All event sources.
    pub sources: Vec<Source>,
}

/// What every object has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Meta {
    #[schema(example = "shop")]
    pub namespace: String,
    #[schema(example = "order-placed")]
    pub name: String,
    /// Of the Kubernetes object; made from the object's name where manifests are served.
    #[schema(example = "38297b02-fee8-5697-aa54-9bfb2f637c4e")]
    pub uid: String,
    /// The labels of the object.
    pub labels: BTreeMap<String, String>,
    /// The annotations of the object, without the copy of the object that kubectl leaves there.
    pub annotations: BTreeMap<String, String>,
}

/// A type of events that somebody declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventType {
    #[serde(flatten)]
    pub meta: Meta,
    /// The CloudEvents `type`, as declared; may be a template such as `geo.{entity}.changed`.
    #[serde(rename = "type")]
    #[schema(example = "com.example.shop.order.placed")]
    pub of_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "A customer placed an order.")]
    pub description: Option<String>,
    /// The schema of the event data, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub schema_data: Option<String>,
    /// Where the schema of the event data is.
    #[serde(default, rename = "schemaURL", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "https://schemas.example.com/shop/order-placed.json")]
    pub schema_url: Option<String>,
    /// The broker, channel or source that the type belongs to, whether or not that object exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reference: Option<Reference>,
    /// The Backstage ids of those who consume events of the type, sorted.
    #[schema(example = json!(["invoicing"]))]
    pub consumed_by: Vec<String>,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Broker {
    #[serde(flatten)]
    pub meta: Meta,
    /// The event types that refer to it, as `namespace/name`.
    #[schema(example = json!(["shop/order-placed"]))]
    pub provided_event_types: Vec<String>,
}

/// A channel or another object that can be subscribed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subscribable {
    #[serde(flatten)]
    pub meta: Meta,
    #[schema(example = "messaging.knative.dev")]
    pub group: String,
    #[schema(example = "InMemoryChannel")]
    pub kind: String,
    /// The event types that refer to it, as `namespace/name`.
    #[schema(example = json!(["shop/stock-changed"]))]
    pub provided_event_types: Vec<String>,
}

/// An event source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    #[serde(flatten)]
    pub meta: Meta,
    #[schema(example = "sources.knative.dev")]
    pub group: String,
    #[schema(example = "PingSource")]
    pub kind: String,
    /// The CloudEvents types that it emits, sorted.
    #[schema(example = json!(["dev.knative.sources.ping"]))]
    pub provided_event_type_types: Vec<String>,
    /// The declared event types that it provides, as `namespace/name`.
    #[schema(example = json!(["shop/tick"]))]
    pub provided_event_types: Vec<String>,
    /// Where it sends its events, when that is an object; whether or not that object exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sink: Option<Reference>,
}

/// The name of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reference {
    /// The API group; empty for the core group.
    #[schema(example = "eventing.knative.dev")]
    pub group: String,
    #[schema(example = "Broker")]
    pub kind: String,
    #[schema(example = "shop")]
    pub namespace: String,
    #[schema(example = "orders")]
    pub name: String,
}

/// An item of one of the lists.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Item {
    EventType(EventType),
    Broker(Broker),
    Subscribable(Subscribable),
    Source(Source),
}

impl From<view::Item<'_>> for Item {
    fn from(item: view::Item<'_>) -> Self {
        match item {
            view::Item::EventType(it) => Self::EventType(it.into()),
            view::Item::Broker(it) => Self::Broker(it.into()),
            view::Item::Subscribable(it) => Self::Subscribable(it.into()),
            view::Item::Source(it) => Self::Source(it.into()),
        }
    }
}

impl From<View<'_>> for EventMesh {
    fn from(view: View<'_>) -> Self {
        Self {
            event_types: view.event_types().map(Into::into).collect(),
            brokers: view.brokers().map(Into::into).collect(),
            subscribables: view.subscribables().map(Into::into).collect(),
            sources: view.sources().map(Into::into).collect(),
        }
    }
}

impl From<&Resource> for Meta {
    fn from(resource: &Resource) -> Self {
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            namespace: owned(&resource.key.namespace),
            name: owned(&resource.key.name),
            uid: resource.uid.to_string(),
            labels: resource.labels.iter().map(pair).collect(),
            annotations: resource.annotations.iter().map(pair).collect(),
        }
    }
}

impl From<EventTypeView<'_>> for EventType {
    fn from(view: EventTypeView<'_>) -> Self {
        let EventTypeView { resource, event_type, .. } = &view;
        Self {
            meta: (*resource).into(),
            of_type: owned(&event_type.declared),
            description: event_type.description.as_deref().map(Into::into),
            schema_data: event_type.schema_data.as_deref().map(Into::into),
            schema_url: event_type.schema_url.as_deref().map(Into::into),
            reference: event_type.reference.as_deref().map(Into::into),
            consumed_by: view.consumed_by().into_iter().map(Into::into).collect(),
        }
    }
}

impl From<ConduitView<'_>> for Broker {
    fn from(view: ConduitView<'_>) -> Self {
        Self { meta: view.resource.into(), provided_event_types: names(&view.provides) }
    }
}

impl From<ConduitView<'_>> for Subscribable {
    fn from(view: ConduitView<'_>) -> Self {
        Self {
            meta: view.resource.into(),
            group: owned(&view.resource.key.of.group),
            kind: owned(&view.resource.key.of.kind),
            provided_event_types: names(&view.provides),
        }
    }
}

impl From<SourceView<'_>> for Source {
    fn from(view: SourceView<'_>) -> Self {
        Self {
            meta: view.resource.into(),
            group: owned(&view.resource.key.of.group),
            kind: owned(&view.resource.key.of.kind),
            provided_event_type_types: view.emits.iter().map(owned).collect(),
            provided_event_types: names(&view.provides),
            sink: view.sink.map(Into::into),
        }
    }
}

impl From<&ObjectRef> for Reference {
    fn from(object: &ObjectRef) -> Self {
        Self {
            group: owned(&object.of.group),
            kind: owned(&object.of.kind),
            namespace: owned(&object.namespace),
            name: owned(&object.name),
        }
    }
}

fn names(objects: &[&ObjectRef]) -> Vec<String> {
    objects.iter().map(|it| [&*it.namespace, "/", &*it.name].concat()).collect()
}

/// Quicker than by way of formatting: large answers are made of little else.
fn owned(text: &Arc<str>) -> String {
    (**text).to_owned()
}
