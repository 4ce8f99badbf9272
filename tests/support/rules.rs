//! Rules of somebody's rights, as those of roles are, and what they answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use eventmesh_catalog::access::questions::{Question, Verb};
use eventmesh_catalog::mesh::place::{Place, Places};
use eventmesh_catalog::mesh::{GroupKind, ObjectRef, Resource};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::meshes::{KINDS, NAMESPACES};

/// `None` is any.
#[derive(Debug, Clone)]
struct Rule {
    verb: Option<Verb>,
    of: Option<GroupKind>,
    namespace: Option<&'static str>,
    names: Option<Vec<&'static str>>,
}

/// What any of them allows, is allowed.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Rule>);

pub fn rules() -> impl Strategy<Value = Rules> {
    let verb = prop_oneof![4 => Just(Some(Verb::List)), 3 => Just(Some(Verb::Get)), 1 => Just(None)];
    let of = option::weighted(0.8, select(kinds().collect::<Vec<_>>()));
    let namespace = option::weighted(0.6, select(&NAMESPACES[..]));
    let names = option::weighted(0.25, subsequence(&["x", "y", "n0", "n1", "s0"][..], 0..4));
    let rule =
        (verb, of, namespace, names).prop_map(|(verb, of, namespace, names)| Rule { verb, of, namespace, names });
    // Some may list most kinds, so that little is hidden from them, and much depends on that.
    let list = |of| Rule { verb: Some(Verb::List), of: Some(of), namespace: None, names: None };
    let most = subsequence(kinds().collect::<Vec<_>>(), 7..=10).prop_map(move |it| it.into_iter().map(list).collect());
    let name = select(&["x", "y"][..]).prop_map(|it| Some(vec![it]));
    let by_name = name.prop_map(|names| Rule { verb: Some(Verb::Get), of: None, namespace: None, names });
    let most = (most, option::of(by_name), vec(rule.clone(), 0..4))
        .prop_map(|(most, by_name, more): (Vec<_>, _, _)| most.into_iter().chain(by_name).chain(more).collect());
    prop_oneof![1 => vec(rule, 0..12), 2 => most].prop_map(Rules)
}

/// The kinds of the small world.
pub fn kinds() -> impl Iterator<Item = GroupKind> {
    KINDS.iter().map(|(version, kind)| GroupKind::new(version.split_once('/').map_or("", |(group, _)| group), *kind))
}

/// How the objects of a kind are called here.
pub fn plural(of: &GroupKind) -> String {
    format!("{}s", of.kind.to_lowercase())
}

/// Where the kinds are served of which there are objects.
pub fn places(resources: &[Arc<Resource>]) -> Places {
    let kinds: BTreeSet<_> = resources.iter().map(|it| it.key.of.clone()).collect();
    let place = |of: &GroupKind| Place { version: "v1".into(), plural: plural(of).into() };
    kinds.into_iter().map(|of| (of.clone(), place(&of))).collect()
}

impl Rules {
    pub fn may(&self, Question { verb, of, namespace, name }: &Question) -> bool {
        self.0.iter().any(|it| {
            it.verb.is_none_or(|it| it == *verb)
                && it.of.as_ref().is_none_or(|it| it == of)
                && it.namespace.is_none_or(|it| namespace.as_deref() == Some(it))
                && it.names.as_ref().is_none_or(|it| name.as_deref().is_some_and(|name| it.contains(&name)))
        })
    }

    /// Whether lists show an object.
    pub fn lists(&self, key: &ObjectRef) -> bool {
        let within = Question {
            verb: Verb::List,
            of: key.of.clone(),
            namespace: Some(key.namespace.clone()).filter(|it| !it.is_empty()),
            name: None,
        };
        self.may(&within)
    }

    /// Whether it is given to one who knows its name.
    pub fn gets(&self, key: &ObjectRef) -> bool {
        let about = Question {
            verb: Verb::Get,
            of: key.of.clone(),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
        };
        self.may(&about)
    }
}
