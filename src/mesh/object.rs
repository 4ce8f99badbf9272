//! What an object is called. The version of an API is never part of it (`semantics.md` 1.1).

use std::fmt;
use std::sync::Arc;

/// The API group of the Knative kinds around brokers.
pub const EVENTING: &str = "eventing.knative.dev";
/// The API group of the Knative kinds around channels.
pub const MESSAGING: &str = "messaging.knative.dev";

/// A kind of object: API group (`""` for the core group) and kind, both case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKind {
    pub group: Arc<str>,
    pub kind: Arc<str>,
}

impl GroupKind {
    pub fn new(group: impl Into<Arc<str>>, kind: impl Into<Arc<str>>) -> Self {
        Self { group: group.into(), kind: kind.into() }
    }

    pub fn is(&self, group: &str, kind: &str) -> bool {
        &*self.group == group && &*self.kind == kind
    }
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
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs(Box<[(Arc<str>, Arc<str>)]>);

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
