//! What a service account may not do: named subscribers are asked for one by one, or left out and told.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::support::cluster::{Cluster, eventually};
use super::support::proxy::{Fault, How, Proxy};
use super::{MESH, answered, broker, empty_cluster, event_type, labeled, readiness, serve, service, told, trigger};

/// Lets a service account do this with everything of the mesh, and `services` with services.
async fn grant(cluster: &Cluster, account: &str, services: &[&str]) {
    let all = json!(["get", "list", "watch"]);
    let mut rules = vec![
        json!({"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": all}),
        json!({
            "apiGroups": ["eventing.knative.dev", "messaging.knative.dev", "sources.knative.dev"],
            "resources": ["*"], "verbs": all,
        }),
    ];
    if !services.is_empty() {
        rules.push(json!({"apiGroups": [""], "resources": ["services"], "verbs": services}));
    }
    let api_version = "rbac.authorization.k8s.io/v1";
    let role = |kind: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": account}});
    let mut granted = role("ClusterRole");
    granted["rules"] = rules.into();
    cluster.apply(&granted).await;
    let mut binding = role("ClusterRoleBinding");
    binding["roleRef"] = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": account});
    binding["subjects"] = json!([{"kind": "ServiceAccount", "namespace": "catalog", "name": account}]);
    cluster.apply(&binding).await;
}

/// A way to the server with these rights.
async fn way(cluster: &Cluster, account: &str, services: &[&str]) -> Proxy {
    let token = cluster.service_account_token("catalog", account).await;
    grant(cluster, account, services).await;
    Proxy::start_as(cluster, &token).await
}

fn consumers(mesh: &Value) -> Vec<&str> {
    let consumers = mesh["eventTypes"][0]["consumedBy"].as_array();
    consumers.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// How often each service was asked for by its name.
fn fetched(proxy: &Proxy) -> BTreeMap<String, usize> {
    let mut fetched = BTreeMap::new();
    for it in proxy.requests().into_iter().filter(|it| it.verb == "get") {
        assert_eq!(it.resource, "services", "nothing else is asked for by name");
        *fetched.entry(it.name).or_default() += 1;
    }
    fetched
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_are_read_as_far_as_rights_go() {
    let Some(cluster) = empty_cluster(false).await else { return };
    cluster.install_knative().await;
    let mut objects = vec![broker("bus"), event_type("a", "t.a", "bus")];
    for name in ["one", "two", "three"] {
        objects.extend([service(name, name), trigger(name, "bus", &format!("v1 Service {name}"))]);
    }
    objects.extend([trigger("again", "bus", "v1 Service one"), trigger("nobody", "bus", "v1 Service missing")]);
    cluster.apply_all(&objects).await;

    let (by_name, nothing) = (way(&cluster, "by-name", &["get"]).await, way(&cluster, "nothing", &[]).await);
    let (named, blind) = (serve(by_name.kubeconfig()), serve(nothing.kubeconfig()));
    answered(&named, "all consumers, read by their names", |it| consumers(it) == ["one", "three", "two"]).await;
    told(&named, "Service", "live").await;
    let once = ["missing", "one", "three", "two"].map(|it| (it.to_owned(), 1));
    assert_eq!(fetched(&by_name), once.into(), "each was asked for once");

    let mesh = answered(&blind, "a mesh without consumers", |it| consumers(it).is_empty()).await;
    // At first nothing may be known that is named.
    let why = told(&blind, "Service", "4 of 4 named objects may not be read").await;
    assert!(why.contains("left out"), "{why}");
    assert_eq!(mesh["brokers"][0]["providedEventTypes"], json!(["shop/a"]), "the rest is whole");
    assert_eq!(blind.admin("/readyz").status, 200);

    cluster.apply(&service("four", "four")).await;
    cluster.apply(&trigger("four", "bus", "v1 Service four")).await;
    answered(&named, "a consumer that is named later", |it| consumers(it) == ["four", "one", "three", "two"]).await;

    // Rights come, and nobody tells.
    grant(&cluster, "by-name", &["get", "list", "watch"]).await;
    grant(&cluster, "nothing", &["get"]).await;
    let began = Instant::now();
    answered(&blind, "what may be read now", |it| consumers(it) == ["four", "one", "three", "two"]).await;
    println!("{} s after the right to get was granted", began.elapsed().as_secs());
    told(&blind, "Service", "live").await;
    let lists = || by_name.requests().iter().any(|it| it.resource == "services" && it.verb == "watch");
    eventually("a watch", async || lists().then_some(())).await;
    println!("{} s after the right to list was granted", began.elapsed().as_secs());
    cluster.apply(&service("one", "first")).await;
    answered(&named, "a change of what is watched", |it| consumers(it) == ["first", "four", "three", "two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_known_is_not_asked_for_again() {
    let Some(cluster) = empty_cluster(false).await else { return };
    cluster.install_knative().await;
    let objects = |name: &str| [service(name, name), trigger(name, "bus", &format!("v1 Service {name}"))];
    cluster.apply_all(&[broker("bus"), event_type("a", "t.a", "bus")]).await;
    cluster.apply_all(&objects("early")).await;
    let way = way(&cluster, "by-name", &["get"]).await;
    let served = serve(way.kubeconfig());
    answered(&served, "the first consumer", |it| consumers(it) == ["early"]).await;
    // The service first: what is not there yet is asked for again later.
    for object in objects("late") {
        cluster.apply(&object).await;
    }
    answered(&served, "the second consumer", |it| consumers(it) == ["early", "late"]).await;
    assert_eq!(fetched(&way), [("early".to_owned(), 1), ("late".to_owned(), 1)].into());
}

/// What can be listed and not watched is asked for by its names, and goes on being so.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_watched_is_read_by_name_and_no_more() {
    let Some(cluster) = empty_cluster(false).await else { return };
    cluster.install_knative().await;
    let deployment = |name: &str| {
        let labels = json!({ "app": "x" });
        let template =
            json!({ "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "x", "image": "x" }] } });
        let spec = json!({ "selector": { "matchLabels": labels }, "replicas": 0, "template": template });
        labeled("apps/v1", "Deployment", name, json!({ "backstage.io/kubernetes-id": name }), spec)
    };
    let named = |name: &str| trigger(name, "bus", &format!("apps/v1 Deployment {name}"));
    cluster
        .apply_all(&[broker("bus"), event_type("a", "t.a", "bus"), deployment("one"), named("one"), named("two")])
        .await;
    let way = Proxy::start(&cluster).await;
    way.inject(Fault::new(How::body(without_watch)).path("/apis/apps/v1"));
    way.inject(Fault::new(How::status(403)).path("/apis/apps/v1/namespaces/shop/deployments/two"));
    let served = serve(way.kubeconfig());
    answered(&served, "what is asked for by its name", |it| consumers(it) == ["one"]).await;
    let of_deployments = || way.requests().into_iter().filter(|it| it.resource == "deployments");
    // Again and again it looks whether it may read the other one.
    let looks = || of_deployments().filter(|it| it.name == "two").count();
    eventually("it looks again, and again", async || (looks() >= 3).then_some(())).await;
    let lists: Vec<_> = of_deployments().filter(|it| it.name.is_empty()).map(|it| it.path + "?" + &it.query).collect();
    assert!(lists.is_empty(), "{lists:?}");
    assert_eq!(served.get(MESH, &[]).header("EventMesh-Stale-Seconds"), "", "{}", readiness(&served));
}

/// Discovery that names no verb `watch`.
fn without_watch(body: Vec<u8>) -> Vec<u8> {
    String::from_utf8(body).unwrap().replace("\"watch\"", "\"wait\"").into_bytes()
}
