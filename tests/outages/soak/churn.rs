//! What changes in a mesh, and all the time: objects of all kinds come, go and say something else. A part of them stays as
//! it is, so that an answer without it is wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::polls::Histories;
use crate::support::cluster::Cluster;
use crate::support::generate::Random;
use crate::support::history::{identity, round};

/// How long to rest between two writes.
const REST: Duration = Duration::from_millis(25);
/// One in so many writes is one of the small mesh.
const OF_THE_ROUND: usize = 6;
/// One in so many objects stays.
const STAYS: usize = 2;
const ID: &str = "backstage.io/kubernetes-id";

pub struct Churn {
    random: Random,
    moving: Vec<Value>,
    gone: Vec<Value>,
    /// The small mesh, its round, and what is left to do of it.
    round: usize,
    state: Vec<Value>,
    pending: Vec<Change>,
    pub writes: usize,
}

enum Change {
    Put(Value),
    Delete(Value),
}

impl Churn {
    pub fn new(seed: u64, objects: &[Value]) -> Self {
        let moves = |(n, it): &(usize, &Value)| n % STAYS != 0 && !stays(it);
        let moving = objects.iter().enumerate().filter(moves).map(|(_, it)| it.clone()).collect();
        let (random, state) = (Random::new(seed), round(0));
        Self { random, moving, gone: vec![], round: 0, state, pending: vec![], writes: 0 }
    }

    /// The names of the event types that are always there.
    pub fn lasting(&self, objects: &[Value]) -> BTreeSet<(String, String)> {
        let moving: BTreeSet<_> = self.moving.iter().map(place).collect();
        objects.iter().filter(|it| it["kind"] == "EventType").map(place).filter(|it| !moving.contains(it)).collect()
    }

    /// One change.
    pub async fn step(&mut self, cluster: &Cluster, histories: &Histories) {
        if self.random.below(OF_THE_ROUND) == 0 {
            self.go_round(cluster, histories).await;
        } else {
            match self.change() {
                Change::Put(object) => cluster.apply(&object).await,
                Change::Delete(object) => cluster.delete(&object).await,
            }
        }
        self.writes += 1;
        tokio::time::sleep(REST).await;
    }

    /// The next write of the small mesh. What is seen of it may be seen from before the write.
    async fn go_round(&mut self, cluster: &Cluster, histories: &Histories) {
        if self.pending.is_empty() {
            let before = round(self.round);
            self.round += 1;
            let after = round(self.round);
            let goes = |it: &&Value| !after.iter().any(|other| identity(it) == identity(other));
            // The last is done first.
            self.pending.extend(before.iter().filter(goes).cloned().map(Change::Delete));
            self.pending.extend(after.into_iter().filter(|it| !before.contains(it)).map(Change::Put));
        }
        let Some(change) = self.pending.pop() else { return };
        let (Change::Put(object) | Change::Delete(object)) = &change;
        self.state.retain(|it| identity(it) != identity(object));
        if let Change::Put(object) = &change {
            self.state.push(object.clone());
        }
        histories.expect(&self.state);
        match change {
            Change::Put(object) => cluster.apply(&object).await,
            Change::Delete(object) => cluster.delete(&object).await,
        }
    }

    fn change(&mut self) -> Change {
        let often = self.gone.len() * 4 > self.moving.len();
        if !self.gone.is_empty() && self.random.below(if often { 2 } else { 5 }) == 0 {
            let object = self.gone.swap_remove(self.random.below(self.gone.len()));
            self.moving.push(object.clone());
            return Change::Put(object);
        }
        let place = self.random.below(self.moving.len());
        if self.random.below(5) == 0 && self.moving.len() > 10 {
            let object = self.moving.swap_remove(place);
            self.gone.push(object.clone());
            return Change::Delete(object);
        }
        let mut object = self.moving[place].clone();
        self.rewrite(&mut object);
        self.moving[place] = object.clone();
        Change::Put(object)
    }

    /// Something that counts for this kind.
    fn rewrite(&mut self, object: &mut Value) {
        let number = self.random.below(1000);
        let like = self.another(object);
        match (object["kind"].as_str().unwrap_or_default(), self.random.below(3)) {
            ("Trigger", 0) | ("Subscription", _) => object["spec"]["subscriber"] = like["spec"]["subscriber"].clone(),
            ("Trigger", 1) => {
                let of_type = self.another_type();
                let spec = object["spec"].as_object_mut().expect("a spec");
                spec.remove("filters");
                spec.insert("filter".into(), json!({"attributes": {"type": of_type}}));
            }
            ("Trigger", _) => {
                let spec = object["spec"].as_object_mut().expect("a spec");
                spec.remove("filter");
                let prefix = ["com.acme.", "org.", "net.umbra.o"][number % 3];
                spec.insert("filters".into(), json!([{"prefix": {"type": prefix}}]));
            }
            ("EventType", 0) => object["spec"]["type"] = self.another_type(),
            ("EventType", 1) => {
                object["metadata"]["labels"]["domain"] = ["order", "payment", "fleet"][number % 3].into();
            }
            ("EventType", _) => object["spec"]["description"] = format!("Said otherwise: {number}").into(),
            ("Service" | "Deployment", 0) => _ = object["metadata"]["labels"].as_object_mut().map(|it| it.remove(ID)),
            ("Service" | "Deployment", _) => object["metadata"]["labels"][ID] = format!("component-{number}").into(),
            ("PingSource" | "KafkaSource" | "ApiServerSource" | "SinkBinding", 0 | 1) => {
                object["spec"]["sink"] = like["spec"]["sink"].clone();
            }
            _ => object["metadata"]["labels"]["tier"] = ["a", "b", "c"][number % 3].into(),
        }
    }

    /// One of the same kind, itself perhaps.
    fn another(&mut self, object: &Value) -> Value {
        for _ in 0..1000 {
            let like = &self.moving[self.random.below(self.moving.len())];
            if like["kind"] == object["kind"] {
                return like.clone();
            }
        }
        object.clone()
    }

    fn another_type(&mut self) -> Value {
        let event_type = json!({"kind": "EventType", "spec": {"type": "com.acme.none"}});
        self.another(&event_type)["spec"]["type"].clone()
    }
}

/// A kind of source that nobody knows before its definition is there, and an object of it.
pub fn passing_kind() -> [Value; 2] {
    let open = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let names = json!({"kind": "Comet", "plural": "comets", "singular": "comet", "listKind": "CometList"});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "comets.passing.example.com", "labels": {"duck.knative.dev/source": "true"}},
        "spec": {
            "group": "passing.example.com", "scope": "Namespaced", "names": names,
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": open}],
        },
    });
    let sink = json!({"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "default"}});
    let comet = json!({
        "apiVersion": "passing.example.com/v1", "kind": "Comet", "spec": {"sink": sink},
        "metadata": {"namespace": "team-000", "name": "halley"},
    });
    [definition, comet]
}

/// Namespaces and definitions are what the others live in; one broker of each namespace is there to be seen.
fn stays(object: &Value) -> bool {
    let name = &object["metadata"]["name"];
    ["CustomResourceDefinition", "Namespace"].iter().any(|it| object["kind"] == *it)
        || (object["kind"] == "Broker" && name == "default")
}

fn place(object: &Value) -> (String, String) {
    let text = |it: &str| object["metadata"][it].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}
