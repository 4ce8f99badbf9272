//! What the other tests lean on: the API server, what is applied to it, and the faults of the way to it.

mod support;

use serde_json::{Value, json};
use support::cluster::Cluster;

fn broker(name: &str) -> Value {
    json!({
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Broker",
        "metadata": { "namespace": "shop", "name": name, "uid": "00000000-0000-0000-0000-000000000001" },
        "spec": { "config": { "apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "config" } },
        "status": { "address": { "url": "http://broker.shop" } },
    })
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
}
