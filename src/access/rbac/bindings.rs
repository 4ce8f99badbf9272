//! Whom roles are bound to, and so whom a change of a role or binding concerns: pure.
//!
//! It matters who is named, and not what is allowed: RBAC is not evaluated. What must stay true: when all changes were heard
//! of, in whatever order those of different kinds came, whoever has gained or lost something was among those whom one of them
//! concerned, and not before it happened. That others are as well costs questions, and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::LazyLock;

use k8s_openapi::api::rbac::v1;
use serde::Deserialize;

use crate::access::user::User;
use crate::kubernetes::failure::Failure;
use crate::kubernetes::paths::RBAC_KINDS;

/// A user or a group, by the hash of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(u64);

impl Subject {
    fn user(name: &str) -> Self {
        Self(hash(&("User", name)))
    }

    fn group(name: &str) -> Self {
        Self(hash(&("Group", name)))
    }

    /// Whom a binding in a namespace names; nobody, where API servers do not know what that is either.
    fn named(subject: &v1::Subject, namespace: &str) -> Option<Self> {
        match &*subject.kind {
            "User" => Some(Self::user(&subject.name)),
            "Group" => Some(Self::group(&subject.name)),
            "ServiceAccount" => {
                let namespace = subject.namespace.as_deref().filter(|it| !it.is_empty()).unwrap_or(namespace);
                Some(Self::user(&format!("system:serviceaccount:{namespace}:{}", subject.name)))
            }
            _ => None,
        }
    }
}

/// All that a binding may name to give something to a user: that is the user, and each of the groups.
pub struct Subjects(Box<[Subject]>);

impl Subjects {
    pub fn of(user: &User) -> Self {
        let groups = user.groups.iter().map(|it| Subject::group(it));
        Self([Subject::user(&user.name)].into_iter().chain(groups).collect())
    }

    pub fn as_slice(&self) -> &[Subject] {
        &self.0
    }
}

/// Whom something concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    Everybody,
    /// Sorted, each once.
    Only(Box<[Subject]>),
}

/// The namespace of a binding, which is empty for those of the whole cluster, and its name, with `/` between them.
type Name = Box<str>;

/// A role, by the hash of what names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Role(u64);

impl Role {
    fn new(kind: &str, namespace: &str, name: &str) -> Self {
        let namespace = if kind == "Role" { namespace } else { "" };
        Self(hash(&(kind, namespace, name)))
    }
}

/// Who is bound to which role.
#[derive(Debug)]
struct Binding {
    role: Role,
    /// Sorted, each once.
    subjects: Box<[Subject]>,
}

impl Binding {
    /// Whom it concerns that there is one binding in place of another: who is named by both, and bound to the same, has
    /// what they had.
    fn replaced_by(&self, other: &Self) -> Whom {
        let of_one = |one: &Self, other: &Self| {
            let stays = |it: &Subject| one.role == other.role && other.subjects.binary_search(it).is_ok();
            one.subjects.iter().copied().filter(|it| !stays(it)).collect::<Vec<_>>()
        };
        Whom::Only(distinct([of_one(self, other), of_one(other, self)].concat()))
    }
}

/// Whether objects of a kind bind somebody to a role.
pub fn binds(kind: &str) -> bool {
    kind.ends_with("Binding")
}

/// The bindings of a cluster.
#[derive(Debug, Default)]
pub struct Bindings {
    /// By kind.
    known: BTreeMap<&'static str, Known>,
}

/// The bindings of a kind.
#[derive(Debug)]
struct Known {
    by_name: HashMap<Name, Binding>,
    /// Whether it is heard of when there is another one.
    is_current: bool,
}

/// A binding, and what names it.
pub struct Named {
    name: Name,
    binding: Binding,
}

impl Bindings {
    /// Takes these for all that there are of a kind.
    pub fn know(&mut self, kind: &'static str, all: Vec<Named>) {
        let by_name = all.into_iter().map(|it| (it.name, it.binding)).collect();
        self.known.insert(kind, Known { by_name, is_current: false });
    }

    /// Changes of a kind are heard of, or not, or not yet.
    pub fn note_current(&mut self, kind: &str, is_current: bool) {
        if let Some(known) = self.known.get_mut(kind) {
            known.is_current = is_current;
        }
    }

    /// Whom it concerns that a role or binding is now like this.
    ///
    /// # Errors
    /// When it is neither.
    pub fn changed(&mut self, kind: &str, text: &str) -> Result<Whom, Failure> {
        if !binds(kind) {
            return self.bound_to(kind, text);
        }
        let Named { name, binding } = Named::read(text)?;
        let Some(known) = self.known.get_mut(kind) else { return Ok(Whom::Everybody) };
        let whom = match known.by_name.get(&name) {
            Some(before) => before.replaced_by(&binding),
            None => Whom::Only(binding.subjects.clone()),
        };
        known.by_name.insert(name, binding);
        Ok(whom)
    }

    /// Whom it concerns that a role or binding is gone, which was like this.
    ///
    /// # Errors
    /// When it is neither.
    pub fn deleted(&mut self, kind: &str, text: &str) -> Result<Whom, Failure> {
        if !binds(kind) {
            return self.bound_to(kind, text);
        }
        let Named { name, binding } = Named::read(text)?;
        let Some(known) = self.known.get_mut(kind) else { return Ok(Whom::Everybody) };
        let before = known.by_name.remove(&name).map(|it| it.subjects).unwrap_or_default();
        Ok(Whom::Only(distinct([before, binding.subjects].concat())))
    }

    /// Those who are bound to a role, or everybody where there may be bindings that nobody has heard of.
    fn bound_to(&self, kind: &str, text: &str) -> Result<Whom, Failure> {
        let Metadata { namespace, name } = serde_json::from_str::<Head>(text)?.metadata;
        if !self.are_current() {
            return Ok(Whom::Everybody);
        }
        let role = Role::new(kind, &namespace, &name);
        let bound = self.known.values().flat_map(|it| it.by_name.values()).filter(|it| it.role == role);
        Ok(Whom::Only(distinct(bound.flat_map(|it| &*it.subjects).copied())))
    }

    fn are_current(&self) -> bool {
        let is_current = |kind| self.known.get(kind).is_some_and(|it| it.is_current);
        RBAC_KINDS.into_iter().all(|(kind, _)| !binds(kind) || is_current(kind))
    }
}

impl Named {
    /// From the text of a binding.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &str) -> Result<Self, Failure> {
        let Written { metadata: Metadata { namespace, name }, role_ref, subjects } = serde_json::from_str(text)?;
        let subjects = distinct(subjects.iter().flatten().filter_map(|it| Subject::named(it, &namespace)));
        let role = Role::new(&role_ref.kind, &namespace, &role_ref.name);
        Ok(Self { name: format!("{namespace}/{name}").into(), binding: Binding { role, subjects } })
    }
}

/// A binding as it is written. Items of lists do not say their kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    metadata: Metadata,
    role_ref: v1::RoleRef,
    subjects: Option<Vec<v1::Subject>>,
}

#[derive(Deserialize)]
struct Head {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    namespace: String,
    name: String,
}

/// The key is random, so that nobody can look for names that are taken for each other.
fn hash(of: &impl Hash) -> u64 {
    static HASHING: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    HASHING.hash_one(of)
}

/// Sorted, each once.
fn distinct(subjects: impl IntoIterator<Item = Subject>) -> Box<[Subject]> {
    let mut subjects: Vec<_> = subjects.into_iter().collect();
    subjects.sort_unstable();
    subjects.dedup();
    subjects.into()
}

#[cfg(test)]
mod tests;
