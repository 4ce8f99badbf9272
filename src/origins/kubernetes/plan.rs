//! Which kinds to read and how: decided from what the definitions say and what is named as a subscriber, and from
//! nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::kinds::{is_core, known_kinds, may_subscribe};
use super::object::Object;
use crate::kubernetes::endpoint::Endpoint;
use crate::kubernetes::list::Scope;
use crate::kubernetes::server::Form;
use crate::mesh::{GroupKind, Key, Resource, Uid};

/// A definition, and where the objects of its kind are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defined {
    pub resource: Arc<Resource>,
    pub endpoint: Option<Endpoint>,
}

impl Defined {
    /// What was read as a definition, by its name.
    pub fn from_object(object: Object) -> (Key, Self) {
        let Object { resource, endpoint } = object;
        (resource.key.clone(), Self { resource, endpoint: endpoint.map(|it| *it) })
    }

    /// Whether it says something about the mesh. One that is not established says nothing: another one may define the
    /// kind.
    pub fn matters(&self) -> bool {
        self.endpoint.is_some() && self.resource.definition().is_some_and(|it| it.subscribable || it.source)
    }
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
    for of in named.filter(|it| may_subscribe(it)).collect::<BTreeSet<_>>() {
        let endpoint = defined.get(of).map(|it| (*it).clone()).or_else(|| found(of));
        let labeled = |endpoint| Scope { form: Form::Metadata, label: Some(label.to_owned()), ..Scope::all(endpoint) };
        // A reference has a namespace, so that it never names what has none.
        let scope = endpoint.filter(|it| it.namespaced).map(labeled);
        let only_named = || Wanted { scope, uid: Uid::from(""), defined: false };
        wanted.entry(of.clone()).or_insert_with(only_named);
    }
    wanted
}

impl Definitions {
    /// Whether a definition says where in namespaces a kind is served, so that nobody else needs to be asked. Of what is in
    /// none, discovery says so.
    pub fn place(&self, of: &GroupKind) -> bool {
        defined_endpoints(self).contains_key(of)
    }
}

/// Where definitions say that kinds are served in namespaces.
fn defined_endpoints(definitions: &Definitions) -> BTreeMap<&GroupKind, &Endpoint> {
    let Definitions::Read(definitions) = definitions else { return BTreeMap::new() };
    let endpoints = definitions.values().filter_map(|it| it.endpoint.as_ref());
    endpoints.filter(|it| it.namespaced).map(|it| (&it.of, it)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::convert::Converter;
    use super::super::object::{Object, read};
    use super::*;
    use crate::origins::kubernetes::kinds::definitions_endpoint;

    const DEFINITION: &str = "CustomResourceDefinition.apiextensions.k8s.io";

    #[test]
    fn what_is_read_is_decided_by_definitions_and_names() {
        let known = [
            definition("Broker", "eventing.knative.dev", &json!({})),
            definition("Hose", "x.io", &json!({"messaging.knative.dev/subscribable": "true"})),
            definition("Tap", "x.io", &json!({"duck.knative.dev/source": "true"})),
            definition("Off", "x.io", &json!({"duck.knative.dev/source": "false"})),
            definition("Robot", "x.io", &json!({})),
            cluster_wide(definition("Issuer", "x.io", &json!({}))),
        ];
        let read = || Definitions::Read(known.iter().cloned().collect());
        let cases = [
            ("nothing is known yet", Definitions::Awaited, vec!["Service"], ""),
            (
                "definitions say what is read whole",
                read(),
                vec![],
                "Broker.eventing.knative.dev v1; Hose.x.io v1; Tap.x.io v1",
            ),
            (
                "of what is only named, that which has the label is read, wherever that is found out",
                read(),
                vec![
                    "Robot.x.io",
                    "Tap.x.io",
                    "Service",
                    "Deployment.apps",
                    "Ghost.x.io",
                    "Issuer.x.io",
                    "Node",
                    "Secret",
                    DEFINITION,
                ],
                "Broker.eventing.knative.dev v1; Deployment.apps ?; Ghost.x.io ?; Hose.x.io v1; Issuer.x.io ?; Node ?; Robot.x.io v1 label=id; \
                 Service v7 label=id; Tap.x.io v1",
            ),
        ];
        let service = endpoint(&of("Service"), "v7");
        let node = Endpoint { namespaced: false, ..endpoint(&of("Node"), "v1") };
        let discovered =
            Discovered::from([(of("Service"), Some(service)), (of("Node"), Some(node)), (of("Ghost.x.io"), None)]);
        for (what, definitions, named, expected) in cases {
            let named: Vec<_> = named.into_iter().map(of).collect();
            let plan = plan(&definitions, named.iter(), &discovered, "id");
            let mut told: Vec<_> = plan.iter().map(|(of, wanted)| format!("{of} {}", tell(wanted))).collect();
            told.sort();
            assert_eq!(told.join("; "), expected, "{what}");
        }
    }

    /// Of what is in no namespace, discovery says so; otherwise it would be asked for without end.
    #[test]
    fn only_what_is_in_namespaces_is_placed_by_its_definition() {
        let known = [definition("Robot", "x.io", &json!({})), cluster_wide(definition("Issuer", "x.io", &json!({})))];
        let definitions = Definitions::Read(known.into());
        let placed = ["Robot.x.io", "Issuer.x.io", "Ghost.x.io"].map(|it| definitions.place(&of(it)));
        assert_eq!(placed, [true, false, false]);
    }

    fn cluster_wide((key, mut defined): (Key, Defined)) -> (Key, Defined) {
        defined.endpoint.as_mut().unwrap().namespaced = false;
        (key, defined)
    }

    #[test]
    fn without_definitions_all_known_kinds_are_looked_for() {
        let channel = of("Channel.messaging.knative.dev");
        let discovered = Discovered::from([(channel.clone(), Some(endpoint(&channel, "v1")))]);
        let plan = plan(&Definitions::Refused, [].iter(), &discovered, "id");
        assert_eq!(plan.len(), known_kinds().len());
        let placed: Vec<_> =
            plan.iter().filter(|(_, wanted)| wanted.scope.is_some()).map(|(of, _)| of.clone()).collect();
        assert_eq!(placed, [channel]);
    }

    fn tell(wanted: &Wanted) -> String {
        let Some(Scope { endpoint, form, label, .. }) = &wanted.scope else { return "?".into() };
        assert_eq!(*form == Form::Metadata, label.is_some());
        format!("{}{}", endpoint.version, label.as_ref().map(|it| format!(" label={it}")).unwrap_or_default())
    }

    fn of(text: &str) -> GroupKind {
        let (kind, group) = text.split_once('.').unwrap_or((text, ""));
        GroupKind::new(group, kind)
    }

    fn endpoint(of: &GroupKind, version: &str) -> Endpoint {
        Endpoint {
            of: of.clone(),
            version: version.into(),
            plural: "things".into(),
            namespaced: true,
            is_watchable: true,
        }
    }

    fn definition(kind: &str, group: &str, labels: &Value) -> (Key, Defined) {
        let object = json!({
            "metadata": {"name": format!("{kind}.{group}"), "labels": labels},
            "spec": {
                "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": "things"},
                "versions": [{"name": "v1", "served": true, "storage": true}],
            },
            "status": {"conditions": [{"type": "Established", "status": "True"}]},
        });
        let scope = Scope::all(definitions_endpoint());
        let Object { resource, endpoint } = read(&Converter::new("id"), &scope, &object.to_string()).unwrap();
        (resource.key.clone(), Defined { resource, endpoint: endpoint.map(|it| *it) })
    }
}
