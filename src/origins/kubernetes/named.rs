//! Which objects triggers and subscriptions name as their subscribers: the kinds to look after, and the names of
//! objects where a kind may not be listed.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use crate::mesh::object::is_namespace_name;
use crate::mesh::{GroupKind, Key, ObjectRef, Resource};

/// Who names whom.
#[derive(Debug, Default)]
pub struct Named {
    /// By the object that names it.
    subscribers: HashMap<Key, Key>,
    /// How often each is named, by kind.
    kinds: HashMap<GroupKind, HashMap<Key, usize>>,
}

impl Named {
    /// Says whom an object names now, and whether that changed anything.
    pub fn put(&mut self, resource: &Resource) -> bool {
        let names = resource.subscription().and_then(|it| it.subscriber()).filter(|it| can_exist(it));
        let before = match names {
            Some(subscriber) => self.subscribers.insert(resource.key.clone(), subscriber.clone()),
            None => self.subscribers.remove(&resource.key),
        };
        if before.as_ref() == names {
            return false;
        }
        if let Some(subscriber) = names {
            *self.kinds.entry(subscriber.of.clone()).or_default().entry(subscriber.clone()).or_insert(0) += 1;
        }
        self.forget(before);
        true
    }

    /// An object names nobody any more.
    pub fn take(&mut self, key: &Key) -> bool {
        let before = self.subscribers.remove(key);
        let changed = before.is_some();
        self.forget(before);
        changed
    }

    /// Says whom all objects of a kind name.
    pub fn replace<'a>(&mut self, of: &GroupKind, resources: impl IntoIterator<Item = &'a Resource>) -> bool {
        let mut gone: BTreeSet<_> = self.subscribers.keys().filter(|it| it.of == *of).cloned().collect();
        let mut changed = false;
        for resource in resources {
            gone.remove(&resource.key);
            changed |= self.put(resource);
        }
        for key in gone {
            changed |= self.take(&key);
        }
        changed
    }

    /// The kinds of all that are named.
    pub fn kinds(&self) -> impl Iterator<Item = &GroupKind> {
        self.kinds.keys()
    }

    /// The objects of a kind that are named.
    pub fn of_kind(&self, of: &GroupKind) -> BTreeSet<Key> {
        self.kinds.get(of).map(|it| it.keys().cloned().collect()).unwrap_or_default()
    }

    fn forget(&mut self, subscriber: Option<Key>) {
        let Some(subscriber) = subscriber else { return };
        let Some(names) = self.kinds.get_mut(&subscriber.of) else { return };
        if let Some(count) = names.get_mut(&subscriber) {
            *count -= 1;
            if *count == 0 {
                names.remove(&subscriber);
            }
        }
        if names.is_empty() {
            self.kinds.remove(&subscriber.of);
        }
    }
}

/// Whether an object can have such a name at all. Whoever writes a trigger writes what he likes, and none of it may lead
/// to anything but an object: not to a part of one, such as `pods/x/log`, and not past the limits of servers on the way.
fn can_exist(object: &ObjectRef) -> bool {
    let is_label = |it: &str| {
        let is_inner = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
        !it.is_empty() && it.bytes().all(is_inner)
    };
    let ObjectRef { namespace, name, of } = object;
    let is_group = of.group.len() <= 253 && (of.group.is_empty() || of.group.split('.').all(is_label));
    let is_kind = (1..=63).contains(&of.kind.len()) && of.kind.bytes().all(|it| it.is_ascii_alphanumeric());
    let is_name = (1..=253).contains(&name.len()) && !matches!(&**name, "." | "..") && !name.contains(['/', '%']);
    is_group && is_kind && is_namespace_name(namespace) && is_name
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::convert::Converter;
    use super::*;

    #[test]
    fn a_kind_is_named_as_long_as_somebody_names_it() {
        let mut named = Named::default();
        let kinds = |named: &Named| named.kinds().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert!(named.put(&trigger("a", Some("Service"))));
        assert!(named.put(&trigger("b", Some("Service"))));
        assert!(!named.put(&trigger("b", Some("Service"))), "nothing new");
        assert!(named.put(&trigger("b", Some("Deployment"))));
        assert_eq!(kinds(&named), ["Deployment.apps", "Service.apps"].map(String::from).into());
        assert!(named.put(&trigger("b", None)));
        assert!(!named.take(&trigger("b", None).key));
        assert_eq!(kinds(&named), ["Service.apps"].map(String::from).into());
        let of = trigger("a", None).key.of.clone();
        assert!(named.replace(&of, [&trigger("c", Some("Job"))]));
        assert_eq!(kinds(&named), ["Job.apps"].map(String::from).into());
        assert!(named.take(&trigger("c", None).key));
        assert!(named.kinds.is_empty() && named.subscribers.is_empty(), "{named:?}");
    }

    #[test]
    fn what_cannot_exist_is_not_looked_for() {
        let long = "a".repeat(254);
        let cases = [
            (("", "Service", "shop", "mailer"), true),
            (("serving.knative.dev", "Service", "shop", "mailer.v1:x"), true),
            (("", "Service", "shop", "https:victim:8443/proxy/shutdown"), false),
            (("", "Pod", "a/pods/b/proxy", "x"), false),
            (("", "Pod", "a", "x%2Flog"), false),
            (("", "Pod", "a", ".."), false),
            (("", "Pod", "", "x"), false),
            (("", "Pod/log", "a", "x"), false),
            (("", "", "a", "x"), false),
            (("", "Pod", "a", &long), false),
            ((&long, "Pod", "a", "x"), false),
            (("a/b", "Pod", "a", "x"), false),
            (("a..b", "Pod", "a", "x"), false),
        ];
        for ((group, kind, namespace, name), expected) in cases {
            let object = ObjectRef::new(GroupKind::new(group, kind), namespace, name);
            assert_eq!(can_exist(&object), expected, "{object}");
        }
    }

    fn trigger(name: &str, subscriber: Option<&str>) -> Resource {
        let subscriber = subscriber.map(|kind| json!({"ref": {"apiVersion": "apps/v1", "kind": kind, "name": "x"}}));
        let converter = Converter::new("id");
        let object = json!({
            "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
            "metadata": {"name": name, "namespace": "n"}, "spec": {"subscriber": subscriber},
        });
        converter.convert(&object).unwrap()
    }
}
