//! Views held against their definition, on a real API server: in random worlds of objects, roles and bindings, each caller
//! is answered what the caller's own lists and gets come to.
//!
//! `EVENTMESH_ORACLE_DECISIONS` says how many decisions are tried, `EVENTMESH_ORACLE_SEED` begins elsewhere; the same
//! numbers always try the same worlds. A decision is whether one caller may list, or may get, one object.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use super::definition::{Caller, Everything, Observer, Sight};
use super::support::callers::static_users;
use super::support::cluster::Cluster;
use super::support::difference;
use super::support::process::Service;
use super::world::{ACCOUNTS, HOMES, World, definitions};
use super::{MESH, PATIENCE, empty_cluster, serve};

/// How many callers look around at a time.
const AT_ONCE: usize = 6;
/// How many rounds a world lasts.
const ROUNDS: usize = 8;

/// What was tried.
#[derive(Default)]
struct Tally {
    decisions: usize,
    /// Of these, what was allowed.
    listed: usize,
    gotten: usize,
    answers: usize,
    /// Consumers and provided event types in all answers.
    relations: usize,
    /// Answers that were not the first to come after a change.
    waited: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_sees_what_the_caller_may_list_and_get() {
    let Some(cluster) = empty_cluster().await else { return };
    let number = |name: &str| std::env::var(name).ok().map(|it| it.parse::<u32>().expect("a number"));
    let (wanted, seed) = (number("EVENTMESH_ORACLE_DECISIONS"), number("EVENTMESH_ORACLE_SEED").unwrap_or(0));
    let wanted = wanted.unwrap_or(60_000) as usize;
    cluster.apply_all(&definitions()).await;
    let callers = callers(&cluster).await;
    let observer = Observer::new(&cluster);
    // One service sees all worlds come and go.
    let service = serve(cluster.kubeconfig(), &["--token-cache", "5m"]);
    let (mut world, mut tally, mut round) = (World::new(seed), Tally::default(), 0);
    let began = Instant::now();
    while tally.decisions < wanted {
        if round % ROUNDS == 0 {
            world.begin_anew(&cluster).await;
        } else {
            world.go_on(&cluster).await;
        }
        let what = format!("seed {seed}, round {round}");
        let everything = observer.everything().await;
        let sights = compare(&what, &observer, &service, &world, &callers, &everything, &mut tally).await;
        if round % ROUNDS == ROUNDS / 2 {
            let fresh = serve(cluster.kubeconfig(), &[]);
            for (caller, sight) in callers.iter().zip(sights) {
                let expected = serde_json::to_string(&*sight.answer(&observer)).unwrap();
                let is_it = |it: &str| it == expected;
                answered(&format!("{what}, fresh"), &fresh, caller, is_it).await;
            }
        }
        round += 1;
        println!("{}", tally.told(round, began.elapsed()));
    }
    println!("0 differences in {}", tally.told(round, began.elapsed()));
    assert!(tally.listed > tally.decisions / 20 && tally.gotten > 20, "much is allowed");
    assert!(tally.listed < tally.decisions * 19 / 20, "and much is not");
    assert!(tally.relations > 100, "there are relations");
}

impl Tally {
    fn told(&self, rounds: usize, time: Duration) -> String {
        let Self { decisions, listed, gotten, answers, relations, waited } = self;
        let seconds = time.as_secs();
        format!(
            "{decisions} decisions (yes: {listed} lists, {gotten} gets), {answers} answers ({waited} waited for) with {relations} \
             relations, {rounds} rounds, {seconds} s"
        )
    }

    fn note(&mut self, everything: &Everything, sight: &Sight, answer: &Value) {
        self.decisions += everything.objects().count() + sight.gotten.len() + sight.refused;
        self.listed += sight.listed.len();
        self.gotten += sight.gotten.len();
        self.answers += 1;
        let items = answer.as_object().into_iter().flat_map(|it| it.values()).filter_map(Value::as_array).flatten();
        let count = |it: &Value, list: &str| it[list].as_array().map_or(0, Vec::len);
        self.relations += items.map(|it| count(it, "consumedBy") + count(it, "providedEventTypes")).sum::<usize>();
    }
}

/// Service accounts, which are in the groups of their namespaces, and users in groups.
async fn callers(cluster: &Cluster) -> Vec<Caller> {
    let mut callers = vec![];
    for home in HOMES {
        for name in (0..ACCOUNTS).map(|it| format!("sa-{it}")) {
            let token = cluster.caller_token(home, &name).await;
            let path = format!("/api/v1/namespaces/{home}/serviceaccounts/{name}");
            let account = cluster.ask("GET", &path, None).await.unwrap();
            let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{home}"), "system:authenticated"];
            callers.push(Caller {
                token,
                name: format!("system:serviceaccount:{home}:{name}"),
                uid: account["metadata"]["uid"].as_str().unwrap().to_owned(),
                groups: groups.map(str::to_owned).into(),
            });
        }
    }
    callers.extend(static_users().map(|it| {
        let groups = it.groups.into_iter().chain(["system:authenticated".to_owned()]).collect();
        Caller { token: it.token, name: it.name, uid: it.uid, groups }
    }));
    callers
}

/// Holds the answer to each caller against what that caller sees.
async fn compare(
    what: &str,
    observer: &Observer<'_>,
    service: &Service,
    world: &World,
    callers: &[Caller],
    everything: &Everything,
    tally: &mut Tally,
) -> Vec<Sight> {
    let looking = stream::iter(callers).map(|it| observer.look(it, everything));
    let mut sights: Vec<_> = looking.buffered(AT_ONCE).collect().await;
    for (caller, sight) in callers.iter().zip(&mut sights) {
        let began = Instant::now();
        let mut tries = 0;
        let answer = loop {
            let expected = sight.answer(observer);
            let answer = service.get_as(&caller.token, MESH, &[]);
            if answer.status == 200 && answer.body == serde_json::to_string(&*expected).unwrap() {
                break serde_json::from_str(&answer.body).unwrap();
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{what}: {} is answered {} with something else than is seen\n{}{}",
                caller.name,
                answer.status,
                serde_json::from_str(&answer.body).map_or(answer.body, |found| difference(&expected, &found)),
                rights(world, caller)
            );
            tries += 1;
            tokio::time::sleep(Duration::from_millis(20 * tries)).await;
            // The API server itself takes a moment to decide by what was written last.
            *sight = observer.look(caller, everything).await;
        };
        tally.waited += usize::from(tries > 0);
        tally.note(everything, sight, &answer);
    }
    sights
}

/// Waits for an answer.
async fn answered(what: &str, service: &Service, caller: &Caller, is_it: impl Fn(&str) -> bool) {
    let began = Instant::now();
    while !is_it(&service.get_as(&caller.token, MESH, &[]).body) {
        assert!(began.elapsed() < PATIENCE, "{what}: {} is answered something else", caller.name);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The bindings of a caller with their roles, a line each.
fn rights(world: &World, caller: &Caller) -> String {
    let names: BTreeSet<_> = caller.groups.iter().chain([&caller.name]).map(String::as_str).collect();
    let is_meant = |it: &Value| {
        let text = |field: &str| it[field].as_str().unwrap_or_default();
        let account = format!("system:serviceaccount:{}:{}", text("namespace"), text("name"));
        names.contains(text("name")) || names.contains(account.as_str())
    };
    let mut rights = String::from("with the rights\n");
    for binding in world.roles.values() {
        if !binding["subjects"].as_array().is_some_and(|it| it.iter().any(is_meant)) {
            continue;
        }
        let (role, place) = (&binding["roleRef"], &binding["metadata"]["namespace"]);
        let is_bound = |it: &&Value| {
            it["kind"] == role["kind"]
                && it["metadata"]["name"] == role["name"]
                && (role["kind"] == "ClusterRole" || it["metadata"]["namespace"] == *place)
        };
        let rules = world.roles.values().find(is_bound).map_or(&Value::Null, |it| &it["rules"]);
        let _ = writeln!(rights, "{} in {place}: {} {} {rules}", binding["subjects"], role["kind"], role["name"]);
    }
    rights
}
