//! A synthetic event mesh of any size, as the Kubernetes documents that declare it.
//!
//! The same arguments always give the same documents: tests and benchmarks compare numbers across
//! versions of the product. So the random numbers are drawn in a fixed order from a generator that
//! is part of this file, and to reorder two draws is to change every mesh.
//!
//! Namespaces, brokers and subscribers are drawn with a long tail: few are busy, most are not.
//! Seven of ten triggers filter on `type`; the rest use other attributes, the filter dialects,
//! CESQL or nothing. Some subscribers are not in Backstage, some share an id, and a few references
//! dangle.

#![allow(dead_code, reason = "each test crate uses a part")]

use std::fmt::Write as _;

use serde_json::{Value, json};

/// How many objects of each sort, and which of the meshes of that size.
///
/// There must be at least one namespace, broker and subscriber. Without channels there are no
/// subscriptions.
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    pub namespaces: usize,
    pub brokers: usize,
    pub event_types: usize,
    pub triggers: usize,
    pub subscribers: usize,
    pub channels: usize,
    pub subscriptions: usize,
    pub sources: usize,
    pub seed: u64,
}

/// 1,000 objects. Every size comes with 11 definitions of custom kinds on top.
pub const S: Arguments = thousands(1);
/// 10,000 objects.
pub const M: Arguments = thousands(10);
/// 100,000 objects.
pub const L: Arguments = thousands(100);
/// 250,000 objects.
pub const X: Arguments = thousands(250);

const fn thousands(factor: usize) -> Arguments {
    Arguments {
        namespaces: 10 * factor,
        brokers: 15 * factor,
        event_types: 400 * factor,
        triggers: 400 * factor,
        subscribers: 135 * factor,
        channels: 15 * factor,
        subscriptions: 15 * factor,
        sources: 10 * factor,
        seed: 1,
    }
}

/// The documents of the mesh, definitions first.
pub fn generate(arguments: &Arguments) -> Vec<Value> {
    let mut generator = Generator {
        random: Random::new(arguments.seed),
        namespaces: (0..arguments.namespaces).map(|i| format!("team-{i:03}")).collect(),
        documents: definitions(),
    };
    generator.namespaces();
    let brokers = generator.brokers(arguments.brokers);
    let channels = generator.channels(arguments.channels);
    let subscribers = generator.subscribers(arguments.subscribers);
    let declared = generator.event_types(arguments.event_types, &brokers, &channels);
    generator.triggers(arguments.triggers, &brokers, &declared, &subscribers);
    if !channels.is_empty() {
        generator.subscriptions(arguments.subscriptions, &channels, &subscribers);
    }
    generator.sources(arguments.sources, &brokers);
    generator.documents
}

/// The documents as a YAML stream, each a JSON object on one line.
pub fn to_yaml(documents: &[Value]) -> String {
    let mut yaml = String::new();
    for document in documents {
        writeln!(yaml, "---\n{document}").expect("a String takes any text");
    }
    yaml
}

const EVENTING: &str = "eventing.knative.dev";
const MESSAGING: &str = "messaging.knative.dev";
const SOURCES: &str = "sources.knative.dev";

const EVENTING_V1: &str = "eventing.knative.dev/v1";
const EVENTING_V1BETA2: &str = "eventing.knative.dev/v1beta2";
const MESSAGING_V1: &str = "messaging.knative.dev/v1";
const SOURCES_V1: &str = "sources.knative.dev/v1";

const BROKER_CLASS: &str = "eventing.knative.dev/broker.class";
const BROKER_CLASSES: [&str; 2] = ["MTChannelBasedBroker", "Kafka"];

const COMPANIES: [&str; 5] = ["com.acme", "com.acme.eu", "io.globex", "org.initech", "net.umbra"];
const DOMAINS: [&str; 15] = [
    "order", "payment", "shipment", "invoice", "customer", "stock", "device", "alarm", "session", "ticket", "fleet",
    "meter", "claim", "policy", "booking",
];
const VERBS: [&str; 10] =
    ["created", "updated", "deleted", "approved", "rejected", "expired", "observed", "assigned", "closed", "reopened"];

/// The source kinds and the types of the events that they emit.
const EMITTERS: [(&str, &[&str]); 4] = [
    ("PingSource", &["dev.knative.sources.ping"]),
    ("KafkaSource", &["dev.knative.kafka.event"]),
    (
        "ApiServerSource",
        &[
            "dev.knative.apiserver.resource.add",
            "dev.knative.apiserver.resource.update",
            "dev.knative.apiserver.resource.delete",
            "dev.knative.apiserver.ref.add",
            "dev.knative.apiserver.ref.update",
            "dev.knative.apiserver.ref.delete",
        ],
    ),
    ("SinkBinding", &[]),
];

fn definitions() -> Vec<Value> {
    let v1 = [("v1", true)];
    let event_type = [("v1beta3", false), ("v1beta2", true), ("v1beta1", false)];
    let subscribable = json!({
        "messaging.knative.dev/subscribable": "true",
        "duck.knative.dev/addressable": "true",
    });
    let addressable = json!({ "duck.knative.dev/addressable": "true" });
    vec![
        definition(EVENTING, "Broker", &v1, &Value::Null),
        definition(EVENTING, "Trigger", &v1, &Value::Null),
        definition(EVENTING, "EventType", &event_type, &Value::Null),
        definition(MESSAGING, "Subscription", &v1, &Value::Null),
        definition(MESSAGING, "InMemoryChannel", &v1, &subscribable),
        definition(MESSAGING, "KafkaChannel", &v1, &subscribable),
        source_definition("PingSource"),
        source_definition("ApiServerSource"),
        source_definition("SinkBinding"),
        source_definition("KafkaSource"),
        definition("serving.knative.dev", "Service", &v1, &addressable),
    ]
}

fn source_definition(kind: &str) -> Value {
    let labels = json!({ "duck.knative.dev/source": "true" });
    let mut definition = definition(SOURCES, kind, &[("v1", true)], &labels);
    let types: Vec<String> =
        emitted_types(kind).iter().map(|event_type| format!(r#"{{"type": "{event_type}"}}"#)).collect();
    if !types.is_empty() {
        definition["metadata"]["annotations"] =
            json!({ "registry.knative.dev/eventTypes": format!("[{}]", types.join(", ")) });
    }
    definition
}

/// A definition with an open schema; `versions` are names, each with whether it is the stored one.
fn definition(group: &str, kind: &str, versions: &[(&str, bool)], labels: &Value) -> Value {
    let singular = kind.to_lowercase();
    let plural = format!("{singular}s");
    let versions: Vec<Value> = versions
        .iter()
        .map(|(name, storage)| {
            let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
            json!({
                "name": name,
                "served": true,
                "storage": storage,
                "schema": { "openAPIV3Schema": schema },
            })
        })
        .collect();
    let mut metadata = json!({ "name": format!("{plural}.{group}") });
    if !labels.is_null() {
        metadata["labels"] = labels.clone();
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": format!("{kind}List"),
                "plural": plural,
                "singular": singular,
            },
            "versions": versions,
        },
    })
}

fn emitted_types(kind: &str) -> &'static [&'static str] {
    EMITTERS.iter().find(|(emitter, _)| *emitter == kind).map_or(&[], |(_, types)| types)
}

/// What identifies an object, and what others need to refer to it.
struct Object {
    api_version: &'static str,
    kind: &'static str,
    namespace: String,
    name: String,
}

impl Object {
    fn reference(&self) -> Value {
        self.reference_to(&self.name)
    }

    fn reference_to(&self, name: &str) -> Value {
        json!({
            "apiVersion": self.api_version,
            "kind": self.kind,
            "name": name,
            "namespace": self.namespace,
        })
    }
}

/// What is in an object. What is `Null` is left out.
#[derive(Default)]
struct Content {
    spec: Value,
    labels: Value,
    annotations: Value,
    status: Value,
}

/// What an event type says about its events.
struct Declared {
    event_type: String,
    source: Option<String>,
}

struct Generator {
    random: Random,
    namespaces: Vec<String>,
    documents: Vec<Value>,
}

impl Generator {
    fn add(&mut self, object: &Object, content: Content) {
        let mut metadata = json!({ "name": object.name, "namespace": object.namespace, "uid": self.random.uid() });
        let mut document = json!({ "apiVersion": object.api_version, "kind": object.kind, "spec": content.spec });
        if !content.labels.is_null() {
            metadata["labels"] = content.labels;
        }
        if !content.annotations.is_null() {
            metadata["annotations"] = content.annotations;
        }
        if !content.status.is_null() {
            document["status"] = content.status;
        }
        document["metadata"] = metadata;
        self.documents.push(document);
    }

    fn namespaces(&mut self) {
        for name in &self.namespaces {
            let metadata = json!({ "name": name, "uid": self.random.uid() });
            self.documents.push(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata }));
        }
    }

    /// One `default` broker in each namespace as far as they go, the others wherever it is busy.
    fn brokers(&mut self, count: usize) -> Vec<Object> {
        let broker = |i: usize| {
            let (namespace, name) = match self.namespaces.get(i) {
                Some(namespace) => (namespace.clone(), "default".to_owned()),
                None => (self.place(), format!("bus-{i}")),
            };
            let broker = Object { api_version: EVENTING_V1, kind: "Broker", namespace, name };
            let content = Content {
                spec: json!({}),
                labels: json!({ "tier": self.random.choice(&["a", "b", "c"]) }),
                annotations: json!({ BROKER_CLASS: self.random.choice(&BROKER_CLASSES) }),
                status: self.random.readiness(),
            };
            self.add(&broker, content);
            broker
        };
        (0..count).map(broker).collect()
    }

    fn channels(&mut self, count: usize) -> Vec<Object> {
        let channel = |i: usize| {
            let channel = Object {
                api_version: MESSAGING_V1,
                namespace: self.place(),
                kind: self.random.choice(&["InMemoryChannel", "InMemoryChannel", "KafkaChannel"]),
                name: format!("ch-{i}"),
            };
            let content = Content { spec: json!({}), status: self.random.readiness(), ..Content::default() };
            self.add(&channel, content);
            channel
        };
        (0..count).map(channel).collect()
    }

    fn subscribers(&mut self, count: usize) -> Vec<Object> {
        let subscriber = |i: usize| {
            let namespace = self.place();
            let (api_version, kind) = match self.random.fraction() {
                ..0.65 => ("serving.knative.dev/v1", "Service"),
                0.65..0.95 => ("v1", "Service"),
                _ => ("apps/v1", "Deployment"),
            };
            let subscriber = Object { api_version, kind, namespace, name: format!("svc-{i}") };
            let mut labels = json!({ "app": subscriber.name });
            if self.random.chance(0.7) {
                let id = if self.random.chance(0.9) { i } else { self.random.tail(i + 1) };
                labels["backstage.io/kubernetes-id"] = json!(format!("component-{id}"));
            }
            let content = Content { spec: subscriber_spec(&subscriber), labels, ..Content::default() };
            self.add(&subscriber, content);
            subscriber
        };
        (0..count).map(subscriber).collect()
    }

    /// The event types; returns, per broker, what those that refer to it declare.
    fn event_types(&mut self, count: usize, brokers: &[Object], channels: &[Object]) -> Vec<Vec<Declared>> {
        let mut declared: Vec<Vec<Declared>> = brokers.iter().map(|_| Vec::new()).collect();
        for i in 0..count {
            let company = self.random.choice(&COMPANIES);
            let domain = self.random.choice(&DOMAINS);
            let verb = self.random.choice(&VERBS);
            let event_type = format!("{company}.{domain}.{verb}");
            let source = self.random.chance(0.5).then(|| {
                let part = self.random.choice(&DOMAINS);
                format!("/{part}/{}", self.random.below(40))
            });
            let mut spec = json!({
                "type": event_type,
                "description": format!("Generated event type {i}: {event_type}"),
            });
            if let Some(source) = &source {
                spec["source"] = json!(source);
            }
            if self.random.chance(0.4) {
                spec["schema"] = json!(format!("https://schemas.example.com/{event_type}/{i}.json"));
            }
            if self.random.chance(0.1) {
                spec["schemaData"] = json!(schema_data(2 + self.random.below(10)));
            }
            let namespace = match self.random.fraction() {
                ..0.12 if !channels.is_empty() => {
                    let channel = &channels[self.random.tail(channels.len())];
                    spec["reference"] = channel.reference();
                    channel.namespace.clone()
                }
                ..0.95 => {
                    let index = self.random.tail(brokers.len());
                    spec["reference"] = brokers[index].reference();
                    declared[index].push(Declared { event_type, source });
                    brokers[index].namespace.clone()
                }
                _ => self.place(),
            };
            let labels = if self.random.chance(0.5) { json!({ "domain": domain }) } else { Value::Null };
            let annotations = if self.random.chance(0.3) {
                json!({ "example.com/owner": format!("{namespace}@example.com") })
            } else {
                Value::Null
            };
            let status = self.random.readiness();
            let object =
                Object { api_version: EVENTING_V1BETA2, kind: "EventType", namespace, name: format!("et-{i:06}") };
            self.add(&object, Content { spec, labels, annotations, status });
        }
        declared
    }

    fn triggers(&mut self, count: usize, brokers: &[Object], declared: &[Vec<Declared>], subscribers: &[Object]) {
        let undeclared = [Declared { event_type: "com.acme.none".to_owned(), source: None }];
        for i in 0..count {
            let index = self.random.tail(brokers.len());
            let broker = &brokers[index];
            let candidates = if declared[index].is_empty() { &undeclared[..] } else { &declared[index] };
            let wanted = &candidates[self.random.below(candidates.len())];
            let mut spec = json!({ "broker": broker.name, "subscriber": self.destination(subscribers) });
            if let Some((field, filter)) = self.filter(wanted) {
                spec[field] = filter;
            }
            if self.random.chance(0.1) {
                spec["delivery"] = json!({ "retry": 5, "deadLetterSink": self.destination(subscribers) });
            }
            let content = Content {
                spec,
                labels: json!({ "eventing.knative.dev/broker": broker.name }),
                annotations: Value::Null,
                status: self.random.readiness(),
            };
            let namespace = broker.namespace.clone();
            self.add(
                &Object { api_version: EVENTING_V1, kind: "Trigger", namespace, name: format!("tr-{i:06}") },
                content,
            );
        }
    }

    /// The filter of a trigger that wants such events, after the field of the spec that it goes to.
    fn filter(&mut self, wanted: &Declared) -> Option<(&'static str, Value)> {
        let Declared { event_type, source } = wanted;
        let (family, _verb) = event_type.rsplit_once('.').expect("a generated type has dots");
        let filter = match self.random.fraction() {
            ..0.70 => ("filter", json!({ "attributes": { "type": event_type } })),
            0.70..0.76 => {
                let source = source.as_deref().unwrap_or("/order/1");
                ("filter", json!({ "attributes": { "type": event_type, "source": source } }))
            }
            0.76..0.80 => {
                let region = self.random.choice(&["eu", "us"]);
                ("filter", json!({ "attributes": { "type": event_type, "region": region } }))
            }
            0.80..0.84 => ("filters", json!([{ "prefix": { "type": format!("{family}.") } }])),
            0.84..0.87 => {
                let exact = json!({ "exact": { "type": event_type } });
                let suffix = json!({ "suffix": { "type": format!(".{}", self.random.choice(&VERBS)) } });
                ("filters", json!([{ "any": [exact, suffix] }]))
            }
            0.87..0.89 => {
                let prefix = json!({ "prefix": { "type": event_type[..8] } });
                let suffix = json!({ "suffix": { "type": format!(".{}", self.random.choice(&VERBS)) } });
                ("filters", json!([prefix, { "not": suffix }]))
            }
            0.89..0.95 => {
                let expression = match self.random.below(4) {
                    0 => format!("type = '{event_type}'"),
                    1 => format!("type LIKE '{family}.%'"),
                    2 => format!("type IN ('{event_type}', 'com.acme.none') AND EXISTS region"),
                    _ => format!("(type LIKE '%.created') OR (source = '{}')", source.as_deref().unwrap_or("/x")),
                };
                ("filters", json!([{ "cesql": expression }]))
            }
            _ => return None,
        };
        Some(filter)
    }

    fn subscriptions(&mut self, count: usize, channels: &[Object], subscribers: &[Object]) {
        for i in 0..count {
            let Object { api_version, kind, namespace, name } = &channels[self.random.tail(channels.len())];
            let content = Content {
                spec: json!({
                    "channel": { "apiVersion": api_version, "kind": kind, "name": name },
                    "subscriber": self.destination(subscribers),
                }),
                status: self.random.readiness(),
                ..Content::default()
            };
            let subscription = Object {
                api_version: MESSAGING_V1,
                kind: "Subscription",
                namespace: namespace.clone(),
                name: format!("sub-{i:05}"),
            };
            self.add(&subscription, content);
        }
    }

    fn sources(&mut self, count: usize, brokers: &[Object]) {
        for i in 0..count {
            let (kind, types) = self.random.choice(&EMITTERS);
            let namespace = self.place();
            let sink = &brokers[self.random.tail(brokers.len())];
            let status = if self.random.chance(0.6) {
                let source = format!("/apis/v1/namespaces/{namespace}/{}s/src-{i}", kind.to_lowercase());
                let attributes: Vec<Value> =
                    types.iter().take(3).map(|event_type| json!({ "type": event_type, "source": source })).collect();
                json!({ "ceAttributes": attributes })
            } else {
                json!({})
            };
            let mut spec = source_spec(kind, i);
            spec["sink"] = json!({ "ref": sink.reference() });
            let object = Object { api_version: SOURCES_V1, kind, namespace, name: format!("src-{i:05}") };
            self.add(&object, Content { spec, status, ..Content::default() });
        }
    }

    /// A subscriber or dead letter sink; one of a hundred does not exist.
    fn destination(&mut self, subscribers: &[Object]) -> Value {
        let subscriber = &subscribers[self.random.tail(subscribers.len())];
        let reference = if self.random.fraction() > 0.01 {
            subscriber.reference()
        } else {
            subscriber.reference_to(&format!("{}-gone", subscriber.name))
        };
        json!({ "ref": reference })
    }

    fn place(&mut self) -> String {
        self.namespaces[self.random.tail(self.namespaces.len())].clone()
    }
}

/// The least that a real API server admits.
fn subscriber_spec(subscriber: &Object) -> Value {
    match (subscriber.api_version, subscriber.kind) {
        ("v1", _) => json!({ "ports": [{ "port": 80 }] }),
        (_, "Deployment") => {
            let labels = json!({ "app": subscriber.name });
            let containers = json!([{ "name": "app", "image": "example.com/app" }]);
            json!({
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": containers },
                },
            })
        }
        _ => json!({}),
    }
}

fn source_spec(kind: &str, i: usize) -> Value {
    match kind {
        "PingSource" => json!({ "schedule": "* * * * *" }),
        "KafkaSource" => {
            json!({ "bootstrapServers": ["kafka:9092"], "topics": [format!("topic-{i}")] })
        }
        "ApiServerSource" => json!({
            "serviceAccountName": "watcher",
            "mode": "Resource",
            "resources": [{ "apiVersion": "v1", "kind": "Pod" }],
        }),
        "SinkBinding" => {
            let name = format!("emitter-{i}");
            json!({ "subject": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name } })
        }
        _ => unreachable!("{kind} is not in EMITTERS"),
    }
}

fn schema_data(fields: usize) -> String {
    let fields: Vec<String> = (0..fields).map(|j| format!(r#""field{j}": {{"type": "string"}}"#)).collect();
    format!(r#"{{"type": "object", "properties": {{{}}}}}"#, fields.join(", "))
}

/// The Mersenne Twister MT19937, seeded and read as Python's `random.Random` does.
pub struct Random {
    state: [u32; Self::SIZE],
    next: usize,
}

impl Random {
    const SIZE: usize = 624;
    const MIDDLE: usize = 397;

    #[allow(clippy::cast_possible_truncation, reason = "the halves of the seed, and indices below 624")]
    pub fn new(seed: u64) -> Self {
        let [low, high] = [seed as u32, (seed >> 32) as u32];
        let key: &[u32] = if high == 0 { &[low] } else { &[low, high] };
        let mut state = [19_650_218_u32; Self::SIZE];
        for i in 1..Self::SIZE {
            state[i] = mixed(state[i - 1], 1_812_433_253).wrapping_add(i as u32);
        }
        let mut i = 1;
        for (j, word) in key.iter().enumerate().cycle().take(Self::SIZE) {
            state[i] = (state[i] ^ mixed(state[i - 1], 1_664_525)).wrapping_add(*word).wrapping_add(j as u32);
            i = following(i, &mut state);
        }
        for _ in 1..Self::SIZE {
            state[i] = (state[i] ^ mixed(state[i - 1], 1_566_083_941)).wrapping_sub(i as u32);
            i = following(i, &mut state);
        }
        state[0] = 1 << 31;
        Self { state, next: Self::SIZE }
    }

    fn word(&mut self) -> u32 {
        if self.next == Self::SIZE {
            self.refill();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    fn refill(&mut self) {
        const TOP: u32 = 1 << 31;
        for i in 0..Self::SIZE {
            let word = (self.state[i] & TOP) | (self.state[(i + 1) % Self::SIZE] & !TOP);
            let twist = if word & 1 == 0 { 0 } else { 0x9908_b0df };
            self.state[i] = self.state[(i + Self::MIDDLE) % Self::SIZE] ^ (word >> 1) ^ twist;
        }
        self.next = 0;
    }

    /// A number from 0 to below 1, with 53 random bits.
    fn fraction(&mut self) -> f64 {
        let high = f64::from(self.word() >> 5);
        let low = f64::from(self.word() >> 6);
        (high * 2_f64.powi(26) + low) / 2_f64.powi(53)
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// An index below `bound`, each as often.
    pub fn below(&mut self, bound: usize) -> usize {
        loop {
            // One bit more than needed when the bound is a power of two; so does Python.
            let index = (self.word() >> (bound.leading_zeros() + 32 - usize::BITS)) as usize;
            if index < bound {
                return index;
            }
        }
    }

    /// An index below `bound`, the first ones far more often than the last.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "truncation is meant, and no mesh has 2^53 objects"
    )]
    fn tail(&mut self, bound: usize) -> usize {
        let index = (bound as f64 * self.fraction().powf(2.5)) as usize;
        index.min(bound - 1)
    }

    pub fn choice<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// A UUID of version 4.
    fn uid(&mut self) -> String {
        let bits = (0..4).fold(0, |bits, i| bits | (u128::from(self.word()) << (32 * i)));
        let version = (bits & !(0xf << 76)) | (4 << 76);
        let bits = (version & !(0b11 << 62)) | (0b10 << 62);
        let digits = format!("{bits:032x}");
        format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
    }

    fn readiness(&mut self) -> Value {
        let status = if self.chance(0.95) { "True" } else { "False" };
        json!({ "conditions": [{ "type": "Ready", "status": status }] })
    }
}

fn mixed(previous: u32, factor: u32) -> u32 {
    (previous ^ (previous >> 30)).wrapping_mul(factor)
}

/// The index after `i` in the passes of seeding, which go round without the first word.
fn following(i: usize, state: &mut [u32; Random::SIZE]) -> usize {
    if i + 1 < Random::SIZE {
        return i + 1;
    }
    state[0] = state[Random::SIZE - 1];
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named<'a>(documents: &'a [Value], name: &str) -> &'a Value {
        let found = documents.iter().find(|document| document["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("{name} is generated"))
    }

    /// The last identifier depends on every number drawn before it, the length on every text;
    /// neither depends on the order in which the members of an object are written.
    #[test]
    fn the_same_arguments_always_give_the_same_mesh() {
        let documents = generate(&S);
        assert_eq!(documents.len(), 1011);
        assert_eq!(to_yaml(&documents).len(), 473_790);
        assert_eq!(documents[1010]["metadata"]["uid"], "3e359f0b-ac18-46a4-b649-7eacdd95562f");
        assert_eq!(
            documents[11]["metadata"],
            json!({ "name": "team-000", "uid": "cd613e30-d8f1-4adf-91b7-584a2265b1f5" })
        );
        assert_eq!(
            *named(&documents, "tr-000025"),
            json!({
                "apiVersion": "eventing.knative.dev/v1",
                "kind": "Trigger",
                "metadata": {
                    "name": "tr-000025",
                    "namespace": "team-000",
                    "uid": "6bf52b9d-d2f7-4957-8503-4ed6ef0c8d3a",
                    "labels": { "eventing.knative.dev/broker": "default" },
                },
                "spec": {
                    "broker": "default",
                    "filters": [{ "cesql": "type = 'com.acme.device.expired'" }],
                    "subscriber": { "ref": {
                        "apiVersion": "serving.knative.dev/v1",
                        "kind": "Service",
                        "name": "svc-124",
                        "namespace": "team-000",
                    } },
                    "delivery": { "retry": 5, "deadLetterSink": { "ref": {
                        "apiVersion": "v1",
                        "kind": "Service",
                        "name": "svc-18",
                        "namespace": "team-002",
                    } } },
                },
                "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
            })
        );
    }

    #[test]
    fn a_seed_may_have_more_than_32_bits() {
        let documents = generate(&Arguments { seed: u64::MAX, ..S });
        assert_eq!(documents[1010]["metadata"]["uid"], "c189629f-2628-4401-be74-da05a35f0605");
    }

    #[test]
    fn without_channels_there_are_no_subscriptions() {
        let documents = generate(&Arguments { channels: 0, ..S });
        assert!(documents.iter().all(|document| document["kind"] != "Subscription"));
    }
}
