//! Where the objects of a kind are served, and in which version to read them (`semantics.md` 1.4, 1.5).

use std::cmp::Reverse;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;

use crate::mesh::{GroupKind, ObjectRef};

/// The path of a kind below an API server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    pub of: GroupKind,
    pub version: String,
    /// As in the path: from a definition or from discovery, never made up from the kind (`semantics.md` 1.5).
    pub plural: String,
    pub namespaced: bool,
    /// Its objects can be listed and watched, and not only be read one by one.
    pub is_watchable: bool,
}

impl Endpoint {
    /// All objects of the kind.
    pub fn path(&self) -> String {
        format!("{}/{}", group_version_path(&self.of.group, &self.version), self.plural)
    }

    /// The objects of the kind in one namespace.
    pub fn path_in(&self, namespace: &str) -> String {
        let group_version = group_version_path(&self.of.group, &self.version);
        format!("{group_version}/namespaces/{}/{}", segment(namespace), self.plural)
    }

    /// One object.
    pub fn path_of(&self, object: &ObjectRef) -> String {
        let group_version = group_version_path(&self.of.group, &self.version);
        let name = segment(&object.name);
        if self.namespaced {
            format!("{group_version}/namespaces/{}/{}/{name}", segment(&object.namespace), self.plural)
        } else {
            format!("{group_version}/{}/{name}", self.plural)
        }
    }
}

/// What a version of a group serves; the core group has a path of its own.
pub fn group_version_path(group: &str, version: &str) -> String {
    match group {
        "" => format!("/api/{}", segment(version)),
        group => format!("/apis/{}/{}", segment(group), segment(version)),
    }
}

/// A text that somebody else wrote, as one segment of a path: nothing in it leads elsewhere.
pub fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':') || (byte == b'.' && !is_dots(text)) {
            segment.push(char::from(byte));
        } else {
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

/// `.` and `..` mean something in paths.
fn is_dots(text: &str) -> bool {
    text.bytes().all(|it| it == b'.')
}

/// Where the objects of a `CustomResourceDefinition` are served; nothing when it serves no version or is not
/// established yet (`semantics.md` 1.3, 1.4).
pub fn endpoint_of(definition: &Value) -> Option<Endpoint> {
    let definition = Definition::deserialize(definition).ok()?;
    let is_established = |it: &Condition| it.of_type == "Established" && it.status == "True";
    if !definition.status.conditions.iter().any(is_established) {
        return None;
    }
    let Spec { group, scope, names, versions } = definition.spec;
    let served: Vec<_> = versions.into_iter().filter(|it| it.served).collect();
    let stored = served.iter().find(|it| it.storage);
    let version = stored.or_else(|| served.iter().max_by_key(|it| priority(&it.name)))?.name.clone();
    Some(Endpoint {
        of: GroupKind::new(group, names.kind),
        version,
        plural: names.plural,
        namespaced: scope == "Namespaced",
        is_watchable: true,
    })
}

#[derive(Deserialize)]
struct Definition {
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Spec {
    group: String,
    scope: String,
    names: Names,
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Names {
    kind: String,
    plural: String,
}

#[derive(Deserialize)]
struct Version {
    name: String,
    served: bool,
    storage: bool,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    of_type: String,
    status: String,
}

/// The order of Kubernetes: stable before beta before alpha, then by number; whatever else is last, by name backwards.
type Priority<'a> = (Option<(u8, u64, u64)>, Reverse<&'a str>);

fn priority(version: &str) -> Priority<'_> {
    (parsed(version), Reverse(version))
}

/// `v2beta1` as (stability, 2, 1).
fn parsed(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    let (major, rest) = number(rest)?;
    if rest.is_empty() {
        return Some((2, major, 0));
    }
    let (stability, rest) =
        rest.strip_prefix("beta").map(|it| (1, it)).or_else(|| rest.strip_prefix("alpha").map(|it| (0, it)))?;
    let (minor, rest) = number(rest)?;
    rest.is_empty().then_some((stability, major, minor))
}

/// A number without leading zeros, and what follows it.
fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.len() - text.trim_start_matches(|it: char| it.is_ascii_digit()).len();
    let (digits, rest) = text.split_at_checked(digits)?;
    if digits.starts_with('0') {
        return None;
    }
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_chosen_as_kubernetes_prefers_them() {
        type Versions<'a> = &'a [(&'a str, bool, bool)];
        let cases: [(Versions<'_>, Option<&str>); 8] = [
            (&[("v1", true, true)], Some("v1")),
            // The storage version counts when it is served, whatever is listed first.
            (&[("v1beta3", true, false), ("v1beta2", true, true), ("v1beta1", true, false)], Some("v1beta2")),
            (&[("v2", true, false), ("v1", true, true)], Some("v1")),
            // Not served: by priority.
            (&[("v1alpha1", true, false), ("v1beta2", true, false), ("v1", false, true)], Some("v1beta2")),
            (&[("v1", true, false), ("v10", true, false), ("v2", true, false), ("v3", false, true)], Some("v10")),
            (&[("v11beta2", true, false), ("v10beta3", true, false), ("v3", false, true)], Some("v11beta2")),
            (&[("foo10", true, false), ("foo1", true, false), ("v1alpha1", true, false)], Some("v1alpha1")),
            (&[("v1", false, true)], None),
        ];
        for (versions, expected) in cases {
            let found = endpoint_of(&definition(versions, "True")).map(|it| it.version);
            assert_eq!(found.as_deref(), expected, "{versions:?}");
        }
        let unknown = definition(&[("foo10", true, false), ("foo1", true, false)], "True");
        assert_eq!(endpoint_of(&unknown).unwrap().version, "foo1", "by name");
    }

    #[test]
    fn a_definition_that_is_not_established_serves_nothing() {
        assert_eq!(endpoint_of(&definition(&[("v1", true, true)], "False")), None);
        assert_eq!(endpoint_of(&json!({"spec": 1})), None);
    }

    #[test]
    fn names_cannot_lead_elsewhere() {
        let endpoint = endpoint_of(&definition(&[("v1", true, true)], "True")).unwrap();
        let cases = [
            ("orders", "/apis/eventing.knative.dev/v1/namespaces/shop/geese/orders"),
            (
                "../../secrets?watch=1#",
                "/apis/eventing.knative.dev/v1/namespaces/shop/geese/..%2F..%2Fsecrets%3Fwatch%3D1%23",
            ),
            ("..", "/apis/eventing.knative.dev/v1/namespaces/shop/geese/%2E%2E"),
            ("ä b", "/apis/eventing.knative.dev/v1/namespaces/shop/geese/%C3%A4%20b"),
        ];
        for (name, expected) in cases {
            assert_eq!(endpoint.path_of(&ObjectRef::new(endpoint.of.clone(), "shop", name)), expected);
        }
        assert_eq!(endpoint.path(), "/apis/eventing.knative.dev/v1/geese");
        assert_eq!(group_version_path("", "v1"), "/api/v1");
    }

    fn definition(versions: &[(&str, bool, bool)], established: &str) -> Value {
        let versions: Vec<_> = versions
            .iter()
            .map(|(name, served, storage)| json!({"name": name, "served": served, "storage": storage}))
            .collect();
        json!({
            "spec": {
                "group": "eventing.knative.dev", "scope": "Namespaced",
                "names": {"kind": "Goose", "plural": "geese"}, "versions": versions,
            },
            "status": {"conditions": [{"type": "Established", "status": established}]},
        })
    }
}
