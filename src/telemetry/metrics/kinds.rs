//! What kinds are called in labels: by their names as long as those are few, and otherwise `other`.
//!
//! Whoever writes a trigger can name kinds without end, and whoever writes manifests can make them up.

use std::collections::BTreeSet;

use super::table::Labels;
use crate::mesh::GroupKind;

/// How many kinds are told apart that definitions speak of.
const MAX_DEFINED: usize = 256;
/// How many others are.
const MAX_NAMED: usize = 64;
/// The longest name that is told, in bytes: none of Kubernetes is longer.
const MAX_NAME: usize = 253;
const OTHER: &str = "other";

/// What is known of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Its definition says what it is, or it needs none.
    Defined,
    /// There are such objects, or there can be.
    Existing,
    /// Somebody names it.
    Named,
}

/// The kinds that are told apart. One that was keeps its name, so that its series goes on.
#[derive(Debug, Default)]
pub struct Kinds {
    defined: BTreeSet<GroupKind>,
    named: BTreeSet<GroupKind>,
}

impl Kinds {
    /// The labels for a kind.
    pub fn labels(&mut self, of: &GroupKind, sort: Sort) -> Labels {
        let (group, kind) = if self.is_told(of, sort) { (&*of.group, &*of.kind) } else { (OTHER, OTHER) };
        vec![("group", group.to_owned()), ("kind", kind.to_owned())]
    }

    fn is_told(&mut self, of: &GroupKind, sort: Sort) -> bool {
        if self.defined.contains(of) || self.named.contains(of) {
            return true;
        }
        let (told, most) = match sort {
            Sort::Defined => (&mut self.defined, MAX_DEFINED),
            Sort::Existing => (&mut self.named, MAX_NAMED),
            Sort::Named => return false,
        };
        let has_room = told.len() < most && of.group.len().max(of.kind.len()) <= MAX_NAME;
        has_room && told.insert(of.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_so_many() {
        let mut kinds = Kinds::default();
        let kind = |n: usize| GroupKind::new("a.example", format!("K{n}"));
        let mut told = |sort, range: std::ops::Range<usize>| {
            let labels = range.map(|n| kinds.labels(&kind(n), sort)).collect::<BTreeSet<_>>();
            (labels.len(), labels.contains(&vec![("group", "other".into()), ("kind", "other".into())]))
        };
        assert_eq!(told(Sort::Named, 0..1000), (1, true));
        assert_eq!(told(Sort::Existing, 0..1000), (MAX_NAMED + 1, true));
        assert_eq!(told(Sort::Defined, 1000..2000), (MAX_DEFINED + 1, true));
        // Those that were told go on to be.
        assert_eq!(told(Sort::Named, 0..MAX_NAMED), (MAX_NAMED, false));
        let long = GroupKind::new("x".repeat(MAX_NAME + 1), "Kind");
        assert_eq!(Kinds::default().labels(&long, Sort::Defined).first().unwrap().1, "other");
    }
}
