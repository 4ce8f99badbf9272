//! What a user may write who may write no more than triggers.

use serde_json::{Value, json};

use super::support::proxy::Proxy;
use super::{MESH, answered, broker, definition, empty_cluster, event_type, plain, readiness, serve, service, trigger};

fn consumers(mesh: &Value) -> Vec<&str> {
    let consumers = mesh["eventTypes"][0]["consumedBy"].as_array();
    consumers.map(|it| it.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// Whoever may write triggers writes what he likes; all others notice nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_trigger_names_harms_the_rest() {
    let Some(cluster) = empty_cluster(false).await else { return };
    cluster.install_knative().await;
    let channel = plain("messaging.knative.dev/v1", "InMemoryChannel", "line", json!({}));
    cluster.apply_all(&[broker("bus"), event_type("a", "t.a", "bus"), channel]).await;
    cluster.apply_all(&[service("one", "one"), trigger("one", "bus", "v1 Service one")]).await;
    let way = Proxy::start(&cluster).await;
    let served = serve(way.kubeconfig());
    let is_whole = |it: &Value| consumers(it) == ["one"] && it["subscribables"][0]["name"] == "line";
    answered(&served, "the mesh", is_whole).await;

    let long = "a".repeat(70_000);
    let name =
        |api_version: &str, kind: &str, name: &str| json!({"apiVersion": api_version, "kind": kind, "name": name});
    let subscribers = [
        name("apiextensions.k8s.io/v1", "CustomResourceDefinition", "brokers.eventing.knative.dev"),
        name("v1", "Secret", "tokens"),
        name("v1", "Node", "node"),
        name("x.example.com/v1", "Issuer", "all"),
        name("v1", "ComponentStatus", "etcd-0"),
        name("v1", "Service", "https:victim:8443/proxy/shutdown"),
        name("v1", "Service", ".."),
        name("v1", "Service", &long),
        name("v1", &long, "x"),
        name(&format!("{long}/v1"), "Robot", "x"),
        name("../../v1", "Robot", "x"),
        name("nobody.example.com/v1", "Robot", "x"),
        name("authorization.k8s.io/v1", "SubjectAccessReview", "x"),
    ];
    let mut cluster_wide = definition("x.example.com", "Issuer", "issuers", "", &["v1"]);
    cluster_wide["spec"]["scope"] = json!("Cluster");
    cluster.apply(&cluster_wide).await;
    let mut deep = json!({"exact": {"type": "t.a"}});
    for _ in 0..300 {
        deep = json!({"not": deep});
    }
    let mut hostile: Vec<_> = subscribers
        .iter()
        .map(|it| json!({"broker": "bus", "subscriber": {"ref": it}}))
        .enumerate()
        .map(|(n, spec)| plain("eventing.knative.dev/v1", "Trigger", &format!("hostile-{n}"), spec))
        .collect();
    cluster.apply_all(&hostile).await;
    let spec = json!({"broker": "bus", "filters": [deep], "subscriber": {"ref": name("v1", "Service", "one")}});
    // The server takes it; only this client does not understand what it answers.
    let _ = cluster.try_apply(&plain("eventing.knative.dev/v1", "Trigger", "deep", spec)).await;
    cluster.apply_all(&[service("two", "two"), trigger("two", "bus", "v1 Service two")]).await;
    let is_whole = |it: &Value| consumers(it) == ["one", "two"] && it["subscribables"][0]["name"] == "line";
    answered(&served, "the mesh, after all of them", is_whole).await;
    // One that begins with them, too.
    let fresh = serve(way.kubeconfig());
    answered(&fresh, "the mesh, from all of them", is_whole).await;
    hostile.truncate(1);
    cluster.delete(&hostile[0]).await;
    cluster.delete(&trigger("two", "bus", "v1 Service two")).await;
    let is_whole = |it: &Value| consumers(it) == ["one"] && it["subscribables"][0]["name"] == "line";
    for service in [&served, &fresh] {
        answered(service, "the mesh, after one of them is gone", is_whole).await;
        assert_eq!(service.get(MESH, &[]).header("EventMesh-Stale-Seconds"), "", "{}", readiness(service));
    }
    let asked = way.requests();
    assert!(asked.iter().all(|it| it.resource != "secrets" && it.path.len() < 1000 && !it.path.contains("proxy")));
}
