use std::collections::{BTreeMap, BTreeSet, VecDeque};

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

/// In which namespaces somebody has what a role allows, which role that is, and when it was written.
type Rights = BTreeSet<(String, String, usize)>;

/// A cluster, and what everybody may do in it by the rules of RBAC.
#[derive(Default)]
struct World {
    /// By kind, namespace and name, with when it was written: what a role allows is of no matter, but another thing then.
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
    fn happens(&mut self, it: &Happening, time: usize) {
        let key = key(it.kind, text(&it.object, "/metadata/namespace"), text(&it.object, "/metadata/name"));
        if it.is_gone {
            self.objects.remove(&key);
        } else {
            self.objects.insert(key, (it.object.clone(), time));
        }
    }

    fn rights(&self, user: &User) -> Rights {
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
    for kind in ["RoleBinding", "ClusterRoleBinding"] {
        bindings.know(kind, vec![]);
        bindings.note_current(kind, true);
    }
    bindings
}

/// A cluster, and somebody who hears of each kind by itself, in order, but of one kind later than of another.
struct Hearing {
    world: World,
    bindings: Bindings,
    unheard: BTreeMap<&'static str, VecDeque<Happening>>,
    /// How many things have happened or were heard of.
    time: usize,
    /// When each of the people was last concerned by what was heard.
    concerned: Vec<usize>,
    /// What each could do at some times.
    seen: Vec<(usize, Vec<Rights>)>,
}

impl Hearing {
    fn new() -> Self {
        let mut hearing = Self {
            world: World::default(),
            bindings: empty(),
            unheard: RBAC_KINDS.map(|(kind, _)| (kind, VecDeque::new())).into(),
            time: 0,
            concerned: vec![0; people().len()],
            seen: vec![],
        };
        hearing.look();
        hearing
    }

    fn look(&mut self) {
        self.seen.push((self.time, people().iter().map(|it| self.world.rights(it)).collect()));
    }

    fn happens(&mut self, it: Happening) {
        self.time += 1;
        self.world.happens(&it, self.time);
        self.look();
        self.unheard.entry(it.kind).or_default().push_back(it);
    }

    /// Hears of the next thing of a kind, if there is one.
    fn hear(&mut self, kind: &str) -> bool {
        let Some(it) = self.unheard.get_mut(kind).and_then(VecDeque::pop_front) else { return false };
        self.time += 1;
        let whom = hear(&mut self.bindings, &it);
        for (user, concerned) in people().iter().zip(&mut self.concerned) {
            if concerns(&whom, user) {
                *concerned = self.time;
            }
        }
        let stranger = User { name: "stranger".into(), groups: vec!["Role".into()], ..User::default() };
        assert!(!concerns(&whom, &stranger), "by {it:?}: {whom:?}");
        self.look();
        true
    }

    /// Whoever could do something else at some time was concerned since.
    fn check(&self) {
        for (n, user) in people().iter().enumerate() {
            let now = self.world.rights(user);
            for (time, rights) in &self.seen {
                assert!(rights[n] == now || self.concerned[n] > *time, "{user:?}: {:?} at {time}, {now:?}", rights[n]);
            }
        }
    }
}

proptest! {
    #[test]
    fn whose_rights_change_is_concerned_and_who_is_named_nowhere_is_not(
        happenings in vec((happening(), vec(select(&RBAC_KINDS[..]), 0..4)), 1..30),
        last in Just(RBAC_KINDS).prop_shuffle(),
    ) {
        let mut hearing = Hearing::new();
        for (happening, kinds) in happenings {
            hearing.happens(happening);
            for (kind, _) in kinds {
                hearing.hear(kind);
            }
        }
        for (kind, _) in last {
            while hearing.hear(kind) {}
        }
        hearing.check();
    }
}

fn bound(namespace: &str, name: &str, role: &str, subjects: &Value) -> String {
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role});
    json!({"metadata": {"namespace": namespace, "name": name}, "roleRef": role, "subjects": subjects}).to_string()
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "name": name})
}

fn only(names: &[&str]) -> Whom {
    Whom::Only(distinct(names.iter().map(|it| Subject::user(it))))
}

#[test]
fn who_keeps_what_they_had_is_not_concerned() {
    let mut bindings = empty();
    let (jane, john) = (user("jane"), user("john"));
    let mut put = |role: &str, subjects: &Value| bindings.changed("RoleBinding", &bound("shop", "a", role, subjects));
    assert_eq!(put("reader", &json!([jane])).unwrap(), only(&["jane"]));
    assert_eq!(put("reader", &json!([jane, john])).unwrap(), only(&["john"]), "who is added");
    assert_eq!(put("reader", &json!([john, jane, john])).unwrap(), only(&[]), "said in other words");
    assert_eq!(put("reader", &json!([john])).unwrap(), only(&["jane"]), "who is taken away");
    assert_eq!(put("writer", &json!([john])).unwrap(), only(&["john"]), "to another role");
    let gone = bindings.deleted("RoleBinding", &bound("shop", "a", "writer", &json!([jane])));
    assert_eq!(gone.unwrap(), only(&["jane", "john"]), "who was known to be bound, and who is said to have been");
}

#[test]
fn where_bindings_may_be_unknown_it_is_everybody() {
    let mut bindings = Bindings::default();
    let role = json!({"metadata": {"name": "reader"}}).to_string();
    let binding = bound("shop", "a", "reader", &json!([user("jane")]));
    assert_eq!(bindings.changed("RoleBinding", &binding).unwrap(), Whom::Everybody);
    bindings.know("RoleBinding", vec![Named::read(&binding).unwrap()]);
    bindings.note_current("RoleBinding", true);
    assert_eq!(bindings.changed("ClusterRole", &role).unwrap(), Whom::Everybody, "those of the cluster are missing");
    bindings.know("ClusterRoleBinding", vec![]);
    assert_eq!(bindings.changed("ClusterRole", &role).unwrap(), Whom::Everybody, "of them it is not heard yet");
    bindings.note_current("ClusterRoleBinding", true);
    assert_eq!(bindings.changed("ClusterRole", &role).unwrap(), only(&["jane"]));
    bindings.note_current("RoleBinding", false);
    assert_eq!(bindings.deleted("ClusterRole", &role).unwrap(), Whom::Everybody, "there may be others by now");
    assert_eq!(bindings.deleted("RoleBinding", &binding).unwrap(), only(&["jane"]), "that one was known");
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
