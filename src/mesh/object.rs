//! What an object is called. The version of an API is never part of it (`semantics.md` 1.1).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use hashbrown::Equivalent;

use super::intern::Counted;

/// The API group of the Knative kinds around brokers.
pub const EVENTING: &str = "eventing.knative.dev";
/// The API group of the Knative kinds around channels.
pub const MESSAGING: &str = "messaging.knative.dev";

/// A kind of object: API group (`""` for the core group) and kind, both case-sensitive.
///
/// Cheap to clone: all objects of a kind can share the one that names it.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupKind(Arc<Names>);

/// The names that make a [`GroupKind`].
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Names {
    pub group: Arc<str>,
    pub kind: Arc<str>,
}

impl GroupKind {
    pub fn new(group: impl Into<Arc<str>>, kind: impl Into<Arc<str>>) -> Self {
        Self(Arc::new(Names { group: group.into(), kind: kind.into() }))
    }

    pub fn is(&self, group: &str, kind: &str) -> bool {
        &*self.group == group && &*self.kind == kind
    }
}

impl Deref for GroupKind {
    type Target = Names;

    fn deref(&self) -> &Names {
        &self.0
    }
}

impl Counted for GroupKind {
    fn holders(&self) -> usize {
        self.0.holders()
    }
}

/// Group and kind, to look for without making one.
impl Equivalent<GroupKind> for (&str, &str) {
    fn equivalent(&self, of: &GroupKind) -> bool {
        of.is(self.0, self.1)
    }
}

impl PartialOrd for GroupKind {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for GroupKind {
    fn cmp(&self, other: &Self) -> Ordering {
        compared(&self.0, &other.0)
    }
}

impl Hash for GroupKind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The order of what is often shared: what is one need not be looked at. (Equality of an `Arc` does so by itself.)
fn compared<T: ?Sized + Ord>(a: &Arc<T>, b: &Arc<T>) -> Ordering {
    if Arc::ptr_eq(a, b) { Ordering::Equal } else { a.cmp(b) }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.group {
            "" => f.write_str(&self.kind),
            group => write!(f, "{}.{group}", self.kind),
        }
    }
}

/// Whether a text can be the name of a namespace: a DNS label (RFC 1123).
pub fn is_namespace_name(text: &str) -> bool {
    let is_inner = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// The name of an object. Objects without a namespace have `""` there.
///
/// The order of the fields is the order of every list in an answer (`semantics.md` 3.7), so that sorted
/// collections of names come out right by themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct ObjectRef {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub of: GroupKind,
}

/// A shared [`ObjectRef`]: relations name objects many times over.
pub type Key = Arc<ObjectRef>;

impl ObjectRef {
    pub fn new(of: GroupKind, namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into(), of }
    }

    pub fn is_broker(&self) -> bool {
        self.of.is(EVENTING, "Broker")
    }

    /// The generic `Channel`, which stands for the channel behind it (`semantics.md` 1.6).
    pub fn is_generic_channel(&self) -> bool {
        self.of.is(MESSAGING, "Channel")
    }
}

impl PartialOrd for ObjectRef {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ObjectRef {
    fn cmp(&self, other: &Self) -> Ordering {
        if std::ptr::eq(self, other) {
            return Ordering::Equal;
        }
        compared(&self.namespace, &other.namespace)
            .then_with(|| compared(&self.name, &other.name))
            .then_with(|| self.of.cmp(&other.of))
    }
}

impl Hash for ObjectRef {
    /// Without the kind: few objects share namespace and name, and kinds have the longest names.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.namespace.hash(state);
        self.name.hash(state);
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{} {}", self.of, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.of, self.name),
        }
    }
}

impl fmt::Debug for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Labels or annotations: few pairs, sorted by name, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Pairs(Arc<[(Arc<str>, Arc<str>)]>);

impl Counted for Pairs {
    fn holders(&self) -> usize {
        self.0.holders()
    }
}

impl Pairs {
    pub fn get(&self, name: &str) -> Option<&Arc<str>> {
        let at = self.0.binary_search_by(|(n, _)| (**n).cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl<N: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(N, V)> for Pairs {
    /// Of a name given twice, the first value counts.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        pairs.sort_by(|a: &(Arc<str>, Arc<str>), b| a.0.cmp(&b.0));
        pairs.dedup_by(|later, first| later.0 == first.0);
        Self(pairs.into())
    }
}
