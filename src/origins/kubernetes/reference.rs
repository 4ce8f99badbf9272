//! How objects name each other (`semantics.md` section 2).

use std::sync::Arc;

use super::fields::Field;
use crate::mesh::intern::Shared;
use crate::mesh::object::EVENTING;
use crate::mesh::{GroupKind, Key};

/// The group in an `apiVersion` (`semantics.md` 2.2).
pub fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Where an object is: what its references are read by.
pub struct Place<'a> {
    /// Of the object; `""` for one without.
    pub namespace: Arc<str>,
    pub shared: &'a Shared,
}

impl Place<'_> {
    /// What an object here calls another.
    fn key(&self, of: &GroupKind, namespace: Option<&str>, name: &str) -> Key {
        let namespace = namespace.map_or_else(|| self.namespace.clone(), |it| self.shared.text(it));
        self.shared.key(of, &namespace, name)
    }

    pub fn broker(&self, namespace: Option<&str>, name: &str) -> Key {
        self.key(&self.shared.kind(EVENTING, "Broker"), namespace, name)
    }
}

/// A reference, when it is usable (`semantics.md` 2.1 to 2.3).
pub fn reference(field: &Field<'_>, place: &Place<'_>) -> Option<Key> {
    let kind = field.filled("kind")?;
    let name = field.filled("name")?;
    let of = match field.filled("apiVersion") {
        Some(version) => place.shared.kind(group_of(&version), &kind),
        None => place.shared.kind(&field.filled("group")?, &kind),
    };
    Some(place.key(&of, field.filled("namespace").as_deref(), &name))
}
