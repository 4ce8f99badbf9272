//! What linking, publishing and serializing cost at three sizes, and whether one change costs as little of a rebuild as
//! it should. `cargo bench --bench mesh`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use criterion::{BatchSize, Criterion, SamplingMode};
use eventmesh_catalog::api::negotiate::Encoding;
use eventmesh_catalog::api::render::Bodies;
use eventmesh_catalog::index::Index;
use eventmesh_catalog::mesh::{Grant, Key, MeshGraph, Resource, Selection, Snapshot, Update};
use eventmesh_catalog::origins::kubernetes::kinds::known_definitions;
use serde_json::{Value, json};

use self::support::generate::{Arguments, L, M, S, generate};

/// How much of a rebuild one change may cost at L.
const TARGET: f64 = 0.01;
/// How often a rebuild and all changes are measured, in turns.
const REPETITIONS: usize = 7;
/// To how many objects each kind of change is made.
const OBJECTS: usize = 64;
const BACKSTAGE_LABEL: &str = "backstage.io/kubernetes-id";

fn main() {
    // `cargo test --all-targets` runs benchmarks too, and means something else by it.
    if !std::env::args().any(|it| it == "--bench") {
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut summary = vec![];
    for (name, size) in [("S", S), ("M", M), ("L", L)] {
        let mesh = Mesh::new(name, &size);
        summary.push(mesh.counts());
        mesh.measure(&mut criterion);
        if name == "L" {
            summary.extend(mesh.ratios());
        }
    }
    criterion.final_summary();
    println!("{}", summary.join("\n"));
}

/// A generated mesh, and what happens to it.
struct Mesh {
    name: &'static str,
    resources: Vec<Arc<Resource>>,
    /// One after the other they lead back to the beginning. Each with the kind of change that it is.
    changes: Vec<(&'static str, Update)>,
}

impl Mesh {
    fn new(name: &'static str, size: &Arguments) -> Self {
        let documents = generate(size);
        let all = known_definitions().into_iter().chain(support::converted(&documents));
        // A kind that is known anyway and also generated is defined as generated.
        let resources: BTreeMap<_, _> = all.map(|it| (it.key.clone(), it)).collect();
        Self { name, resources: resources.into_values().collect(), changes: changes(&documents) }
    }

    fn counts(&self) -> String {
        let published = Published::new(self.upserts());
        let snapshot = published.index.snapshot();
        let links = snapshot.entries().filter_map(|it| it.links.event_type.as_ref());
        let consumes: usize = links.map(|it| it.consumers.len()).sum();
        let (objects, shards) = (snapshot.entries().count(), snapshot.shards().len());
        format!("{}: {objects} objects, {consumes} consumes edges, {shards} shards", self.name)
    }

    fn upserts(&self) -> Vec<Update> {
        self.resources.iter().cloned().map(Update::Upsert).collect()
    }

    /// The least that linking from nothing can mean: there is no inventory to fill and no old state to compare with.
    fn rebuild(&self) -> (MeshGraph, Snapshot) {
        let (graph, entries) = MeshGraph::build(&self.resources);
        (graph, Snapshot::default().next(entries, Arc::default(), true))
    }

    fn measure(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group(self.name);
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
        group.bench_function("rebuild: graph and snapshot", |b| b.iter_with_large_drop(|| self.rebuild()));
        group.bench_function("rebuild: all of the index", |b| {
            b.iter_batched(|| self.upserts(), Published::new, BatchSize::PerIteration);
        });
        let mut published = Published::new(self.upserts());
        let mut changes = self.changes.iter().cycle();
        group.bench_function("one change", |b| {
            b.iter(|| changes.next().map(|(_, update)| published.apply(update.clone())));
        });
        let snapshot = published.index.snapshot().clone();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        group.bench_function("serialize", |b| {
            b.iter_with_large_drop(|| runtime.block_on(serialize(&snapshot)));
        });
        group.finish();
    }

    /// Medians over repetitions of one change in relation to a rebuild right before it.
    fn ratios(&self) -> Vec<String> {
        let mut published = Published::new(self.upserts());
        let mut rebuilds = vec![];
        let mut measured: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut slowest = Duration::ZERO;
        for _ in 0..REPETITIONS {
            let (rebuild, built) = timed(|| self.rebuild());
            drop(built);
            rebuilds.push(rebuild.as_secs_f64());
            let mut taken: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
            for (kind, update) in &self.changes {
                let update = update.clone();
                let (change, ()) = timed(|| published.apply(update));
                taken.entry(kind).or_default().push(change.as_secs_f64());
                slowest = slowest.max(change);
            }
            let all: Vec<_> = taken.values().flatten().copied().collect();
            measured.entry(MEAN).or_default().push(mean(&all) / rebuild.as_secs_f64());
            measured.entry(MEDIAN).or_default().push(median(all) / rebuild.as_secs_f64());
            for (kind, taken) in taken {
                measured.entry(kind).or_default().push(mean(&taken) / rebuild.as_secs_f64());
            }
        }
        let rebuild = median(rebuilds);
        let mut ratios: BTreeMap<_, _> = measured.into_iter().map(|(what, it)| (what, median(it))).collect();
        let line = |what: &str, ratio: f64| {
            let verdict = if ratio <= TARGET { "met" } else { "MISSED" };
            let took = Duration::from_secs_f64(ratio * rebuild);
            format!(
                "ratio one-change/rebuild at {}: {ratio:.5} (target <= {TARGET}) {verdict} ({what}, {took:.1?})",
                self.name
            )
        };
        let mut lines = vec![format!("rebuild at {}: {:.1?}", self.name, Duration::from_secs_f64(rebuild))];
        lines.extend([MEAN, MEDIAN].into_iter().filter_map(|what| Some(line(what, ratios.remove(what)?))));
        let worst = ratios.iter().max_by(|(_, a), (_, b)| a.total_cmp(b));
        lines.extend(worst.map(|(kind, ratio)| line(&format!("worst kind, mean: {kind}"), *ratio)));
        lines.extend(
            ratios
                .iter()
                .map(|(kind, ratio)| format!("  {kind}: {:.1?} (mean)", Duration::from_secs_f64(ratio * rebuild))),
        );
        lines.push(format!("  slowest of all: {slowest:.1?}"));
        lines
    }
}

const MEAN: &str = "mean of the mix";
const MEDIAN: &str = "median of the mix";

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
    black_box(body.form(Encoding::Identity).await.expect("as it is")).len()
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
            (
                "subscriber relabeled",
                changed(subscribers[n], "/metadata/labels", &json!({ BACKSTAGE_LABEL: "renamed" })),
            ),
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

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let done = work();
    (began.elapsed(), done)
}

#[expect(clippy::cast_precision_loss, reason = "there are a few hundred")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
