//! What linking, publishing and serializing cost, and whether one change costs as little of a rebuild as it should.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::body::Body;
use eventmesh_catalog::api::negotiate::Encoding;
use eventmesh_catalog::api::render::Bodies;
use eventmesh_catalog::index::Index;
use eventmesh_catalog::mesh::{Grant, Key, MeshGraph, Resource, Selection, Snapshot, Update};
use eventmesh_catalog::origins::kubernetes::kinds::known_definitions;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::figures::{float, mean, timed};
use super::measure::{Measures, Target};
use super::support::generate::generate;
use super::{LABEL, Size, support};

/// How much of a rebuild one change may cost at L.
const TARGET: f64 = 0.01;
/// How often a rebuild and all changes are measured, in turns.
const REPETITIONS: usize = 5;
/// To how many objects each kind of change is made.
const OBJECTS: usize = 64;

pub fn measure(size: &Size, measures: &mut Measures) {
    measures.begin("changes", size.name);
    let mesh = Mesh::new(size);
    let mut published = Published::new(mesh.upserts());
    mesh.count(&published, measures);
    mesh.compare(&mut published, measures);
    let snapshot = published.index.snapshot().clone();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let serialized = (0..REPETITIONS).map(|_| timed(|| runtime.block_on(serialize(&snapshot))).0.as_secs_f64());
    measures.tell("the whole answer made from nothing", "s", serialized.collect());
}

/// A generated mesh, and what happens to it.
struct Mesh {
    resources: Vec<Arc<Resource>>,
    /// One after the other they lead back to the beginning. Each with the kind of change that it is.
    changes: Vec<(&'static str, Update)>,
}

impl Mesh {
    fn new(size: &Size) -> Self {
        let documents = generate(&size.arguments);
        let all = known_definitions().into_iter().chain(support::converted(&documents));
        // A kind that is known anyway and also generated is defined as generated.
        let resources: BTreeMap<_, _> = all.map(|it| (it.key.clone(), it)).collect();
        Self { resources: resources.into_values().collect(), changes: changes(&documents) }
    }

    fn count(&self, published: &Published, measures: &mut Measures) {
        let snapshot = published.index.snapshot();
        let (mut consumes, mut provides) = (0, 0);
        for links in snapshot.entries().map(|it| &it.links) {
            consumes += links.event_type.as_ref().map_or(0, |it| it.consumers.len());
            provides += links.conduit.as_ref().map_or(0, |it| it.provides.len());
            provides += links.source.as_ref().map_or(0, |it| it.supplies.len());
        }
        // From a conduit to a subscriber.
        let ways =
            2 * self.resources.iter().filter(|it| ["Trigger", "Subscription"].contains(&&*it.key.of.kind)).count();
        let (objects, shards) = (self.resources.len(), snapshot.shards().len());
        measures.tell("objects, with definitions of kinds", "", vec![float(objects)]);
        measures.tell("edges: an event type and who consumes it", "", vec![float(consumes)]);
        measures.tell("edges: an event type and who provides it", "", vec![float(provides)]);
        measures.tell("edges: a trigger or subscription, and what it is on and for", "", vec![float(ways)]);
        measures.tell("edges: all of these", "", vec![float(consumes + provides + ways)]);
        measures.tell("shards", "", vec![float(shards)]);
    }

    fn upserts(&self) -> Vec<Update> {
        self.resources.iter().cloned().map(Update::Upsert).collect()
    }

    /// The least that linking from nothing can mean: there is no inventory to fill and no old state to compare with.
    fn rebuild(&self) -> (MeshGraph, Snapshot) {
        let (graph, entries) = MeshGraph::build(&self.resources);
        (graph, Snapshot::default().next(entries, Arc::default(), true))
    }

    /// One change in relation to a rebuild right before it.
    fn compare(&self, published: &mut Published, measures: &mut Measures) {
        let mut rebuilds = vec![];
        let mut changes = vec![];
        let mut by_kind: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for _ in 0..REPETITIONS {
            let (rebuild, built) = timed(|| self.rebuild());
            drop(built);
            let rebuild = rebuild.as_secs_f64();
            let mut taken: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
            for (kind, update) in &self.changes {
                let update = update.clone();
                let (change, ()) = timed(|| published.apply(update));
                taken.entry(kind).or_default().push(change.as_secs_f64());
            }
            let all: Vec<_> = taken.values().flatten().copied().collect();
            changes.push(mean(&all));
            by_kind.entry("all kinds of changes").or_default().push(mean(&all) / rebuild);
            for (kind, taken) in taken {
                by_kind.entry(kind).or_default().push(mean(&taken) / rebuild);
            }
            rebuilds.push(rebuild);
        }
        measures.tell("graph and snapshot from nothing", "s", rebuilds);
        measures.tell("one change until readers find it, mean of all kinds", "s", changes);
        let target = if measures.size() == "L" { Target::AtMost(TARGET) } else { Target::None };
        for (kind, ratios) in by_kind {
            measures.hold(format!("one change / a rebuild: {kind}"), "", target, ratios);
        }
    }
}

/// An index, and the place where readers find its newest snapshot.
struct Published {
    index: Index,
    newest: ArcSwap<Snapshot>,
}

impl Published {
    fn new(updates: Vec<Update>) -> Self {
        let mut published = Self { index: Index::default(), newest: ArcSwap::default() };
        published.index.apply(updates, true);
        published.newest.store(published.index.snapshot().clone());
        published
    }

    fn apply(&mut self, update: Update) {
        self.index.apply([update], true);
        self.newest.store(self.index.snapshot().clone());
    }
}

/// The answer to one who sees everything, with nothing kept from before.
async fn serialize(snapshot: &Arc<Snapshot>) -> usize {
    let body = Bodies::default().get(snapshot, Arc::new(Grant::everything()), Selection::default()).await;
    let body = body.expect("a body");
    let mut form = Body::from(body.form(Encoding::Identity).await.expect("as it is"));
    let mut len = 0;
    while let Some(frame) = form.frame().await {
        let data = frame.expect("some of it").into_data().expect("no trailers");
        len += black_box(data).len();
    }
    len
}

/// What happens in a cluster: changes to objects all over the mesh, busy ones included, each taken back a little later.
fn changes(documents: &[Value]) -> Vec<(&'static str, Update)> {
    let spread = |wanted: &dyn Fn(&Value) -> bool| -> Vec<&Value> {
        let found: Vec<_> = documents.iter().filter(|it| wanted(it)).collect();
        (0..OBJECTS).map(|n| found[n * found.len() / OBJECTS]).collect()
    };
    let filtered = spread(&|it| it["kind"] == "Trigger" && it["spec"]["filter"]["attributes"]["type"].is_string());
    let triggers = spread(&|it| it["kind"] == "Trigger");
    let types = spread(&|it| it["kind"] == "EventType");
    let subscribers = spread(&|it| it["metadata"]["labels"]["app"].is_string());
    let mut changes = vec![];
    for n in 0..OBJECTS {
        let other_type = &types[(n + 1) % OBJECTS]["spec"]["type"];
        let there_and_back = [
            ("trigger filters another type", changed(filtered[n], "/spec/filter/attributes/type", other_type)),
            ("subscriber relabeled", changed(subscribers[n], "/metadata/labels", &json!({ LABEL: "renamed" }))),
            ("event type described anew", changed(types[n], "/spec/description", &json!("Described anew."))),
            ("event type added or removed", added(types[n])),
            ("trigger added or removed", added(triggers[n])),
        ];
        let (there, back): (Vec<_>, Vec<_>) =
            there_and_back.into_iter().map(|(kind, [there, back])| ((kind, there), (kind, back))).unzip();
        changes.extend(there.into_iter().chain(back));
    }
    changes
}

/// A field gets another value, then the old one again.
fn changed(document: &Value, pointer: &str, value: &Value) -> [Update; 2] {
    let mut new = document.clone();
    *new.pointer_mut(pointer).expect("the field is there") = value.clone();
    [upsert(&new), upsert(document)]
}

/// A copy of an object comes, then goes.
fn added(document: &Value) -> [Update; 2] {
    let mut new = document.clone();
    new["metadata"]["name"] = json!("added");
    [upsert(&new), Update::Remove(key(&new))]
}

fn upsert(document: &Value) -> Update {
    Update::Upsert(Arc::new(support::converter().convert(document).expect("an object")))
}

fn key(document: &Value) -> Key {
    support::converter().convert(document).expect("an object").key.clone()
}
