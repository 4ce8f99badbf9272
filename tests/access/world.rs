//! A random world of a real API server: objects of a mesh, and roles and bindings that make no more sense than those
//! that grow somewhere over the years.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::support::callers::{group, service_account, static_users, user};
use super::support::cluster::Cluster;
use super::support::meshes::{self, NAMESPACES};

/// Group, kind and plural of what there are objects of. Two of them are called the same.
pub const KINDS: [(&str, &str, &str); 11] = [
    ("", "Service", "services"),
    ("eventing.knative.dev", "Broker", "brokers"),
    ("eventing.knative.dev", "EventType", "eventtypes"),
    ("eventing.knative.dev", "Trigger", "triggers"),
    ("messaging.knative.dev", "Channel", "channels"),
    ("messaging.knative.dev", "InMemoryChannel", "inmemorychannels"),
    ("messaging.knative.dev", "Subscription", "subscriptions"),
    ("sources.knative.dev", "PingSource", "pingsources"),
    ("serving.knative.dev", "Service", "services"),
    ("acme.example", "Relay", "relays"),
    ("acme.example", "Feed", "feeds"),
];
/// Where service accounts live, beside the namespaces of the mesh.
pub const HOMES: [&str; 3] = ["a", "a-b", "callers"];
/// How many in each.
pub const ACCOUNTS: usize = 5;

/// Names that rules are limited to.
const NAMES: [&str; 11] = ["x", "y", "x0", "x1", "x2", "x3", "y0", "y1", "n0", "n1", "*"];
const ROLES: [&str; 7] = ["r0", "r1", "r2", "r3", "r4", "r5", "r6"];
const RBAC: &str = "rbac.authorization.k8s.io";
/// How many objects are written at a time.
const AT_ONCE: usize = 8;

/// The served version that is stored, which is the one to read.
pub fn version(kind: &str) -> &'static str {
    if kind == "EventType" { "v1beta2" } else { "v1" }
}

/// Objects by what names them in a cluster.
type Objects = BTreeMap<String, Value>;

/// What is on the server, and the dice that decide on what comes next.
pub struct World {
    dice: TestRunner,
    mesh: Objects,
    pub roles: Objects,
}

impl World {
    pub fn new(seed: u32) -> Self {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let dice = TestRunner::new_with_rng(ProptestConfig::default(), rng);
        Self { dice, mesh: Objects::new(), roles: Objects::new() }
    }

    fn draw<T>(&mut self, strategy: impl Strategy<Value = T>) -> T {
        strategy.new_tree(&mut self.dice).expect("a value").current()
    }

    /// Makes another world.
    pub async fn begin_anew(&mut self, cluster: &Cluster) {
        let mesh = self.draw(vec(object(), 1000)).into_iter();
        let mut roles = self.draw(vec(role(), 60));
        roles.extend(self.draw(vec(binding(), 130)));
        self.become_(cluster, by_name(mesh), by_name(roles)).await;
    }

    /// Changes a part of it: of the roles, of the mesh, or of both.
    pub async fn go_on(&mut self, cluster: &Cluster) {
        let (of_mesh, of_roles) = self.draw(select(&[(14, 0), (0, 14), (8, 8), (0, 1), (1, 0)][..]));
        let (mut mesh, mut roles) = (self.mesh.clone(), self.roles.clone());
        let changes = vec((any::<prop::sample::Index>(), option::weighted(0.7, object())), of_mesh);
        self.draw(changes).into_iter().for_each(|it| change(&mut mesh, it));
        let either = prop_oneof![role(), binding()];
        let changes = vec((any::<prop::sample::Index>(), option::weighted(0.6, either)), of_roles);
        self.draw(changes).into_iter().for_each(|it| change(&mut roles, it));
        self.become_(cluster, mesh, roles).await;
    }

    async fn become_(&mut self, cluster: &Cluster, mesh: Objects, roles: Objects) {
        replace(cluster, &self.mesh, &mesh).await;
        replace(cluster, &self.roles, &roles).await;
        (self.mesh, self.roles) = (mesh, roles);
    }
}

/// Puts an object, or takes one of those that there are away.
fn change(objects: &mut Objects, (which, put): (prop::sample::Index, Option<Value>)) {
    match put {
        Some(object) => _ = objects.insert(name(&object), object),
        None if objects.is_empty() => {}
        None => {
            let names: Vec<_> = objects.keys().cloned().collect();
            objects.remove(which.get(&names));
        }
    }
}

async fn replace(cluster: &Cluster, before: &Objects, after: &Objects) {
    let stays = |it: &str| after.get(it).is_some_and(|now| before.get(it) == Some(now));
    // What a binding binds to cannot be changed.
    let goes = |it: &str, object: &Value| {
        !after.contains_key(it) || object["kind"].as_str().is_some_and(|it| it.ends_with("Binding"))
    };
    let gone = before.iter().filter(|(it, object)| !stays(it) && goes(it, object));
    stream::iter(gone).for_each_concurrent(AT_ONCE, |(_, object)| cluster.delete(object)).await;
    let come = after.iter().filter(|(it, _)| !stays(it));
    stream::iter(come).for_each_concurrent(AT_ONCE, |(_, object)| cluster.apply(object)).await;
}

fn by_name(objects: impl IntoIterator<Item = Value>) -> Objects {
    objects.into_iter().map(|it| (name(&it), it)).collect()
}

/// The version is no part of it.
fn name(object: &Value) -> String {
    let text = |it: &str| object.pointer(it).and_then(Value::as_str).unwrap_or_default();
    let group = text("/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    [group, text("/kind"), text("/metadata/namespace"), text("/metadata/name")].join("/")
}

// The mesh.

/// The definitions of all kinds but the built-in one, which take any object.
pub fn definitions() -> Vec<Value> {
    KINDS.iter().filter(|(group, ..)| !group.is_empty()).map(|it| definition(*it)).collect()
}

fn definition((group, kind, plural): (&str, &str, &str)) -> Value {
    let mut labels = json!({});
    if ["Channel", "InMemoryChannel", "Relay"].contains(&kind) {
        labels["messaging.knative.dev/subscribable"] = "true".into();
    }
    if ["PingSource", "Relay", "Feed"].contains(&kind) {
        labels["duck.knative.dev/source"] = "true".into();
    }
    let versions: &[&str] = if kind == "EventType" { &["v1beta1", "v1beta2"] } else { &["v1"] };
    let anything = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let versions = versions
        .iter()
        .map(|it| json!({"name": it, "served": true, "storage": *it == version(kind), "schema": anything}));
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{group}"),
            "labels": labels,
            "annotations": {"registry.knative.dev/eventTypes": r#"[{"type": "a.b"}, {"type": "b"}]"#},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": versions.collect::<Vec<_>>(),
        },
    })
}

/// An object of the small world of [`meshes`], which is made a little larger, as a server takes it.
fn object() -> BoxedStrategy<Value> {
    let object = prop_oneof![3 => meshes::object(), 2 => meshes::pipe()];
    let is_wanted =
        |it: &Value| it["kind"] != "CustomResourceDefinition" && it["apiVersion"] != "eventing.knative.dev/v1beta3";
    (object.prop_filter("kinds", is_wanted), option::of(select(&NAMESPACES[..])), 0..36_u8, 0..5_u8, 0..4_u8)
        .prop_map(|(mut object, namespace, many, few, id)| {
            if let Some(namespace) = namespace {
                object["metadata"]["namespace"] = namespace.into();
            }
            match object["kind"].as_str() {
                Some("EventType" | "Trigger" | "Subscription") => {
                    object["metadata"]["name"] = format!("n{many}").into();
                }
                Some("Service") => {
                    number(&mut object["metadata"]["name"], few);
                    // Whose consumer is shown, can be told by it.
                    if id > 0 && object["metadata"]["labels"].is_object() {
                        object["metadata"]["labels"]["backstage.io/kubernetes-id"] = format!("id-{few}-{id}").into();
                    }
                }
                _ => {}
            }
            if let Some(to) = object.pointer_mut("/spec/subscriber/ref").filter(|it| it["kind"] == "Service") {
                number(&mut to["name"], few);
            }
            for owner in object["metadata"]["ownerReferences"].as_array_mut().into_iter().flatten() {
                owner["uid"] = "of-no-matter".into();
            }
            if object["apiVersion"] == "v1" {
                object["spec"] = json!({"clusterIP": "None"});
            }
            object
        })
        .boxed()
}

fn number(name: &mut Value, number: u8) {
    if let Some(text) = name.as_str().filter(|it| !it.is_empty()) {
        *name = format!("{text}{number}").into();
    }
}

// Roles and bindings.

fn role() -> BoxedStrategy<Value> {
    let namespaced = (select(&NAMESPACES[..]), select(&ROLES[..]), vec(rule(), 0..4));
    let namespaced = namespaced.prop_map(|(namespace, name, rules)| {
        json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": "Role",
            "metadata": {"namespace": namespace, "name": name}, "rules": rules,
        })
    });
    let paths = json!({"nonResourceURLs": ["*"], "verbs": ["*"]});
    let clusterwide = (select(&ROLES[..]), vec(rule(), 0..4), option::weighted(0.2, Just(paths)), any::<u8>());
    let clusterwide = clusterwide.prop_map(|(name, mut rules, paths, shape)| {
        rules.extend(paths);
        let mut role = json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules,
        });
        match shape {
            // Nobody is there to aggregate.
            0..40 => role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"into": "it"}}]}),
            40..80 => role["metadata"]["labels"] = json!({"into": "it"}),
            _ => {}
        }
        role
    });
    prop_oneof![3 => namespaced, 2 => clusterwide].boxed()
}

fn rule() -> BoxedStrategy<Value> {
    let plurals: Vec<_> = KINDS.iter().map(|(.., plural)| *plural).collect();
    let groups: Vec<_> = KINDS.iter().map(|(group, ..)| *group).collect();
    let texts = |them: &[&str]| json!(them);
    let kind = || select(&KINDS[..]).prop_map(|(group, _, plural)| (json!([group]), json!([plural])));
    let resources = prop_oneof![
        8 => kind(),
        6 => (subsequence(groups.clone(), 1..4), subsequence(plurals.clone(), 1..7))
            .prop_map(move |(groups, plurals)| (texts(&groups), texts(&plurals))),
        2 => select(groups).prop_map(|it| (json!([it]), json!(["*"]))),
        1 => subsequence(plurals, 1..5).prop_map(move |it| (json!(["*"]), texts(&it))),
        1 => Just((json!(["*"]), json!(["*"]))),
        1 => select(&["triggers/status", "*/status", "Trigger", "trigger", "services/proxy", "nothings"][..])
            .prop_map(|it| (json!(["*"]), json!([it]))),
        1 => Just((json!(["eventing.knative.dev/v1", "v1", "knative.dev"]), json!(["*"]))),
    ];
    let verbs = prop_oneof![
        4 => Just(json!(["list"])),
        3 => Just(json!(["get"])),
        3 => Just(json!(["get", "list", "watch"])),
        1 => Just(json!(["*"])),
        1 => Just(json!(["create", "watch", "deletecollection"])),
        1 => Just(json!(["List", "GET"])),
    ];
    (resources, verbs, option::weighted(0.25, subsequence(&NAMES[..], 1..6)))
        .prop_map(|((groups, resources), verbs, names)| {
            let mut rule = json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
            if let Some(names) = names {
                rule["resourceNames"] = json!(names);
            }
            rule
        })
        .boxed()
}

fn binding() -> BoxedStrategy<Value> {
    let place = prop_oneof![1 => Just(None), 5 => select(&NAMESPACES[..]).prop_map(Some)];
    let role = prop_oneof![
        40 => select(&ROLES[..]),
        1 => select(&["system:aggregate-to-view", "view", "cluster-admin", "missing"][..]),
    ];
    (place, 0..40_u8, any::<bool>(), role, vec(subject(), 2..8))
        .prop_map(|(namespace, number, is_of_role, role, subjects)| {
            let is_of_role = is_of_role && namespace.is_some();
            let kind = if is_of_role { "Role" } else { "ClusterRole" };
            let mut binding = json!({
                "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding",
                "metadata": {"name": format!("b{number}")},
                "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role}, "subjects": subjects,
            });
            if let Some(namespace) = namespace {
                binding["kind"] = "RoleBinding".into();
                binding["metadata"]["namespace"] = namespace.into();
            }
            binding
        })
        .boxed()
}

fn subject() -> BoxedStrategy<Value> {
    let account = || (select(&HOMES[..]), 0..ACCOUNTS);
    let users: Vec<_> = static_users().map(|it| it.name).collect();
    let groups: Vec<_> = static_users().flat_map(|it| it.groups).collect();
    prop_oneof![
        20 => account().prop_map(|(home, n)| service_account(home, &format!("sa-{n}"))),
        2 => account().prop_map(|(home, n)| user(&format!("system:serviceaccount:{home}:sa-{n}"))),
        10 => select(users.clone()).prop_map(|it| user(&it)),
        8 => select(groups.clone()).prop_map(|it| group(&it)),
        2 => select(&HOMES[..]).prop_map(|it| group(&format!("system:serviceaccounts:{it}"))),
        1 => select(&["system:serviceaccounts", "system:authenticated", "system:unauthenticated"][..]).prop_map(group),
        // One kind of name for another.
        1 => select(users).prop_map(|it| group(&it)),
        1 => select(groups).prop_map(|it| user(&it)),
        1 => Just(service_account("b", "sa-0")),
    ]
    .boxed()
}
