//! Whom roles are bound to, and so whom a change of a role or binding concerns: pure.
//!
//! It matters who is named, and not what is allowed: RBAC is not evaluated. What must stay true: whoever gains or loses
//! something by a change is among those whom it concerns. That others are as well costs questions, and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use k8s_openapi::api::rbac::v1;
use serde::Deserialize;

use crate::access::user::User;
use crate::kubernetes::failure::Failure;
use crate::kubernetes::paths::RBAC_KINDS;

/// A user or a group, by the hash of its name. Of two with the same hash, what concerns one concerns the other.
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
    Only(Vec<Subject>),
}

/// The namespace of a binding, which is empty for those of the whole cluster, and its name, with `/` between them.
type Name = Box<str>;

/// A role, by the hash of what names it. Of two with the same hash, what happens to one concerns those of the other.
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
        Whom::Only([of_one(self, other), of_one(other, self)].concat())
    }
}

/// Whether objects of a kind bind somebody to a role.
pub fn binds(kind: &str) -> bool {
    kind.ends_with("Binding")
}

/// The bindings of a cluster.
#[derive(Debug, Default)]
pub struct Bindings {
    /// By kind; of a kind that is here, all are known.
    known: BTreeMap<&'static str, HashMap<Name, Binding>>,
}

/// A binding, and what names it.
pub struct Named {
    name: Name,
    binding: Binding,
}

impl Bindings {
    /// Takes these for all that there are of a kind.
    pub fn know(&mut self, kind: &'static str, all: Vec<Named>) {
        self.known.insert(kind, all.into_iter().map(|it| (it.name, it.binding)).collect());
    }

    /// What there is of a kind is not known any more.
    pub fn forget(&mut self, kind: &str) {
        self.known.remove(kind);
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
        let whom = match known.get(&name) {
            Some(before) => before.replaced_by(&binding),
            None => Whom::Only(binding.subjects.to_vec()),
        };
        known.insert(name, binding);
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
        let before = known.remove(&name).map(|it| it.subjects).unwrap_or_default();
        Ok(Whom::Only([before, binding.subjects].concat()))
    }

    /// Those who are bound to a role: all of them, or who knows.
    fn bound_to(&self, kind: &str, text: &str) -> Result<Whom, Failure> {
        let Metadata { namespace, name } = serde_json::from_str::<Head>(text)?.metadata;
        let mut binding_kinds = RBAC_KINDS.iter().map(|(kind, _)| kind).filter(|it| binds(it));
        if !binding_kinds.all(|it| self.known.contains_key(it)) {
            return Ok(Whom::Everybody);
        }
        let role = Role::new(kind, &namespace, &name);
        let bound = self.known.values().flat_map(HashMap::values).filter(|it| it.role == role);
        let subjects: BTreeSet<_> = bound.flat_map(|it| &*it.subjects).copied().collect();
        Ok(Whom::Only(subjects.into_iter().collect()))
    }
}

impl Named {
    /// From the text of a binding.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &str) -> Result<Self, Failure> {
        let Written { metadata: Metadata { namespace, name }, role_ref, subjects } = serde_json::from_str(text)?;
        let named = subjects.iter().flatten().filter_map(|it| Subject::named(it, &namespace));
        let subjects: BTreeSet<_> = named.collect();
        let role = Role::new(&role_ref.kind, &namespace, &role_ref.name);
        let binding = Binding { role, subjects: subjects.into_iter().collect() };
        Ok(Self { name: format!("{namespace}/{name}").into(), binding })
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

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
