//! What the mesh keeps of an object: the little that relations, views and answers are made of.

use std::sync::Arc;

use super::declaration::Declaration;
use super::filter::{Filter, Reason};
use super::object::{GroupKind, Key, Pairs};
use super::uid::Uid;
use crate::cesql::Verdict;

/// One object of the cluster or the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub key: Key,
    pub uid: Uid,
    pub labels: Pairs,
    pub annotations: Pairs,
    /// The value of the Backstage label, when not empty (`semantics.md` 5.2).
    pub backstage_id: Option<Arc<str>>,
    pub role: Role,
    /// What could not be read of the object. It was read as far as possible (`semantics.md` 7.6).
    pub flaws: Flaws,
}

/// What an object is in the mesh by its own kind. Whether it is a conduit or a source is for the definition of
/// its kind to say, see [`Definition`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// A `CustomResourceDefinition`.
    Definition(Box<Definition>),
    Broker,
    EventType(Box<EventType>),
    /// A `Trigger` or a `Subscription`.
    Subscription(Arc<Subscription>),
    /// Anything else that says something of channels or sinks.
    Duck(Box<Duck>),
    /// Anything else: at most a subscriber.
    Plain,
}

impl Resource {
    pub fn event_type(&self) -> Option<&EventType> {
        match &self.role {
            Role::EventType(it) => Some(it),
            _ => None,
        }
    }

    pub fn subscription(&self) -> Option<&Subscription> {
        match &self.role {
            Role::Subscription(it) => Some(it),
            _ => None,
        }
    }

    /// What it passes on to another conduit, if it is a subscription that names one.
    pub fn forward(&self) -> Option<Forward> {
        match &self.role {
            Role::Subscription(it) => {
                Some(Forward { by: self.key.clone(), to: it.forwards_to()?.clone(), says: it.clone() })
            }
            _ => None,
        }
    }

    pub fn duck(&self) -> Option<&Duck> {
        match &self.role {
            Role::Duck(it) => Some(it),
            _ => None,
        }
    }

    pub fn definition(&self) -> Option<&Definition> {
        match &self.role {
            Role::Definition(it) => Some(it),
            _ => None,
        }
    }
}

/// What a `CustomResourceDefinition` says of its kind (`semantics.md` 1.2, 1.3, 6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub of: GroupKind,
    /// Its objects are conduits.
    pub subscribable: bool,
    /// Its objects are sources.
    pub source: bool,
    /// The event types that its objects emit unless their status says otherwise.
    pub emits: Arc<[Arc<str>]>,
}

/// An `EventType` of any version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventType {
    /// The declared type as written, templates included; empty when none is declared.
    pub declared: Arc<str>,
    pub description: Option<Box<str>>,
    pub schema_data: Option<Box<str>>,
    pub schema_url: Option<Arc<str>>,
    /// Resolved, whether or not that object exists (`semantics.md` 2.1 to 2.4).
    pub reference: Option<Key>,
    pub declaration: Declaration,
}

/// A `Trigger`, which filters, or a `Subscription`, which does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The broker or channel listened to (`semantics.md` 2.5).
    pub conduit: Option<Key>,
    pub filter: Arc<Filter>,
    pub subscriber: Subscriber,
    /// Where a `Subscription` sends replies.
    pub reply: Option<Key>,
}

/// A subscription seen as a way from one conduit to another (`semantics.md` 6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The subscription.
    pub by: Key,
    pub to: Key,
    pub says: Arc<Subscription>,
}

/// `spec.subscriber` (`semantics.md` 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscriber {
    Absent,
    /// Only a `uri`: who that is, is unknown.
    Uri,
    Object(Key),
}

impl Subscription {
    pub fn subscriber(&self) -> Option<&Key> {
        match &self.subscriber {
            Subscriber::Object(key) => Some(key),
            Subscriber::Absent | Subscriber::Uri => None,
        }
    }

    /// Whether events of a type pass (`semantics.md` section 4).
    pub fn verdict(&self, event_type: &EventType) -> Verdict {
        self.filter.verdict(&event_type.declaration)
    }

    /// Why the verdict is what it is.
    pub fn explain(&self, event_type: &EventType) -> Reason {
        self.filter.explain(&event_type.declaration)
    }

    /// Where events that pass go on to when that is a conduit: the subscriber, or the reply where there is none
    /// (`semantics.md` 6.3).
    pub fn forwards_to(&self) -> Option<&Key> {
        match &self.subscriber {
            Subscriber::Object(key) => Some(key),
            Subscriber::Uri => None,
            Subscriber::Absent => self.reply.as_ref(),
        }
    }
}

/// What an object says that matters when its kind is subscribable or a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Duck {
    /// `status.channel`: the channel behind a generic one.
    pub backing: Option<Key>,
    /// The owner of kind `Channel`: the generic channel that this one is behind.
    pub fronted_by: Option<Key>,
    /// `spec.sink.ref`.
    pub sink: Option<Key>,
    /// `status.ceAttributes`, entries with a type only.
    pub emits: Box<[Emitted]>,
}

/// One entry of `status.ceAttributes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    pub of_type: Arc<str>,
    /// `None`: from any source.
    pub source: Option<Arc<str>>,
}

/// The flaws of an object. There hardly ever is one, so that none takes as little room as can be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::box_collection, reason = "half as wide as what has its length in it")]
pub struct Flaws(Option<Box<Vec<Flaw>>>);

impl Flaws {
    pub fn iter(&self) -> impl Iterator<Item = &Flaw> {
        self.0.iter().flat_map(|flaws| flaws.iter())
    }
}

impl From<Vec<Flaw>> for Flaws {
    fn from(flaws: Vec<Flaw>) -> Self {
        Self(Some(flaws).filter(|it| !it.is_empty()).map(Box::new))
    }
}

/// Something about an object that could not be read, and what was made of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flaw {
    /// The field, such as `spec.filters[2].exact`; empty for the object itself.
    pub field: Box<str>,
    /// What is wrong with it.
    pub problem: Box<str>,
}

#[cfg(test)]
pub mod testing {
    use super::*;
    use crate::mesh::object::ObjectRef;

    pub fn broker(name: &str, uid: &str) -> Arc<Resource> {
        Arc::new(Resource {
            key: Arc::new(ObjectRef::new(GroupKind::new("eventing.knative.dev", "Broker"), "shop", name)),
            uid: Uid::from(uid),
            labels: Pairs::default(),
            annotations: Pairs::default(),
            backstage_id: None,
            role: Role::Broker,
            flaws: Flaws::default(),
        })
    }
}
