//! What live clusters take: how long a start is beside reading the same raw, how much memory it holds, how soon a
//! write is in the answers, and how long somebody waits who was never there before. `cargo bench --bench cluster [-- S|L [access]]`.
//!
//! On a real API server (see CONTRIBUTING.md), with the real binary. L is 100,000 objects, which take some minutes to
//! write. A cluster of `EVENTMESH_TEST_KUBECONFIG` that holds the mesh already is measured as it is, and that once: name
//! its size.

#[path = "cluster/access.rs"]
mod access;
#[path = "cluster/freshness.rs"]
mod freshness;
#[path = "cluster/http.rs"]
mod http;
#[path = "cluster/raw.rs"]
mod raw;
#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::http::Api;
use self::support::cluster::Cluster;
use self::support::generate::{Arguments, L, S, generate};
use self::support::process::{Service, get};

const LABEL: &str = "backstage.io/kubernetes-id";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often a start is measured, in turns with raw lists.
const ROUNDS: usize = 3;
/// How long after a start memory is looked at.
const SETTLED: Duration = Duration::from_secs(5);
/// Of the time of a raw list.
const START_TARGET: f64 = 1.3;
/// Of the memory that is held after the start.
const PEAK_TARGET: f64 = 1.3;

/// A size, and what is measured at it.
struct Case {
    name: &'static str,
    size: Arguments,
    /// Whether the start is measured.
    start: bool,
    writes: usize,
    /// Milliseconds more than a bare watch.
    target: f64,
}

const CASES: [Case; 2] = [
    Case { name: "S", size: S, start: false, writes: 200, target: 10.0 },
    Case { name: "L", size: L, start: true, writes: 100, target: 60.0 },
];

fn main() {
    // `cargo test --all-targets` runs benchmarks too, and means something else by it.
    if !std::env::args().any(|it| it == "--bench") {
        return;
    }
    let mut words = std::env::args().skip(1).filter(|it| !it.starts_with("--"));
    let (wanted, part) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let Some(knative) = Cluster::knative_crds() else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut table = Table::default();
    for case in CASES.iter().filter(|it| wanted.is_empty() || it.name == wanted) {
        let cluster = runtime.block_on(Cluster::start());
        let api = runtime.block_on(Api::of(&cluster));
        runtime.block_on(load(&cluster, &api, case, &knative));
        if part != "access" {
            case.measure(&cluster, &api, &mut table);
        }
        runtime.block_on(access::measure(&cluster, case, &mut table));
    }
    table.print();
}

/// Fills the cluster, unless it holds the mesh already.
async fn load(cluster: &Cluster, api: &Api, case: &Case, knative: &[Value]) {
    let documents = generate(&case.size);
    let (definitions, objects): (Vec<_>, Vec<_>) =
        documents.into_iter().partition(|it| it["kind"] == "CustomResourceDefinition");
    // Of a kind that is generated and Knative's, Knative's counts.
    let by_name = |it: Value| (it["metadata"]["name"].to_string(), it);
    let mut definitions: BTreeMap<_, _> = definitions.into_iter().map(by_name).collect();
    definitions.extend(knative.iter().cloned().map(by_name));
    let mut definitions: Vec<_> = definitions.into_values().collect();
    // With a status of their own, objects take two writes each. What is read is the same.
    for version in definitions.iter_mut().flat_map(|it| it["spec"]["versions"].as_array_mut().expect("versions")) {
        version.as_object_mut().expect("a version").remove("subresources");
    }
    if cluster.is_external() {
        let types = api.json("/apis/eventing.knative.dev/v1beta2/eventtypes?limit=1");
        if types["metadata"]["remainingItemCount"] == case.size.event_types - 1 {
            return;
        }
    }
    let began = Instant::now();
    cluster.apply_all(&definitions).await;
    cluster.apply_all(&objects).await;
    println!("{}: {} objects written in {}", case.name, objects.len(), seconds(began.elapsed().as_secs_f64()));
}

impl Case {
    fn measure(&self, cluster: &Cluster, api: &Api, table: &mut Table) {
        println!("\n{} ({})", self.name, load_of_the_machine());
        let kubeconfig = cluster.kubeconfig().to_path_buf();
        if self.start {
            self.measure_start(api, &kubeconfig, table);
        }
        let (service, _) = start(&kubeconfig);
        let nonce = format!("{:x}", std::process::id());
        let times = freshness::measure(api, &service, self.writes, &nonce);
        println!("{}: from a write to its answer, {} times ({})", self.name, self.writes, load_of_the_machine());
        println!("{}", times.lines().join("\n"));
        let [bare, begun, whole] = [&times.bare, &times.begun, &times.whole].map(|it| quantile(it, 0.5));
        let measure = |what: &str| format!("{}: a write until {what}, P50, over a bare watch", self.name);
        for (what, time) in [("an answer begins", begun), ("an answer is there", whole)] {
            let target = format!("<= +{:.0} ms", self.target);
            table.add(measure(what), format!("+{:.1} ms", time - bare), target, time - bare <= self.target);
        }
    }

    fn measure_start(&self, api: &Api, kubeconfig: &Path, table: &mut Table) {
        let collections = raw::collections(api);
        let objects = raw::count(api, &collections);
        println!("{} collections with {objects} objects are read", collections.len());
        let mut rounds: Vec<Round> = vec![];
        for _ in 0..ROUNDS {
            let one_by_one = raw::one_by_one(api, &collections);
            let all_at_once = raw::all_at_once(api, &collections);
            let round = Round::of(kubeconfig, one_by_one, all_at_once);
            println!("{}", round.line());
            rounds.push(round);
        }
        let of = |value: &dyn Fn(&Round) -> f64| median(&rounds.iter().map(value).collect::<Vec<_>>());
        let name = self.name;
        for (what, ratio) in [
            ("all kinds at once", of(&|it| it.start / it.all_at_once.time.as_secs_f64())),
            ("one kind after the other", of(&|it| it.start / it.one_by_one.time.as_secs_f64())),
        ] {
            let measure = format!("{name}: start / raw lists, {what}");
            table.add(measure, format!("{ratio:.2}"), format!("<= {START_TARGET}"), ratio <= START_TARGET);
        }
        let peak = of(&|it| it.peak / it.steady);
        let measure = format!("{name}: peak of the start / memory held");
        table.add(measure, format!("{peak:.2}"), format!("<= {PEAK_TARGET}"), peak <= PEAK_TARGET);
        let per_object = |memory: f64| format!("{:.0} MiB, {:.0} B", memory / 1024.0, memory * 1024.0 / float(objects));
        for (what, memory) in [
            ("memory held, and for each object", of(&|it| it.steady)),
            ("memory after a view in zstd, and for each object", of(&|it| it.after_a_view)),
        ] {
            table.tell(format!("{name}: {what}"), per_object(memory));
        }
        let first = of(&|it| it.first_view);
        table.tell(format!("{name}: the first view in zstd"), seconds(first));
        raw::compare_ways(api, &collections);
    }
}

/// A start, and raw lists right before it. Times are seconds, memory is KiB.
struct Round {
    one_by_one: raw::Taken,
    all_at_once: raw::Taken,
    start: f64,
    steady: f64,
    peak: f64,
    first_view: f64,
    after_a_view: f64,
}

impl Round {
    fn of(kubeconfig: &Path, one_by_one: raw::Taken, all_at_once: raw::Taken) -> Self {
        let (service, start) = start(kubeconfig);
        thread::sleep(SETTLED);
        let (steady, peak) = (memory(&service, "VmRSS"), memory(&service, "VmHWM"));
        let began = Instant::now();
        let answer = service.get("/v1/getEventMesh", &[("Accept-Encoding", "zstd")]);
        let first_view = began.elapsed().as_secs_f64();
        assert_eq!(answer.status, 200);
        let after_a_view = memory(&service, "VmRSS");
        Self { one_by_one, all_at_once, start: start.as_secs_f64(), steady, peak, first_view, after_a_view }
    }

    fn line(&self) -> String {
        let raw = |it: &raw::Taken| format!("{} in {}", megabytes(it.bytes), seconds(it.time.as_secs_f64()));
        format!(
            "raw {}, at once {}; start {}; memory {:.0} MiB, peak {:.0}, after a view {:.0} ({})",
            raw(&self.one_by_one),
            raw(&self.all_at_once),
            seconds(self.start),
            self.steady / 1024.0,
            self.peak / 1024.0,
            self.after_a_view / 1024.0,
            load_of_the_machine(),
        )
    }
}

/// A service that has read everything, and how long that took.
fn start(kubeconfig: &Path) -> (Service, Duration) {
    let began = Instant::now();
    let service = Service::start(&["--kubeconfig", kubeconfig.to_str().expect("text"), "--dev-token"]);
    while get(&service.admin, "/readyz", &[]).status != 200 {
        assert!(began.elapsed() < PATIENCE, "the service is not ready");
        thread::sleep(Duration::from_millis(5));
    }
    (service, began.elapsed())
}

/// KiB of memory, as Linux tells.
fn memory(service: &Service, what: &str) -> f64 {
    let path = format!("/proc/{}/status", service.pid());
    let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let line = status.lines().find_map(|it| it.strip_prefix(what)?.strip_prefix(':')).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn load_of_the_machine() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = thread::available_parallelism().map_or(0, usize::from);
    format!("load {} on {processors} processors", load.split(' ').next().unwrap_or("unknown"))
}

// Figures.

/// What was measured, what was wanted.
#[derive(Default)]
struct Table(Vec<[String; 4]>);

impl Table {
    fn add(&mut self, measure: String, value: String, target: String, met: bool) {
        self.0.push([measure, value, target, if met { "met" } else { "MISSED" }.into()]);
    }

    fn tell(&mut self, measure: String, value: String) {
        self.0.push([measure, value, String::new(), String::new()]);
    }

    fn print(&self) {
        println!("\n{:<60} {:>20} {:>10} met", "measure", "value", "target");
        for [measure, value, target, met] in &self.0 {
            println!("{measure:<60} {value:>20} {target:>10} {met}");
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no more than billions")]
fn float(count: usize) -> f64 {
    count as f64
}

fn seconds(time: f64) -> String {
    format!("{time:.2} s")
}

fn megabytes(bytes: usize) -> String {
    format!("{:.0} MB", float(bytes) / 1e6)
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The smallest value that so large a part of all does not exceed.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place among the values")]
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = (float(values.len()) * part).ceil() as usize;
    values[place.clamp(1, values.len()) - 1]
}
