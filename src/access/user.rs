//! Who somebody is, as Kubernetes says it.

use std::collections::BTreeMap;

/// Who somebody is, in the words of a Kubernetes `UserInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct User {
    pub name: String,
    pub uid: String,
    /// Sorted, each once.
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}
