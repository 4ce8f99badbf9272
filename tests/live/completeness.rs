//! An answer is whole, or it is none and says what is waited for.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::cluster::{Cluster, eventually};
use super::support::process::Service;
use super::support::proxy::{Fault, How, Proxy};
use super::{
    MESH, answered, broker, definition, empty_cluster, event_type, plain, readiness, reference, serve, serve_with,
    service, told, trigger,
};

const EVENTING: &str = "eventing.knative.dev";
const TRIGGER: &str = "Trigger.eventing.knative.dev";

/// A cluster with a bit of everything, and what is answered of it.
struct World {
    cluster: Cluster,
    whole: Value,
}

impl World {
    async fn new(cluster: Cluster) -> Self {
        cluster.install_knative().await;
        let sink = json!({"sink": {"ref": reference("eventing.knative.dev/v1 Broker bus")}});
        cluster
            .apply_all(&[
                definition("feeds.example.com", "AtomSource", "atomsources", "duck.knative.dev/source", &["v1"]),
                plain("feeds.example.com/v1", "AtomSource", "atom", sink.clone()),
                plain("sources.knative.dev/v1", "PingSource", "ping", sink),
                plain("messaging.knative.dev/v1", "InMemoryChannel", "pipe", json!({})),
                broker("bus"),
                event_type("a", "t.a", "bus"),
                trigger("audit", "bus", "v1 Service audit"),
                service("audit", "audit"),
            ])
            .await;
        let service = serve(cluster.kubeconfig());
        let whole = answered(&service, "a whole mesh", |_| true).await;
        assert_eq!(whole["eventTypes"][0]["consumedBy"], json!(["audit"]));
        assert_eq!(names(&whole["sources"]), ["atom", "ping"]);
        Self { cluster, whole }
    }

    /// The service at the end of a way with these faults.
    async fn serve(&self, faults: &[Fault]) -> (Proxy, Service) {
        let proxy = Proxy::start(&self.cluster).await;
        for fault in faults {
            proxy.inject(fault.clone());
        }
        let service = serve(proxy.kubeconfig());
        (proxy, service)
    }

    async fn is_whole(&self, service: &Service, after: &str) {
        let whole = answered(service, &format!("the whole mesh after {after}"), |it| *it == self.whole).await;
        assert_eq!(whole, self.whole);
        assert_eq!(service.admin("/readyz").status, 200);
    }

    /// The whole, but for some sources.
    fn without_source(&self, name: &str) -> Value {
        let mut mesh = self.whole.clone();
        mesh["sources"].as_array_mut().unwrap().retain(|it| it["name"] != name);
        mesh
    }
}

fn names(items: &Value) -> Vec<&str> {
    items.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect()
}

/// No answer, for want of one kind, as soon as it is only that; alive all the same.
async fn is_held(service: &Service, awaited: &str) {
    let only = format!("The catalog is still being read: 14 of 15 kinds read, waiting for {awaited}; try again soon.");
    let problem = eventually(&only, async || {
        let answer = service.get(MESH, &[]);
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_eq!(answer.header("retry-after"), "2");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        (problem["detail"] == only.as_str()).then_some(problem)
    })
    .await;
    assert_eq!((&problem["status"], &problem["title"]), (&json!(503), &json!("Service Unavailable")));
    assert_eq!((service.admin("/readyz").status, service.admin("/livez").status), (503, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_whole_or_none() {
    let Some(cluster) = empty_cluster(false).await else { return };
    let world = World::new(cluster).await;

    for (what, how) in [("refusal", How::Refuse), ("failure", How::status(500)), ("prohibition", How::status(403))] {
        let (proxy, service) = world.serve(&[Fault::new(how).group(EVENTING).resource("triggers")]).await;
        is_held(&service, TRIGGER).await;
        let reason = told(&service, TRIGGER, "cannot be listed: ").await;
        let expected = match what {
            "refusal" => "cannot be reached",
            "failure" => "answers 500: made up by the proxy of a test",
            _ => "refused: made up by the proxy of a test",
        };
        assert!(reason.contains(expected), "{reason}");
        proxy.heal();
        world.is_whole(&service, what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forbidden_is_left_out_and_told() {
    let Some(cluster) = empty_cluster(false).await else { return };
    let world = World::new(cluster).await;

    let (proxy, service) = world.serve(&[Fault::new(How::status(403)).resource("pingsources")]).await;
    let left = world.without_source("ping");
    answered(&service, "all but the source", |it| *it == left).await;
    let why = told(&service, "PingSource.sources.knative.dev", "left out: refused: ").await;
    assert!(why.contains("made up by the proxy of a test"), "{why}");
    proxy.heal();
    world.is_whole(&service, "a kind was forbidden").await;

    // Without definitions only the kinds of Knative are known, and discovery says where they are.
    let of_definitions = Fault::new(How::status(403)).resource("customresourcedefinitions");
    let (proxy, service) = world.serve(&[of_definitions]).await;
    let left = world.without_source("atom");
    answered(&service, "all but the source that nobody knows", |it| *it == left).await;
    told(&service, "CustomResourceDefinition.apiextensions.k8s.io", "left out: refused: ").await;
    let versions = || {
        let requests = proxy.requests().into_iter().filter(|it| it.resource == "eventtypes");
        requests.map(|it| it.path).collect::<BTreeSet<_>>()
    };
    assert_eq!(versions(), ["/apis/eventing.knative.dev/v1beta2/eventtypes".to_owned()].into());
    proxy.heal();
    world.is_whole(&service, "definitions were forbidden").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_grows_old_and_then_is_none() {
    let Some(cluster) = empty_cluster(false).await else { return };
    let world = World::new(cluster).await;
    let proxy = Proxy::start(&world.cluster).await;
    let service = serve_with(proxy.kubeconfig(), &["--max-staleness", "4s"]);
    world.is_whole(&service, "the start").await;
    let body = service.get(MESH, &[]).body;
    assert_eq!(service.get(MESH, &[]).header("EventMesh-Stale-Seconds"), "");

    proxy.inject(Fault::new(How::Refuse));
    let mut ages = BTreeSet::new();
    let answer = loop {
        let answer = service.get(MESH, &[]);
        if answer.status != 200 {
            break answer;
        }
        assert_eq!(answer.body, body, "it stays as it was");
        let age = answer.header("EventMesh-Stale-Seconds").parse::<u64>();
        assert!(age.is_ok() || ages.is_empty(), "it has an age from now on: {}", answer.head);
        ages.extend(age);
        assert!(ages.iter().all(|it| *it <= 4), "{ages:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(ages.len() > 1, "it grows old: {ages:?}");
    assert_eq!((answer.status, answer.header("retry-after")), (503, "2"), "{}", answer.body);
    assert!(answer.body.contains("The catalog was last up to date "), "{}", answer.body);
    assert_eq!((service.admin("/readyz").status, service.admin("/livez").status), (200, 200));
    told(&service, TRIGGER, "not up to date for ").await;

    world.cluster.apply(&broker("late")).await;
    proxy.heal();
    let mesh = answered(&service, "what happened meanwhile", |it| names(&it["brokers"]) == ["bus", "late"]).await;
    assert_eq!(mesh["eventTypes"], world.whole["eventTypes"]);
    eventually("an answer without an age", async || {
        service.get(MESH, &[]).header("EventMesh-Stale-Seconds").is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_later_and_cannot_be_read_is_not_quietly_missing() {
    let Some(cluster) = empty_cluster(false).await else { return };
    let world = World::new(cluster).await;
    let (proxy, service) = world.serve(&[]).await;
    world.is_whole(&service, "the start").await;
    proxy.inject(Fault::new(How::status(500)).resource("replicasets"));
    world.cluster.apply(&trigger("audit", "bus", "apps/v1 ReplicaSet audit")).await;
    told(&service, "ReplicaSet.apps", "cannot be listed").await;
    let answer = service.get(MESH, &[]);
    let age = answer.header("EventMesh-Stale-Seconds");
    assert!(answer.status == 503 || !age.is_empty(), "{} without an age: {}", answer.status, answer.body);
}

/// Whoever writes triggers names one kind after the other of an extension that does not answer, and holds nothing back.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_nobody_knows_of_is_waited_for_once() {
    let Some(cluster) = empty_cluster(false).await else { return };
    let world = World::new(cluster).await;
    let (proxy, service) = world.serve(&[]).await;
    world.is_whole(&service, "the start").await;
    proxy.inject(Fault::new(How::status(503)).path("/apis"));
    let named = |kind: &str| trigger("more", "bus", &format!("broken.example.com/v1 {kind} x"));
    world.cluster.apply(&named("First")).await;
    told(&service, "First.broken.example.com", "left out: ").await;
    let is_up_to_date = |answer: &super::support::process::Answer| answer.header("EventMesh-Stale-Seconds").is_empty();
    eventually("an answer that is up to date", async || is_up_to_date(&service.get(MESH, &[])).then_some(())).await;

    for (kind, late) in [("Second", "late-2"), ("Third", "late-3")] {
        world.cluster.apply(&named(kind)).await;
        world.cluster.apply(&broker(late)).await;
        eventually(late, async || {
            let answer = service.get(MESH, &[]);
            assert!(is_up_to_date(&answer), "{kind} holds the rest back: {}\n{}", answer.head, readiness(&service));
            let mesh: Value = serde_json::from_str(&answer.body).unwrap();
            names(&mesh["brokers"]).contains(&late).then_some(())
        })
        .await;
        told(&service, &format!("{kind}.broken.example.com"), "left out: ").await;
    }
}
