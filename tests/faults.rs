//! What a caller with certain rights is answered: the rights cases of `tests/golden-faults`, with `faults.json` read as
//! the role of the caller.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use eventmesh_catalog::mesh::grant::Scope;
use eventmesh_catalog::mesh::{Grant, GroupKind, ObjectRef, Resource};
use serde_json::Value;

/// Those that are about what a known caller may read.
const CASES: [&str; 6] = [
    "documented-minimal-token",
    "linked-namespaces",
    "list-of-subscribers-forbidden",
    "namespaced-token",
    "one-kind-forbidden",
    "one-subscriber-forbidden",
];

#[test]
fn rights_decide_what_is_answered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden-faults");
    for case in CASES {
        check(&folder.join(case));
    }
}

fn check(case: &Path) {
    let input = support::read(case.join("input.yaml"));
    let role = Role { rules: support::json(case.join("faults.json")), plurals: plurals(&input) };
    let resources = support::resources(&input);
    let grant = role.grant(&resources);
    let answer = serde_json::to_value(support::answer(&support::snapshot(resources), &grant)).unwrap();
    let expected = support::json(case.join("expected.json"));
    let [found, wanted] = [&answer, &expected["body"]].map(|it| serde_json::to_string_pretty(it).unwrap());
    assert!(found == wanted, "{}\nexpected {wanted}\nfound {found}\nfor {grant:#?}", case.display());
    assert_eq!(expected["status"][0], 200);
}

/// Rules that are tried in order; what none of them names is granted.
struct Role {
    rules: Value,
    plurals: BTreeMap<GroupKind, String>,
}

impl Role {
    /// What the rules mean for these objects.
    fn grant(&self, resources: &[Arc<Resource>]) -> Grant {
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

    fn allows(&self, verb: &str, of: &GroupKind, namespace: &str, name: Option<&str>) -> bool {
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
