//! A small mesh with an object of every kind that the roles name, each to be seen in the answer.

use serde_json::{Value, json};

/// API version, kind and plural name.
type Kind = (&'static str, &'static str, &'static str);

const CHANNELS: [Kind; 4] = [
    ("messaging.knative.dev/v1", "Channel", "channels"),
    ("messaging.knative.dev/v1", "InMemoryChannel", "inmemorychannels"),
    ("messaging.knative.dev/v1beta1", "KafkaChannel", "kafkachannels"),
    STRAND,
];

const SOURCES: [Kind; 7] = [
    ("sources.knative.dev/v1", "ApiServerSource", "apiserversources"),
    ("sources.knative.dev/v1", "ContainerSource", "containersources"),
    ("sources.knative.dev/v1alpha1", "IntegrationSource", "integrationsources"),
    ("sources.knative.dev/v1", "KafkaSource", "kafkasources"),
    ("sources.knative.dev/v1", "PingSource", "pingsources"),
    ("sources.knative.dev/v1", "SinkBinding", "sinkbindings"),
    FEED,
];

const SUBSCRIBERS: [Kind; 8] = [
    ("v1", "Service", "services"),
    KNATIVE_SERVICE,
    ("flows.knative.dev/v1", "Parallel", "parallels"),
    ("flows.knative.dev/v1", "Sequence", "sequences"),
    ("sinks.knative.dev/v1alpha1", "IntegrationSink", "integrationsinks"),
    ("sinks.knative.dev/v1alpha1", "JobSink", "jobsinks"),
    ("eventing.knative.dev/v1alpha1", "EventTransform", "eventtransforms"),
    ("eventing.knative.dev/v1alpha1", "KafkaSink", "kafkasinks"),
];

/// Of others than Knative Eventing.
const STRAND: Kind = ("acme.example/v1", "Strand", "strands");
const FEED: Kind = ("acme.example/v1", "Feed", "feeds");
const KNATIVE_SERVICE: Kind = ("serving.knative.dev/v1", "Service", "services");

/// The definitions that the test data lacks.
pub fn definitions() -> Vec<Value> {
    vec![
        definition(STRAND, &json!({"messaging.knative.dev/subscribable": "true"})),
        definition(FEED, &json!({"duck.knative.dev/source": "true"})),
        definition(KNATIVE_SERVICE, &json!({})),
    ]
}

/// The roles that the makers of kinds bring: those of Knative, as it has them, and one of an operator.
pub fn roles() -> Vec<Value> {
    let source = json!({"duck.knative.dev/source": "true"});
    let observer = |name: &str, group: &str, resources: Value| {
        let rule = json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"]});
        role(name, source.clone(), rule)
    };
    vec![
        observer(
            "eventing-sources-source-observer",
            "sources.knative.dev",
            json!(["apiserversources", "pingsources", "sinkbinding"]),
        ),
        observer("eventing-kafka-source-observer", "sources.knative.dev", json!(["kafkasources"])),
        observer("feeds", "acme.example", json!(["feeds"])),
        role(
            "strands",
            json!({"eventmesh-catalog.dev/aggregate-to-reader": "true"}),
            json!({"apiGroups": ["acme.example"], "resources": ["strands"], "verbs": ["list", "watch"]}),
        ),
        role(
            "acme-caller",
            json!({}),
            json!({"apiGroups": ["acme.example"], "resources": ["feeds", "strands"], "verbs": ["list"]}),
        ),
    ]
}

/// All objects, in the namespace `shop`.
pub fn objects() -> Vec<Value> {
    let mut objects = vec![plain(("eventing.knative.dev/v1", "Broker", ""), "orders", json!({}))];
    objects.push(event_type("order", ("eventing.knative.dev/v1", "Broker", ""), "orders"));
    for kind in CHANNELS {
        let (version, name, plural) = kind;
        objects.push(plain(kind, "x", json!({})));
        objects.push(event_type(plural, kind, "x"));
        // A subscriber of its own for each, so that each subscription is seen.
        objects.push(subscriber(SUBSCRIBERS[0], &format!("of-{plural}")));
        let spec = json!({
            "channel": {"apiVersion": version, "kind": name, "name": "x"},
            "subscriber": {"ref": reference(SUBSCRIBERS[0], &format!("of-{plural}"))},
        });
        objects.push(plain(("messaging.knative.dev/v1", "Subscription", ""), plural, spec));
    }
    objects.extend(SOURCES.map(|kind| plain(kind, "x", source_spec(kind.1))));
    for kind in SUBSCRIBERS {
        objects.push(subscriber(kind, "x"));
        let spec = json!({"broker": "orders", "subscriber": {"ref": reference(kind, "x")}});
        objects.push(plain(("eventing.knative.dev/v1", "Trigger", ""), &kind.1.to_lowercase(), spec));
    }
    // Two kinds with one name.
    let spec = json!({"broker": "orders", "subscriber": {"ref": reference(KNATIVE_SERVICE, "x")}});
    objects.push(plain(("eventing.knative.dev/v1", "Trigger", ""), "knative-service", spec));
    let spec = json!({"broker": "orders", "subscriber": {"ref": reference(SUBSCRIBERS[0], "x")}});
    objects.push(plain(("eventing.knative.dev/v1", "Trigger", ""), "service", spec));
    objects
}

fn plain((version, kind, _): Kind, name: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": "shop", "name": name}});
    object["spec"] = spec;
    object
}

fn event_type(name: &str, kind: Kind, of: &str) -> Value {
    let spec = json!({"type": format!("t.{name}"), "reference": reference(kind, of)});
    plain(("eventing.knative.dev/v1beta2", "EventType", ""), name, spec)
}

/// An object that is known to Backstage by its kind and name.
fn subscriber(kind: Kind, name: &str) -> Value {
    let spec = match kind.1 {
        "Service" => json!({"ports": [{"port": 80}]}),
        "KafkaSink" => json!({"topic": "t", "bootstrapServers": ["k:9092"]}),
        _ => json!({}),
    };
    let mut object = plain(kind, name, spec);
    let group = kind.0.split_once('/').map_or("core", |(group, _)| group);
    object["metadata"]["labels"] = json!({"backstage.io/kubernetes-id": format!("{}.{group}.{name}", kind.2)});
    object
}

fn source_spec(kind: &str) -> Value {
    let sink = json!({"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "orders"}});
    match kind {
        "ApiServerSource" => json!({"sink": sink, "resources": [{"apiVersion": "v1", "kind": "Event"}]}),
        "KafkaSource" => json!({"sink": sink, "topics": ["t"], "bootstrapServers": ["k:9092"]}),
        "SinkBinding" => json!({"sink": sink, "subject": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}}),
        _ => json!({"sink": sink}),
    }
}

fn reference((version, kind, _): Kind, name: &str) -> Value {
    json!({"apiVersion": version, "kind": kind, "name": name})
}

fn role(name: &str, labels: Value, rule: Value) -> Value {
    let mut object = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"});
    object["metadata"] = json!({"name": name});
    object["metadata"]["labels"] = labels;
    object["rules"] = Value::Array(vec![rule]);
    object
}

fn definition((version, kind, plural): Kind, labels: &Value) -> Value {
    let (group, version) = version.split_once('/').unwrap();
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}"), "labels": labels},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": [{"name": version, "served": true, "storage": true, "schema": schema}],
        },
    })
}
