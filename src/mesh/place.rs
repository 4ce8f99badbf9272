//! Where objects are: at which place of an API its kind is served, and in which namespaces there are some. Rights are
//! asked for in these words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::object::GroupKind;

/// Where an API server serves the objects of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub version: Arc<str>,
    /// The plural name, as in the path: never made up from the kind (`semantics.md` 1.5).
    pub plural: Arc<str>,
}

/// The places of kinds. Without an API server there are none.
pub type Places = BTreeMap<GroupKind, Place>;

/// The kinds of which there are objects, each with the namespaces of these.
pub type Extent = BTreeMap<GroupKind, BTreeSet<Arc<str>>>;
