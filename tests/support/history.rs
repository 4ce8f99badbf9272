//! A small mesh that goes through rounds, and what may be seen of it on the way: each part only ever goes from an
//! earlier state to a later one.

use std::collections::BTreeSet;

use eventmesh_catalog::api::dto::EventMesh;
use eventmesh_catalog::mesh::Grant;
use serde_json::{Value, json};

const GENERIC: &str = "strands.queues.example.com";

/// The mesh of one round. All that can be seen of it depends on the round, each part through other kinds of objects.
pub fn round(n: usize) -> Vec<Value> {
    let reference = |broker: &str| json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": broker});
    let service = |name: &str, id: &str| {
        let labels = json!({"backstage.io/kubernetes-id": id});
        object("v1", "Service", name, &labels, &json!({"ports": [{"port": 80}]}))
    };
    let trigger = |name: &str, broker: &str, service: &str| {
        let subscriber = json!({"ref": {"apiVersion": "v1", "kind": "Service", "name": service}});
        plain("eventing.knative.dev/v1", "Trigger", name, &json!({"broker": broker, "subscriber": subscriber}))
    };
    let event_type = |name: &str, broker: &str| {
        let spec = json!({"type": format!("t.{name}"), "reference": reference(broker)});
        plain("eventing.knative.dev/v1beta2", "EventType", name, &spec)
    };
    vec![
        plain("eventing.knative.dev/v1", "Broker", "stays", &json!({})),
        plain("eventing.knative.dev/v1", "Broker", &format!("broker-{n}"), &json!({})),
        event_type("consumed", "stays"),
        event_type(&format!("type-{n}"), "nowhere"),
        plain("eventing.knative.dev/v1", "Broker", "labels", &json!({})),
        event_type("labeled", "labels"),
        trigger("labeled", "labels", "labeled"),
        service("labeled", &format!("label-{n}")),
        service("even", "even"),
        service("odd", "odd"),
        trigger(&format!("consumer-{n}"), "stays", if n.is_multiple_of(2) { "even" } else { "odd" }),
        plain("sources.knative.dev/v1", "PingSource", &format!("source-{n}"), &json!({"sink": {"uri": "http://x"}})),
        plain("queues.example.com/v1", "Strand", &format!("strand-{n}"), &json!({})),
    ]
}

pub fn plain(api_version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    object(api_version, kind, name, &json!({}), spec)
}

pub fn object(api_version: &str, kind: &str, name: &str, labels: &Value, spec: &Value) -> Value {
    let metadata = json!({"namespace": "shop", "name": name, "labels": labels});
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})
}

/// A channel of somebody's own, in two versions, of which one is stored.
pub fn definition(stored: &str) -> Value {
    let open = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version = |name| json!({"name": name, "served": true, "storage": name == stored, "schema": open});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": GENERIC, "labels": {"messaging.knative.dev/subscribable": "true"}},
        "spec": {
            "group": "queues.example.com", "scope": "Namespaced",
            "names": {"kind": "Strand", "plural": "strands", "singular": "strand", "listKind": "StrandList"},
            "versions": [version("v1"), version("v2")],
        },
    })
}

/// What is seen of a mesh, part by part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts(Vec<(&'static str, BTreeSet<String>)>);

impl Parts {
    pub fn of(mesh: &EventMesh) -> Self {
        let consumers = |name: &str| {
            let found = mesh.event_types.iter().find(|it| it.meta.name == name);
            found.map(|it| it.consumed_by.iter().map(ToString::to_string).collect()).unwrap_or_default()
        };
        Self(vec![
            ("brokers", mesh.brokers.iter().map(|it| it.meta.name.clone()).collect()),
            ("types", mesh.event_types.iter().map(|it| it.meta.name.clone()).collect()),
            ("consumers", consumers("consumed")),
            ("labels", consumers("labeled")),
            ("sources", mesh.sources.iter().map(|it| it.meta.name.clone()).collect()),
            ("strands", mesh.subscribables.iter().map(|it| it.meta.name.clone()).collect()),
        ])
    }
}

/// The states that each part may be seen in, in order, and up to which one it was seen.
#[derive(Default)]
pub struct History {
    states: Vec<Parts>,
    seen: Vec<usize>,
    /// What was seen and never was, or not then.
    pub wrong: Vec<String>,
    /// What is seen now does not count.
    pub is_mistrusted: bool,
}

impl History {
    pub fn expect(&mut self, state: Parts) {
        self.seen.resize(state.0.len(), 0);
        self.states.push(state);
    }

    /// Each part is in the state in which it was seen last, or in a later one.
    pub fn see(&mut self, parts: &Parts) {
        if self.is_mistrusted {
            return;
        }
        for (n, (name, part)) in parts.0.iter().enumerate() {
            let later = (self.seen[n]..self.states.len()).find(|it| self.states[*it].0[n].1 == *part);
            match later {
                Some(state) => self.seen[n] = state,
                None => self.wrong.push(format!("{name}: {part:?}, after state {}", self.seen[n])),
            }
        }
    }

    /// All parts are in the last state.
    pub fn is_up_to_date(&self) -> bool {
        let last = &self.states[self.states.len() - 1].0;
        self.seen.iter().enumerate().all(|(n, seen)| self.states[*seen].0[n].1 == last[n].1)
    }
}

/// What is to be seen of these objects.
pub fn parts(objects: &[Value]) -> Parts {
    let resources = super::converted(objects).into_iter().chain(super::converted(&[definition("v1")]));
    Parts::of(&super::answer(&super::snapshot(resources), &Grant::everything()))
}

pub fn identity(object: &Value) -> (Value, Value) {
    (object["kind"].clone(), object["metadata"]["name"].clone())
}
