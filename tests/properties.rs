//! What holds for every mesh, every order of arrival and every grant.
//!
//! `EVENTMESH_PROPERTY_CASES` multiplies the number of cases, `EVENTMESH_PROPERTY_SEED` begins elsewhere; the same
//! numbers always try the same cases.

mod support;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::to_bytes;
use eventmesh_catalog::api::dto;
use eventmesh_catalog::api::negotiate::Encoding;
use eventmesh_catalog::api::render::Bodies;
use eventmesh_catalog::cesql::Verdict;
use eventmesh_catalog::index::Index;
use eventmesh_catalog::mesh::snapshot::{Entries, Entry};
use eventmesh_catalog::mesh::template;
use eventmesh_catalog::mesh::view::{List, Part};
use eventmesh_catalog::mesh::{Grant, Inventory, Key, MeshGraph, Resource, Selection, Snapshot, Update, View};
use eventmesh_catalog::origins::kubernetes::kinds::known_definitions;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::difference;
use support::events::{self, Dice};
use support::meshes::{self, Change, Mesh, State, mesh};
use support::oracle;
use support::property::check;

fn upserts(resources: impl IntoIterator<Item = Arc<Resource>>) -> impl Iterator<Item = Update> {
    resources.into_iter().map(Update::Upsert)
}

/// An index of the kinds that are known and nothing else.
fn index() -> Index {
    let mut index = Index::default();
    index.apply(upserts(known_definitions()), true);
    index
}

fn same_answers(expected: &dto::EventMesh, found: &dto::EventMesh) -> Result<(), String> {
    let [expected_bytes, found_bytes] = [expected, found].map(|it| serde_json::to_vec(it).expect("an answer is JSON"));
    if expected_bytes == found_bytes { Ok(()) } else { Err(difference(expected, found)) }
}

fn same_entries<'a>(
    expected: impl Iterator<Item = &'a Entry>,
    found: impl Iterator<Item = &'a Entry>,
) -> Result<(), String> {
    let by_key = |it: &'a Entry| (&it.resource.key, it);
    let (expected, found): (Vec<_>, Vec<_>) = (expected.map(by_key).collect(), found.map(by_key).collect());
    if expected == found {
        return Ok(());
    }
    let [by_expected, by_found] = [&expected, &found].map(|it| it.iter().copied().collect::<BTreeMap<_, _>>());
    let keys: BTreeSet<_> = by_expected.keys().chain(by_found.keys()).collect();
    let mut difference = String::new();
    for key in keys.into_iter().filter(|key| by_expected.get(*key) != by_found.get(*key)) {
        let [expected, found] = [&by_expected, &by_found].map(|it| it.get(key).map(|it| (&it.resource.uid, &it.links)));
        let _ = writeln!(difference, "{key}\nexpected {expected:#?}\nfound {found:#?}");
    }
    Err(difference)
}

/// The same objects, links, shards, what is known of all objects, and bytes.
fn same_snapshots(expected: &Snapshot, found: &Snapshot) -> Result<(), String> {
    same_entries(expected.entries(), found.entries())?;
    let ends = |it: &Snapshot| it.shards().iter().map(|it| it.entries().len()).collect::<Vec<_>>();
    if ends(expected) != ends(found) {
        return Err(format!("shards of {:?}, expected {:?}", ends(found), ends(expected)));
    }
    let of_all = |it: &Snapshot| (it.extent().clone(), it.subscribers().cloned().collect::<Vec<_>>());
    if of_all(expected) != of_all(found) {
        return Err(format!("there are {:#?}, expected {:#?}", of_all(found), of_all(expected)));
    }
    let follow = |it: &Snapshot| it.shards().iter().map(|it| it.follows_ways()).collect::<Vec<_>>();
    if follow(expected) != follow(found) {
        return Err(format!("ways are followed in {:?}, expected {:?}", follow(found), follow(expected)));
    }
    for selection in selections() {
        let [expected, found] = [expected, found].map(|it| it.view(&Grant::everything(), &selection).into());
        same_answers(&expected, &found)?;
    }
    Ok(())
}

// Order of arrival.

#[test]
fn the_order_of_arrival_does_not_matter() {
    let noise = vec((meshes::object(), any::<bool>()), 0..25);
    let order = vec(any::<u16>(), 1..120);
    let batches = vec(1..20_usize, 1..6);
    check("order of arrival", 500, (mesh(0..40), noise, order, batches), |(mesh, noise, order, batches)| {
        let expected = support::snapshot(mesh.resources());
        let mut index = index();
        let mut updates = in_some_order(&mesh, &noise, &order).into_iter();
        for size in batches.iter().cycle() {
            let batch: Vec<_> = updates.by_ref().take(*size).collect();
            if batch.is_empty() {
                break;
            }
            index.apply(batch, true);
        }
        same_snapshots(&expected, index.snapshot())
    });
}

/// Updates that end in a mesh, those of different objects in some order. `noise` comes before an object's last state;
/// where it says so, the object is removed in between.
fn in_some_order(mesh: &Mesh, noise: &[(Value, bool)], order: &[u16]) -> Vec<Update> {
    let mut by_key: BTreeMap<Key, Vec<Update>> = BTreeMap::new();
    for (document, removed) in noise {
        let resource = support::converted(std::slice::from_ref(document)).remove(0);
        let updates = by_key.entry(resource.key.clone()).or_default();
        updates.push(Update::Upsert(resource.clone()));
        updates.extend(removed.then(|| Update::Remove(resource.key.clone())));
    }
    let last: BTreeMap<Key, _> = mesh.resources().into_iter().map(|it| (it.key.clone(), it)).collect();
    for (key, updates) in &mut by_key {
        // Where a known kind was redefined for a while, its definition comes back.
        let known = known_definitions().into_iter().find(|it| it.key == *key);
        let end = known.map_or_else(|| Update::Remove(key.clone()), Update::Upsert);
        updates.extend((!last.contains_key(key)).then_some(end));
    }
    for (key, resource) in last {
        by_key.entry(key).or_default().push(Update::Upsert(resource));
    }
    // The places are shuffled, and each object's updates fill its places in their order.
    let places = by_key.iter().flat_map(|(key, updates)| updates.iter().map(move |_| key.clone()));
    let mut places: Vec<_> = order.iter().cycle().copied().zip(places).collect();
    places.sort_by_key(|(priority, _)| *priority);
    let mut by_key: BTreeMap<_, _> = by_key.into_iter().map(|(key, updates)| (key, updates.into_iter())).collect();
    places.into_iter().filter_map(|(_, key)| by_key.get_mut(&key)?.next()).collect()
}

/// The same objects, with others between them where shards begin.
fn spread(mesh: Mesh) -> Mesh {
    Mesh::new(meshes::separators().into_iter().chain(mesh.0))
}

/// All, and some by labels and namespaces that there are.
fn selections() -> [Selection; 3] {
    let labels = "tier=gold".parse().expect("a selector");
    let of_labels = Selection { labels, ..Selection::default() };
    let of_namespace = Selection { namespaces: [meshes::NAMESPACES[0].to_owned()].into(), ..Selection::default() };
    [Selection::default(), of_labels, of_namespace]
}

#[test]
fn bodies_kept_through_changes_are_those_made_afresh() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let changes = vec(vec(meshes::change(), 1..3), 1..6);
    let meshes = mesh(20..50).prop_map(spread);
    check("bodies", 150, (meshes, meshes::rules(), changes), |(mesh, rules, changes)| {
        let (mut index, mut state, kept) = (index(), State::new(&mesh), Bodies::default());
        index.apply(upserts(mesh.resources()), true);
        let grants = [Grant::everything(), rules.grant(&mesh.resources())];
        for batch in [&vec![]].into_iter().chain(&changes) {
            index.apply(made(&mut state, batch), true);
            let snapshot = index.snapshot();
            for (grant, selection) in grants.iter().flat_map(|grant| selections().map(move |it| (grant, it))) {
                let of = async |bodies: &Bodies| {
                    let body = bodies.get(snapshot, Arc::new(grant.clone()), selection.clone()).await.expect("a body");
                    let form = body.form(Encoding::Identity).await.expect("a form");
                    (body.tag().to_owned(), to_bytes(form.into(), usize::MAX).await.expect("all of it"))
                };
                let (kept, fresh) = runtime.block_on(async { (of(&kept).await, of(&Bodies::default()).await) });
                let expected = support::answer(snapshot, grant);
                let expected = serde_json::to_vec(&expected).expect("an answer is JSON");
                if kept != fresh || (selection.is_everything() && kept.1 != expected) {
                    return Err(format!("kept {kept:?}\nfresh {fresh:?}\nby {grant:?} of {selection:?}"));
                }
            }
        }
        Ok(())
    });
}

#[test]
fn every_change_gives_what_building_afresh_gives() {
    let changes = vec(vec(meshes::change(), 1..3), 1..10);
    let steps = Cell::new(0);
    check("changes to an index", 300, (mesh(20..50), changes), |(mesh, changes)| {
        let mut index = index();
        index.apply(upserts(mesh.resources()), true);
        let mut state = State::new(&mesh);
        let known = known_definitions().into_iter().chain(mesh.resources());
        let mut there: BTreeMap<_, _> = known.map(|it| (it.key.clone(), it)).collect();
        for batch in &changes {
            let updates = made(&mut state, batch);
            for update in &updates {
                match update {
                    Update::Upsert(it) => there.insert(it.key.clone(), it.clone()),
                    Update::Remove(key) => there.remove(key),
                    Update::Replace(..) => unreachable!("changes are of single objects"),
                };
            }
            index.apply(updates, true);
            let mut fresh = Index::default();
            fresh.apply(upserts(there.values().cloned()), true);
            let told = |it| format!("after {batch:?}\n{it}\nof {:?}", state.mesh());
            same_snapshots(fresh.snapshot(), index.snapshot()).map_err(told)?;
            steps.set(steps.get() + 1);
        }
        Ok(())
    });
    println!("{} steps", steps.get());
}

/// The updates that changes of a state mean, with the state changed.
fn made(state: &mut State, changes: &[Change]) -> Vec<Update> {
    let update = |change| {
        let key = state.make(change)?;
        let now = state.0.get(&key).map(|it| support::converted(std::slice::from_ref(it)).remove(0));
        Some(now.map_or(Update::Remove(key), Update::Upsert))
    };
    changes.iter().filter_map(update).collect()
}

#[test]
fn relinking_gives_what_building_gives() {
    let changes = vec(vec(meshes::change(), 1..4), 1..12);
    let (relinked, rebuilt) = (Cell::new(0), Cell::new(0));
    check("changes to a graph", 400, (mesh(0..40), changes), |(mesh, changes)| {
        let mut inventory = Inventory::default();
        inventory.apply(upserts(known_definitions()).chain(upserts(mesh.resources())));
        let (mut graph, entries) = MeshGraph::build(inventory.iter());
        let mut entries = present(entries);
        let mut state = State::new(&mesh);
        for batch in &changes {
            let difference = inventory.apply(made(&mut state, batch));
            let (fresh, expected) = MeshGraph::build(inventory.iter());
            let expected = present(expected);
            if let Some(touched) = graph.relink(difference) {
                for (key, entry) in touched {
                    match entry {
                        Some(entry) => entries.insert(key, entry),
                        None => entries.remove(&key),
                    };
                }
                relinked.set(relinked.get() + 1);
            } else {
                (graph, entries) = (fresh, expected.clone());
                rebuilt.set(rebuilt.get() + 1);
            }
            same_entries(expected.values(), entries.values()).map_err(|it| format!("after {batch:?}\n{it}"))?;
        }
        Ok(())
    });
    println!("{} steps relinked, {} rebuilt", relinked.get(), rebuilt.get());
    assert!(relinked.get() > rebuilt.get() && rebuilt.get() > 50, "both ways are tried");
}

fn present(entries: Entries) -> BTreeMap<Key, Entry> {
    entries.into_iter().filter_map(|(key, entry)| Some((key, entry?))).collect()
}

#[test]
fn replacing_a_kind_is_removing_and_putting() {
    let before_and_after = (mesh(5..40), mesh(0..40), any::<prop::sample::Index>());
    check("replace", 300, before_and_after, |(before, after, which)| {
        let (before, after) = (before.resources(), after.resources());
        let kinds: BTreeSet<_> = before.iter().chain(&after).map(|it| it.key.of.clone()).collect();
        let kinds: Vec<_> = kinds.into_iter().collect();
        let of = which.get(&kinds);
        let known = known_definitions().into_iter().map(|it| it.key.clone()).collect::<BTreeSet<_>>();
        let wanted: Vec<_> = after.iter().filter(|it| it.key.of == *of).cloned().collect();

        let mut replaced = index();
        replaced.apply(upserts(before.clone()), true);
        let mut one_by_one = index();
        one_by_one.apply(upserts(before.clone()), true);
        replaced.apply([Update::Replace(of.clone(), wanted.clone())], true);
        let kept: BTreeSet<_> = wanted.iter().map(|it| &it.key).collect();
        let there = before.iter().map(|it| &it.key).chain(&known);
        let gone: Vec<_> = there.filter(|it| it.of == *of && !kept.contains(it)).cloned().collect();
        gone.into_iter().map(Update::Remove).chain(upserts(wanted)).for_each(|it| one_by_one.apply([it], true));
        same_snapshots(one_by_one.snapshot(), replaced.snapshot())
    });
}

#[test]
fn where_shards_end_depends_on_names_alone() {
    let name = || (0..3_usize, 0..700_u32);
    let batches = vec(vec((name(), any::<bool>()), 1..60), 1..25);
    let most = Cell::new(0);
    check("shards", 60, (vec(name(), 0..700), batches), |(start, batches)| {
        let object = |(namespace, name): (usize, u32)| {
            let metadata = json!({"namespace": meshes::NAMESPACES[namespace], "name": format!("{name}")});
            support::converted(&[json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata})]).remove(0)
        };
        let mut index = Index::default();
        index.apply(upserts(start.into_iter().map(object)), true);
        for batch in batches {
            let update = |(name, there)| {
                let it = object(name);
                if there { Update::Upsert(it) } else { Update::Remove(it.key.clone()) }
            };
            index.apply(batch.into_iter().map(update), true);
            let mut fresh = Index::default();
            fresh.apply(upserts(index.snapshot().entries().map(|it| it.resource.clone())), true);
            same_snapshots(fresh.snapshot(), index.snapshot())?;
            most.set(most.get().max(index.snapshot().shards().len()));
        }
        Ok(())
    });
    assert!(most.get() > 3, "there are several shards");
}

// Definition and answer.

#[test]
fn an_answer_is_what_the_semantics_say() {
    let counts = Cell::new([0; 4]);
    check("definition", 500, mesh(0..90), |mesh| {
        let resources = mesh.resources();
        let all: Vec<_> = support::snapshot(resources).entries().map(|it| it.resource.clone()).collect();
        let expected = oracle::answer(&all, &Grant::everything());
        let found = support::answer(&support::snapshot(mesh.resources()), &Grant::everything());
        let [consumed, provided, twice, supplied] = counts.get();
        counts.set([
            consumed + expected.event_types.iter().map(|it| it.consumed_by.len()).sum::<usize>(),
            provided + expected.brokers.iter().map(|it| it.provided_event_types.len()).sum::<usize>(),
            twice + expected.subscribables.iter().map(|it| it.provided_event_types.len()).sum::<usize>(),
            supplied + expected.sources.iter().map(|it| it.provided_event_types.len()).sum::<usize>(),
        ]);
        same_answers(&expected, &found)
    });
    println!("relations (consumed, by brokers, by subscribables, by sources): {:?}", counts.get());
    assert!(counts.get().iter().all(|it| *it > 100), "there are relations of all sorts");
}

#[test]
fn a_view_is_the_answer_of_what_is_seen() {
    check("views", 700, (mesh(0..90), vec(meshes::rules(), 1..5)), |(mesh, rules)| {
        let snapshot = support::snapshot(mesh.resources());
        let all: Vec<_> = snapshot.entries().map(|it| it.resource.clone()).collect();
        for rules in rules {
            let grant = rules.grant(&mesh.resources());
            let expected = oracle::answer(&all, &grant);
            let found = support::answer(&snapshot, &grant);
            same_answers(&expected, &found).map_err(|it| format!("{it}for {grant:#?}"))?;
        }
        Ok(())
    });
}

#[test]
fn a_part_shows_what_its_id_stands_for() {
    let changes = vec(vec(meshes::change(), 1..3), 1..8);
    let kept = Cell::new(0);
    let meshes = mesh(20..60).prop_map(spread);
    check("parts", 500, (meshes, changes, vec(meshes::rules(), 3)), |(mesh, changes, rules)| {
        let mut index = index();
        index.apply(upserts(mesh.resources()), true);
        let mut state = State::new(&mesh);
        let grants = rules.iter().map(|it| it.grant(&mesh.resources())).chain([Grant::everything()]);
        let seen = grants.flat_map(|grant| selections().map(move |it| (grant.clone(), it)));
        let mut shown: Vec<_> = seen.map(|it| (it, (HashMap::new(), HashMap::new()))).collect();
        for batch in [vec![]].iter().chain(&changes) {
            index.apply(made(&mut state, batch), true);
            for ((grant, selection), (shown, whole)) in &mut shown {
                let view = index.snapshot().view(grant, selection);
                for list in List::ALL {
                    let now: Vec<_> = view.parts().map(|part| items(part, list)).filter(|it| it != "[]").collect();
                    let before = whole.insert(list as u8, (view.ids(list).clone(), now.clone()));
                    if before.is_some_and(|(ids, before)| view.shows_the_same(list, &ids) && before != now) {
                        return Err(format!("after {batch:?}\nnow {now:?}\nfor {grant:#?} of {selection:?}"));
                    }
                }
                for part in view.parts() {
                    for list in List::ALL {
                        let Some(id) = part.id(list) else { continue };
                        let now = items(part, list);
                        let Some(before) = shown.insert((list as u8, id), now.clone()) else { continue };
                        kept.set(kept.get() + 1);
                        if before != now {
                            return Err(format!(
                                "after {batch:?}\nbefore {before}\nnow {now}\nfor {grant:#?} of {selection:?}"
                            ));
                        }
                    }
                }
            }
        }
        Ok(())
    });
    println!("{} parts shown again", kept.get());
    assert!(kept.get() > 100, "parts are shown again");
}

fn items(part: Part<'_>, list: List) -> String {
    let items = match list {
        List::EventTypes => json!(part.event_types().map(dto::EventType::from).collect::<Vec<_>>()),
        List::Brokers => json!(part.brokers().map(dto::Broker::from).collect::<Vec<_>>()),
        List::Subscribables => json!(part.subscribables().map(dto::Subscribable::from).collect::<Vec<_>>()),
        List::Sources => json!(part.sources().map(dto::Source::from).collect::<Vec<_>>()),
    };
    items.to_string()
}

#[test]
fn a_change_is_news_to_the_lists_that_show_it() {
    let bus = json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "bus"});
    let object = |kind: &str, spec: Value| {
        let group = if kind == "PingSource" { "sources" } else { "eventing" };
        json!({"apiVersion": format!("{group}.knative.dev/v1"), "kind": kind, "spec": spec,
            "metadata": {"namespace": "shop", "name": "bus"}})
    };
    let documents = [
        object("Broker", json!({})),
        object("EventType", json!({"type": "order", "reference": bus})),
        object("Trigger", json!({"broker": "bus", "subscriber": {"uri": "http://example.com"}})),
        object("PingSource", json!({"sink": {"ref": bus}})),
    ];
    let shown_in: [&[List]; 4] = [&[List::Brokers, List::Subscribables], &[List::EventTypes], &[], &[List::Sources]];
    let mut index = index();
    index.apply(upserts(support::converted(&documents)), true);
    let (grant, selection) = (Grant::everything(), Selection::default());
    for (mut document, shown_in) in documents.into_iter().zip(shown_in) {
        document["metadata"]["annotations"] = json!({"changed": "true"});
        let snapshot = index.snapshot().clone();
        index.apply(upserts(support::converted(&[document.clone()])), true);
        assert!(index.snapshot().revision() > snapshot.revision(), "{document}");
        let [before, after] = [&snapshot, index.snapshot()].map(|it| it.view(&grant, &selection));
        let ids = |view: View<'_>, list| view.parts().map(|part| part.id(list)).collect::<Vec<_>>();
        let parts = List::ALL.into_iter().filter(|it| ids(before, *it) != ids(after, *it));
        assert_eq!(parts.collect::<Vec<_>>(), shown_in, "{document}");
        let whole = List::ALL.into_iter().filter(|it| !after.shows_the_same(*it, before.ids(*it)));
        assert_eq!(whole.collect::<Vec<_>>(), shown_in, "{document}");
    }
}

// Filters.

#[test]
fn no_event_contradicts_a_verdict() {
    let verdicts = Cell::new([0_u32; 3]);
    let stopped_or_passed = Cell::new([0_u32; 2]);
    let pairs = (meshes::event_type(), meshes::trigger(), any::<u64>());
    check("verdicts", 8000, pairs, |(event_type, trigger, seed)| {
        let declaration = events::declaration(&event_type);
        let resources = support::converted(&[event_type, trigger.clone()]);
        let filter = &resources[1].subscription().expect("a trigger").filter;
        let read = &resources[0].event_type().expect("an event type").declaration;
        let verdict = filter.verdict(read);
        let mut counts = verdicts.get();
        counts[verdict as usize] += 1;
        verdicts.set(counts);

        let sql = |text: &str| eventmesh_catalog::mesh::filter::Filter::sql(text).verdict(read);
        let by_rules = events::verdict(&trigger["spec"], &declaration, &sql);
        if by_rules != Verdict::Possible && by_rules != verdict {
            return Err(format!("{verdict:?}, by the rules {by_rules:?}"));
        }
        let mut dice = Dice(seed);
        for _ in 0..12 {
            let event = events::sample(&declaration, &mut dice);
            let passes = events::passes(&trigger["spec"], &event);
            let contradicts = match verdict {
                Verdict::Never => passes == Some(true),
                Verdict::Possible => false,
                Verdict::Definite => passes == Some(false),
            };
            if contradicts {
                return Err(format!("{verdict:?}, but passes is {passes:?} for {event:?}\n{}", filter.explain(read)));
            }
            let mut counts = stopped_or_passed.get();
            counts[usize::from(passes == Some(true))] += 1;
            stopped_or_passed.set(counts);
        }
        Ok(())
    });
    println!(
        "verdicts (never, possible, definite): {:?}; events (stopped, passed): {:?}",
        verdicts.get(),
        stopped_or_passed.get()
    );
    assert!(verdicts.get().iter().all(|it| *it > 500), "all verdicts are met");
}

#[test]
fn a_template_can_be_each_text_that_it_stands_for() {
    let value = prop_oneof![r"[ab.]{0,3}(\{x?\}[ab.]{0,2}){0,3}", r"[ab{}\\.]{0,8}"];
    check("templates", 4000, (value, any::<u64>(), "[ab.]{0,5}"), |(value, seed, other)| {
        let event_type =
            json!({"apiVersion": "eventing.knative.dev/v1beta2", "kind": "EventType", "spec": {"type": value}});
        let declaration = events::declaration(&event_type);
        let mut dice = Dice(seed);
        let read = template::Value::parse(&value);
        for _ in 0..6 {
            let event = events::sample(&declaration, &mut dice);
            let text = event.0["type"].to_string();
            if !value.is_empty() && !read.can_be(&text) {
                return Err(format!("`{text}` is one of the texts of `{value}`"));
            }
        }
        let rules = json!({"filter": {"attributes": {"type": other}}});
        let by_rules = events::verdict(&rules, &declaration, &|_| Verdict::Possible);
        let can_be = read.can_be(&other) || value.is_empty() || other.is_empty();
        if can_be == (by_rules == Verdict::Never) {
            return Err(format!("`{other}` of `{value}`: {can_be}, by the rules {by_rules:?}"));
        }
        Ok(())
    });
}

/// A group of many has as many pairs, and each of its members needs all of them: one list has to do.
#[test]
fn channels_that_are_one_share_what_makes_them_so() {
    let channel = |kind: &str, name: &str, owner: Value| {
        let metadata = json!({"namespace": "shop", "name": name, "uid": name, "ownerReferences": owner});
        json!({"apiVersion": "messaging.knative.dev/v1", "kind": kind, "metadata": metadata, "spec": {}})
    };
    let owner = json!([{"apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "name": "front", "uid": "front", "controller": true}]);
    let behind = ["a", "b", "c"].map(|name| channel("InMemoryChannel", name, owner.clone()));
    let snapshot =
        support::snapshot(support::converted(&[&[channel("Channel", "front", json!([]))], &behind[..]].concat()));
    let twins = snapshot.entries().filter_map(|it| it.links.conduit.as_ref()?.twins.clone());
    let twins: Vec<_> = twins.collect();
    assert_eq!(twins.iter().map(|it| it.len()).collect::<Vec<_>>(), [3; 4]);
    assert!(twins.iter().all(|it| Arc::ptr_eq(it, &twins[0])));
}
