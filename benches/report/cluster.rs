//! What a live cluster takes, on a real API server (see CONTRIBUTING.md) with the real binary: how long a start is beside
//! reading the same raw, how soon a write is in the answers, how long somebody waits who was never there before.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::Api;
use super::figures::{float, quantile, ratios};
use super::measure::{Measures, Target};
use super::process::{memory, start, view};
use super::raw::{self, Curl};
use super::support::cluster::Cluster;
use super::support::generate::generate;
use super::{Size, access, freshness};

/// How often a start is measured, in turns with raw lists.
const ROUNDS: usize = 5;
/// How often it is measured how soon writes are in the answers, and how many writes that takes.
const SERIES: usize = 5;
const WRITES: usize = 40;
/// How long after a start memory is looked at.
const SETTLED: Duration = Duration::from_secs(2);
/// Of the time of a raw list.
const START: f64 = 1.3;
/// Of the memory that is held after the start.
const PEAK: f64 = 1.3;
/// Milliseconds more than a bare watch, where there is a target.
const FRESH: [(&str, f64); 2] = [("S", 10.0), ("L", 60.0)];

pub fn measure(size: &Size, measures: &mut Measures) {
    measures.begin("cluster", size.name);
    let Some(knative) = Cluster::knative_crds() else {
        let why = "the definitions of Knative are missing (see CONTRIBUTING.md)";
        measures.miss("everything on a real API server", "", Target::AtLeast(1.0), why);
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cluster = runtime.block_on(Cluster::start());
    let api = runtime.block_on(Api::of(&cluster));
    let version = api.json("/version")["gitVersion"].as_str().unwrap_or("unknown").to_owned();
    measures.version("kube-apiserver", &version);
    runtime.block_on(load(&cluster, &api, size, &knative, measures));
    measure_start(&cluster, &api, measures);
    measure_freshness(&cluster, &api, measures);
    if size.name == "L" {
        runtime.block_on(access::measure(&cluster, size, measures));
    }
}

/// Fills the cluster, unless it is one of the developer's own that holds the mesh already.
async fn load(cluster: &Cluster, api: &Api, size: &Size, knative: &[Value], measures: &mut Measures) {
    let documents = generate(&size.arguments);
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
        if types["metadata"]["remainingItemCount"] == size.arguments.event_types - 1 {
            return;
        }
    }
    let began = Instant::now();
    cluster.apply_all(&definitions).await;
    cluster.apply_all(&objects).await;
    measures.tell("writing the objects to the API server", "s", vec![began.elapsed().as_secs_f64()]);
}

fn measure_start(cluster: &Cluster, api: &Api, measures: &mut Measures) {
    let collections = raw::collections(api);
    let (objects, in_all) = raw::count(api, &collections);
    measures.tell("objects that are read", "", vec![float(objects)]);
    let curl = Curl::of(api);
    let kubeconfig = cluster.kubeconfig();
    let (mut paged, mut whole, mut starts) = (vec![], vec![], vec![]);
    let (mut held, mut peaks, mut after) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        if let Ok(curl) = &curl {
            let (took, read) = curl.all_at_once(&collections, true);
            assert_eq!(read, in_all, "all pages are read");
            paged.push(took.as_secs_f64());
            whole.push(curl.all_at_once(&collections, false).0.as_secs_f64());
        }
        let (service, took) = start(kubeconfig, &["--dev-token"]);
        starts.push(took.as_secs_f64());
        thread::sleep(SETTLED);
        held.push(memory(&service, "VmRSS"));
        peaks.push(memory(&service, "VmHWM"));
        view(&service, "zstd");
        thread::sleep(SETTLED);
        after.push(memory(&service, "VmRSS"));
    }
    let name = "start until complete / raw lists by curl in pages, all kinds at once";
    let target = if measures.size() == "L" { Target::AtMost(START) } else { Target::None };
    match curl {
        Ok(_) => {
            measures.hold(name, "", target, ratios(&starts, &paged));
            let name = "start until complete / raw lists by curl in one page each, all kinds at once";
            measures.tell(name, "", ratios(&starts, &whole));
            measures.tell("raw lists by curl in pages", "s", paged);
            measures.tell("raw lists by curl in one page each", "s", whole);
        }
        Err(why) => measures.miss(name, "", target, &why),
    }
    measures.tell("start until complete", "s", starts);
    measures.hold("peak of the start / memory held after it", "", Target::AtMost(PEAK), ratios(&peaks, &held));
    measures.tell("memory held after the start", "MiB", held);
    measures.tell("memory held after a full view in zstd", "MiB", after);
    let (one_page, streamed) = raw::compare_ways(api, &collections, ROUNDS);
    measures.tell("the triggers raw in one page", "s", one_page);
    measures.tell("the triggers raw as a streaming list", "s", streamed);
}

fn measure_freshness(cluster: &Cluster, api: &Api, measures: &mut Measures) {
    let (service, _) = start(cluster.kubeconfig(), &["--dev-token"]);
    let series: Vec<_> = (0..SERIES)
        .map(|n| freshness::measure(api, &service, WRITES, &format!("{:x}-{n}", std::process::id())))
        .collect();
    let each = |of: &dyn Fn(&freshness::Times) -> f64| series.iter().map(of).collect::<Vec<_>>();
    let limit = FRESH.iter().find(|(name, _)| *name == measures.size());
    let target = limit.map_or(Target::None, |(_, most)| Target::AtMost(*most));
    let more = "a write until an answer is there, P50, more than a bare watch";
    measures.hold(more, "ms", target, each(&|it| quantile(&it.whole, 0.5) - quantile(&it.bare, 0.5)));
    let more = "a write until an answer begins, P50, more than a bare watch";
    measures.tell(more, "ms", each(&|it| quantile(&it.begun, 0.5) - quantile(&it.bare, 0.5)));
    measures.tell("a write until a bare watch tells it, P50", "ms", each(&|it| quantile(&it.bare, 0.5)));
    measures.tell("a write until a bare watch tells it, P99", "ms", each(&|it| quantile(&it.bare, 0.99)));
    measures.tell("a write until an answer is there, P99", "ms", each(&|it| quantile(&it.whole, 0.99)));
}
