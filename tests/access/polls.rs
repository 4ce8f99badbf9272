//! What polls cost the API server, and what is told of them.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::support::callers::{broker, brokers, role, service_account};
use super::support::cluster::{Cluster, eventually};
use super::support::polling::{Poller, Sees};
use super::support::process::Service;
use super::support::proxy::Proxy;
use super::{empty_cluster, reviews, serve};

const HOME: &str = "callers";
/// Reviews that are made besides, to learn for whom tokens of the API server are.
const LEARNED: usize = 2;

struct World {
    service: Service,
    proxy: Proxy,
    cluster: Cluster,
}

impl World {
    async fn new(callers: &[&str], arguments: &[&str]) -> Option<Self> {
        let cluster = empty_cluster().await?;
        cluster.install_knative().await;
        cluster.apply_all(&[broker("shop", "bus"), broker("bank", "bus")]).await;
        for caller in callers {
            cluster.grant("shop", caller, service_account(HOME, caller), &[brokers()]).await;
        }
        let proxy = Proxy::start(&cluster).await;
        let service = serve(proxy.kubeconfig(), arguments);
        eventually("a whole mesh", async || (service.admin("/readyz").status == 200).then_some(())).await;
        let world = Self { service, proxy, cluster };
        // What happened before the start is soon settled.
        let mut anybody = world.service.caller(&world.cluster.caller_token(HOME, "anybody").await);
        eventually("that nothing changes any more", async || {
            anybody.mesh().await;
            world.proxy.forget();
            (anybody.mesh().await.status == 200 && reviews(&world.proxy).1 == 0).then_some(())
        })
        .await;
        world.proxy.forget();
        Some(world)
    }

    /// What the service itself counts.
    fn counted(&self) -> (usize, usize) {
        let metrics = self.service.admin("/metrics").body;
        let count = |of: &str| -> usize {
            let name = format!("eventmesh_reviews_total{{of=\"{of}\",");
            let outcomes = metrics.lines().filter(|it| it.starts_with(&name));
            let counts = outcomes.map(|it| it.rsplit_once(' ').expect("a value").1.parse::<usize>().expect("a count"));
            counts.sum()
        };
        (count("tokens"), count("rights"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_poll_costs_what_it_takes_and_the_others_nothing() {
    let Some(world) = World::new(&["first", "crowd"], &["--token-cache", "5m"]).await else { return };
    let World { cluster, service, proxy } = &world;
    let before = world.counted();
    let mut first = service.caller(&cluster.caller_token(HOME, "first").await);
    assert_eq!(Sees::from(&first.mesh().await), Sees::Brokers);
    let (tokens, rights) = reviews(proxy);
    println!("a first poll: {tokens} review of a token, {rights} of rights");
    // Brokers in all namespaces, and in each of the two that have one.
    assert_eq!((tokens, rights), (1, 3));
    for _ in 0..200 {
        assert_eq!(first.mesh().await.status, 200);
    }
    assert_eq!(reviews(proxy), (1, 3), "200 more polls");
    assert_eq!(world.counted(), (before.0 + 1, before.1 + 3), "as the service counts");

    proxy.forget();
    let token = cluster.caller_token(HOME, "crowd").await;
    let answers = join_all((0..40).map(|_| async { Sees::from(&service.caller(&token).mesh().await) })).await;
    assert!(answers.iter().all(|it| *it == Sees::Brokers), "{answers:?}");
    println!("40 first polls at once: {:?}", reviews(proxy));
    assert_eq!(reviews(proxy), (1, 3));
}

/// As in a cluster in which something makes and removes bindings all day long.
#[tokio::test(flavor = "multi_thread")]
async fn rights_that_change_all_the_time_keep_nobody_out() {
    let Some(world) = World::new(&["steady"], &[]).await else { return };
    let World { cluster, service, proxy } = &world;
    let mut steady = service.caller(&cluster.caller_token(HOME, "steady").await);
    let names: Vec<_> = (0..8).map(|it| format!("restless-{it}")).collect();
    for name in &names {
        cluster.grant("shop", name, service_account(HOME, "steady"), &[]).await;
    }
    // More than one at a time: a round of questions must not be over before the next change.
    let changes = names.iter().map(async |name| {
        for n in 0.. {
            let mut restless = role("shop", name, &[]);
            restless["metadata"]["annotations"] = json!({"count": n.to_string()});
            cluster.apply(&restless).await;
        }
    });
    let polls = async {
        for _ in 0..30 {
            // Only those count that something changes for.
            proxy.forget();
            while reviews(proxy).1 == 0 {
                assert_eq!(Sees::from(&steady.mesh().await), Sees::Brokers);
            }
        }
    };
    tokio::select! {
        _ = join_all(changes) => (),
        () = polls => (),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_held_up_and_those_who_are_known_go_on() {
    let Some(world) = World::new(&[], &["--token-cache", "1s"]).await else { return };
    let World { service, proxy, cluster } = &world;
    // The token of the administrator says nothing by itself, as those of strangers.
    let known = Poller::start(service.caller(&cluster.admin_token()), Duration::from_millis(20));
    eventually("an answer", async || known.latest().filter(|(it, _)| *it == Sees::Brokers)).await;
    proxy.forget();
    let began = Instant::now();
    let (mut refused, mut held_up) = (0, 0);
    // Longer than a token counts without being looked at.
    while began.elapsed() < Duration::from_secs(4) {
        let nobody = |n: usize| format!("nobody-knows-this-token-{n}-{}", began.elapsed().as_nanos());
        let ask = |n| async move { service.caller(&nobody(n)).mesh().await };
        let answers: Vec<_> = stream::iter(0..60).map(ask).buffer_unordered(16).collect().await;
        for answer in answers {
            match answer.status {
                401 => refused += 1,
                429 => {
                    assert_eq!(answer.header("Retry-After"), "2");
                    assert_eq!(answer.header("Content-Type"), "application/problem+json");
                    held_up += 1;
                }
                other => panic!("{other}: {}", answer.body),
            }
        }
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    let (tokens, _) = reviews(proxy);
    println!("{seconds} s of strangers: {refused} refused, {held_up} held up, {tokens} reviews of tokens");
    assert!(refused >= 50 && held_up > 0);
    // The token that is known is looked at about once a second.
    assert!(tokens <= 50 + 10 * seconds + 2 * seconds + LEARNED, "{tokens} reviews in {seconds} s");
    assert_eq!(known.all(), [Sees::Brokers]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_in_and_who_is_not_is_told_once() {
    let Some(world) = World::new(&["jane"], &["--log-format", "json", "--token-cache", "1s"]).await else { return };
    let World { service, cluster, .. } = &world;
    let audit = |event: &str| -> Vec<Value> {
        let lines =
            service.log().lines().map(|it| serde_json::from_str::<Value>(it).expect("JSON")).collect::<Vec<_>>();
        let is_meant = |it: &Value| it["target"] == "eventmesh_catalog::audit" && it["event"] == event;
        lines.into_iter().filter(is_meant).collect()
    };
    let mut jane = service.caller(&cluster.caller_token(HOME, "jane").await);
    let mut nobody = service.caller("nobody-knows-this-token-of-nobody");
    let began = Instant::now();
    // Longer than anything is known.
    while began.elapsed() < Duration::from_secs(3) {
        assert_eq!(Sees::from(&jane.mesh().await), Sees::Brokers);
        assert_eq!(Sees::from(&nobody.mesh().await), Sees::Refused);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let of_jane = |it: &Value| it["user"] == "system:serviceaccount:callers:jane";
    let grants: Vec<_> = audit("grant").into_iter().filter(of_jane).collect();
    let [grant] = &grants[..] else { panic!("{grants:#?}") };
    println!("{grant}");
    assert_eq!((&grant["from"], &grant["authenticator"]), (&"127.0.0.1".into(), &"TokenReview".into()));
    assert_eq!(grant["list"], "Broker.eventing.knative.dev in 1 namespaces");
    assert!(grant["groups"].to_string().contains("system:serviceaccounts:callers"), "{grant}");
    let refusals = audit("refusal");
    let [refusal] = &refusals[..] else { panic!("{refusals:#?}") };
    println!("{refusal}");
    assert_eq!((&refusal["from"], refusal.get("user")), (&"127.0.0.1".into(), None));
    assert_eq!(refusal["reason"], "the API server does not accept the token");

    cluster.grant("bank", "jane", service_account(HOME, "jane"), &[brokers()]).await;
    eventually("another grant", async || {
        jane.mesh().await;
        let grants: Vec<_> = audit("grant").into_iter().filter(of_jane).collect();
        (grants.len() == 2).then(|| assert_eq!(grants[1]["list"], "Broker.eventing.knative.dev in 2 namespaces"))
    })
    .await;
}
