//! One cluster as it changes, told in order: each change is in the answers soon after the API server has taken it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use eventmesh_catalog::api::dto::{EventMesh, Meta, Reference};
use serde_json::{Value, json};

use super::support::cluster::Cluster;
use super::support::process::Service;
use super::{
    MESH, broker, definition, empty_cluster, event_type, labeled, plain, readiness, reference, serve, service, trigger,
};

/// Far more than it takes; how long it takes is printed.
const PATIENCE: Duration = Duration::from_secs(5);

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// Nothing changes that can be seen.
const NONE: &[&str] = &[];

const SOURCE: &str = "duck.knative.dev/source";
const SUBSCRIBABLE: &str = "messaging.knative.dev/subscribable";

/// A service, and what it is expected to answer.
struct Story {
    cluster: Cluster,
    service: Service,
    mesh: BTreeSet<String>,
    steps: Vec<(Duration, &'static str)>,
}

impl Story {
    /// Writes an object, and waits for the lines that come and go by that.
    async fn apply(&mut self, what: &'static str, object: Value, lines: &[impl AsRef<str>]) {
        self.cluster.apply(&object).await;
        self.shows(what, lines).await;
    }

    /// Writes an object that changes who consumes `a` and `b`.
    async fn consumers(&mut self, what: &'static str, object: Value, before: &str, after: &str) {
        self.apply(what, object, &a_and_b(before, after)).await;
    }

    async fn delete(&mut self, what: &'static str, object: Value, lines: &[impl AsRef<str>]) {
        self.cluster.delete(&object).await;
        self.shows(what, lines).await;
    }

    /// Changes a definition; what that means to the server takes it a while.
    async fn patch_definition(&mut self, what: &'static str, name: &str, patch: Value, lines: &[impl AsRef<str>]) {
        self.cluster.ask("PATCH", &format!("{DEFINITIONS}/{name}"), Some(&patch)).await.unwrap();
        self.shows(what, lines).await;
    }

    /// Waits until these lines have come (`+`) and gone (`-`) and nothing else has.
    async fn shows(&mut self, what: &'static str, lines: &[impl AsRef<str>]) {
        let written = Instant::now();
        for line in lines {
            let (sign, line) = line.as_ref().split_at(1);
            let changes = if sign == "+" { self.mesh.insert(line.into()) } else { self.mesh.remove(line) };
            assert!(changes, "{what}: {sign}{line} changes nothing of {:#?}", self.mesh);
        }
        loop {
            let found = lines_of(&self.mesh_now());
            if found == self.mesh {
                break self.steps.push((written.elapsed(), what));
            }
            if written.elapsed() > PATIENCE {
                let missing: Vec<_> = self.mesh.difference(&found).collect();
                let wrong: Vec<_> = found.difference(&self.mesh).collect();
                panic!("{what}: not {missing:#?}, but {wrong:#?}\n{}", readiness(&self.service));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn mesh_now(&self) -> EventMesh {
        let answer = self.service.get(MESH, &[]);
        assert_eq!(answer.status, 200, "once it is ready, it stays so: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }
}

/// What the answer says, a line for each item.
fn lines_of(mesh: &EventMesh) -> BTreeSet<String> {
    let named = |meta: &Meta| {
        let labels: Vec<_> = meta.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if labels.is_empty() { meta.name.clone() } else { format!("{} ({})", meta.name, labels.join(",")) }
    };
    let to = |it: &Reference| format!("{} {}", it.kind, it.name);
    let types = mesh.event_types.iter().map(|it| {
        let of = it.reference.as_ref().map_or("nothing".into(), to);
        format!("type {} {} of {of} to {}", named(&it.meta), it.of_type, it.consumed_by.join(","))
    });
    let brokers =
        mesh.brokers.iter().map(|it| format!("broker {} with {}", named(&it.meta), it.provided_event_types.join(",")));
    let channels = mesh
        .subscribables
        .iter()
        .map(|it| format!("{} {} with {}", it.kind, named(&it.meta), it.provided_event_types.join(",")));
    let sources = mesh.sources.iter().map(|it| {
        let sink = it.sink.as_ref().map_or("nothing".into(), to);
        let types = [it.provided_event_type_types.join(","), it.provided_event_types.join(",")].join("; ");
        format!("{} {} into {sink} with {types}", it.kind, named(&it.meta))
    });
    let lines: Vec<_> =
        types.chain(brokers).chain(channels).chain(sources).map(|it| it.trim_end().to_owned()).collect();
    let set: BTreeSet<_> = lines.iter().cloned().collect();
    assert_eq!(set.len(), lines.len(), "no item comes twice");
    set
}

fn with_filter(mut trigger: Value, of_type: &str) -> Value {
    trigger["spec"]["filter"] = json!({"attributes": {"type": of_type}});
    trigger
}

fn deployment(name: &str, id: &str) -> Value {
    let template = json!({
        "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": "example.com/app"}]},
    });
    let spec = json!({"selector": {"matchLabels": {"app": name}}, "template": template});
    labeled("apps/v1", "Deployment", name, json!({"backstage.io/kubernetes-id": id}), spec)
}

fn versions(served: [bool; 2], stored: usize) -> Value {
    let open = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version =
        |n: usize| json!({"name": format!("v{}", n + 1), "served": served[n], "storage": n == stored, "schema": open});
    json!({"spec": {"versions": [version(0), version(1)]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_soon_answered() {
    let Some(cluster) = empty_cluster(false).await else { return };
    cluster.install_knative().await;
    let service = serve(cluster.kubeconfig());
    service.mesh();
    let mut story = Story { cluster, service, mesh: BTreeSet::new(), steps: vec![] };
    events(&mut story).await;
    subscribers(&mut story).await;
    channels(&mut story).await;
    definitions(&mut story).await;

    let restarted = serve(story.cluster.kubeconfig());
    restarted.mesh();
    let [body, other] = [&story.service, &restarted].map(|it| it.get(MESH, &[]).body);
    assert_eq!(body, other, "a fresh service answers the same, uids included");
    ends(&mut story).await;

    story.steps.sort();
    for (took, what) in &story.steps {
        println!("{:>5} ms until {what}", took.as_millis());
    }
    let (slowest, what) = story.steps[story.steps.len() - 1];
    println!("{} steps, the slowest took {} ms: {what}", story.steps.len(), slowest.as_millis());
}

async fn events(story: &mut Story) {
    story.apply("a broker is there", broker("bus"), &["+broker bus with"]).await;
    let mut named = broker("bus");
    named["metadata"]["labels"] = json!({"team": "orders"});
    story.apply("it has a label", named.clone(), &["-broker bus with", "+broker bus (team=orders) with"]).await;
    named["metadata"]["labels"] = json!({"team": "payments"});
    let lines = ["-broker bus (team=orders) with", "+broker bus (team=payments) with"];
    story.apply("the label has another value", named, &lines).await;
    story.apply("it has none", broker("bus"), &["-broker bus (team=payments) with", "+broker bus with"]).await;

    let lines = ["+type a t.a of Broker bus to", "-broker bus with", "+broker bus with shop/a"];
    story.apply("an event type is there", event_type("a", "t.a", "bus"), &lines).await;
    let lines = ["+type b t.b of Broker other to"];
    story.apply("one of a broker that is missing", event_type("b", "t.b", "other"), &lines).await;
    story.apply("that broker comes", broker("other"), &["+broker other with shop/b"]).await;
    let lines = [
        "-type b t.b of Broker other to",
        "+type b t.b2 of Broker bus to",
        "-broker other with shop/b",
        "+broker other with",
        "-broker bus with shop/a",
        "+broker bus with shop/a,shop/b",
    ];
    story.apply("the event type is another of another", event_type("b", "t.b2", "bus"), &lines).await;
    story.delete("a broker is gone", broker("other"), &["-broker other with"]).await;
}

async fn subscribers(story: &mut Story) {
    // Nobody sees a trigger whose subscriber is missing.
    story.cluster.apply(&trigger("first", "bus", "v1 Service audit")).await;
    story.consumers("the subscriber of a trigger is there", service("audit", "audit"), "", "audit").await;
    story.consumers("it loses its Backstage label", service("audit", ""), "audit", "").await;
    story.consumers("it gets another one", service("audit", "auditing"), "", "auditing").await;
    let only_a = ["-type b t.b2 of Broker bus to auditing", "+type b t.b2 of Broker bus to"];
    story
        .apply("a filter lets one type pass", with_filter(trigger("first", "bus", "v1 Service audit"), "t.a"), &only_a)
        .await;
    story
        .apply(
            "the filter lets none pass",
            with_filter(trigger("first", "bus", "v1 Service audit"), "t.z"),
            &one("a t.a", "auditing", ""),
        )
        .await;
    story.consumers("there is no filter", trigger("first", "bus", "v1 Service audit"), "", "auditing").await;

    story.cluster.apply(&service("billing", "billing")).await;
    story
        .consumers(
            "a second trigger is there",
            trigger("second", "bus", "v1 Service billing"),
            "auditing",
            "auditing,billing",
        )
        .await;
    story.cluster.apply(&deployment("worker", "worker")).await;
    story
        .consumers(
            "it names a kind that nobody ever named",
            trigger("second", "bus", "apps/v1 Deployment worker"),
            "auditing,billing",
            "auditing,worker",
        )
        .await;
    story.cluster.apply(&definition("net.example.com", "Mailbox", "mailboxes", "", &["v1"])).await;
    let mailbox = |id: &str| {
        labeled("net.example.com/v1", "Mailbox", "post", json!({"backstage.io/kubernetes-id": id}), json!({}))
    };
    story.cluster.apply(&mailbox("post")).await;
    story
        .consumers(
            "it names a kind of somebody's own",
            trigger("second", "bus", "net.example.com/v1 Mailbox post"),
            "auditing,worker",
            "auditing,post",
        )
        .await;
    story.consumers("an object of that kind changes", mailbox("mail"), "auditing,post", "auditing,mail").await;
    let relay = definition("net.example.com", "Relay", "relays", "", &["v1"]);
    story
        .consumers(
            "it names a kind that is not installed",
            trigger("second", "bus", "net.example.com/v1 Relay late"),
            "auditing,mail",
            "auditing",
        )
        .await;
    story.cluster.apply(&relay).await;
    let late = labeled("net.example.com/v1", "Relay", "late", json!({"backstage.io/kubernetes-id": "late"}), json!({}));
    story.consumers("that kind is installed", late, "auditing", "auditing,late").await;
    let lines = a_and_b("auditing,late", "auditing");
    story.cluster.ask("DELETE", &format!("{DEFINITIONS}/relays.net.example.com"), None).await.unwrap();
    story.shows("that kind is gone", &lines).await;
    story
        .consumers(
            "it names what it named first",
            trigger("second", "bus", "v1 Service billing"),
            "auditing",
            "auditing,billing",
        )
        .await;
    let lines = a_and_b("auditing,billing", "auditing");
    story.delete("the trigger is gone", trigger("second", "bus", "v1 Service billing"), &lines).await;
}

/// The event types `a` and `b` get other consumers.
fn a_and_b(before: &str, after: &str) -> Vec<String> {
    ["a t.a", "b t.b2"].iter().flat_map(|it| one(it, before, after)).collect()
}

fn one(of: &str, before: &str, after: &str) -> [String; 2] {
    [("-", before), ("+", after)]
        .map(|(sign, it)| format!("{sign}type {of} of Broker bus to {it}").trim_end().to_owned())
}

async fn channels(story: &mut Story) {
    let channel = |kind: &str, name: &str| plain("messaging.knative.dev/v1", kind, name, json!({}));
    let lines = ["+InMemoryChannel pipe with"];
    story.apply("a channel is there", channel("InMemoryChannel", "pipe"), &lines).await;
    let mut of_channel = event_type("c", "t.c", "");
    of_channel["spec"]["reference"] = reference("messaging.knative.dev/v1 InMemoryChannel pipe");
    let lines =
        ["+type c t.c of InMemoryChannel pipe to", "-InMemoryChannel pipe with", "+InMemoryChannel pipe with shop/c"];
    story.apply("it has an event type", of_channel, &lines).await;
    let spec = |subscriber: &str| {
        json!({
            "channel": reference("messaging.knative.dev/v1 InMemoryChannel pipe"),
            "subscriber": {"ref": reference(subscriber)},
        })
    };
    let subscription = |subscriber| plain("messaging.knative.dev/v1", "Subscription", "of-pipe", spec(subscriber));
    let lines = ["-type c t.c of InMemoryChannel pipe to", "+type c t.c of InMemoryChannel pipe to billing"];
    story.apply("it has a subscription", subscription("v1 Service billing"), &lines).await;
    let lines = ["-type c t.c of InMemoryChannel pipe to billing", "+type c t.c of InMemoryChannel pipe to auditing"];
    story.apply("the subscription has another subscriber", subscription("v1 Service audit"), &lines).await;
    let mut generic = channel("Channel", "front");
    story.apply("a generic channel is there", generic.clone(), &["+Channel front with"]).await;
    generic["status"] = json!({"channel": reference("messaging.knative.dev/v1 InMemoryChannel pipe")});
    generic["status"]["channel"]["namespace"] = "shop".into();
    let lines = ["-Channel front with", "+Channel front with shop/c"];
    story.apply("its status names the channel behind it", generic, &lines).await;
    let lines = [
        "-Channel front with shop/c",
        "+Channel front with",
        "-InMemoryChannel pipe with shop/c",
        "-type c t.c of InMemoryChannel pipe to auditing",
        "+type c t.c of InMemoryChannel pipe to",
    ];
    story.delete("the channel is gone", channel("InMemoryChannel", "pipe"), &lines).await;
}

async fn definitions(story: &mut Story) {
    let mut source = definition("feeds.example.com", "AtomSource", "atomsources", SOURCE, &["v1", "v2"]);
    source["metadata"]["annotations"] = json!({"registry.knative.dev/eventTypes": "[{\"type\": \"t.a\"}]"});
    story.cluster.apply(&source).await;
    let atom = |labels: Value, version: &str| {
        let spec = json!({"sink": {"ref": reference("eventing.knative.dev/v1 Broker bus")}});
        labeled(&format!("feeds.example.com/{version}"), "AtomSource", "atom", labels, spec)
    };
    let line = "AtomSource atom into Broker bus with t.a; shop/a";
    story.apply("a source of a new kind is there", atom(json!({}), "v1"), &[&format!("+{line}")]).await;
    let types = json!({"metadata": {"annotations": {"registry.knative.dev/eventTypes": "[{\"type\": \"t.z\"}]"}}});
    let lines = [format!("-{line}"), "+AtomSource atom into Broker bus with t.z;".into()];
    story.patch_definition("the kind emits another type", "atomsources.feeds.example.com", types, &lines).await;

    // What is stored stays readable in both versions.
    let name = "atomsources.feeds.example.com";
    story.patch_definition("another version is stored", name, versions([true, true], 1), NONE).await;
    let lines = ["-AtomSource atom into Broker bus with t.z;", "+AtomSource atom (n=1) into Broker bus with t.z;"];
    story.apply("an object changes in that version", atom(json!({"n": "1"}), "v2"), &lines).await;
    story.patch_definition("only that version is served", name, versions([false, true], 1), NONE).await;
    let lines =
        ["-AtomSource atom (n=1) into Broker bus with t.z;", "+AtomSource atom (n=2) into Broker bus with t.z;"];
    story.apply("an object changes after that", atom(json!({"n": "2"}), "v2"), &lines).await;
    story.patch_definition("the first version is all again", name, versions([true, false], 0), NONE).await;
    let lines =
        ["-AtomSource atom (n=2) into Broker bus with t.z;", "+AtomSource atom (n=3) into Broker bus with t.z;"];
    story.apply("an object changes after that, too", atom(json!({"n": "3"}), "v1"), &lines).await;
    story
        .patch_definition(
            "no version is served",
            name,
            versions([false, false], 0),
            &["-AtomSource atom (n=3) into Broker bus with t.z;"],
        )
        .await;
    story
        .patch_definition(
            "both versions are served",
            name,
            versions([true, true], 1),
            &["+AtomSource atom (n=3) into Broker bus with t.z;"],
        )
        .await;
    let gone = ["-AtomSource atom (n=3) into Broker bus with t.z;"];
    story.cluster.ask("DELETE", &format!("{DEFINITIONS}/{name}"), None).await.unwrap();
    story.shows("the kind is gone", &gone).await;
    story.delete("nothing more happens when it is really gone", source.clone(), NONE).await;
    story.cluster.apply(&source).await;
    story.apply("it is there again", atom(json!({}), "v1"), &[&format!("+{line}")]).await;

    let name = "strands.queues.example.com";
    story.cluster.apply(&definition("queues.example.com", "Strand", "strands", "", &["v1"])).await;
    story
        .apply(
            "nothing comes of an object of a kind without a label",
            plain("queues.example.com/v1", "Strand", "yarn", json!({})),
            NONE,
        )
        .await;
    let label = |value: Value| json!({"metadata": {"labels": {SUBSCRIBABLE: value}}});
    story.patch_definition("the kind gets the label", name, label(json!("true")), &["+Strand yarn with"]).await;
    story.patch_definition("the label says no", name, label(json!("false")), &["-Strand yarn with"]).await;
    story.patch_definition("the label says yes", name, label(json!("true")), &["+Strand yarn with"]).await;
    story.patch_definition("the label goes", name, label(Value::Null), &["-Strand yarn with"]).await;
    story.patch_definition("the label comes back", name, label(json!("true")), &["+Strand yarn with"]).await;
}

/// In the end nothing is left.
async fn ends(story: &mut Story) {
    let lines = [
        "-type a t.a of Broker bus to auditing",
        "+type a t.a of Broker bus to",
        "-type b t.b2 of Broker bus to auditing",
        "+type b t.b2 of Broker bus to",
    ];
    story.delete("the subscriber is gone", service("audit", ""), &lines).await;
    let lines = [
        "-broker bus with shop/a,shop/b",
        "-AtomSource atom into Broker bus with t.a; shop/a",
        "+AtomSource atom into Broker bus with t.a;",
    ];
    story.delete("the broker is gone", broker("bus"), &lines).await;
    story.cluster.wipe().await;
    let all: Vec<_> = story.mesh.iter().map(|it| format!("-{it}")).collect();
    story.shows("everything is gone", &all).await;
}
