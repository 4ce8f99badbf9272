use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;

const ROLES: [&str; 2] = ["reader", "writer"];
const PLACES: [&str; 3] = ["", "shop", "depot"];

fn people() -> Vec<User> {
    let user = |name: &str, groups: &[&str]| User {
        name: name.into(),
        groups: groups.iter().map(ToString::to_string).collect(),
        ..User::default()
    };
    vec![
        user("jane", &["staff"]),
        user("john", &["guests", "staff"]),
        user("staff", &[]),
        user("system:serviceaccount:shop:portal", &["system:serviceaccounts"]),
        user("system:serviceaccount:depot:portal", &["system:serviceaccounts"]),
    ]
}

/// Something that happens to a role or binding.
#[derive(Debug, Clone)]
struct Happening {
    kind: &'static str,
    object: Value,
    is_gone: bool,
}

fn role() -> impl Strategy<Value = (&'static str, Value)> {
    (select(&PLACES[..]), select(&ROLES[..])).prop_map(|(namespace, name)| {
        let kind = if namespace.is_empty() { "ClusterRole" } else { "Role" };
        (kind, json!({"metadata": {"namespace": namespace, "name": name}}))
    })
}

fn subject() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(&["jane", "john", "staff", "system:serviceaccount:shop:portal"][..])
            .prop_map(|name| json!({"kind": "User", "name": name})),
        select(&["staff", "guests", "jane", "system:serviceaccounts"][..])
            .prop_map(|name| json!({"kind": "Group", "name": name})),
        select(&[None, Some("shop"), Some("depot")][..])
            .prop_map(|namespace| json!({"kind": "ServiceAccount", "name": "portal", "namespace": namespace})),
        Just(json!({"kind": "Robot", "name": "jane"})),
    ]
}

fn binding() -> impl Strategy<Value = (&'static str, Value)> {
    let name = select(&["a", "b", "c"][..]);
    (select(&PLACES[..]), name, any::<bool>(), select(&ROLES[..]), vec(subject(), 0..3)).prop_map(
        |(namespace, name, is_of_role, role, subjects)| {
            let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
            let of = if is_of_role && !namespace.is_empty() { "Role" } else { "ClusterRole" };
            let subjects = if subjects.is_empty() { Value::Null } else { subjects.into() };
            let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": of, "name": role});
            (kind, json!({"metadata": {"namespace": namespace, "name": name}, "roleRef": role, "subjects": subjects}))
        },
    )
}

fn happening() -> impl Strategy<Value = Happening> {
    (prop_oneof![role(), binding()], any::<bool>()).prop_map(|((kind, object), is_gone)| Happening {
        kind,
        object,
        is_gone,
    })
}

/// A cluster, and what everybody may do in it by the rules of RBAC.
#[derive(Default, Clone)]
struct World {
    /// What is allowed by each: of no matter, but another thing whenever one is written.
    objects: BTreeMap<String, (Value, usize)>,
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn key(kind: &str, namespace: &str, name: &str) -> String {
    [kind, namespace, name].join("/")
}

fn names(subject: &Value, namespace: &str, user: &User) -> bool {
    let name = text(subject, "/name");
    match text(subject, "/kind") {
        "User" => user.name == name,
        "Group" => user.groups.iter().any(|it| it == name),
        "ServiceAccount" => {
            let own = Some(text(subject, "/namespace")).filter(|it| !it.is_empty()).unwrap_or(namespace);
            user.name == format!("system:serviceaccount:{own}:{name}")
        }
        _ => false,
    }
}

impl World {
    fn happens(&mut self, it: &Happening, count: usize) {
        let key = key(it.kind, text(&it.object, "/metadata/namespace"), text(&it.object, "/metadata/name"));
        if it.is_gone {
            self.objects.remove(&key);
        } else {
            self.objects.insert(key, (it.object.clone(), count));
        }
    }

    /// In which namespaces somebody has what a role allows, and which role that is.
    fn rights(&self, user: &User) -> BTreeSet<(String, String, usize)> {
        let mut rights = BTreeSet::new();
        for (binding, _) in self.objects.values() {
            let namespace = text(binding, "/metadata/namespace");
            let subjects = binding["subjects"].as_array().into_iter().flatten();
            let (kind, name) = (text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
            let role = key(kind, if kind == "Role" { namespace } else { "" }, name);
            if let Some((_, allowed)) = self.objects.get(&role)
                && subjects.into_iter().any(|it| names(it, namespace, user))
            {
                rights.insert((namespace.to_owned(), role, *allowed));
            }
        }
        rights
    }
}

fn hear(bindings: &mut Bindings, it: &Happening) -> Whom {
    let (kind, text) = (it.kind, it.object.to_string());
    if it.is_gone { bindings.deleted(kind, &text) } else { bindings.changed(kind, &text) }.unwrap()
}

fn concerns(whom: &Whom, user: &User) -> bool {
    match whom {
        Whom::Everybody => true,
        Whom::Only(subjects) => Subjects::of(user).as_slice().iter().any(|it| subjects.contains(it)),
    }
}

/// Nothing is there, and that is known.
fn empty() -> Bindings {
    let mut bindings = Bindings::default();
    bindings.know("RoleBinding", vec![]);
    bindings.know("ClusterRoleBinding", vec![]);
    bindings
}

proptest! {
    #[test]
    fn whose_rights_change_is_concerned_and_who_is_named_nowhere_is_not(happenings in vec(happening(), 1..40)) {
        let (mut world, mut bindings) = (World::default(), empty());
        for (count, it) in happenings.iter().enumerate() {
            let before = world.clone();
            world.happens(it, count);
            let whom = hear(&mut bindings, it);
            for user in people() {
                let (had, has) = (before.rights(&user), world.rights(&user));
                prop_assert!(had == has || concerns(&whom, &user), "{user:?}: {had:?} became {has:?} by {it:?}: {whom:?}");
            }
            let stranger = User { name: "stranger".into(), groups: vec!["Role".into()], ..User::default() };
            prop_assert!(!concerns(&whom, &stranger), "by {it:?}: {whom:?}");
        }
    }
}

fn bound(namespace: &str, name: &str, role: &str, subjects: &Value) -> String {
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role});
    json!({"metadata": {"namespace": namespace, "name": name}, "roleRef": role, "subjects": subjects}).to_string()
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "name": name})
}

#[test]
fn who_keeps_what_they_had_is_not_concerned() {
    let mut bindings = empty();
    let (jane, john) = (user("jane"), user("john"));
    let [of_jane, of_john] = ["jane", "john"].map(Subject::user);
    let mut put = |role: &str, subjects: &Value| bindings.changed("RoleBinding", &bound("shop", "a", role, subjects));
    assert_eq!(put("reader", &json!([jane])).unwrap(), Whom::Only(vec![of_jane]));
    assert_eq!(put("reader", &json!([jane, john])).unwrap(), Whom::Only(vec![of_john]), "who is added");
    assert_eq!(put("reader", &json!([john, jane, john])).unwrap(), Whom::Only(vec![]), "said in other words");
    assert_eq!(put("reader", &json!([john])).unwrap(), Whom::Only(vec![of_jane]), "who is taken away");
    assert_eq!(put("writer", &json!([john])).unwrap(), Whom::Only(vec![of_john, of_john]), "to another role");
}

#[test]
fn where_bindings_are_not_known_it_is_everybody() {
    let mut bindings = Bindings::default();
    let role = json!({"metadata": {"name": "reader"}}).to_string();
    let binding = bound("shop", "a", "reader", &json!([user("jane")]));
    assert_eq!(bindings.changed("RoleBinding", &binding).unwrap(), Whom::Everybody);
    bindings.know("RoleBinding", vec![Named::read(&binding).unwrap()]);
    assert_eq!(bindings.changed("ClusterRole", &role).unwrap(), Whom::Everybody, "those of the cluster are missing");
    bindings.know("ClusterRoleBinding", vec![]);
    assert_eq!(bindings.changed("ClusterRole", &role).unwrap(), Whom::Only(vec![Subject::user("jane")]));
    bindings.forget("RoleBinding");
    assert_eq!(bindings.deleted("ClusterRole", &role).unwrap(), Whom::Everybody);
    assert_eq!(bindings.deleted("RoleBinding", &binding).unwrap(), Whom::Everybody);
}

#[test]
fn what_is_no_binding_is_a_failure() {
    let mut bindings = empty();
    for text in ["{}", "[]", r#"{"metadata": {"name": "a"}}"#, r#"{"metadata": {"namespace": "a"}, "roleRef": {}}"#] {
        assert!(bindings.changed("RoleBinding", text).is_err(), "{text}");
        assert!(bindings.deleted("RoleBinding", text).is_err(), "{text}");
    }
    assert!(bindings.changed("Role", "{}").is_err());
}
