//! How many series there are: not more with more objects, and not as many as somebody likes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eventmesh_catalog::access::Access;
use eventmesh_catalog::api::render::Bodies;
use eventmesh_catalog::index::status::{KindStatus, Reads, State, Status};
use eventmesh_catalog::index::{Batch, channel};
use eventmesh_catalog::mesh::{GroupKind, Resource, Update};
use eventmesh_catalog::origins::kubernetes::kinds::known_definitions;
use eventmesh_catalog::telemetry::metrics::{Format, Metrics, Sources};
use serde_json::json;

use super::scrape::Scrape;
use crate::support::converted;
use crate::support::generate::{self, Arguments, generate};

/// How long all of it may take to be told.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is told of a mesh, and how long that takes: at first, and again while nothing changes. What is wrong with a large one
/// is told late, and waited for.
async fn told(
    origin: &'static str,
    resources: Vec<Arc<Resource>>,
    status: Status,
    is_whole: impl Fn(&str) -> bool,
) -> (Scrape, [Duration; 2]) {
    let (feed, indexer, reader) = channel();
    let updates = known_definitions().into_iter().chain(resources).map(Update::Upsert).collect();
    feed.send(Batch { updates, complete: true, status: Some(status) }).await.unwrap();
    drop(feed);
    indexer.run().await;
    assert!(reader.latest().is_complete());
    let access = Arc::new(Access::new(None, None, None));
    let sources = Sources { origin, reader, access, bodies: Bodies::default(), loads: vec![] };
    let metrics = Metrics::default();
    let mut text = String::new();
    let took = [(); 2].map(|()| {
        let began = Instant::now();
        text = metrics.text(&sources, Format::Classic).unwrap();
        began.elapsed()
    });
    let began = Instant::now();
    while !is_whole(&text) {
        assert!(began.elapsed() < PATIENCE, "{text}");
        text = metrics.text(&sources, Format::Classic).unwrap();
    }
    (Scrape::parse(&text), took)
}

async fn told_of(arguments: &Arguments) -> (usize, Scrape) {
    let resources: Vec<_> = converted(&generate(arguments));
    let count = resources.len();
    let has_findings = |text: &str| text.contains("eventmesh_diagnostics{");
    let (scrape, [first, again]) = told("manifests", resources, Status::default(), has_findings).await;
    println!(
        "{count} objects: {} series; scraped in {first:.1?} after a change, in {again:.1?} without",
        scrape.series.len()
    );
    (count, scrape)
}

/// `make cardinality` looks at 250,000 objects.
#[tokio::test]
async fn there_are_as_many_series_of_many_objects_as_of_few() {
    let most = if std::env::var_os("EVENTMESH_TEST_LARGE").is_some() { generate::X } else { generate::M };
    let (few, small) = told_of(&generate::S).await;
    let (many, large) = told_of(&most).await;
    assert!(many >= 9 * few, "{few}, {many}");
    assert_eq!(large.series, small.series);
}

#[tokio::test]
async fn kinds_that_somebody_makes_up_are_one() {
    // In manifests, objects of such kinds; beside a cluster, nothing but names.
    let object = |n: usize| {
        json!({ "apiVersion": format!("made-up-{n}.example/v1"), "kind": format!("MadeUp{n}"),
            "metadata": { "name": "x", "namespace": "shop", "labels": { "backstage.io/kubernetes-id": "x" } } })
    };
    let resources = converted(&(0..1000).map(object).collect::<Vec<_>>());
    let kind = |n: usize| KindStatus {
        of: GroupKind::new(format!("made-up-{n}.example"), format!("MadeUp{n}")),
        defined: false,
        place: None,
        state: State::LeftOut { why: "the API server does not serve it".into() },
        reads: Reads::default(),
    };
    let status = Status { kinds: (0..1000).map(kind).collect(), ..Status::default() };
    let (of_manifests, _) = told("manifests", resources, Status::default(), |_| true).await;
    let (of_cluster, _) = told("cluster", vec![], status, |_| true).await;
    println!(
        "1000 kinds: {} series of objects, {} of kinds",
        of_manifests.count("eventmesh_objects"),
        of_cluster.count("eventmesh_kinds")
    );
    assert!(of_manifests.count("eventmesh_objects") <= 66);
    let kinds: Vec<_> = of_cluster.series.iter().filter(|it| it.starts_with("eventmesh_kinds{")).collect();
    assert_eq!(kinds, ["eventmesh_kinds{group=\"other\",kind=\"other\",state=\"left-out\"}"]);
    assert!(!of_cluster.series.iter().any(|it| it.contains("made-up")));
}
