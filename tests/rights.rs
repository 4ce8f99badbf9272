//! Rights, from answers of an API server to the bytes of an answer: a grant is what was allowed and nothing else, and
//! what is hidden leaves no trace.
//!
//! `EVENTMESH_PROPERTY_CASES` and `EVENTMESH_PROPERTY_SEED` count here as in `properties.rs`.

#[path = "rights/leaks.rs"]
mod leaks;
#[path = "rights/reviewer.rs"]
mod reviewer;
mod support;

use std::cell::Cell;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use eventmesh_catalog::access::questions::Verb::{Get, List};
use eventmesh_catalog::access::questions::{Answers, Outcome, Question, decide};
use eventmesh_catalog::api::render::Bodies;
use eventmesh_catalog::index::Index;
use eventmesh_catalog::mesh::grant::Scope;
use eventmesh_catalog::mesh::{Grant, Resource, Selection, Snapshot, Update};
use eventmesh_catalog::origins::kubernetes::kinds::known_definitions;
use proptest::prelude::*;
use support::meshes::mesh;
use support::property::check;
use support::rules::{places, rules};
use support::{difference, oracle};

/// More rounds of questions than there are sorts of questions make no sense.
const MAX_ROUNDS: usize = 6;

fn snapshot(resources: &[Arc<Resource>]) -> Arc<Snapshot> {
    let mut index = Index::default();
    index.place(places(resources));
    index.apply(known_definitions().into_iter().chain(resources.iter().cloned()).map(Update::Upsert), true);
    index.snapshot().clone()
}

/// The grant that comes of answers, and these.
fn granted(snapshot: &Snapshot, may: impl Fn(&Question) -> bool) -> Result<(Grant, Answers), String> {
    let mut answers = Answers::new();
    for _ in 0..MAX_ROUNDS {
        let questions = match decide(snapshot, &answers) {
            Outcome::Granted(grant) => return Ok((grant, answers)),
            Outcome::Ask(questions) => questions,
        };
        for question in questions {
            let answer = may(&question);
            if answers.insert(question.clone(), answer).is_some() {
                return Err(format!("asked again: {question:?}"));
            }
        }
    }
    Err(format!("asked and asked: {answers:?}"))
}

#[test]
fn a_grant_is_what_the_rules_say() {
    let sorts = Cell::new([0; 3]);
    check("grants", 600, (mesh(0..60), rules()), |(mesh, rules)| {
        let resources = mesh.resources();
        let snapshot = snapshot(&resources);
        let (grant, _) = granted(&snapshot, |it| rules.may(it))?;
        let mut exact = Grant::default();
        let keys = || resources.iter().filter(|it| it.definition().is_none()).map(|it| &it.key);
        exact.list.objects = keys().filter(|it| rules.lists(it)).cloned().collect();
        exact.get.objects = keys().filter(|it| rules.gets(it)).cloned().collect();
        for key in keys() {
            if grant.sees(key) != exact.sees(key) {
                return Err(format!("{key}: {} is seen by {grant:#?}", exact.sees(key)));
            }
            if grant.sees_subscriber(key) && !exact.sees_subscriber(key) {
                return Err(format!("{key} was not allowed, but is seen as a subscriber by {grant:#?}"));
            }
        }
        let all: Vec<_> = snapshot.entries().map(|it| it.resource.clone()).collect();
        let (expected, found) = (oracle::answer(&all, &exact), support::answer(&snapshot, &grant));
        let [everything, nothing, some] = sorts.get();
        let sees_all = keys().all(|it| exact.sees(it));
        sorts.set(match (sees_all, exact.list.objects.is_empty()) {
            (true, _) => [everything + 1, nothing, some],
            (_, true) => [everything, nothing + 1, some],
            _ => [everything, nothing, some + 1],
        });
        if expected == found { Ok(()) } else { Err(format!("{}for {grant:#?}", difference(&expected, &found))) }
    });
    println!("callers who see (everything, nothing, something): {:?}", sorts.get());
    assert!(sorts.get().iter().all(|it| *it > 20), "there are callers of all sorts");
}

#[test]
fn who_is_allowed_everything_is_granted_everything() {
    check("everything", 100, mesh(0..60), |mesh| {
        let (grant, answers) = granted(&snapshot(&mesh.resources()), |_| true)?;
        let is_one_round = answers.keys().all(|it| it.namespace.is_none());
        if grant.is_everything() && is_one_round { Ok(()) } else { Err(format!("{grant:#?}")) }
    });
}

/// Rights need not be those of rules: somebody may be allowed what makes no sense together.
#[test]
fn nothing_is_granted_that_was_not_answered_with_yes() {
    check("senseless answers", 600, (mesh(0..60), any::<u64>()), |(mesh, seed)| {
        let resources = mesh.resources();
        let snapshot = snapshot(&resources);
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let (grant, answers) = granted(&snapshot, |it| hasher.hash_one((seed, it)).is_multiple_of(2))?;
        let yes = |question: Question| answers.get(&question) == Some(&true);
        for resource in resources.iter().filter(|it| it.definition().is_none()) {
            let key = &resource.key;
            let asked = |verb, namespace: bool, name: bool| Question {
                verb,
                of: key.of.clone(),
                namespace: namespace.then(|| key.namespace.clone()),
                name: name.then(|| key.name.clone()),
            };
            let listed = yes(asked(List, false, false)) || yes(asked(List, true, false));
            let gotten = yes(asked(Get, false, false)) || yes(asked(Get, true, false)) || yes(asked(Get, true, true));
            if grant.sees(key) != listed || grant.sees_subscriber(key) && !listed && !gotten {
                return Err(format!("{key} by {answers:#?}\nis granted by {grant:#?}"));
            }
        }
        let is_modest = grant.get.all_kinds == Scope::default();
        if is_modest { Ok(()) } else { Err(format!("{grant:#?}")) }
    });
}

#[tokio::test]
async fn a_body_is_of_the_snapshot_that_its_grant_was_made_for() {
    const BROKER: &str = "{apiVersion: eventing.knative.dev/v1, kind: Broker, metadata: {namespace: a, name: x}}";
    const SOURCE: &str = "{apiVersion: sources.knative.dev/v1, kind: PingSource, metadata: {namespace: a, name: y}}";
    let (broker, source) = (support::resources(BROKER), support::resources(SOURCE));
    let mut index = Index::default();
    index.place(places(&broker));
    index.apply(known_definitions().into_iter().chain(broker.clone()).map(Update::Upsert), true);
    let before = index.snapshot().clone();
    index.place(places(&[broker, source.clone()].concat()));
    index.apply(source.into_iter().map(Update::Upsert), true);
    let after = index.snapshot().clone();
    let whole = |snapshot| Arc::new(granted(snapshot, |_| true).unwrap().0);
    let everything = || Arc::new(Grant::everything());
    for grants in [[whole(&before), whole(&after)], [everything(), everything()]] {
        let [of_before, of_after] = grants;
        let bodies = Bodies::default();
        let get = async |snapshot, grant: &Arc<Grant>| {
            bodies.get(snapshot, grant.clone(), Selection::default()).await.unwrap().tag().to_owned()
        };
        let first = get(&before, &of_before).await;
        let then = get(&after, &of_after).await;
        assert_ne!(first, then);
        // Somebody who came before that change and had to wait.
        assert_eq!(get(&before, &of_before).await, first);
        assert_eq!(get(&after, &of_after).await, then);
    }
}
