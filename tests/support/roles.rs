//! `faults.json` of a rights case, read as the role of a caller.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use eventmesh_catalog::mesh::grant::Scope;
use eventmesh_catalog::mesh::{Grant, GroupKind, ObjectRef, Resource};
use serde_json::Value;

/// The cases that are about what a known caller may read.
pub const CASES: [&str; 6] = [
    "documented-minimal-token",
    "linked-namespaces",
    "list-of-subscribers-forbidden",
    "namespaced-token",
    "one-kind-forbidden",
    "one-subscriber-forbidden",
];

/// Rules that are tried in order; what none of them names is granted.
pub struct Role {
    rules: Value,
    pub plurals: BTreeMap<GroupKind, String>,
}

impl Role {
    pub fn of(case: &Path) -> Self {
        let input = super::read(case.join("input.yaml"));
        Self { rules: super::json(case.join("faults.json")), plurals: plurals(&input) }
    }

    /// What the rules mean for these objects.
    pub fn grant(&self, resources: &[Arc<Resource>]) -> Grant {
        let mut grant = Grant::default();
        let namespaces: BTreeSet<_> = resources.iter().map(|it| it.key.namespace.to_string()).collect();
        let kinds: BTreeSet<_> = resources.iter().map(|it| it.key.of.clone()).collect();
        for of in kinds {
            let in_namespace = |it: &&String| self.allows("list", &of, it, None);
            let scope = if self.allows("list", &of, "", None) {
                Scope::Everywhere
            } else {
                Scope::Namespaces(namespaces.iter().filter(in_namespace).cloned().collect())
            };
            grant.list.kinds.insert(of, scope);
        }
        let gets = |it: &ObjectRef| self.allows("get", &it.of, &it.namespace, Some(&it.name));
        grant.get.objects.extend(resources.iter().map(|it| it.key.clone()).filter(|it| gets(it)));
        grant
    }

    pub fn allows(&self, verb: &str, of: &GroupKind, namespace: &str, name: Option<&str>) -> bool {
        let resource = self.plurals.get(of).unwrap_or_else(|| panic!("{of} has a plural"));
        let asked = [
            ("verb", Some(verb)),
            ("group", Some(&*of.group)),
            ("resource", Some(resource)),
            ("namespace", Some(namespace)),
            ("name", name),
        ];
        let matches = |rule: &&Value| {
            asked.iter().all(|(field, is)| rule.get(field).is_none_or(|wanted| is.is_some_and(|is| wanted == is)))
        };
        let decides = self.rules.as_array().expect("a list of rules").iter().find(matches);
        match decides.map(|rule| &rule["status"]) {
            None => true,
            Some(status) if status == 0 => true,
            Some(status) if status == 403 => false,
            Some(status) => panic!("{status} is no right"),
        }
    }
}

/// How the resources of kinds are called (`semantics.md` 1.5).
fn plurals(input: &str) -> BTreeMap<GroupKind, String> {
    let documents = input.split("\n---").map(|it| serde_saphyr::from_str::<Value>(it).expect("YAML"));
    let definitions = documents.filter(|it| it["kind"] == "CustomResourceDefinition");
    let text = |it: &Value| it.as_str().expect("a text").to_owned();
    let defined = definitions.map(|it| {
        let names = &it["spec"]["names"];
        (GroupKind::new(text(&it["spec"]["group"]), text(&names["kind"])), text(&names["plural"]))
    });
    let builtin = [
        ("", "Namespace", "namespaces"),
        ("", "Service", "services"),
        ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions"),
    ];
    let builtin = builtin.map(|(group, kind, plural)| (GroupKind::new(group, kind), plural.to_owned()));
    defined.chain(builtin).collect()
}
