//! How many series there are: not more with more objects, and not as many as somebody likes.

use std::sync::Arc;
use std::time::Instant;

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
use crate::support::process::eventually;

/// Tells the metrics of a mesh, as they are each time.
async fn metrics_of(origin: &'static str, resources: Vec<Arc<Resource>>, status: Status) -> impl Fn() -> String {
    let (feed, indexer, reader) = channel();
    let updates = known_definitions().into_iter().chain(resources).map(Update::Upsert).collect();
    feed.send(Batch { updates, complete: true, status: Some(status) }).await.unwrap();
    drop(feed);
    indexer.run().await;
    assert!(reader.latest().is_complete());
    let access = Arc::new(Access::new(None, None, None));
    let sources = Sources { origin, reader, access, bodies: Bodies::default(), loads: vec![] };
    let metrics = Metrics::default();
    move || metrics.text(&sources, Format::Classic).unwrap()
}

async fn told_of(arguments: &Arguments) -> (usize, Scrape) {
    let resources: Vec<_> = converted(&generate(arguments));
    let count = resources.len();
    let text = metrics_of("manifests", resources, Status::default()).await;
    let [first, again] = [(); 2].map(|()| {
        let began = Instant::now();
        text();
        began.elapsed()
    });
    // What is wrong with a large mesh is told late.
    let with_findings = || Some(Scrape::parse(&text())).filter(|it| it.count("eventmesh_diagnostics") > 0);
    let scrape = eventually("what is wrong", with_findings);
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
    let of_manifests = metrics_of("manifests", resources, Status::default()).await;
    let of_cluster = metrics_of("cluster", vec![], status).await;
    let [of_manifests, of_cluster] = [of_manifests(), of_cluster()].map(|it| Scrape::parse(&it));
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
