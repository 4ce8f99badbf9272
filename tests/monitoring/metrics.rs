//! Real scrapes: Prometheus finds no fault with them, and what alerts and panels ask for is there.

use serde_json::{Value, json};

use super::files::expressions;
use super::promql::{Matcher, uses};
use super::promtool::promtool;
use super::scrape::Scrape;
use crate::support::callers::{broker, brokers, service_account};
use crate::support::cluster::{Cluster, eventually};
use crate::support::process::{Service, get};

/// What Prometheus itself knows of whom it asks.
const OF_TARGETS: [&str; 5] = ["cluster", "instance", "job", "namespace", "pod"];
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

fn trigger(name: &str, version: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
        "metadata": { "namespace": "shop", "name": name },
        "spec": { "broker": "bus", "subscriber": { "ref": { "apiVersion": version, "kind": kind, "name": "x" } } },
    })
}

#[test]
fn prometheus_finds_no_fault_with_what_is_told_of_manifests() {
    let service = Service::of(concat!(env!("CARGO_MANIFEST_DIR"), "/config/samples/shop").as_ref());
    service.mesh();
    let metrics = service.admin("/metrics").body;
    promtool("metrics", &["check", "metrics"], ".".as_ref(), &metrics).unwrap_or_else(|said| panic!("{said}"));
    let scrape = Scrape::parse(&metrics);
    println!("{} series of {} names", scrape.series.len(), scrape.labels.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_alerts_and_panels_ask_for_is_there() {
    if Cluster::knative_crds().is_none() {
        return;
    }
    let cluster = Cluster::start().await;
    cluster.install_knative().await;
    let gone = trigger("to-a-kind-that-is-nowhere", "made-up.example/v1", "MadeUp");
    cluster.apply_all(&[broker("shop", "bus"), trigger("to-a-service", "v1", "Service"), gone]).await;
    cluster.grant("shop", "portal", service_account("callers", "portal"), &[brokers()]).await;
    let service = Service::start(&["--kubeconfig", cluster.kubeconfig().to_str().unwrap()]);
    let token = cluster.caller_token("callers", "portal").await;
    let status = eventually("an answer", async || {
        Some(service.get_as(&token, "/v1/getEventMesh", &[]).status).filter(|status| *status != 503)
    });
    assert_eq!(status.await, 200);
    let metrics = eventually("everything to be read", async || {
        let metrics = service.admin("/metrics").body;
        metrics.contains("kind=\"other\",state=\"left-out\"} 1").then_some(metrics)
    })
    .await;
    promtool("metrics", &["check", "metrics"], ".".as_ref(), &metrics).unwrap_or_else(|said| panic!("{said}"));
    let scrape = Scrape::parse(&metrics);
    println!("{} series of {} names", scrape.series.len(), scrape.labels.len());
    assert!(!metrics.contains("MadeUp"), "what a trigger names is no label");
    assert!(metrics.contains("\neventmesh_reviews_total{of=\"tokens\",outcome=\"allowed\"} "), "{metrics}");
    assert!(!metrics.contains("\neventmesh_reviews_total{of=\"tokens\",outcome=\"allowed\"} 0"), "{metrics}");
    let open = get(&service.admin, "/metrics", &[("Accept", OPENMETRICS)]).body;
    let names = |text: &str| Scrape::parse(text).labels.into_keys().collect::<Vec<_>>();
    assert_eq!(names(&open), names(&metrics), "both formats tell the same");

    let mut wrong = vec![];
    for (place, expression) in expressions() {
        let uses = uses(&expression);
        assert!(!uses.selectors.is_empty(), "{place}: {expression}");
        for selector in &uses.selectors {
            let Some(labels) = scrape.labels.get(&selector.metric) else {
                if selector.metric != "up" {
                    wrong.push(format!("{place}: there is no {}", selector.metric));
                }
                continue;
            };
            for matcher in selector.matchers.iter().filter(|it| !OF_TARGETS.contains(&&*it.label)) {
                let Some(values) = labels.get(&matcher.label) else {
                    wrong.push(format!("{place}: {} has no {}", selector.metric, matcher.label));
                    continue;
                };
                let unknown = names_of(matcher).into_iter().filter(|it| !values.contains(*it));
                wrong.extend(unknown.map(|it| format!("{place}: {}=\"{it}\" of {}", matcher.label, selector.metric)));
            }
        }
        let has = |label: &String| {
            let labels = uses.selectors.iter().filter_map(|it| scrape.labels.get(&it.metric));
            OF_TARGETS.contains(&&**label) || labels.flat_map(|it| it.keys()).any(|it| it == label)
        };
        wrong.extend(uses.grouping.iter().filter(|it| !has(it)).map(|it| format!("{place}: grouped by {it}")));
    }
    assert!(wrong.is_empty(), "{}\n{metrics}", wrong.join("\n"));
}

/// The values that a matcher names; classes such as `5..` are none.
fn names_of(matcher: &Matcher) -> Vec<&str> {
    let is_name = |it: &&str| it.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
    matcher.value.split('|').filter(is_name).collect()
}
