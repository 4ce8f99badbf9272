//! What the other tests lean on: the API server, what is applied to it, and the faults of the way to it.

mod support;

use serde_json::{Value, json};
use support::cluster::{Cluster, client, eventually};

const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

fn map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "namespace": "shop", "name": name } })
}

fn broker(name: &str) -> Value {
    json!({
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Broker",
        "metadata": { "namespace": "shop", "name": name, "uid": "00000000-0000-0000-0000-000000000001" },
        "spec": { "config": { "apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "config" } },
        "status": { "address": { "url": "http://broker.shop" } },
    })
}

/// The names of what is there.
async fn names(cluster: &Cluster, collection: &str) -> Vec<String> {
    let found = cluster.ask("GET", collection, None).await.unwrap();
    let name = |it: &Value| it["metadata"]["name"].as_str().unwrap().to_owned();
    found["items"].as_array().unwrap().iter().map(name).filter(|it| it != "kube-root-ca.crt").collect()
}

fn is_external(cluster: &Cluster) -> bool {
    if cluster.is_external() {
        support::not_run("a check that ends its API server");
    }
    cluster.is_external()
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_kept_with_their_status() {
    let cluster = Cluster::start().await;
    if Cluster::knative_crds().is_none() {
        return;
    }
    cluster.install_knative().await;
    let broker = broker("orders");
    // Created, then replaced.
    for _ in 0..2 {
        cluster.apply(&broker).await;
        let path = "/apis/eventing.knative.dev/v1/namespaces/shop/brokers/orders";
        let found = cluster.ask("GET", path, None).await.unwrap();
        assert_eq!(found["spec"], broker["spec"]);
        assert_eq!(found["status"], broker["status"]);
        assert_ne!(found["metadata"]["uid"], broker["metadata"]["uid"], "the server gives uids");
    }
    cluster.apply(&map("config")).await;
    cluster.wipe().await;
    assert_eq!(names(&cluster, MAPS).await, [""; 0]);
    assert!(cluster.is_external() || cluster.try_apply(&broker).await.is_err(), "its kind is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_outlives_the_process() {
    let mut cluster = Cluster::start().await;
    if is_external(&cluster) {
        return;
    }
    cluster.apply(&map("early")).await;
    cluster.stop().await;
    let saved = cluster.save();
    cluster.restart().await;
    cluster.apply(&map("late")).await;
    cluster.kill().await;
    cluster.restart().await;
    assert_eq!(names(&cluster, MAPS).await, ["early", "late"]);
    cluster.stop().await;
    cluster.restore(&saved);
    cluster.restart().await;
    assert_eq!(names(&cluster, MAPS).await, ["early"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_who_asked_are_logged() {
    let cluster = Cluster::start_with_audit().await;
    if is_external(&cluster) {
        return;
    }
    let token = cluster.service_account_token("shop", "reader").await;
    let reader = client(&cluster.kubeconfig_with(&cluster.server(), &token)).await;
    let request = || hyper::Request::get(MAPS).body(Vec::new()).unwrap();
    for _ in 0..2 {
        assert!(reader.request_text(request()).await.is_err(), "it has no rights");
    }
    let logged = || async {
        let events = cluster.audit();
        let events = events.into_iter().filter(|it| it.user == "system:serviceaccount:shop:reader");
        Some(events.collect::<Vec<_>>()).filter(|it| it.len() == 2)
    };
    for event in eventually("two requests in the log", logged).await {
        assert_eq!((event.verb.as_str(), event.uri.as_str(), event.code), ("list", MAPS, 403));
        assert_eq!((event.resource.as_str(), event.namespace.as_str()), ("configmaps", "shop"));
    }
}
