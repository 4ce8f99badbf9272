//! The golden cases, and those of the fault cases that are about the API server, with the schemas of Knative: these
//! refuse nothing of any case and take nothing away.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::cluster::Cluster;
use super::support::process::Service;
use super::support::proxy::{Fault, How, Proxy};
use super::support::{self, json};
use super::{MESH, empty_cluster, readiness, serve, told};

const PATIENCE: Duration = Duration::from_secs(20);

/// What is in the cluster of a case: its objects, with Knative's definitions where they define the same kinds.
pub fn objects(case: &Path, knative: &BTreeMap<String, Value>) -> Vec<Value> {
    let mut objects = support::documents(&case.join("input.yaml"));
    for it in objects.iter_mut().filter(|it| it["kind"] == "CustomResourceDefinition") {
        if let Some(real) = with_schema_of(it, knative) {
            *it = real;
        }
    }
    objects
}

pub fn knative() -> BTreeMap<String, Value> {
    Cluster::knative_crds().unwrap_or_default().into_iter().map(|it| (name(&it), it)).collect()
}

/// Knative's definition, with what the case says of the kind: its labels, its annotations, and its versions.
fn with_schema_of(definition: &Value, knative: &BTreeMap<String, Value>) -> Option<Value> {
    let mut real = knative.get(&name(definition))?.clone();
    let mut versions = vec![];
    for wanted in definition["spec"]["versions"].as_array()? {
        let known = real["spec"]["versions"].as_array()?.iter().find(|it| it["name"] == wanted["name"]);
        let mut version =
            known.unwrap_or_else(|| panic!("Knative has no {} in {}", name(definition), wanted["name"])).clone();
        for field in ["served", "storage"] {
            version[field] = wanted[field].clone();
        }
        versions.push(version);
    }
    real["spec"]["versions"] = versions.into();
    real["metadata"] = definition["metadata"].clone();
    Some(real)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_has_its_answer() {
    let Some(cluster) = empty_cluster(false).await else { return };
    let cases = support::cases("golden");
    assert_eq!(cases.len(), 42);
    let knative = knative();
    // Under this one the kinds come and go.
    let constant = serve(cluster.kubeconfig());
    let nothing = json!({"eventTypes": [], "brokers": [], "subscribables": [], "sources": []});
    let mut wrong = vec![];
    for case in &cases {
        let expected = json(case.join("expected.json"));
        let objects = objects(case, &knative);
        cluster.apply_all(&objects).await;
        for lost in lost(&cluster, &objects).await {
            wrong.push(format!("{}: the server does not hold {lost}", case_name(case)));
        }
        let fresh = serve(cluster.kubeconfig());
        for (service, which) in [(&fresh, "a fresh service"), (&constant, "the constant service")] {
            wrong.extend(check(service, &format!("{} of {which}", case_name(case)), &expected).await.err());
        }
        drop(fresh);
        cluster.wipe().await;
        wrong.extend(check(&constant, &format!("nothing after {}", case_name(case)), &nothing).await.err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_case_has_its_answer() {
    let Some(cluster) = empty_cluster(false).await else { return };
    let knative = knative();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden-faults");
    for name in ["kind-vanishes", "transient-error", "lasting-error"] {
        let case = folder.join(name);
        cluster.apply_all(&objects(&case, &knative)).await;
        let proxy = Proxy::start(&cluster).await;
        for rule in json(case.join("faults.json")).as_array().unwrap() {
            proxy.inject(fault(rule));
        }
        let service = serve(proxy.kubeconfig());
        let expected = json(case.join("expected.json"));
        if let Some(body) = expected.get("body") {
            assert_eq!(expected["status"], json!([200]));
            let answered = check(&service, name, body).await;
            assert!(answered.is_ok(), "{}", answered.unwrap_err());
        } else {
            // Everything else has been read by then, and the kind was tried several times.
            told(&service, "Broker.eventing.knative.dev", "answers 500").await;
            told(&service, "EventType.eventing.knative.dev", "live").await;
            told(&service, "Service.serving.knative.dev", "live").await;
            let lists = || proxy.requests().iter().filter(|it| it.verb == "list" && it.resource == "brokers").count();
            support::cluster::eventually("a few attempts", async || (lists() > 3).then_some(())).await;
            let status = service.get(MESH, &[]).status;
            assert!(expected["status"].as_array().unwrap().contains(&status.into()), "{name}: {status}");
        }
        cluster.wipe().await;
    }
}

/// What was written and is not there: a schema takes away what it does not know, without a word.
async fn lost(cluster: &Cluster, objects: &[Value]) -> Vec<String> {
    let mut lost = vec![];
    for definition in objects.iter().filter(|it| it["kind"] == "CustomResourceDefinition") {
        for object in objects.iter().filter(|it| is_of(it, definition)) {
            let found = cluster.ask("GET", &path(object, definition), None).await.unwrap();
            for part in ["spec", "status"] {
                if !holds(&found[part], &object[part]) {
                    lost.push(format!("{part} of {}: {:#} instead of {:#}", name(object), found[part], object[part]));
                }
            }
        }
    }
    lost
}

/// Whether everything that was written is there; a server adds defaults.
fn holds(found: &Value, written: &Value) -> bool {
    match (found, written) {
        (_, Value::Null) => true,
        (Value::Object(found), Value::Object(written)) => {
            written.iter().all(|(key, it)| holds(found.get(key).unwrap_or(&Value::Null), it))
        }
        (Value::Array(found), Value::Array(written)) => {
            found.len() == written.len() && found.iter().zip(written).all(|(found, written)| holds(found, written))
        }
        _ => found == written,
    }
}

/// Where a server has an object of this kind.
fn path(object: &Value, definition: &Value) -> String {
    format!("{}/{}", collection(object, definition), name(object))
}

fn collection(object: &Value, definition: &Value) -> String {
    let (version, plural) = (text(object, "/apiVersion"), text(definition, "/spec/names/plural"));
    format!("/apis/{version}/namespaces/{}/{plural}", text(object, "/metadata/namespace"))
}

/// A rule of `faults.json`.
fn fault(rule: &Value) -> Fault {
    let mut fault = Fault::new(How::status(0));
    let mut retry_after = None;
    for (key, value) in rule.as_object().unwrap() {
        let number = || usize::try_from(value.as_u64().unwrap()).unwrap();
        fault = match (key.as_str(), value.as_str()) {
            ("verb", Some(verb)) => {
                fault.verb(["list", "watch", "get"].into_iter().find(|it| *it == verb).expect("a verb"))
            }
            ("group", Some(group)) => fault.group(group),
            ("resource", Some(resource)) => fault.resource(resource),
            ("times", _) => fault.times(number()),
            ("status", _) => Fault { how: How::status(u16::try_from(number()).unwrap()), ..fault },
            ("retryAfter", _) => {
                retry_after = value.as_u64();
                fault
            }
            (key, _) => panic!("no fault of the proxy has {key}"),
        };
    }
    if let How::Status { retry_after: later, .. } = &mut fault.how {
        *later = retry_after;
    }
    fault
}

/// Waits until the answer is this one, but for the uids, which a real server gives.
async fn check(service: &Service, what: &str, expected: &Value) -> Result<(), String> {
    let expected = without_uids(expected.clone());
    let began = Instant::now();
    loop {
        let answer = service.get(MESH, &[]);
        let found =
            if answer.status == 200 { without_uids(serde_json::from_str(&answer.body).unwrap()) } else { Value::Null };
        if found == expected {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            let status = answer.status;
            return Err(format!("{what}: {status}\n{}\n{}", difference(&expected, &found), readiness(service)));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn without_uids(mut mesh: Value) -> Value {
    for item in mesh.as_object_mut().unwrap().values_mut().flat_map(|it| it.as_array_mut().unwrap()) {
        let uid = item.as_object_mut().unwrap().remove("uid");
        assert!(uid.is_some_and(|it| it.as_str().is_some_and(|it| !it.is_empty())), "an item without uid: {item}");
    }
    mesh
}

/// The lines that differ, with what is around them.
fn difference(expected: &Value, found: &Value) -> String {
    let [expected, found] = [expected, found].map(|it| format!("{it:#}"));
    let [expected, found] = [&expected, &found].map(|it| it.lines().collect::<Vec<_>>());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let head = expected.iter().zip(&found).take_while(same).count();
    let tail = expected[head..].iter().rev().zip(found[head..].iter().rev()).take_while(same).count();
    let lines = |mark: &str, lines: &[&str]| lines.iter().map(|it| format!("{mark} {it}")).collect::<Vec<_>>();
    let around = head.saturating_sub(3);
    [
        lines(" ", &expected[around..head]),
        lines("-", &expected[head..expected.len() - tail]),
        lines("+", &found[head..found.len() - tail]),
    ]
    .concat()
    .join("\n")
}

fn is_of(object: &Value, definition: &Value) -> bool {
    let group = text(object, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
    group == text(definition, "/spec/group") && object["kind"] == definition["spec"]["names"]["kind"]
}

fn case_name(case: &Path) -> String {
    case.file_name().unwrap().to_str().unwrap().to_owned()
}

fn name(object: &Value) -> String {
    text(object, "/metadata/name").to_owned()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
