//! The mesh as entities of a Backstage catalog, for catalogs that read files.
//!
//! What must stay true: each document is an entity that Backstage accepts, whatever the objects say of themselves; what
//! it would refuse (labels that are none for it) is left out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::asyncapi;
use super::names::{entity_name, is_dns_subdomain, is_name};
use crate::mesh::view::EventTypeView;
use crate::mesh::{ObjectRef, Resource, View};

const API_VERSION: &str = "backstage.io/v1alpha1";
const NAMESPACE: &str = "default";
const LIFECYCLE: &str = "production";
/// The object that an entity stands for.
const OBJECT: &str = "eventmesh-catalog.dev/object";
/// The Backstage ids of the consumers, separated by commas.
const CONSUMED_BY: &str = "eventmesh-catalog.dev/consumed-by";

/// YAML documents: an API for each event type, then a component for each broker, channel and source, by namespace and
/// name.
///
/// What a component provides is named whether or not it is selected, as in an answer: names do not depend on what is
/// selected, so exports of several parts fit together in one catalog.
///
/// # Errors
/// When the documents cannot be written.
pub fn backstage(view: View<'_>, owner: &str) -> anyhow::Result<String> {
    let apis = view.event_types().map(|it| api(&it, owner));
    let components = components(view);
    let components = components.into_values().map(|it| it.entity(owner));
    let entities: Vec<_> = apis.chain(components).collect();
    Ok(serde_saphyr::to_string_multiple(&entities)?)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entity<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    spec: Spec<'a>,
}

#[derive(Debug, Serialize)]
struct Metadata<'a> {
    namespace: &'static str,
    name: String,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link<'a>>,
}

#[derive(Debug, Serialize)]
struct Link<'a> {
    url: &'a str,
    title: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(rename = "type")]
    of_type: &'static str,
    lifecycle: &'static str,
    owner: &'a str,
    #[serde(flatten)]
    says: Says,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Says {
    Api {
        definition: String,
    },
    #[serde(rename_all = "camelCase")]
    Component {
        provides_apis: Vec<String>,
    },
}

/// One object, which can be a channel and a source at once and is a channel then.
struct Component<'a> {
    of_type: &'static str,
    resource: &'a Resource,
    provides: BTreeSet<&'a ObjectRef>,
}

impl<'a> Component<'a> {
    fn new(of_type: &'static str, resource: &'a Resource) -> Self {
        Self { of_type, resource, provides: BTreeSet::new() }
    }

    fn entity<'b>(self, owner: &'b str) -> Entity<'b>
    where
        'a: 'b,
    {
        let provides_apis = self.provides.iter().map(|it| format!("api:{NAMESPACE}/{}", entity_name(it))).collect();
        Entity {
            api_version: API_VERSION,
            kind: "Component",
            metadata: Metadata::new(self.resource),
            spec: Spec { of_type: self.of_type, lifecycle: LIFECYCLE, owner, says: Says::Component { provides_apis } },
        }
    }
}

fn components(view: View<'_>) -> BTreeMap<&ObjectRef, Component<'_>> {
    let brokers = view.brokers().map(|it| ("broker", it.resource, it.provides));
    let channels = view.subscribables().map(|it| ("channel", it.resource, it.provides));
    let sources = view.sources().map(|it| ("event-source", it.resource, it.provides));
    let mut components = BTreeMap::new();
    for (of_type, resource, provides) in brokers.chain(channels).chain(sources) {
        let component = components.entry(&*resource.key).or_insert_with(|| Component::new(of_type, resource));
        component.provides.extend(provides);
    }
    components
}

fn api<'a>(event_type: &EventTypeView<'a>, owner: &'a str) -> Entity<'a> {
    let mut metadata = Metadata::new(event_type.resource);
    metadata.description = event_type.event_type.description.as_deref();
    metadata.links.extend(asyncapi::http_url(event_type).map(|url| Link { url, title: "Schema" }));
    let consumers: Vec<_> = event_type.consumed_by().into_iter().collect();
    if !consumers.is_empty() {
        metadata.annotations.insert(CONSUMED_BY, consumers.join(","));
    }
    let says = Says::Api { definition: asyncapi::document(event_type) };
    Entity {
        api_version: API_VERSION,
        kind: "API",
        metadata,
        spec: Spec { of_type: "asyncapi", lifecycle: LIFECYCLE, owner, says },
    }
}

impl<'a> Metadata<'a> {
    fn new(resource: &'a Resource) -> Self {
        Self {
            namespace: NAMESPACE,
            name: entity_name(&resource.key),
            title: &resource.key.name,
            description: None,
            labels: resource.labels.iter().filter(|(key, value)| is_label(key, value)).collect(),
            // The annotations of the object are for whoever runs it, and may tell more than a catalog should.
            annotations: [(OBJECT, resource.key.to_string())].into(),
            links: vec![],
        }
    }
}

/// Whether Backstage takes it: an entity with one label that it does not take is refused as a whole.
fn is_label(key: &str, value: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_dns_subdomain) && is_name(name) && (value.is_empty() || is_name(value))
}
