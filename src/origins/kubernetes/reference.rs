//! How objects name each other (`semantics.md` section 2).

use std::sync::Arc;

use super::fields::Field;
use crate::mesh::object::EVENTING;
use crate::mesh::{GroupKind, Key, ObjectRef};

/// The group in an `apiVersion` (`semantics.md` 2.2).
pub fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// A reference, when it is usable (`semantics.md` 2.1 to 2.3).
pub fn reference(field: &Field<'_>, namespace: &str) -> Option<Key> {
    let kind = field.filled("kind")?;
    let name = field.filled("name")?;
    let group = match field.filled("apiVersion") {
        Some(version) => group_of(&version).to_owned(),
        None => field.filled("group")?.into_owned(),
    };
    let namespace = field.filled("namespace").unwrap_or_else(|| namespace.into());
    Some(Arc::new(ObjectRef::new(GroupKind::new(group, kind), namespace, name)))
}

pub fn broker(namespace: &str, name: &str) -> Key {
    Arc::new(ObjectRef::new(GroupKind::new(EVENTING, "Broker"), namespace, name))
}
