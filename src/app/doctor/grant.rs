//! What grants rights: a `ClusterRole` and its binding, as `kubectl` applies them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::origins::kubernetes::rights::{Right, Verb};

const API_GROUP: &str = "rbac.authorization.k8s.io";
const API_VERSION: &str = "rbac.authorization.k8s.io/v1";

/// An object to apply.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Object {
    Role(Role),
    Binding(Binding),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    rules: Vec<Rule>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    role_ref: Reference,
    subjects: [Reference; 1],
}

#[derive(Debug, Clone, Serialize)]
struct Metadata {
    name: String,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Rule {
    #[serde(rename_all = "camelCase")]
    Objects { api_groups: [String; 1], resources: Vec<String>, verbs: Vec<&'static str> },
    Paths {
        #[serde(rename = "nonResourceURLs")]
        paths: Vec<&'static str>,
        verbs: [&'static str; 1],
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    #[serde(skip_serializing_if = "Option::is_none")]
    api_group: Option<&'static str>,
    kind: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
}

/// Grants exactly these rights to a user; nothing where there are none.
///
/// The name depends on what is granted and to whom: what was granted before stays, and the same is granted once.
pub fn grant(user: &str, rights: &BTreeSet<Right>) -> Vec<Object> {
    if rights.is_empty() {
        return vec![];
    }
    let metadata = Metadata { name: name(user, rights) };
    let role =
        Reference { api_group: Some(API_GROUP), kind: "ClusterRole", name: metadata.name.clone(), namespace: None };
    vec![
        Object::Role(Role {
            api_version: API_VERSION,
            kind: "ClusterRole",
            metadata: metadata.clone(),
            rules: rules(rights),
        }),
        Object::Binding(Binding {
            api_version: API_VERSION,
            kind: "ClusterRoleBinding",
            metadata,
            role_ref: role,
            subjects: [subject(user)],
        }),
    ]
}

fn name(user: &str, rights: &BTreeSet<Right>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in std::iter::once(user.to_owned()).chain(rights.iter().map(ToString::to_string)) {
        hasher.update(part.as_bytes()).update(b"\n");
    }
    let hash = hasher.finalize().to_hex();
    format!("eventmesh-catalog-grant-{}", hash.get(..10).unwrap_or_default())
}

/// Resources of a group with equal verbs are one rule, and so are paths.
fn rules(rights: &BTreeSet<Right>) -> Vec<Rule> {
    let mut verbs: BTreeMap<(&str, &str), BTreeSet<Verb>> = BTreeMap::new();
    let mut paths = vec![];
    for right in rights {
        match right {
            Right::Objects { group, resource, verb } => _ = verbs.entry((group, resource)).or_default().insert(*verb),
            Right::Path(path) => paths.push(*path),
        }
    }
    let mut resources: BTreeMap<(&str, BTreeSet<Verb>), Vec<String>> = BTreeMap::new();
    for ((group, resource), verbs) in verbs {
        resources.entry((group, verbs)).or_default().push(resource.to_owned());
    }
    let rule = |((group, verbs), resources): ((&str, BTreeSet<Verb>), _)| Rule::Objects {
        api_groups: [group.to_owned()],
        resources,
        verbs: verbs.into_iter().map(Verb::name).collect(),
    };
    let of_paths = Some(paths).filter(|it| !it.is_empty());
    let of_paths = of_paths.map(|paths| Rule::Paths { paths, verbs: [Verb::Get.name()] });
    resources.into_iter().map(rule).chain(of_paths).collect()
}

/// Service accounts are users with names of a certain form.
fn subject(user: &str) -> Reference {
    let account = user.strip_prefix("system:serviceaccount:").and_then(|it| it.split_once(':'));
    match account {
        Some((namespace, name)) => Reference {
            api_group: None,
            kind: "ServiceAccount",
            name: name.to_owned(),
            namespace: Some(namespace.to_owned()),
        },
        None => Reference { api_group: Some(API_GROUP), kind: "User", name: user.to_owned(), namespace: None },
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    /// Instead of a group.
    const PATH: &str = "path";

    fn yaml(user: &str, rights: &[(&'static str, &'static str, Verb)]) -> String {
        let right = |(group, resource, verb): &(&'static str, &'static str, Verb)| match *group {
            PATH => Right::Path(resource),
            group => Right::Objects { group: group.into(), resource: (*resource).into(), verb: *verb },
        };
        serde_saphyr::to_string_multiple(&grant(user, &rights.iter().map(right).collect())).unwrap()
    }

    #[test]
    fn rights_are_granted_by_a_role_and_its_binding() {
        let rights = [
            ("messaging.knative.dev", "channels", Verb::Watch),
            ("messaging.knative.dev", "channels", Verb::List),
            ("messaging.knative.dev", "inmemorychannels", Verb::List),
            ("messaging.knative.dev", "inmemorychannels", Verb::Watch),
            ("messaging.knative.dev", "subscriptions", Verb::Watch),
            ("", "services", Verb::List),
            ("authentication.k8s.io", "tokenreviews", Verb::Create),
            (PATH, "/x/y", Verb::Get),
            (PATH, "/a", Verb::Get),
        ];
        expect![[r#"
            apiVersion: rbac.authorization.k8s.io/v1
            kind: ClusterRole
            metadata:
              name: eventmesh-catalog-grant-040b84c8b6
            rules:
            - apiGroups:
              - ""
              resources:
              - services
              verbs:
              - list
            - apiGroups:
              - authentication.k8s.io
              resources:
              - tokenreviews
              verbs:
              - create
            - apiGroups:
              - messaging.knative.dev
              resources:
              - channels
              - inmemorychannels
              verbs:
              - list
              - watch
            - apiGroups:
              - messaging.knative.dev
              resources:
              - subscriptions
              verbs:
              - watch
            - nonResourceURLs:
              - /a
              - /x/y
              verbs:
              - get
            ---
            apiVersion: rbac.authorization.k8s.io/v1
            kind: ClusterRoleBinding
            metadata:
              name: eventmesh-catalog-grant-040b84c8b6
            roleRef:
              apiGroup: rbac.authorization.k8s.io
              kind: ClusterRole
              name: eventmesh-catalog-grant-040b84c8b6
            subjects:
            - kind: ServiceAccount
              name: catalog
              namespace: events
        "#]]
        .assert_eq(&yaml("system:serviceaccount:events:catalog", &rights));
    }

    #[test]
    fn whoever_is_no_service_account_is_a_user() {
        let rights = [("", "services", Verb::List)];
        expect![[r#"
            apiVersion: rbac.authorization.k8s.io/v1
            kind: ClusterRole
            metadata:
              name: eventmesh-catalog-grant-1563d72e72
            rules:
            - apiGroups:
              - ""
              resources:
              - services
              verbs:
              - list
            ---
            apiVersion: rbac.authorization.k8s.io/v1
            kind: ClusterRoleBinding
            metadata:
              name: eventmesh-catalog-grant-1563d72e72
            roleRef:
              apiGroup: rbac.authorization.k8s.io
              kind: ClusterRole
              name: eventmesh-catalog-grant-1563d72e72
            subjects:
            - apiGroup: rbac.authorization.k8s.io
              kind: User
              name: "mary: #1"
        "#]]
        .assert_eq(&yaml("mary: #1", &rights));
        let other = yaml("mary: #1", &[("", "services", Verb::Watch)]);
        assert_ne!(other.lines().nth(3), yaml("mary: #1", &rights).lines().nth(3), "what was granted before stays");
        assert!(grant("mary", &BTreeSet::new()).is_empty());
    }
}
