//! Random meshes of a small world: few namespaces and names, so that references meet, collide and dangle.
//!
//! Everything is made as documents, so that the real converter reads them. A strategy shrinks towards fewer and
//! plainer documents, and a mesh shows itself one document a line, without the fields that are `null`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use eventmesh_catalog::mesh::grant::{Rights, Scope};
use eventmesh_catalog::mesh::{Grant, GroupKind, Key, Resource};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// `a-b` sorts between `a` and `b`, but `a-b/x` sorts before `a/x`.
pub const NAMESPACES: [&str; 3] = ["a", "a-b", "b"];
const NAMES: [&str; 2] = ["x", "y"];

/// Mostly the first one: there things meet.
fn namespace() -> BoxedStrategy<&'static str> {
    prop_oneof![8 => Just(NAMESPACES[0]), 1 => Just(NAMESPACES[1]), 1 => Just(NAMESPACES[2])].boxed()
}

fn name() -> BoxedStrategy<&'static str> {
    prop_oneof![3 => Just(NAMES[0]), 1 => Just(NAMES[1])].boxed()
}

/// API version and kind.
pub type ApiKind = (&'static str, &'static str);

const BROKER: ApiKind = ("eventing.knative.dev/v1", "Broker");
const TRIGGER: ApiKind = ("eventing.knative.dev/v1", "Trigger");
const CHANNEL: ApiKind = ("messaging.knative.dev/v1", "Channel");
const IN_MEMORY: ApiKind = ("messaging.knative.dev/v1", "InMemoryChannel");
const SUBSCRIPTION: ApiKind = ("messaging.knative.dev/v1", "Subscription");
const PING: ApiKind = ("sources.knative.dev/v1", "PingSource");
const SERVICE: ApiKind = ("v1", "Service");
const KNATIVE_SERVICE: ApiKind = ("serving.knative.dev/v1", "Service");
/// Subscribable and a source, when its definition says so.
const RELAY: ApiKind = ("acme.example/v1", "Relay");
const FEED: ApiKind = ("acme.example/v1", "Feed");

const DEFINED: [(ApiKind, &str); 6] = [
    (RELAY, "relays"),
    (FEED, "feeds"),
    (CHANNEL, "channels"),
    (IN_MEMORY, "inmemorychannels"),
    (PING, "pingsources"),
    (KNATIVE_SERVICE, "services"),
];

pub const KINDS: [ApiKind; 11] = [
    BROKER,
    ("eventing.knative.dev/v1beta2", "EventType"),
    TRIGGER,
    CHANNEL,
    IN_MEMORY,
    SUBSCRIPTION,
    PING,
    SERVICE,
    KNATIVE_SERVICE,
    RELAY,
    FEED,
];

pub const TEXTS: [&str; 12] = ["a", "a.b", "a.b.c", "b", "a.", ".b", ".c", "b.c", "/s/1", "/s/", "eu", "5"];
const TYPES: [&str; 10] = ["a", "a.b", "a.b.c", "b", "{x}.b", "a.{x}", "a.{x}.c", "{}", r"a\{b\}.{x}", "a.{b"];
const SOURCES: [&str; 6] = ["/s", "/s/1", "/s/{id}", "/s/%7Bid%7d", "{x}1", "/s/%7B"];
const EMITTED: [&str; 5] = ["a", "a.b", "a.b.c", "b", "a{b}.c"];
const ATTRIBUTES: [&str; 7] = ["type", "source", "dataschema", "schemaurl", "subject", "zone", "n"];

/// Documents of different objects.
#[derive(Clone)]
pub struct Mesh(pub Vec<Value>);

impl Mesh {
    /// Of two documents of one object, the later one counts.
    pub fn new(documents: impl IntoIterator<Item = Value>) -> Self {
        let by_key: BTreeMap<Key, Value> = documents.into_iter().map(|it| (key(&it), it)).collect();
        Self(by_key.into_values().collect())
    }

    pub fn resources(&self) -> Vec<Arc<Resource>> {
        super::converted(&self.0)
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} documents", self.0.len())?;
        self.0.iter().try_for_each(|it| writeln!(f, "{}", brief(it)))
    }
}

fn brief(document: &Value) -> Value {
    match document {
        Value::Object(fields) => {
            let filled = fields.iter().filter(|(_, it)| !it.is_null());
            Value::Object(filled.map(|(name, it)| (name.clone(), brief(it))).collect())
        }
        Value::Array(items) => items.iter().map(brief).collect(),
        other => other.clone(),
    }
}

/// What a document is the object of.
pub fn key(document: &Value) -> Key {
    super::converter().convert(document).expect("an object").key
}

/// A mesh of this many documents and a few that most meshes have.
pub fn mesh(documents: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Mesh> {
    let documents = documents.into();
    let objects = prop_oneof![2 => vec(object(), documents.clone()), 1 => vec(pipe(), documents)];
    (definitions(), meeting_places(), objects)
        .prop_map(|(definitions, places, objects)| Mesh::new(definitions.into_iter().chain(places).chain(objects)))
}

/// Event types of no broker that keep triggers and subscriptions in other shards than most sources and conduits.
pub fn separators() -> Vec<Value> {
    let named = |(namespace, name): (String, String)| json!({"namespace": namespace, "name": name});
    beginners(KINDS[1]).into_iter().map(|it| document(KINDS[1], &named(it), &json!({}))).collect()
}

/// Some of the objects that are named most often.
fn meeting_places() -> impl Strategy<Value = Vec<Value>> {
    let document = |of: &ApiKind| {
        let labels = json!({"backstage.io/kubernetes-id": of.1});
        document(*of, &json!({"namespace": "a", "name": "x", "labels": labels}), &json!({}))
    };
    let documents: Vec<_> = [BROKER, SERVICE, IN_MEMORY, CHANNEL].iter().map(document).collect();
    prop::sample::subsequence(documents, 0..=4)
}

/// Mostly the definitions that make a relay a channel and a source, and a feed a source.
fn definitions() -> impl Strategy<Value = Vec<Value>> {
    let labeled = |labels: &[&str]| labels.iter().map(|it| ((*it).to_owned(), json!("true"))).collect::<Map<_, _>>();
    let relay = labeled(&["messaging.knative.dev/subscribable", "duck.knative.dev/source"]);
    let feed = labeled(&["duck.knative.dev/source"]);
    let types = json!({"registry.knative.dev/eventTypes": r#"[{"type": "a.b"}, {"type": "b"}]"#});
    let relay = crd(RELAY, "relays", "", &Value::Object(relay), &json!({}), true);
    let feed = crd(FEED, "feeds", "", &Value::Object(feed), &types, true);
    (option::weighted(0.8, Just(relay)), option::weighted(0.8, Just(feed)))
        .prop_map(|(relay, feed)| relay.into_iter().chain(feed).collect())
}

/// Any object of the small world.
pub fn object() -> impl Strategy<Value = Value> {
    prop_oneof![
        7 => event_type(),
        6 => trigger(),
        4 => subscription(),
        3 => plain(&[BROKER]),
        4 => duck(&[CHANNEL, CHANNEL, IN_MEMORY, RELAY]),
        4 => duck(&[RELAY, FEED, FEED, PING]),
        4 => plain(&[SERVICE, SERVICE, KNATIVE_SERVICE]),
        1 => definition(),
    ]
}

/// Labels that matter to somebody, and some that do not.
pub fn labels() -> impl Strategy<Value = Value> {
    let id =
        prop_oneof![3 => Just(None), 4 => select(&["one", "two", "three"][..]).prop_map(Some), 1 => Just(Some(""))];
    (id, option::of(select(&["gold", "free"][..]))).prop_map(|(id, tier)| {
        let id = id.map(|it| ("backstage.io/kubernetes-id", it));
        Value::Object(id.into_iter().chain(tier.map(|it| ("tier", it))).map(|(n, v)| (n.into(), v.into())).collect())
    })
}

fn annotations() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => Just(json!(null)),
        1 => Just(json!({"note": "n", "backstage.io/kubernetes-id": "ignored"})),
        1 => Just(json!({"kubectl.kubernetes.io/last-applied-configuration": "{}"})),
    ]
}

/// Namespace, name and the rest of the metadata, of names that many objects share.
fn metadata() -> BoxedStrategy<Value> {
    named((namespace(), name()).prop_map(|(namespace, name)| (namespace, name.to_owned())))
}

/// Of kinds of which there are many: with names that begin a new shard of a snapshot among them.
fn of_many(of: ApiKind) -> BoxedStrategy<Value> {
    named(namespace().prop_flat_map(move |namespace| {
        let mut names: Vec<String> = (0..5).map(|n| format!("n{n}")).collect();
        names.extend(beginners(of).iter().filter(|(ns, _)| ns == namespace).map(|(_, name)| name.clone()));
        select(names).prop_map(move |name| (namespace, name))
    }))
}

fn named(name: impl Strategy<Value = (&'static str, String)> + 'static) -> BoxedStrategy<Value> {
    (name, labels(), annotations())
        .prop_map(|((namespace, name), labels, annotations)| {
            let uid = format!("{namespace}-{name}");
            json!({"namespace": namespace, "name": name, "uid": uid, "labels": labels, "annotations": annotations})
        })
        .boxed()
}

/// Names of event types, triggers and subscriptions that begin a shard; found by looking where shards begin.
fn beginners(of: ApiKind) -> Vec<(String, String)> {
    static FOUND: OnceLock<BTreeMap<ApiKind, Vec<(String, String)>>> = OnceLock::new();
    let find = |of: ApiKind| {
        let names = NAMESPACES.iter().flat_map(|ns| (0..600).map(move |n| (*ns, format!("s{n}"))));
        let document =
            |(ns, name)| json!({"apiVersion": of.0, "kind": of.1, "metadata": {"namespace": ns, "name": name}});
        let documents: Vec<_> = names.map(document).collect();
        let snapshot = super::snapshot(super::converted(&documents));
        let first = |it: &Arc<eventmesh_catalog::mesh::snapshot::Shard>| it.entries()[0].resource.key.clone();
        let firsts: Vec<_> =
            snapshot.shards().iter().skip(1).map(first).filter(|it| !it.namespace.is_empty()).collect();
        let of_namespace =
            |ns: &&str| firsts.iter().filter(|it| *it.namespace == **ns).take(2).cloned().collect::<Vec<_>>();
        NAMESPACES.iter().flat_map(of_namespace).map(|it| (it.namespace.to_string(), it.name.to_string())).collect()
    };
    let kinds = [KINDS[1], TRIGGER, SUBSCRIPTION];
    FOUND.get_or_init(|| kinds.into_iter().map(|it| (it, find(it))).collect()).get(&of).cloned().unwrap_or_default()
}

fn document(of: ApiKind, metadata: &Value, spec: &Value) -> Value {
    json!({"apiVersion": of.0, "kind": of.1, "metadata": metadata, "spec": spec})
}

fn plain(kinds: &'static [ApiKind]) -> BoxedStrategy<Value> {
    (select(kinds), metadata()).prop_map(|(of, metadata)| document(of, &metadata, &json!({}))).boxed()
}

/// A reference, a few of them not usable.
fn reference(kinds: &'static [ApiKind]) -> BoxedStrategy<Value> {
    let namespace = prop_oneof![5 => Just(None), 1 => Just(Some("")), 3 => namespace().prop_map(Some)];
    (select(kinds), name(), namespace, 0..20_u8)
        .prop_map(|((version, kind), name, namespace, shape)| {
            let mut it = json!({"kind": kind, "name": name, "namespace": namespace});
            match shape {
                0 => it["kind"] = json!(null),
                1 => it["name"] = json!(""),
                2 => {}
                3..6 => it["group"] = json!(version.split_once('/').map_or("core", |(group, _)| group)),
                6 => {
                    it["apiVersion"] = json!(version);
                    it["group"] = json!("ignored.example");
                }
                _ => it["apiVersion"] = json!(version),
            }
            it
        })
        .boxed()
}

/// Where something is sent to: a reference, a URI, both or neither.
fn destination(kinds: &'static [ApiKind]) -> BoxedStrategy<Value> {
    prop_oneof![
        8 => reference(kinds).prop_map(|it| json!({"ref": it})),
        1 => reference(kinds).prop_map(|it| json!({"ref": it, "uri": "http://both.example"})),
        1 => Just(json!({"uri": "http://only.example"})),
        1 => Just(json!(null)),
    ]
    .boxed()
}

// Event types.

pub fn event_type() -> BoxedStrategy<Value> {
    let conduits = &[BROKER, BROKER, BROKER, CHANNEL, IN_MEMORY, RELAY, PING, FEED, SERVICE, KNATIVE_SERVICE];
    let belongs = prop_oneof![
        6 => reference(conduits).prop_map(|it| json!({"reference": it})),
        1 => name().prop_map(|it| json!({"broker": it})),
        1 => reference(conduits).prop_map(|it| json!({"broker": "x", "reference": it})),
        1 => Just(json!({})),
    ];
    (of_many(KINDS[1]), declaration(), belongs)
        .prop_map(|(metadata, (version, spec), belongs)| {
            let mut document = document((version, "EventType"), &metadata, &spec);
            let spec = document["spec"].as_object_mut().expect("an object");
            spec.extend(belongs.as_object().expect("an object").clone());
            document
        })
        .boxed()
}

/// The version and the part of a spec that declares attributes.
fn declaration() -> BoxedStrategy<(&'static str, Value)> {
    let flat = (
        select(&["eventing.knative.dev/v1beta1", "eventing.knative.dev/v1beta2"][..]),
        option::weighted(0.95, select(&TYPES[..])),
        option::of(select(&SOURCES[..])),
        option::weighted(0.2, select(&TEXTS[..])),
        option::weighted(0.1, Just("about it")),
    );
    let flat = flat.prop_map(|(version, of_type, source, schema, description)| {
        let spec = json!({
            "type": of_type, "source": source, "schema": schema, "schemaData": schema.map(|_| "{}"),
            "description": description,
        });
        (version, spec)
    });
    let names = prop::sample::subsequence(&["Subject", "zone", "n", "time"][..], 0..3);
    let schema = option::weighted(0.3, select(&["dataschema", "schemaurl", "schemadata"][..]));
    let values = vec((any::<bool>(), option::weighted(0.8, select(&[TYPES[1], TYPES[4], TYPES[5], "eu", "5"][..]))), 4);
    let of_type = (any::<bool>(), option::weighted(0.95, select(&TYPES[..])));
    let source = option::of((any::<bool>(), option::of(select(&SOURCES[..]))));
    let listed = (of_type, source, schema, names, values).prop_map(|(of_type, source, schema, names, values)| {
        let others = names.into_iter().chain(schema).zip(values);
        let all = [("type", of_type)].into_iter().chain(source.map(|it| ("source", it))).chain(others);
        let attribute = |(name, (required, value)): (&str, (bool, Option<&str>))| {
            json!({"name": name, "required": required, "value": value})
        };
        let attributes: Vec<_> = all.map(attribute).collect();
        ("eventing.knative.dev/v1beta3", json!({"attributes": attributes}))
    });
    prop_oneof![3 => flat, 2 => listed].boxed()
}

// Triggers and subscriptions.

const SUBSCRIBERS: &[ApiKind] =
    &[SERVICE, SERVICE, SERVICE, KNATIVE_SERVICE, BROKER, BROKER, CHANNEL, IN_MEMORY, RELAY, PING, TRIGGER];

pub fn trigger() -> BoxedStrategy<Value> {
    let broker = prop_oneof![
        5 => name().prop_map(|it| json!({"broker": it})),
        2 => reference(&[BROKER]).prop_map(|it| json!({"brokerRef": it})),
        1 => reference(&[BROKER]).prop_map(|it| json!({"brokerRef": it, "broker": "x"})),
        1 => Just(json!({})),
    ];
    (of_many(TRIGGER), broker, destination(SUBSCRIBERS), filters())
        .prop_map(|(metadata, mut spec, subscriber, filters)| {
            spec["subscriber"] = subscriber;
            spec.as_object_mut().expect("an object").extend(filters.as_object().expect("an object").clone());
            document(TRIGGER, &metadata, &spec)
        })
        .boxed()
}

fn subscription() -> BoxedStrategy<Value> {
    let channel = reference(&[CHANNEL, CHANNEL, IN_MEMORY, IN_MEMORY, RELAY, RELAY, KNATIVE_SERVICE, BROKER]);
    let subscriber = prop_oneof![2 => destination(SUBSCRIBERS), 1 => Just(json!(null))];
    let reply = prop_oneof![1 => destination(&[CHANNEL, IN_MEMORY, RELAY, BROKER, BROKER]), 1 => Just(json!(null))];
    (of_many(SUBSCRIPTION), channel, subscriber, reply)
        .prop_map(|(metadata, channel, subscriber, reply)| {
            let spec = json!({"channel": channel, "subscriber": subscriber, "reply": reply});
            document(SUBSCRIPTION, &metadata, &spec)
        })
        .boxed()
}

/// The filter fields of a trigger's spec.
fn filters() -> BoxedStrategy<Value> {
    let value = prop_oneof![5 => select(&TEXTS[..]), 1 => Just("")];
    let attributes = prop::collection::btree_map(select(&ATTRIBUTES[..]), value, 0..3);
    prop_oneof![
        4 => Just(json!({})),
        4 => select(&TYPES[..4]).prop_map(|it| json!({"filter": {"attributes": {"type": it}}})),
        2 => attributes.clone().prop_map(|it| json!({"filter": {"attributes": it}})),
        6 => vec(dialects(), 0..3).prop_map(|it| json!({"filters": it})),
        1 => (attributes, vec(dialects(), 0..2))
            .prop_map(|(old, new)| json!({"filter": {"attributes": old}, "filters": new})),
    ]
    .boxed()
}

/// An element of `filters`.
pub fn dialects() -> BoxedStrategy<Value> {
    let compared = |dialect: &'static str| {
        let value = prop_oneof![12 => select(&TEXTS[..]), 1 => Just("")];
        prop::collection::btree_map(select(&ATTRIBUTES[..]), value, 1..3).prop_map(move |it| json!({dialect: it}))
    };
    let leaf = prop_oneof![
        5 => select(&TYPES[..4]).prop_map(|it| json!({"exact": {"type": it}})),
        3 => compared("exact"),
        3 => compared("prefix"),
        3 => compared("suffix"),
        4 => sql().prop_map(|it| json!({"cesql": it})),
        1 => Just(json!({})),
        1 => select(&["exact", "prefix", "all", "any", "cesql"][..]).prop_map(|it| match it {
            "cesql" => json!({"cesql": ""}),
            "all" | "any" => json!({it: []}),
            _ => json!({it: {}}),
        }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 0..4).prop_map(|it| json!({"all": it})),
            3 => vec(inner.clone(), 0..4).prop_map(|it| json!({"any": it})),
            4 => inner.clone().prop_map(|it| json!({"not": it})),
            1 => (inner.clone(), inner).prop_map(|(mut one, other)| {
                let other = other.as_object().expect("an object").clone();
                one.as_object_mut().expect("an object").extend(other);
                one
            }),
        ]
    })
    .boxed()
}

/// A CESQL expression; a few do not parse.
pub fn sql() -> BoxedStrategy<String> {
    let name = || select(&["type", "source", "dataschema", "subject", "zone", "n"][..]);
    let text = || select(&TEXTS[..]);
    let leaf = prop_oneof![
        5 => (name(), select(&["=", "<>", "!="][..]), text()).prop_map(|(n, op, t)| format!("{n} {op} '{t}'")),
        3 => (name(), select(&["a%", "%b", "a.%.c", "%", "a_b", "/s/%", "_"][..]))
            .prop_map(|(n, t)| format!("{n} LIKE '{t}'")),
        2 => (name(), text(), text()).prop_map(|(n, a, b)| format!("{n} IN ('{a}', '{b}')")),
        2 => name().prop_map(|n| format!("EXISTS {n}")),
        1 => (name(), -1..6).prop_map(|(n, i)| format!("{n} < {i}")),
        1 => (name(), 0..6).prop_map(|(n, i)| format!("{n} + 1 = {i}")),
        1 => name().prop_map(|n| format!("{n} = true")),
        1 => (name(), text()).prop_map(|(n, t)| format!("LEFT({n}, 1) = '{t}'")),
        1 => (name(), 0..6).prop_map(|(n, i)| format!("LENGTH({n}) = {i}")),
        1 => name().prop_map(str::to_owned),
        1 => select(&["true", "false", "NOSUCH(type)", "((("][..]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            3 => (inner.clone(), select(&["AND", "OR", "XOR"][..]), inner.clone())
                .prop_map(|(l, op, r)| format!("{l} {op} {r}")),
            1 => (inner.clone(), select(&["AND", "OR"][..]), inner.clone())
                .prop_map(|(l, op, r)| format!("({l}) {op} ({r})")),
            1 => inner.prop_map(|it| format!("NOT ({it})")),
        ]
    })
    .boxed()
}

// Channels and sources.

fn duck(kinds: &'static [ApiKind]) -> BoxedStrategy<Value> {
    let sinks = &[BROKER, BROKER, BROKER, CHANNEL, IN_MEMORY, RELAY, SERVICE, KNATIVE_SERVICE];
    let entry = (option::weighted(0.9, select(&EMITTED[..])), option::of(select(&["/s", "/s/1", "/s/2"][..])))
        .prop_map(|(of_type, source)| json!({"type": of_type, "source": source}));
    let owner = (select(&[CHANNEL, CHANNEL, CHANNEL, BROKER][..]), name())
        .prop_map(|((version, kind), name)| json!({"apiVersion": version, "kind": kind, "name": name}));
    let behind = reference(&[IN_MEMORY, IN_MEMORY, IN_MEMORY, RELAY, RELAY, CHANNEL, BROKER, SERVICE]);
    (select(kinds), metadata(), destination(sinks), vec(entry, 0..3), vec(owner, 0..2), option::of(behind))
        .prop_map(|(of, mut metadata, sink, attributes, owners, behind)| {
            let is_source = of != CHANNEL && of != IN_MEMORY;
            let is_backing = of == IN_MEMORY || of == RELAY;
            if is_backing && !owners.is_empty() {
                metadata["ownerReferences"] = json!(owners);
            }
            let mut it = document(of, &metadata, &json!({}));
            if is_source {
                it["spec"]["sink"] = sink;
                it["status"]["ceAttributes"] = json!(attributes);
            }
            if of == CHANNEL
                && let Some(behind) = behind
            {
                it["status"]["channel"] = behind;
            }
            it
        })
        .boxed()
}

/// A definition of a kind, with any labels and annotations, perhaps a second one of the kind.
fn definition() -> BoxedStrategy<Value> {
    let label = || prop_oneof![3 => Just(Some("true")), 1 => Just(Some("false")), 2 => Just(None)];
    let types = option::of(select(
        &[
            r#"[{"type": "a"}, {"type": "a.b"}, {"type": "a"}]"#,
            r#"[{"type": "b"}, {"typo": "a"}, 5]"#,
            "[]",
            "no list",
        ][..],
    ));
    (select(&DEFINED[..]), select(&["", "", "aa-"][..]), label(), label(), types, prop::bool::weighted(0.9))
        .prop_map(|((of, plural), first, subscribable, source, types, served)| {
            let labels = json!({"messaging.knative.dev/subscribable": subscribable, "duck.knative.dev/source": source});
            crd(of, plural, first, &labels, &json!({"registry.knative.dev/eventTypes": types}), served)
        })
        .boxed()
}

fn crd(
    (version, kind): ApiKind,
    plural: &str,
    first: &str,
    labels: &Value,
    annotations: &Value,
    served: bool,
) -> Value {
    let group = version.split_once('/').map_or("", |(group, _)| group);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{first}{plural}.{group}"), "labels": labels, "annotations": annotations},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "versions": [{"name": "v1", "served": served, "storage": true}],
        },
    })
}

// Ways from conduit to conduit.

/// An object of a world of mostly one namespace and one type of events: many ways lead from sources to conduits.
pub fn pipe() -> BoxedStrategy<Value> {
    const CONDUITS: &[ApiKind] = &[BROKER, BROKER, IN_MEMORY, CHANNEL, RELAY];
    let to = |kinds: &'static [ApiKind]| {
        (select(kinds), select(&NAMES[..]))
            .prop_map(|((version, kind), name)| json!({"apiVersion": version, "kind": kind, "name": name}))
    };
    let labels = || json!({"backstage.io/kubernetes-id": "one"});
    let many = |of| {
        of_many(of).prop_map(|mut it| {
            it["namespace"] = json!("a");
            it
        })
    };
    let few = || select(&NAMES[..]).prop_map(move |it| json!({"namespace": "a", "name": it, "labels": labels()}));
    let of_type = select(&["a.b", "a.b", "a.b", "a.{x}", "b"][..]);
    let filters = prop_oneof![
        3 => Just(json!(null)),
        1 => select(&["a.b", "b"][..]).prop_map(|it| json!([{"exact": {"type": it}}]))
    ];
    prop_oneof![
        3 => (many(KINDS[1]), of_type, to(CONDUITS)).prop_map(|(metadata, of_type, reference)| {
            document(KINDS[1], &metadata, &json!({"type": of_type, "reference": reference}))
        }),
        4 => (many(TRIGGER), select(&NAMES[..]), to(CONDUITS), filters).prop_map(|(metadata, broker, to, filters)| {
            let spec = json!({"broker": broker, "filters": filters, "subscriber": {"ref": to}});
            document(TRIGGER, &metadata, &spec)
        }),
        4 => (many(SUBSCRIPTION), to(&[IN_MEMORY, CHANNEL, RELAY]), to(CONDUITS), any::<bool>())
            .prop_map(|(metadata, channel, to, is_reply)| {
                let way = if is_reply { "reply" } else { "subscriber" };
                document(SUBSCRIPTION, &metadata, &json!({"channel": channel, way: {"ref": to}}))
            }),
        // In two namespaces, so that not all of them share a shard with the conduits.
        2 => (select(&[PING, FEED, RELAY][..]), few(), select(&["a", "b"][..]), to(CONDUITS)).prop_map(|it| {
            let (of, mut metadata, namespace, mut sink) = it;
            metadata["namespace"] = json!(namespace);
            sink["namespace"] = json!("a");
            let mut it = document(of, &metadata, &json!({"sink": {"ref": sink}}));
            it["status"] = json!({"ceAttributes": [{"type": "a.b"}]});
            it
        }),
        2 => (few(), to(&[IN_MEMORY, RELAY])).prop_map(|(metadata, behind)| {
            let mut it = document(CHANNEL, &metadata, &json!({}));
            it["status"] = json!({"channel": behind});
            it
        }),
        3 => (select(CONDUITS), few()).prop_map(|(of, metadata)| document(of, &metadata, &json!({}))),
    ]
    .boxed()
}

// Changes.

/// What happens to a mesh.
#[derive(Clone)]
pub enum Change {
    Put(Value),
    /// One of the objects that there are.
    Remove(prop::sample::Index),
    /// Other labels and a new annotation for one of the objects that there are.
    Relabel(prop::sample::Index, Value),
    /// One of the objects that there are becomes another one in all but name, where kinds allow it.
    Reword(prop::sample::Index, Value),
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(it) => write!(f, "put {}", brief(it)),
            Self::Remove(at) => write!(f, "remove {at:?}"),
            Self::Relabel(at, labels) => write!(f, "relabel {at:?} {labels}"),
            Self::Reword(at, it) => write!(f, "reword {at:?} {}", brief(it)),
        }
    }
}

pub fn change() -> BoxedStrategy<Change> {
    let object = || prop_oneof![2 => object(), 1 => pipe()];
    prop_oneof![
        4 => object().prop_map(Change::Put),
        4 => any::<prop::sample::Index>().prop_map(Change::Remove),
        2 => (any::<prop::sample::Index>(), labels()).prop_map(|(at, labels)| Change::Relabel(at, labels)),
        4 => (any::<prop::sample::Index>(), object()).prop_map(|(at, it)| Change::Reword(at, it)),
    ]
    .boxed()
}

/// The objects that there are, changed one after the other.
#[derive(Debug, Clone, Default)]
pub struct State(pub BTreeMap<Key, Value>);

impl State {
    pub fn new(mesh: &Mesh) -> Self {
        Self(mesh.0.iter().map(|it| (key(it), it.clone())).collect())
    }

    /// Makes a change and says which object it is about.
    pub fn make(&mut self, change: &Change) -> Option<Key> {
        let document = match change {
            Change::Put(document) => document.clone(),
            Change::Remove(at) => {
                let key = self.pick(*at)?;
                self.0.remove(&key);
                return Some(key);
            }
            Change::Relabel(at, labels) => {
                let mut document = self.0.get(&self.pick(*at)?)?.clone();
                document["metadata"]["labels"] = labels.clone();
                document
            }
            Change::Reword(at, other) => {
                let same_kind = |it: &&Key| it.of == key(other).of && it.of.kind.as_ref() != "CustomResourceDefinition";
                let like: Vec<_> = self.0.keys().filter(same_kind).cloned().collect();
                let mut document = other.clone();
                if !like.is_empty() {
                    let target = at.get(&like);
                    document["metadata"]["namespace"] = json!(target.namespace);
                    document["metadata"]["name"] = json!(target.name);
                }
                document
            }
        };
        let key = key(&document);
        self.0.insert(key.clone(), document);
        Some(key)
    }

    pub fn mesh(&self) -> Mesh {
        Mesh(self.0.values().cloned().collect())
    }

    fn pick(&self, at: prop::sample::Index) -> Option<Key> {
        let keys: Vec<_> = self.0.keys().collect();
        (!keys.is_empty()).then(|| (*at.get(&keys)).clone())
    }
}

// Grants.

/// Rights for any mesh: what they mean for objects is decided once there are some.
#[derive(Debug, Clone)]
pub struct Rules {
    everywhere: bool,
    list: BTreeMap<usize, Vec<bool>>,
    get: BTreeMap<usize, Vec<bool>>,
    /// Of each object in turn: 0 hidden, 1 to get, more to list.
    objects: Vec<u8>,
}

pub fn rules() -> BoxedStrategy<Rules> {
    let kinds = || prop::collection::btree_map(0..=KINDS.len(), vec(prop::bool::weighted(0.8), 3), 0..KINDS.len());
    let most = vec(prop_oneof![1 => Just(0_u8), 1 => Just(1), 8 => Just(2)], 1..40);
    prop_oneof![
        1 => Just(Rules { everywhere: true, list: <_>::default(), get: <_>::default(), objects: vec![] }),
        4 => (kinds(), kinds()).prop_map(|(list, get)| Rules { everywhere: false, list, get, objects: vec![] }),
        2 => (kinds(), vec(0..3_u8, 0..40))
            .prop_map(|(list, objects)| Rules { everywhere: false, list, get: <_>::default(), objects }),
        6 => most.prop_map(|objects| Rules { everywhere: false, list: <_>::default(), get: <_>::default(), objects }),
    ]
    .boxed()
}

impl Rules {
    pub fn grant(&self, resources: &[Arc<Resource>]) -> Grant {
        if self.everywhere {
            return Grant::everything();
        }
        let mut grant = Grant { list: rights(&self.list), get: rights(&self.get), is_whole: false };
        let mut keys: Vec<_> = resources.iter().map(|it| it.key.clone()).collect();
        keys.sort();
        for (key, right) in keys.into_iter().zip(self.objects.iter().cycle()) {
            match right {
                0 => {}
                1 => _ = grant.get.objects.insert(key),
                _ => _ = grant.list.objects.insert(key),
            }
        }
        grant
    }
}

/// The last number means all kinds.
fn rights(kinds: &BTreeMap<usize, Vec<bool>>) -> Rights {
    let mut rights = Rights::default();
    for (kind, namespaces) in kinds {
        let granted = NAMESPACES.iter().zip(namespaces).filter(|(_, granted)| **granted);
        let granted: BTreeSet<String> = granted.map(|(namespace, _)| (*namespace).to_owned()).collect();
        let everywhere = granted.len() == NAMESPACES.len();
        match KINDS.get(*kind) {
            Some((version, kind)) => {
                let group = version.split_once('/').map_or("", |(group, _)| group);
                let scope = if everywhere { Scope::Everywhere } else { Scope::Namespaces(granted) };
                rights.kinds.insert(GroupKind::new(group, *kind), scope);
            }
            // For all kinds everywhere there are other rules.
            None => rights.all_kinds = Scope::Namespaces(granted.into_iter().take(1).collect()),
        }
    }
    rights
}
