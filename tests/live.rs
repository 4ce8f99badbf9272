//! The binary at a real API server: what it answers, how soon, what it asks for, and when it answers nothing.

#[path = "live/completeness.rs"]
mod completeness;
#[path = "live/golden.rs"]
mod golden;
#[path = "live/hostile.rs"]
mod hostile;
#[path = "live/plugin.rs"]
mod plugin;
#[path = "live/replicas.rs"]
mod replicas;
#[path = "live/requests.rs"]
mod requests;
#[path = "live/rights.rs"]
mod rights;
#[path = "live/story.rs"]
mod story;
mod support;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::cluster::Cluster;
use support::process::Service;

const MESH: &str = "/v1/getEventMesh";

/// How long anything may take that should take no time; longer than the service waits before it looks again for what
/// was refused.
const PATIENCE: Duration = Duration::from_secs(90);

/// A cluster of the test's own with nothing in it; none where it cannot be had, which is said.
async fn empty_cluster(audit: bool) -> Option<Cluster> {
    Cluster::knative_crds()?;
    let cluster = if audit { Cluster::start_with_audit().await } else { Cluster::start().await };
    if cluster.is_external() {
        // Past the capture of the test runner: what did not run must be seen.
        let _ = writeln!(std::io::stderr(), "NOT RUN: a check that needs an empty cluster of its own");
        return None;
    }
    Some(cluster)
}

/// Serves what this kubeconfig leads to.
fn serve(kubeconfig: &Path) -> Service {
    serve_with(kubeconfig, &[])
}

fn serve_with(kubeconfig: &Path, more: &[&str]) -> Service {
    Service::start(&[&["--kubeconfig", kubeconfig.to_str().unwrap(), "--dev-token"], more].concat())
}

/// The answer, as soon as it is the one that is waited for.
async fn answered(service: &Service, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let began = Instant::now();
    loop {
        let answer = service.get(MESH, &[]);
        if answer.status == 200 {
            last = serde_json::from_str(&answer.body).unwrap();
            if is_it(&last) {
                return last;
            }
        }
        let status = answer.status;
        assert!(began.elapsed() < PATIENCE, "{what} is not answered; {status}, and {last:#}\n{}", readiness(service));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What is said of a kind to those who run the service, as soon as it is what is waited for.
async fn told(service: &Service, of: &str, what: &str) -> String {
    let began = Instant::now();
    loop {
        let text = readiness(service);
        if let Some(line) = text.lines().find(|it| it.contains(&format!("] {of}: ")) && it.contains(what)) {
            return line.to_owned();
        }
        assert!(began.elapsed() < PATIENCE, "`{what}` is not told of {of}, but\n{text}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn readiness(service: &Service) -> String {
    service.admin("/readyz?verbose").body
}

fn broker(name: &str) -> Value {
    plain("eventing.knative.dev/v1", "Broker", name, json!({}))
}

fn event_type(name: &str, of_type: &str, broker: &str) -> Value {
    let reference = json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": broker});
    plain("eventing.knative.dev/v1beta2", "EventType", name, json!({"type": of_type, "reference": reference}))
}

/// With a subscriber, as in `v1 Service orders`.
fn trigger(name: &str, broker: &str, subscriber: &str) -> Value {
    let subscriber = json!({"ref": reference(subscriber)});
    plain("eventing.knative.dev/v1", "Trigger", name, json!({"broker": broker, "subscriber": subscriber}))
}

fn reference(text: &str) -> Value {
    let [version, kind, name] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text} is no reference") };
    json!({"apiVersion": version, "kind": kind, "name": name})
}

/// With a Backstage id, unless that is empty.
fn service(name: &str, id: &str) -> Value {
    let spec = json!({"ports": [{"port": 80}]});
    if id.is_empty() {
        return plain("v1", "Service", name, spec);
    }
    labeled("v1", "Service", name, json!({"backstage.io/kubernetes-id": id}), spec)
}

fn plain(api_version: &str, kind: &str, name: &str, spec: Value) -> Value {
    labeled(api_version, kind, name, json!({}), spec)
}

fn labeled(api_version: &str, kind: &str, name: &str, labels: Value, spec: Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"namespace": "shop", "name": name}});
    object["metadata"]["labels"] = labels;
    object["spec"] = spec;
    object
}

/// A kind of somebody's own, without a schema, in these versions: the first is the one that is stored.
fn definition(group: &str, kind: &str, plural: &str, label: &str, versions: &[&str]) -> Value {
    let open = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version = |name: &&str| json!({"name": name, "served": true, "storage": *name == versions[0], "schema": open});
    let labels = if label.is_empty() { json!({}) } else { json!({label: "true"}) };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}"), "labels": labels},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": versions.iter().map(version).collect::<Vec<_>>(),
        },
    })
}
