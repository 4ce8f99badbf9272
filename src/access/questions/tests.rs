//! What is asked, in which order, of small meshes; and what the answers come to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use expect_test::{Expect, expect};

use super::{Answers, Outcome, Question, Verb, decide};
use crate::mesh::filter::Filter;
use crate::mesh::grant::{Rights, Scope};
use crate::mesh::object::Pairs;
use crate::mesh::place::Place;
use crate::mesh::resource::{Definition, Flaws, Role, Subscriber, Subscription};
use crate::mesh::snapshot::{Entry, Links};
use crate::mesh::{Grant, GroupKind, Key, ObjectRef, Resource, Snapshot, Uid};

/// What is asked of a mesh in each round, with the answers of somebody who has these rights, and the grant in the end.
///
/// Objects are written as `Kind namespace/name`, with an id behind `=` where they have one, and whom they name behind
/// `->`. Rights are written as questions are.
fn check(objects: &[&str], rights: &[&str], expected: &Expect) {
    let (grant, mut told) = ask(objects, rights);
    if grant.is_everything() {
        told.push_str("everything\n");
    } else {
        told += &granted("list", &grant.list);
        told += &granted("get", &grant.get);
    }
    expected.assert_eq(&told);
}

/// The grant in the end, and what was asked until then.
fn ask(objects: &[&str], rights: &[&str]) -> (Grant, String) {
    let snapshot = snapshot(objects);
    let mut answers = Answers::new();
    let mut told = String::new();
    loop {
        let questions = match decide(&snapshot, &answers) {
            Outcome::Granted(grant) => return (grant, told),
            Outcome::Ask(questions) => questions,
        };
        assert!(!questions.is_empty(), "what takes no answers is granted");
        for question in questions {
            let text = written(&question);
            let answer = rights.contains(&&*text);
            let _ = writeln!(told, "{text}? {}", if answer { "yes" } else { "no" });
            assert_eq!(answers.insert(question, answer), None, "{text} is asked once");
        }
        told.push_str("--\n");
    }
}

fn written(Question { verb, of, namespace, name }: &Question) -> String {
    match (namespace, name) {
        (None, None) => format!("{} {of}", verb.name()),
        (Some(namespace), None) => format!("{} {of} in {namespace}", verb.name()),
        (namespace, Some(name)) => format!("{} {of} {}/{name}", verb.name(), namespace.as_deref().unwrap_or("*")),
    }
}

/// A line for each right.
fn granted(verb: &str, rights: &Rights) -> String {
    assert_eq!(rights.all_kinds, Scope::default(), "nobody was asked about all kinds");
    let mut told = String::new();
    for (of, scope) in &rights.kinds {
        match scope {
            Scope::Everywhere => _ = writeln!(told, "{verb} {of}"),
            Scope::Namespaces(them) => {
                for namespace in them {
                    let _ = writeln!(told, "{verb} {of} in {namespace}");
                }
            }
        }
    }
    rights.objects.iter().for_each(|it| _ = writeln!(told, "{verb} {it}"));
    told
}

/// Everything is served but hermits.
fn snapshot(objects: &[&str]) -> Snapshot {
    let resources: Vec<_> = objects.iter().map(|it| resource(it)).collect();
    let place = Place { version: "v1".into(), plural: "things".into() };
    let served = resources.iter().map(|it| it.key.of.clone()).filter(|it| &*it.kind != "Hermit");
    let places: BTreeMap<_, _> = served.map(|of| (of, place.clone())).collect();
    let entry = |resource: Arc<Resource>| Some(Entry::new(resource, Links::default()));
    let entries = resources.into_iter().map(|it| (it.key.clone(), entry(it))).collect();
    Snapshot::default().next(entries, Arc::new(places), true)
}

fn resource(text: &str) -> Arc<Resource> {
    let (rest, subscriber) = text.split_once(" -> ").map_or((text, None), |(rest, it)| (rest, Some(key(it))));
    let (rest, id) = rest.split_once(" = ").map_or((rest, None), |(rest, id)| (rest, Some(id.into())));
    let key = key(rest);
    let role = match (&*key.of.kind, subscriber) {
        ("CustomResourceDefinition", _) => Role::Definition(Box::new(Definition {
            of: GroupKind::new("", "Broker"),
            subscribable: false,
            source: false,
            emits: [].into(),
        })),
        (_, None) => Role::Plain,
        (_, Some(subscriber)) => Role::Subscription(Arc::new(Subscription {
            conduit: None,
            filter: Arc::new(Filter::all(vec![])),
            subscriber: Subscriber::Object(subscriber),
            reply: None,
        })),
    };
    let (labels, annotations) = (Pairs::default(), Pairs::default());
    let (uid, flaws) = (Uid::from(""), Flaws::default());
    Arc::new(Resource { key, uid, labels, annotations, backstage_id: id, role, flaws })
}

fn key(text: &str) -> Key {
    let (kind, name) = text.split_once(' ').expect("a kind");
    let (namespace, name) = name.split_once('/').expect("a namespace");
    let group = if kind == "CustomResourceDefinition" { "apiextensions.k8s.io" } else { "" };
    Arc::new(ObjectRef::new(GroupKind::new(group, kind), namespace, name))
}

const SHOP: [&str; 6] = [
    "Broker a/x",
    "Broker b/x",
    "Trigger a/t -> Service a/one",
    "Trigger b/t -> Service b/two",
    "Service a/one = one",
    "Service b/two = two",
];

#[test]
fn nothing_is_asked_of_an_empty_mesh() {
    check(&[], &[], &expect!["everything\n"]);
    // Definitions count as seen.
    check(&["CustomResourceDefinition /brokers"], &[], &expect!["everything\n"]);
}

#[test]
fn what_has_no_namespace_is_asked_for_once() {
    check(
        &["Broker /x"],
        &[],
        &expect![[r"
        list Broker? no
        --
    "]],
    );
}

#[test]
fn who_may_list_all_kinds_is_asked_once_and_sees_everything() {
    check(
        &SHOP,
        &["list Broker", "list Service", "list Trigger"],
        &expect![[r"
        list Broker? yes
        list Service? yes
        list Trigger? yes
        --
        everything
    "]],
    );
}

#[test]
fn what_is_refused_as_a_whole_is_asked_for_by_namespace() {
    check(
        &SHOP,
        &["list Broker in b"],
        &expect![[r"
        list Broker? no
        list Service? no
        list Trigger? no
        --
        list Broker in a? no
        list Broker in b? yes
        list Service in a? no
        list Service in b? no
        list Trigger in a? no
        list Trigger in b? no
        --
        list Broker in b
    "]],
    );
}

#[test]
fn subscribers_that_are_not_listed_are_asked_for_by_verb_get() {
    check(
        &SHOP,
        &["list Broker", "list Trigger", "get Service"],
        &expect![[r"
        list Broker? yes
        list Service? no
        list Trigger? yes
        --
        list Service in a? no
        list Service in b? no
        --
        get Service? yes
        --
        list Broker
        list Trigger
        get Service
    "]],
    );
    check(
        &SHOP,
        &["list Trigger", "list Service in a", "get Service b/two"],
        &expect![[r"
        list Broker? no
        list Service? no
        list Trigger? yes
        --
        list Broker in a? no
        list Broker in b? no
        list Service in a? yes
        list Service in b? no
        --
        get Service? no
        --
        get Service b/two? yes
        --
        list Service in a
        list Trigger
        get Service b/two
    "]],
    );
    // The trigger in b is not seen, so that nobody asks whom it names.
    check(
        &SHOP,
        &["list Trigger in a"],
        &expect![[r"
        list Broker? no
        list Service? no
        list Trigger? no
        --
        list Broker in a? no
        list Broker in b? no
        list Service in a? no
        list Service in b? no
        list Trigger in a? yes
        list Trigger in b? no
        --
        get Service? no
        --
        get Service a/one? no
        --
        list Trigger in a
    "]],
    );
}

#[test]
fn several_subscribers_of_a_namespace_are_asked_for_together_first() {
    let several = [
        "Trigger a/t -> Service a/one",
        "Trigger a/u -> Service a/two",
        "Trigger a/v -> Service a/two",
        "Trigger a/w -> Service b/three",
        "Service a/one = one",
        "Service a/two = two",
        "Service b/three = three",
    ];
    check(
        &several,
        &["list Trigger", "get Service in a"],
        &expect![[r"
        list Service? no
        list Trigger? yes
        --
        list Service in a? no
        list Service in b? no
        --
        get Service? no
        --
        get Service in a? yes
        get Service b/three? no
        --
        list Trigger
        get Service in a
    "]],
    );
    check(
        &several,
        &["list Trigger", "get Service a/two", "get Service in b"],
        &expect![[r"
        list Service? no
        list Trigger? yes
        --
        list Service in a? no
        list Service in b? no
        --
        get Service? no
        --
        get Service in a? no
        get Service b/three? no
        --
        get Service a/one? no
        get Service a/two? yes
        --
        list Trigger
        get Service a/two
    "]],
    );
}

#[test]
fn nobody_asks_for_what_makes_no_difference() {
    let idle = [
        "Trigger a/t -> Service a/one",
        "Trigger a/u -> Service a/missing",
        "Trigger a/v -> Hermit a/h",
        "Service a/one",
        "Service a/two = two",
        "Hermit a/h = h",
    ];
    check(
        &idle,
        &["list Trigger", "list Hermit", "get Hermit"],
        &expect![[r"
        list Service? no
        list Trigger? yes
        --
        list Service in a? no
        --
        list Trigger
    "]],
    );
}

/// Whoever may see the same shares views, and the same person still has them when a kind comes that is not for them.
#[test]
fn what_may_not_be_seen_is_not_in_a_grant() {
    let granted = |objects: &[&str]| ask(objects, &["list Trigger", "list Broker in a"]).0;
    let more = ["Channel a/x", "Channel c/x", "Trigger c/t -> Channel c/y", "Channel c/y = y"];
    assert_eq!(granted(&SHOP), granted(&[&SHOP[..], &more].concat()));
}

#[test]
fn an_answer_to_another_question_is_no_yes() {
    let snapshot = snapshot(&SHOP);
    let service = key("Service a/one");
    let mut answers = Answers::new();
    // Of each kind something else was allowed than is asked for.
    for (verb, namespace, name) in [
        (Verb::Get, None, None),
        (Verb::Get, Some("a"), None),
        (Verb::List, Some("c"), None),
        (Verb::List, Some("a"), Some("x")),
        (Verb::List, None, Some("x")),
    ] {
        for kind in ["Broker", "Trigger", "Service"] {
            let question = Question {
                verb,
                of: GroupKind::new("", kind),
                namespace: namespace.map(Into::into),
                name: name.map(Into::into),
            };
            answers.insert(question, true);
        }
    }
    let grant = loop {
        match decide(&snapshot, &answers) {
            Outcome::Granted(grant) => break grant,
            Outcome::Ask(questions) => answers.extend(questions.into_iter().map(|it| (it, false))),
        }
    };
    assert!(snapshot.entries().all(|it| !grant.sees(&it.resource.key)), "{grant:?}");
    assert!(!grant.sees_subscriber(&service), "nobody sees a trigger that names it: {grant:?}");
}
