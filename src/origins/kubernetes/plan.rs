//! Which kinds to read and how: decided from what the definitions say and what is named as a subscriber, and from
//! nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::endpoint::Endpoint;
use super::kinds::{is_core, known_kinds};
use super::list::Scope;
use super::server::Form;
use crate::mesh::{GroupKind, Key, Resource, Uid};

/// A definition, and where the objects of its kind are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defined {
    pub resource: Arc<Resource>,
    pub endpoint: Option<Endpoint>,
}

/// What is known of definitions.
#[derive(Debug)]
pub enum Definitions {
    /// Nothing yet.
    Awaited,
    Read(BTreeMap<Key, Defined>),
    /// They may not be read: the kinds are those that are known, as far as they are served.
    Refused,
}

/// Where kinds are served, as far as that was asked; `None` for those that are not.
pub type Discovered = BTreeMap<GroupKind, Option<Endpoint>>;

/// Why a kind is read, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `None`: that has to be asked, or it is nowhere.
    pub scope: Option<Scope>,
    /// What is read again when it changes, though it is served at the same place: the identity of the definition.
    pub uid: Uid,
    pub defined: bool,
}

/// The kinds to read.
pub fn plan<'a>(
    definitions: &Definitions,
    named: impl Iterator<Item = &'a GroupKind>,
    discovered: &Discovered,
    label: &str,
) -> BTreeMap<GroupKind, Wanted> {
    let found = |of: &GroupKind| discovered.get(of).cloned().flatten();
    let mut wanted = BTreeMap::new();
    match definitions {
        Definitions::Awaited => return wanted,
        Definitions::Read(definitions) => {
            for Defined { resource, endpoint } in definitions.values() {
                let Some((definition, endpoint)) = resource.definition().zip(endpoint.clone()) else { continue };
                if is_core(&definition.of) || definition.subscribable || definition.source {
                    let (scope, uid) = (Some(Scope::all(endpoint)), resource.uid.clone());
                    wanted.insert(definition.of.clone(), Wanted { scope, uid, defined: true });
                }
            }
        }
        Definitions::Refused => {
            for of in known_kinds() {
                let scope = found(&of).map(Scope::all);
                wanted.insert(of, Wanted { scope, uid: Uid::from(""), defined: true });
            }
        }
    }
    let defined = defined_endpoints(definitions);
    for of in named.filter(|it| !it.kind.is_empty()).collect::<BTreeSet<_>>() {
        let endpoint = defined.get(of).map(|it| (*it).clone()).or_else(|| found(of));
        let labeled = |endpoint| Scope { endpoint, form: Form::Metadata, label: Some(label.to_owned()) };
        let only_named = || Wanted { scope: endpoint.map(labeled), uid: Uid::from(""), defined: false };
        wanted.entry(of.clone()).or_insert_with(only_named);
    }
    wanted
}

fn defined_endpoints(definitions: &Definitions) -> BTreeMap<&GroupKind, &Endpoint> {
    let Definitions::Read(definitions) = definitions else { return BTreeMap::new() };
    definitions.values().filter_map(|it| it.endpoint.as_ref()).map(|it| (&it.of, it)).collect()
}
