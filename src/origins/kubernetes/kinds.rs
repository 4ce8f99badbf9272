//! The kinds that are known without being told: what each is in the mesh when no definition is at hand.
//!
//! Definitions among the objects always count for more. Nothing outside this file knows which kinds are built in.

use std::sync::Arc;

use crate::kubernetes::endpoint::Endpoint;
use crate::mesh::object::{EVENTING, MESSAGING, Pairs};
use crate::mesh::resource::{Definition, Flaws, Role};
use crate::mesh::{GroupKind, ObjectRef, Resource, Uid};

/// The group of kinds that describe kinds.
const APIEXTENSIONS: &str = "apiextensions.k8s.io";
const SOURCES: &str = "sources.knative.dev";

/// How an object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Definition,
    Broker,
    EventType,
    Trigger,
    Subscription,
    /// Whatever it says of channels and sinks.
    Duck,
}

impl Reading {
    pub fn of(kind: &GroupKind) -> Self {
        match (&*kind.group, &*kind.kind) {
            (APIEXTENSIONS, "CustomResourceDefinition") => Self::Definition,
            (EVENTING, "Broker") => Self::Broker,
            (EVENTING, "EventType") => Self::EventType,
            (EVENTING, "Trigger") => Self::Trigger,
            (MESSAGING, "Subscription") => Self::Subscription,
            _ => Self::Duck,
        }
    }
}

impl Reading {
    /// Whether others have reason to speak of such objects.
    pub fn is_referred_to(self) -> bool {
        !matches!(self, Self::Definition | Self::EventType | Self::Trigger | Self::Subscription)
    }
}

/// A kind of Knative that objects may be of without its definition being there.
struct Known {
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    subscribable: bool,
    emits: &'static [&'static str],
}

const fn channel(kind: &'static str, plural: &'static str) -> Known {
    Known { group: MESSAGING, kind, plural, subscribable: true, emits: &[] }
}

const fn source(kind: &'static str, plural: &'static str, emits: &'static [&'static str]) -> Known {
    Known { group: SOURCES, kind, plural, subscribable: false, emits }
}

/// As Knative Eventing 1.22 and its Kafka extension define them.
const KNOWN: [Known; 9] = [
    channel("Channel", "channels"),
    channel("InMemoryChannel", "inmemorychannels"),
    channel("KafkaChannel", "kafkachannels"),
    source(
        "ApiServerSource",
        "apiserversources",
        &[
            "dev.knative.apiserver.resource.add",
            "dev.knative.apiserver.resource.delete",
            "dev.knative.apiserver.resource.update",
            "dev.knative.apiserver.ref.add",
            "dev.knative.apiserver.ref.delete",
            "dev.knative.apiserver.ref.update",
        ],
    ),
    source("ContainerSource", "containersources", &[]),
    source("IntegrationSource", "integrationsources", &[]),
    source("KafkaSource", "kafkasources", &["dev.knative.kafka.event"]),
    source("PingSource", "pingsources", &["dev.knative.sources.ping"]),
    source("SinkBinding", "sinkbindings", &[]),
];

/// Definitions of the known kinds, under the names that the real ones have, so that those take their place.
pub fn known_definitions() -> Vec<Arc<Resource>> {
    let resource = |known: &Known| {
        let name = format!("{}.{}", known.plural, known.group);
        Arc::new(Resource {
            key: Arc::new(ObjectRef::new(definition_kind(), "", name)),
            uid: Uid::from(""),
            labels: Pairs::default(),
            annotations: Pairs::default(),
            backstage_id: None,
            role: Role::Definition(Box::new(Definition {
                of: GroupKind::new(known.group, known.kind),
                subscribable: known.subscribable,
                source: !known.subscribable,
                emits: known.emits.iter().map(|it| Arc::from(*it)).collect(),
            })),
            flaws: Flaws::default(),
        })
    };
    KNOWN.iter().map(resource).collect()
}

/// Whether a kind is known without being told. No two such kinds differ only in group or case.
pub fn is_known(of: &GroupKind) -> bool {
    of.is(EVENTING, "Broker") || of.is(EVENTING, "EventType") || KNOWN.iter().any(|it| of.is(it.group, it.kind))
}

/// The kinds that make a mesh of brokers and channels: without one of them that is installed, nothing can be told
/// (`semantics.md` 7.4).
const CORE: [(&str, &str); 4] =
    [(EVENTING, "Broker"), (EVENTING, "EventType"), (EVENTING, "Trigger"), (MESSAGING, "Subscription")];

pub fn is_core(of: &GroupKind) -> bool {
    CORE.iter().any(|(group, kind)| of.is(group, kind))
}

pub fn core_kinds() -> impl Iterator<Item = GroupKind> {
    CORE.into_iter().map(|(group, kind)| GroupKind::new(group, kind))
}

/// Whether objects of a kind may be subscribers. Whoever may make a trigger may name any kind, and must not get us to ask
/// for Secrets in that way, or to be given the right to; they receive no events anyway, and neither do definitions.
pub fn may_subscribe(of: &GroupKind) -> bool {
    !of.is("", "Secret") && *of != definition_kind()
}

/// All kinds that are read where nobody tells which there are.
pub fn known_kinds() -> Vec<GroupKind> {
    core_kinds().chain(KNOWN.iter().map(|it| GroupKind::new(it.group, it.kind))).collect()
}

/// The versions to prefer where no definition says which is stored (`semantics.md` 1.4). Of an event type, v1beta3 has
/// lost what v1beta2 says.
pub fn preferred_versions(of: &GroupKind) -> &'static [&'static str] {
    if of.is(EVENTING, "EventType") { &["v1beta2", "v1beta3", "v1", "v1beta1"] } else { &[] }
}

/// Where definitions are, of which no definition can tell.
pub fn definitions_endpoint() -> Endpoint {
    let plural = "customresourcedefinitions".to_owned();
    Endpoint { of: definition_kind(), version: "v1".into(), plural, namespaced: false, is_watchable: true }
}

pub fn definition_kind() -> GroupKind {
    GroupKind::new(APIEXTENSIONS, "CustomResourceDefinition")
}

/// Built-in kinds of Kubernetes whose objects have no namespace, as far as manifests commonly hold them.
const CLUSTER_SCOPED: [(&str, &str); 16] = [
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolume"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    (APIEXTENSIONS, "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("networking.k8s.io", "IngressClass"),
    ("node.k8s.io", "RuntimeClass"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("storage.k8s.io", "CSIDriver"),
    ("storage.k8s.io", "StorageClass"),
];

pub fn is_cluster_scoped(group: &str, kind: &str) -> bool {
    CLUSTER_SCOPED.contains(&(group, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_kinds_differ_by_their_kind_alone() {
        let mut kinds: Vec<_> = KNOWN.iter().map(|it| it.kind.to_lowercase()).collect();
        kinds.extend(["broker", "trigger", "eventtype", "subscription"].map(String::from));
        let count = kinds.len();
        kinds.sort();
        kinds.dedup();
        assert_eq!(kinds.len(), count);
    }
}
