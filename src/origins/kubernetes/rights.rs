//! Which rights it takes to read a cluster, and to find out who asks and what they may see: what is asked of the API
//! server, in the words of RBAC.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::plan::Wanted;
use crate::kubernetes::endpoint::Endpoint;
use crate::kubernetes::paths::{DISCOVERY, KEYS, RBAC_GROUP, RBAC_KINDS};
use crate::mesh::GroupKind;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    Create,
    Get,
    List,
    Watch,
}

impl Verb {
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
        }
    }
}

/// To do something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// With the objects of a kind, in all namespaces.
    Objects {
        group: Arc<str>,
        /// The plural name.
        resource: String,
        verb: Verb,
    },
    /// To get what is at a path, and is no object.
    Path(&'static str),
}

impl Right {
    pub fn new(verb: Verb, endpoint: &Endpoint) -> Self {
        Self::Objects { group: endpoint.of.group.clone(), resource: endpoint.plural.clone(), verb }
    }

    fn of(verb: Verb, group: &str, resource: &str) -> Self {
        Self::Objects { group: group.into(), resource: resource.into(), verb }
    }

    pub fn verb(&self) -> Verb {
        match self {
            Self::Objects { verb, .. } => *verb,
            Self::Path(_) => Verb::Get,
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.verb().name();
        match self {
            Self::Objects { group, resource, .. } if group.is_empty() => write!(f, "{verb} {resource}"),
            Self::Objects { group, resource, .. } => write!(f, "{verb} {resource}.{group}"),
            Self::Path(path) => write!(f, "{verb} {path}"),
        }
    }
}

/// What has to be found out about callers, where the cluster decides on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Who they are.
    Identities,
    /// What they may see.
    Grants,
    /// When that changes.
    Changes,
    /// Which keys the cluster signs tokens with.
    Keys,
}

/// The version of all that is asked for about callers.
pub const VERSION: &str = "v1";

impl Need {
    pub const ALL: [Self; 4] = [Self::Identities, Self::Grants, Self::Changes, Self::Keys];

    /// The rights that it takes.
    pub fn rights(self) -> Vec<Right> {
        match self {
            Self::Identities => vec![Right::of(Verb::Create, "authentication.k8s.io", "tokenreviews")],
            Self::Grants => vec![Right::of(Verb::Create, "authorization.k8s.io", "subjectaccessreviews")],
            Self::Changes => {
                let of = |(_, plural)| [Verb::List, Verb::Watch].map(|verb| Right::of(verb, RBAC_GROUP, plural));
                RBAC_KINDS.into_iter().flat_map(of).collect()
            }
            Self::Keys => [DISCOVERY, KEYS].map(Right::Path).into(),
        }
    }
}

/// The rights that keeping up with the kinds of a plan takes, as far as it is known where they are served. Of a kind
/// that is only named, single objects can be read without them, see [`by_name`].
pub fn needed(plan: &BTreeMap<GroupKind, Wanted>) -> BTreeSet<Right> {
    plan.values().filter_map(|it| it.scope.as_ref()).flat_map(|it| to_keep_up(&it.endpoint)).collect()
}

/// The rights that it takes to list a kind and to keep up with it.
pub fn to_keep_up(endpoint: &Endpoint) -> [Right; 2] {
    [Verb::List, Verb::Watch].map(|verb| Right::new(verb, endpoint))
}

/// The right to read single objects, of a kind that may not be listed (`semantics.md` 7.3).
pub fn by_name(endpoint: &Endpoint) -> Right {
    Right::new(Verb::Get, endpoint)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::convert::Converter;
    use super::super::plan::{Defined, Definitions, Discovered, plan};
    use super::*;
    use crate::kubernetes::endpoint::endpoint_of;

    /// What it takes where these kinds are defined, and triggers name these.
    fn rights(
        definitions: &[(&str, &str, &str, &str)],
        named: &[(&str, &str)],
        served: &[(&str, &str)],
    ) -> Vec<String> {
        let converter = Converter::new("id");
        let defined = definitions.iter().map(|(group, kind, plural, label)| {
            let definition = json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("{plural}.{group}"), "labels": {*label: "true"}},
                "spec": {
                    "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
                    "versions": [{"name": "v1", "served": true, "storage": true}],
                },
                "status": {"conditions": [{"type": "Established", "status": "True"}]},
            });
            let resource = Arc::new(converter.convert(&definition).unwrap());
            (resource.key.clone(), Defined { resource, endpoint: endpoint_of(&definition) })
        });
        let discovered: Discovered = served
            .iter()
            .map(|(kind, plural)| {
                let of = GroupKind::new("", *kind);
                let endpoint = Endpoint {
                    of: of.clone(),
                    version: "v1".into(),
                    plural: (*plural).into(),
                    namespaced: true,
                    is_watchable: true,
                };
                (of, Some(endpoint))
            })
            .collect();
        let named: Vec<_> = named.iter().map(|(group, kind)| GroupKind::new(*group, *kind)).collect();
        let plan = plan(&Definitions::Read(defined.collect()), named.iter(), &discovered, "id");
        needed(&plan).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_that_is_read_is_listed_and_watched() {
        const SOURCE: &str = "duck.knative.dev/source";
        let broker = ("eventing.knative.dev", "Broker", "brokers", "x");
        let geese = ("a.example", "Goose", "geese", SOURCE);
        let others = ("a.example", "Other", "others", "x");
        assert_eq!(rights(&[others], &[], &[]), [""; 0]);
        assert_eq!(
            rights(&[broker, geese, others], &[], &[]),
            [
                "list geese.a.example",
                "watch geese.a.example",
                "list brokers.eventing.knative.dev",
                "watch brokers.eventing.knative.dev",
            ]
        );
        // What is named is found where it is defined or where it is served, and once.
        let named = [("a.example", "Goose"), ("a.example", "Other"), ("", "Service"), ("", "Nowhere")];
        assert_eq!(
            rights(&[geese, others], &named, &[("Service", "services")]),
            [
                "list services",
                "watch services",
                "list geese.a.example",
                "watch geese.a.example",
                "list others.a.example",
                "watch others.a.example",
            ]
        );
    }
}
