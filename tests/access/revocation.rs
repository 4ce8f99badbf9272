//! How soon it counts that somebody may not ask, or not see, any more: from the write, or from the end of a token, until
//! the answer of somebody who asks all the time is another one, and stays so.
//!
//! By default there are few callers; `make revocation` takes a hundred.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::support::callers::{AUDIENCE, binding, broker, brokers, group, pod, role, service_account, signed};
use super::support::cluster::{Cluster, eventually};
use super::support::polling::{Poller, Sees};
use super::support::process::Service;
use super::{Times, empty_cluster, serve};

const HOME: &str = "callers";
const SHOP: &str = "shop";
/// How long a caller rests between an answer and the next question.
const REST: Duration = Duration::from_millis(70);
/// How many writes are under way at a time.
const AT_ONCE: usize = 16;
/// How many answers have to be alike to be what it stays like.
const STAYS: usize = 20;
/// What has to be kept to on any machine, however busy; what is wanted is less, and is printed beside the figures.
const LIMIT_OF_RIGHTS: Duration = Duration::from_secs(10);
const LIMIT_OF_TOKENS: Duration = Duration::from_secs(25);

fn identities() -> usize {
    std::env::var("EVENTMESH_TEST_IDENTITIES").map_or(20, |it| it.parse().expect("a number"))
}

struct World {
    service: Service,
    cluster: Cluster,
}

impl World {
    async fn new() -> Option<Self> {
        let cluster = empty_cluster().await?;
        cluster.install_knative().await;
        cluster.apply(&broker(SHOP, "bus")).await;
        let service = serve(cluster.kubeconfig(), &[]);
        eventually("a whole mesh", async || (service.admin("/readyz").status == 200).then_some(())).await;
        Some(Self { service, cluster })
    }

    /// So many, of this name.
    async fn each<T>(&self, name: &str, make: impl AsyncFn(&str) -> T) -> Vec<T> {
        let names: Vec<_> = (0..identities()).map(|n| format!("{name}-{n}")).collect();
        stream::iter(&names).map(|it| make(it)).buffered(AT_ONCE).collect().await
    }

    async fn poll(&self, tokens: &[String], expected: Sees) -> Vec<Poller> {
        let start = |n: usize, token: &String| {
            let rest = REST + Duration::from_millis(n as u64 % 7);
            Poller::start(self.service.caller(token), rest)
        };
        let pollers: Vec<_> = tokens.iter().enumerate().map(|(n, token)| start(n, token)).collect();
        all_stay(&pollers, expected).await;
        pollers
    }

    /// Changes something for each, and says how soon each saw it.
    async fn measured(
        &self,
        what: &str,
        pollers: &[Poller],
        name: &str,
        change: impl AsyncFn(&str),
        expected: Sees,
    ) -> Times {
        let written = self
            .each(name, async |it| {
                change(it).await;
                Instant::now()
            })
            .await;
        all_stay(pollers, expected).await;
        let unanswered: usize = pollers.iter().map(Poller::unanswered).sum();
        if unanswered > 0 {
            println!("{what}: {unanswered} polls were not answered in time");
        }
        Times::of(what, pollers.iter().zip(written).map(|(it, at)| it.changed(at, expected)).collect())
    }
}

async fn all_stay(pollers: &[Poller], expected: Sees) {
    eventually(&format!("{expected:?} for all"), async || {
        pollers.iter().all(|it| it.latest().is_some_and(|(it, times)| it == expected && times >= STAYS)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_taken_away_are_gone_soon() {
    let Some(world) = World::new().await else { return };
    let World { cluster, .. } = &world;
    let tokens = async |name: &str| world.each(name, async |it| cluster.caller_token(HOME, it).await).await;

    // Rights that are given are there soon as well.
    let pollers = world.poll(&tokens("binding").await, Sees::Nothing).await;
    world.each("binding", async |it| cluster.apply(&role(SHOP, it, &[brokers()])).await).await;
    let bind = async |it: &str| cluster.apply(&binding(SHOP, it, &[service_account(HOME, it)])).await;
    let given = world.measured("RoleBinding created", &pollers, "binding", bind, Sees::Brokers).await;
    given.within(LIMIT_OF_RIGHTS);
    let unbind = async |it: &str| cluster.delete(&binding(SHOP, it, &[])).await;
    let taken = world.measured("RoleBinding deleted", &pollers, "binding", unbind, Sees::Nothing).await;
    taken.within(LIMIT_OF_RIGHTS);
    drop(pollers);

    let tokens_of_roles = tokens("role").await;
    world.each("role", async |it| cluster.grant(SHOP, it, service_account(HOME, it), &[brokers()]).await).await;
    let pollers = world.poll(&tokens_of_roles, Sees::Brokers).await;
    let change = async |it: &str| cluster.apply(&role(SHOP, it, &[])).await;
    world.measured("Role without its rule", &pollers, "role", change, Sees::Nothing).await.within(LIMIT_OF_RIGHTS);
    drop(pollers);

    let tokens_of_clusters = tokens("everywhere").await;
    world.each("everywhere", async |it| cluster.grant("", it, service_account(HOME, it), &[brokers()]).await).await;
    let pollers = world.poll(&tokens_of_clusters, Sees::Brokers).await;
    let unbind = async |it: &str| cluster.delete(&binding("", it, &[])).await;
    let taken = world.measured("ClusterRoleBinding deleted", &pollers, "everywhere", unbind, Sees::Nothing).await;
    taken.within(LIMIT_OF_RIGHTS);
    drop(pollers);

    // Whoever is in a namespace is in a group.
    let tokens_of_groups = world.each("team", async |it| cluster.caller_token(it, "member").await).await;
    let of_group = |it: &str| group(&format!("system:serviceaccounts:{it}"));
    world.each("team", async |it| cluster.grant(SHOP, it, of_group(it), &[brokers()]).await).await;
    let pollers = world.poll(&tokens_of_groups, Sees::Brokers).await;
    let unbind = async |it: &str| cluster.delete(&binding(SHOP, it, &[])).await;
    let taken = world.measured("binding of a group deleted", &pollers, "team", unbind, Sees::Nothing).await;
    taken.within(LIMIT_OF_RIGHTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_end_are_refused_soon() {
    let Some(world) = World::new().await else { return };
    let World { cluster, .. } = &world;
    let everybody = group(&format!("system:serviceaccounts:{HOME}"));
    cluster.grant(SHOP, "everybody", everybody, &[brokers()]).await;

    let tokens = world.each("account", async |it| cluster.caller_token(HOME, it).await).await;
    let pollers = world.poll(&tokens, Sees::Brokers).await;
    let delete = async |it: &str| cluster.delete(&account(it)).await;
    let taken = world.measured("ServiceAccount deleted", &pollers, "account", delete, Sees::Refused).await;
    taken.within(LIMIT_OF_TOKENS);
    drop(pollers);

    let tokens = world.each("pod", async |it| cluster.bound_token(HOME, it).await).await;
    let pollers = world.poll(&tokens, Sees::Brokers).await;
    let delete = async |it: &str| cluster.delete(&pod(HOME, it)).await;
    let taken = world.measured("Pod of a token deleted", &pollers, "pod", delete, Sees::Refused).await;
    taken.within(LIMIT_OF_TOKENS);
    drop(pollers);

    let tokens = world.each("short", async |it| cluster.caller_token(HOME, it).await).await;
    // Not all at the same time.
    let end = |n: usize| Duration::from_secs(since_epoch().as_secs() + 20 + n as u64 % 5);
    let ends: Vec<_> = (0..tokens.len()).map(end).collect();
    let key = cluster.signing_key();
    let short = |(token, end): (&String, &Duration)| signed(token, &key, |it| it["exp"] = end.as_secs().into());
    let tokens: Vec<_> = tokens.iter().zip(&ends).map(short).collect();
    let pollers = world.poll(&tokens, Sees::Brokers).await;
    assert!(since_epoch() < ends.iter().copied().min().unwrap(), "they were good");
    let at: Vec<_> = ends.iter().map(|it| Instant::now() + it.saturating_sub(since_epoch())).collect();
    all_stay(&pollers, Sees::Refused).await;
    let times = pollers.iter().zip(at).map(|(it, at)| it.changed(at, Sees::Refused)).collect();
    Times::of("token expired", times).within(LIMIT_OF_TOKENS);
}

fn account(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": HOME, "name": name}})
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// API servers keep for ten seconds what they found out of a token, unless the question is a new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_was_never_asked_gets_past_what_api_servers_keep() {
    let Some(cluster) = empty_cluster().await else { return };
    let asked = async |name: &str, of_nobody: bool| {
        let token = cluster.caller_token(HOME, name).await;
        let mut n = 0;
        let mut is_good = async || {
            n += 1;
            let mut audiences = vec![AUDIENCE.to_owned()];
            audiences.extend(of_nobody.then(|| format!("nobody-{n}")));
            let review = json!({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                "spec": {"token": token, "audiences": audiences},
            });
            let path = "/apis/authentication.k8s.io/v1/tokenreviews";
            let answer: Value = cluster.ask("POST", path, Some(&review)).await.unwrap();
            answer["status"]["authenticated"] == true
        };
        assert!(is_good().await);
        cluster.delete(&account(name)).await;
        let deleted = Instant::now();
        while is_good().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        deleted.elapsed()
    };
    let (alike, new) = tokio::join!(asked("alike", false), asked("new", true));
    println!("deleted ServiceAccount, bare TokenReviews: refused after {alike:.1?} if all are alike, {new:.1?} if not");
    assert!(new < Duration::from_secs(5), "{new:?}");
}
