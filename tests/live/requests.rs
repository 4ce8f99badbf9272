//! What the API server is asked, as the way to it and its own log count it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::cluster::{Cluster, eventually};
use super::support::proxy::{Fault, How, Proxy, Seen};
use super::{MESH, answered, broker, empty_cluster, event_type, serve, service, trigger};

const LABELED: usize = 300;
const UNLABELED: usize = 700;
const POLLS: usize = 200;

/// Requests for objects by verb, group and resource; the pages of a list count one each.
type Counts = BTreeMap<(String, String, String), usize>;

fn objects() -> Vec<Value> {
    let named = |n: usize| format!("service-{n}");
    let services = (0..LABELED + UNLABELED).map(|n| {
        let id = if n < LABELED { format!("id-{n}") } else { String::new() };
        service(&named(n), &id)
    });
    let triggers =
        (0..LABELED + UNLABELED).map(|n| trigger(&format!("trigger-{n}"), "bus", &format!("v1 Service {}", named(n))));
    [broker("bus"), event_type("a", "t.a", "bus")].into_iter().chain(services).chain(triggers).collect()
}

fn consumers(mesh: &Value) -> usize {
    mesh["eventTypes"][0]["consumedBy"].as_array().map_or(0, Vec::len)
}

fn counts(seen: &[Seen]) -> Counts {
    let mut counts = Counts::new();
    for it in seen.iter().filter(|it| it.verb != "other") {
        *counts.entry((it.verb.into(), it.group.clone(), it.resource.clone())).or_default() += 1;
    }
    counts
}

/// What the server has logged of our requests.
fn audited(cluster: &Cluster) -> Counts {
    let mut counts = Counts::new();
    let ours = |it: &String| it.starts_with("eventmesh-catalog/");
    for it in cluster.audit().into_iter().filter(|it| ours(&it.user_agent) && !it.resource.is_empty()) {
        *counts.entry((it.verb, it.group, it.resource)).or_default() += 1;
    }
    counts
}

fn others(seen: &[Seen]) -> Vec<&str> {
    seen.iter().filter(|it| it.verb == "other").map(|it| it.path.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_are_asked_for_once_and_objects_never() {
    let Some(cluster) = empty_cluster(true).await else { return };
    cluster.install_knative().await;
    cluster.apply_all(&objects()).await;
    let proxy = Proxy::start(&cluster).await;
    let served = serve(proxy.kubeconfig());
    answered(&served, "a consumer for each labeled service", |it| consumers(it) == LABELED).await;

    // Besides definitions: brokers, triggers, event types, subscriptions, three kinds of channels, six of sources, and
    // services, which are named.
    let watches = || counts(&proxy.requests()).into_iter().filter(|((verb, ..), _)| verb == "watch").count();
    eventually("a watch of each kind", async || (watches() == 15).then_some(())).await;
    let seen = proxy.requests();
    let asked = counts(&seen);
    let mut expected = Counts::new();
    for ((verb, group, resource), _) in asked.iter().filter(|((verb, ..), _)| verb == "watch") {
        for verb in ["list", verb] {
            expected.insert((verb.into(), group.clone(), resource.clone()), 1);
        }
    }
    assert_eq!(asked, expected, "a list and a watch of each kind, and nothing else");
    let of_services = seen.iter().filter(|it| it.resource == "services").map(|it| &it.query);
    assert!(of_services.clone().count() == 2 && of_services.clone().all(|it| it.contains("labelSelector=")));
    let discovery = others(&seen).into_iter().filter(|it| *it != "/version").collect::<Vec<_>>();
    assert_eq!(discovery, ["/api/v1"], "where services are served");
    let logged = async || Some(audited(&cluster)).filter(|it| *it == expected);
    eventually("the same in the log of the server", logged).await;
    println!("15 lists, 15 watches, 0 gets");

    proxy.forget();
    let began = Instant::now();
    for _ in 0..POLLS {
        assert_eq!(served.get(MESH, &[]).status, 200);
    }
    let took = began.elapsed();
    heartbeats_only(&proxy, began, "polls");
    // What is asked now and then would have been asked by then.
    eventually("a few heartbeats", async || {
        assert_eq!(served.get(MESH, &[]).status, 200);
        (proxy.requests().len() >= 3).then_some(())
    })
    .await;
    heartbeats_only(&proxy, began, "more polls");
    println!("{POLLS} polls in {} ms, 0 requests for objects", took.as_millis());

    cluster.apply(&service("new", "new")).await;
    cluster.apply(&trigger("new", "bus", "v1 Service new")).await;
    answered(&served, "one more consumer", |it| consumers(it) == LABELED + 1).await;
    cluster.apply(&service("service-0", "")).await;
    answered(&served, "one less consumer", |it| consumers(it) == LABELED).await;
    heartbeats_only(&proxy, began, "changes");
    assert_eq!(audited(&cluster), expected, "and the server has logged no more than before");
}

/// A server that cannot give all objects of a kind at once may still give them in pages.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_at_once_is_listed_in_pages() {
    let Some(cluster) = empty_cluster(false).await else { return };
    cluster.install_knative().await;
    cluster.apply_all(&objects()).await;
    let proxy = Proxy::start(&cluster).await;
    proxy.inject(Fault::new(How::status(504)).verb("list").resource("triggers").times(1));
    let served = serve(proxy.kubeconfig());
    answered(&served, "a consumer for each labeled service", |it| consumers(it) == LABELED).await;
    let seen = proxy.requests();
    let lists = seen.iter().filter(|it| it.verb == "list" && it.resource == "triggers");
    let lists: Vec<_> =
        lists.map(|it| it.query.split_once("continue=").map_or(&*it.query, |(before, _)| before)).collect();
    assert_eq!(lists, ["limit=100000", "limit=500", "limit=500&"]);
}

/// The server was asked only whether it is there, and that not more often than once a second.
fn heartbeats_only(proxy: &Proxy, since: Instant, what: &str) {
    let seen = proxy.requests();
    assert!(others(&seen).len() == seen.len() && others(&seen).iter().all(|it| *it == "/version"), "{what}: {seen:#?}");
    let seconds = usize::try_from((since.elapsed() + Duration::from_secs(1)).as_secs()).unwrap();
    assert!(seen.len() <= seconds, "{what}: {} heartbeats in {seconds} s", seen.len());
}
