//! What is granted follows the roles and their bindings, also where changes of them are not heard of.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::callers::{binding, broker, brokers, group, role, rule, service_account};
use super::support::cluster::{Cluster, eventually};
use super::support::polling::{Caller, Sees};
use super::support::process::Service;
use super::support::proxy::{Fault, How, Proxy};
use super::{empty_cluster, reviews, serve};

const HOME: &str = "callers";
const SHOP: &str = "shop";
const RBAC: &str = "rbac.authorization.k8s.io";
/// How long after a change nothing counts that was decided meanwhile.
const LAG: Duration = Duration::from_secs(2);
/// How long what was decided counts, unless something changes.
const MINUTE: Duration = Duration::from_mins(1);

/// How many rights one poll of somebody takes.
async fn cost(caller: &mut Caller, proxy: &Proxy) -> usize {
    proxy.forget();
    assert_eq!(caller.mesh().await.status, 200);
    reviews(proxy).1
}

/// Waits until polls cost nothing.
async fn settle(caller: &mut Caller, proxy: &Proxy) {
    while cost(caller, proxy).await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A caller who may list brokers, and one broker to list.
struct World {
    service: Service,
    proxy: Proxy,
    cluster: Cluster,
    caller: Caller,
    began: Instant,
}

impl World {
    /// Read with the rights of an account that is given these, besides all that is needed.
    async fn new(of_rbac: &[&str]) -> Option<Self> {
        let cluster = empty_cluster().await?;
        cluster.install_knative().await;
        cluster.apply(&broker(SHOP, "bus")).await;
        cluster.grant(SHOP, "jane", service_account(HOME, "jane"), &[brokers()]).await;
        let (read, watch) = (["get", "list", "watch"], ["list", "watch"]);
        let mut rules = vec![
            rule(&["create"], "authentication.k8s.io", "tokenreviews", &[]),
            rule(&["create"], "authorization.k8s.io", "subjectaccessreviews", &[]),
            rule(&read, "apiextensions.k8s.io", "customresourcedefinitions", &[]),
        ];
        let groups = ["eventing.knative.dev", "messaging.knative.dev", "sources.knative.dev", "flows.knative.dev"];
        rules.extend(groups.iter().map(|it| rule(&read, it, "*", &[])));
        rules.extend(of_rbac.iter().map(|it| rule(&watch, RBAC, it, &[])));
        cluster.grant("", "catalog", service_account(HOME, "catalog"), &rules).await;
        let proxy = Proxy::start_as(&cluster, &cluster.service_account_token(HOME, "catalog").await).await;
        let token = cluster.caller_token(HOME, "jane").await;
        let service = serve(proxy.kubeconfig(), &["--token-cache", "5m"]);
        let caller = service.caller(&token);
        let mut world = Self { service, proxy, cluster, caller, began: Instant::now() };
        world.sees(Sees::Brokers).await;
        Some(world)
    }

    /// Waits until the caller sees this, and says for how long.
    async fn sees(&mut self, expected: Sees) -> Duration {
        sees(&mut self.caller, expected).await
    }

    /// Gives the caller something else that is of no use.
    async fn change_rights(&self) {
        let useless = format!("anvils-{:?}", self.began.elapsed());
        self.cluster.apply(&role(SHOP, "jane", &[brokers(), rule(&["get"], "acme.example", &useless, &[])])).await;
    }

    /// How many rights one poll takes.
    async fn cost(&mut self) -> usize {
        cost(&mut self.caller, &self.proxy).await
    }

    /// Waits until polls cost nothing.
    async fn settle(&mut self) {
        settle(&mut self.caller, &self.proxy).await;
    }

    /// Waits until a poll costs something again.
    async fn hear(&mut self) {
        let began = Instant::now();
        while self.cost().await == 0 {
            assert!(began.elapsed() < super::PATIENCE, "the change is not heard of");
        }
    }
}

async fn sees(caller: &mut Caller, expected: Sees) -> Duration {
    let began = Instant::now();
    loop {
        let answer = caller.mesh().await;
        if Sees::from(&answer) == expected {
            return began.elapsed();
        }
        assert!(began.elapsed() < super::PATIENCE, "{expected:?} does not come, but {}", answer.body);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const ALL: [&str; 4] = ["roles", "rolebindings", "clusterroles", "clusterrolebindings"];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_decided_right_after_a_change_is_not_kept() {
    let Some(mut world) = World::new(&ALL).await else { return };
    world.settle().await;
    for _ in 0..20 {
        assert_eq!(world.cost().await, 0, "nothing changes");
    }
    let changed = Instant::now();
    world.change_rights().await;
    world.hear().await;
    let heard = changed.elapsed();
    let mut polls = 1;
    while world.cost().await > 0 {
        polls += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = changed.elapsed();
    assert!(took >= LAG, "what was decided {took:?} after the change is kept");
    for _ in 0..20 {
        assert_eq!(world.cost().await, 0, "what was decided later is kept");
    }
    println!("a change of roles: heard of after {heard:.1?}, {polls} polls cost reviews, none after {took:.1?}");
}

enum Change {
    Put(Value),
    Delete(Value),
}

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_others_costs_nothing() {
    let Some(mut world) = World::new(&ALL).await else { return };
    let (john, brokers_of) = (service_account(HOME, "john"), |it: &str| role(SHOP, it, &[brokers()]));
    world.cluster.apply_all(&[brokers_of("john"), brokers_of("crowd")]).await;
    let mut other = world.service.caller(&world.cluster.caller_token(HOME, "john").await);
    sees(&mut other, Sees::Nothing).await;
    let bound = |name: &str, others: &[Value]| binding(SHOP, name, &[std::slice::from_ref(&john), others].concat());
    let crowd = [group("crowd"), service_account(HOME, "jim")];
    let changes = [
        ("a binding", Change::Put(bound("john", &[])), Sees::Brokers),
        ("a role without its rule", Change::Put(role(SHOP, "john", &[])), Sees::Nothing),
        ("a binding of several", Change::Put(bound("crowd", &crowd)), Sees::Brokers),
        ("one of them taken out", Change::Put(binding(SHOP, "crowd", &crowd)), Sees::Nothing),
        ("a role with a rule", Change::Put(brokers_of("john")), Sees::Brokers),
        ("a binding deleted", Change::Delete(bound("john", &[])), Sees::Nothing),
    ];
    for (what, change, expected) in changes {
        // From here on, what either may see counts for a minute.
        world.change_rights().await;
        world.hear().await;
        world.settle().await;
        settle(&mut other, &world.proxy).await;
        match change {
            Change::Put(object) => world.cluster.apply(&object).await,
            Change::Delete(object) => world.cluster.delete(&object).await,
        }
        let took = sees(&mut other, expected).await;
        println!("{what}: seen after {took:.1?} by whom it concerns");
        assert!(took < MINUTE / 2, "{what} is found out when what was known ends");
        assert_eq!(world.cost().await, 0, "{what}");
    }

    world.cluster.apply(&binding(SHOP, "john", &[group("system:authenticated")])).await;
    world.hear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_changes_are_not_heard_of_it_is_told_and_grants_count_for_less() {
    let Some(mut world) = World::new(&["clusterroles"]).await else { return };
    let told = "[!] changes of rolebindings are not heard of: refused: ";
    eventually("what is wrong", async || world.service.admin("/readyz?verbose").body.contains(told).then_some(()))
        .await;
    let log = world.service.log();
    for resource in ["roles", "rolebindings", "clusterrolebindings"] {
        assert!(log.contains(&format!("Changes of {resource} are not heard of")), "{log}");
    }
    assert!(!log.contains("Changes of clusterroles are not heard of"), "{log}");

    world.settle().await;
    world.cluster.delete(&binding(SHOP, "jane", &[])).await;
    let took = world.sees(Sees::Nothing).await;
    println!("RoleBinding deleted where that is not heard of: seen after {took:.1?}");
    assert!(took < Duration::from_secs(20), "{took:?}");

    let rules: Vec<_> = ALL.iter().map(|it| rule(&["list", "watch"], RBAC, it, &[])).collect();
    world.cluster.grant("", "catalog-rbac", service_account(HOME, "catalog"), &rules).await;
    eventually("that it is well again", async || {
        (!world.service.admin("/readyz?verbose").body.contains("not heard of")).then_some(())
    })
    .await;
    assert!(world.service.log().contains("Changes of roles and bindings are heard of"));
    world.settle().await;
    world.cluster.apply(&binding(SHOP, "jane", &[service_account(HOME, "jane")])).await;
    println!("RoleBinding created where that is heard of: seen after {:.1?}", world.sees(Sees::Brokers).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_while_nobody_listened_counts_afterwards() {
    let Some(mut world) = World::new(&ALL).await else { return };
    for how in [How::Refuse, How::Cut { after: 0 }, How::Gone, How::status(503)] {
        world.settle().await;
        world.proxy.inject(Fault::new(How::Refuse).group(RBAC));
        world.cluster.delete(&binding(SHOP, "jane", &[])).await;
        eventually("that nobody listens", async || {
            world
                .service
                .admin("/readyz?verbose")
                .body
                .contains("changes of rolebindings are not heard of")
                .then_some(())
        })
        .await;
        world.proxy.heal();
        // Watches fail once more, each in another way.
        world.proxy.inject(Fault::new(how).group(RBAC).verb("watch").times(ALL.len()));
        let took = world.sees(Sees::Nothing).await;
        println!("RoleBinding deleted while watches were cut: seen {took:.1?} after they were not");
        world.proxy.heal();
        world.cluster.apply(&binding(SHOP, "jane", &[service_account(HOME, "jane")])).await;
        world.sees(Sees::Brokers).await;
    }
}
