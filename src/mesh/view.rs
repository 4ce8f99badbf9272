//! What one caller may see: sections 1 to 6 of `semantics.md` applied to the objects that the caller sees, and to
//! nothing else (7.2).
//!
//! Hiding an object only ever takes relations away, so a view is the shared relations without those that need a hidden
//! object: an end, a conduit, a cause. What depends on a way through several objects (one conduit by way of its twins,
//! a source reaching a conduit) is followed again through the visible ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::grant::Grant;
use super::object::{Key, ObjectRef};
use super::reach::reaches;
use super::resource::{EventType, Resource};
use super::selector::Selection;
use super::snapshot::{
    ConduitLinks, Consumer, Entry, EntryId, PerRole, Shard, ShardId, Snapshot, SourceLinks, Supplied, Twins, TypeLinks,
};
use crate::cesql::Verdict;

/// A snapshot as one caller sees it, and of that what a query selects.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    snapshot: &'a Snapshot,
    grant: &'a Grant,
    selection: &'a Selection,
}

/// The view of one shard. The parts of a view, one after the other, have all lists in order.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    view: View<'a>,
    shard: &'a Shard,
}

/// The lists that a view has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    EventTypes,
    Brokers,
    Subscribables,
    Sources,
}

impl List {
    pub const ALL: [Self; 4] = [Self::EventTypes, Self::Brokers, Self::Subscribables, Self::Sources];

    fn of<T>(self, roles: &PerRole<T>) -> &T {
        match self {
            Self::EventTypes => &roles.event_types,
            Self::Brokers | Self::Subscribables => &roles.conduits,
            Self::Sources => &roles.sources,
        }
    }

    /// Whether it is for objects such as this one.
    fn is_for(self, Entry { resource, links, .. }: &Entry) -> bool {
        match self {
            Self::EventTypes => links.event_type.is_some(),
            Self::Brokers => links.conduit.is_some() && resource.key.is_broker(),
            Self::Subscribables => links.conduit.is_some() && !resource.key.is_broker(),
            Self::Sources => links.source.is_some(),
        }
    }
}

/// An object in a list.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    view: View<'a>,
    list: List,
    entry: &'a Entry,
}

/// What a list says of an object.
#[derive(Debug)]
pub enum Item<'a> {
    EventType(EventTypeView<'a>),
    Broker(ConduitView<'a>),
    Subscribable(ConduitView<'a>),
    Source(SourceView<'a>),
}

/// A visible event type.
#[derive(Debug)]
pub struct EventTypeView<'a> {
    pub resource: &'a Resource,
    pub event_type: &'a EventType,
    /// By subscription.
    pub consumers: Vec<&'a Consumer>,
}

/// A visible broker or subscribable.
#[derive(Debug)]
pub struct ConduitView<'a> {
    pub resource: &'a Resource,
    /// Event types, sorted.
    pub provides: Vec<&'a ObjectRef>,
}

/// A visible source.
#[derive(Debug)]
pub struct SourceView<'a> {
    pub resource: &'a Resource,
    pub sink: Option<&'a ObjectRef>,
    /// Sorted.
    pub emits: &'a [Arc<str>],
    /// Event types, sorted.
    pub provides: Vec<&'a ObjectRef>,
}

impl Snapshot {
    /// The only way to read.
    pub fn view<'a>(&'a self, grant: &'a Grant, selection: &'a Selection) -> View<'a> {
        View { snapshot: self, grant, selection }
    }
}

impl<'a> View<'a> {
    /// Names what the parts have of a list, one after the other.
    pub fn ids(self, list: List) -> &'a Arc<[ShardId]> {
        list.of(self.snapshot.ids())
    }

    /// Of the entry that changed last, whether or not the caller sees it.
    pub fn newest(self) -> EntryId {
        self.snapshot.newest()
    }

    /// Whether a list shows what it showed to the same grant and selection when its parts had these names.
    pub fn shows_the_same(self, list: List, ids: &Arc<[ShardId]>) -> bool {
        !self.follows_ways(list) && Arc::ptr_eq(ids, self.ids(list))
    }

    /// Whether what is seen of a list may depend on what is seen of others: on the way from a source to an event type.
    fn follows_ways(self, list: List) -> bool {
        list == List::Sources && !self.grant.is_everything()
    }

    pub fn parts(self) -> impl Iterator<Item = Part<'a>> {
        self.snapshot.shards().iter().map(move |shard| Part { view: self, shard })
    }

    pub fn event_types(self) -> impl Iterator<Item = EventTypeView<'a>> {
        self.parts().flat_map(Part::event_types)
    }

    pub fn brokers(self) -> impl Iterator<Item = ConduitView<'a>> {
        self.parts().flat_map(Part::brokers)
    }

    pub fn subscribables(self) -> impl Iterator<Item = ConduitView<'a>> {
        self.parts().flat_map(Part::subscribables)
    }

    pub fn sources(self) -> impl Iterator<Item = SourceView<'a>> {
        self.parts().flat_map(Part::sources)
    }

    /// Whether all objects are in it, so that none has to be looked at.
    fn is_everything(self) -> bool {
        self.grant.is_everything() && self.selection.is_everything()
    }

    fn includes(self, Resource { key, labels, .. }: &Resource) -> bool {
        self.sees(key) && self.selection.selects(key, labels)
    }

    fn sees(self, key: &ObjectRef) -> bool {
        self.grant.sees(key)
    }

    /// Whether two visible conduits are one by way of visible ones (`semantics.md` 1.6).
    fn are_one(self, a: &Key, b: &Key, twins: &Twins) -> bool {
        a == b || reaches(&**a, &**b, |conduit, next| next.extend(self.twins_of(conduit, twins)))
    }

    fn twins_of<'t>(self, conduit: &ObjectRef, twins: &'t Twins) -> impl Iterator<Item = &'t ObjectRef> {
        let pairs = twins.iter().flat_map(|pairs| pairs.iter());
        let others = pairs.filter_map(move |(a, b)| match conduit {
            it if *it == **a => Some(&**b),
            it if *it == **b => Some(&**a),
            _ => None,
        });
        others.filter(move |twin| self.sees(twin))
    }

    fn consumes(self, consumer: &Consumer, reference: &Key, twins: &Twins) -> bool {
        let route = &consumer.route;
        self.sees(&route.subscription)
            && self.sees(&route.conduit)
            && self.grant.sees_subscriber(&route.subscriber)
            && self.are_one(reference, &route.conduit, twins)
    }

    fn supplies(self, source: &Resource, supplied: &Supplied) -> bool {
        self.sees(&supplied.event_type) && (!supplied.if_reachable || self.reachable(source, supplied).is_some())
    }

    /// Whether events of a type get from a source to the type's reference through what is visible.
    fn reachable(self, source: &Resource, supplied: &Supplied) -> Option<()> {
        let event_type = self.snapshot.get(&supplied.event_type)?.resource.event_type()?;
        let goal = event_type.reference.as_deref()?;
        let sink = source.duck()?.sink.as_deref()?;
        self.conduit(sink)?;
        let reached = reaches(sink, goal, |conduit, next| {
            let Some(links) = self.conduit(conduit) else { return };
            next.extend(self.twins_of(conduit, &links.twins));
            let onward = links.forwards.iter().filter(|it| {
                self.sees(&it.by) && self.conduit(&it.to).is_some() && it.says.verdict(event_type) != Verdict::Never
            });
            next.extend(onward.map(|it| &*it.to));
        });
        reached.then_some(())
    }

    /// The relations of a visible conduit.
    fn conduit(self, key: &ObjectRef) -> Option<&'a ConduitLinks> {
        self.snapshot.get(key).filter(|_| self.sees(key))?.links.conduit.as_deref()
    }
}

impl<'a> Part<'a> {
    /// Names what a list shows to one grant and selection, when that depends on nothing but the shard: then it can be kept.
    pub fn id(&self, list: List) -> Option<ShardId> {
        let depends_on_others = self.view.follows_ways(list) && self.shard.follows_ways();
        (!depends_on_others).then(|| *list.of(self.shard.ids()))
    }

    /// Whether a list may have items. Quicker to see than which.
    pub fn may_have_some(&self, list: List) -> bool {
        let ends = self.shard.ends().zip(list.of(self.shard.labels()).as_ref());
        ends.is_some_and(|((first, last), labels)| self.view.selection.may_select(first, last, labels))
    }

    pub fn event_types(self) -> impl Iterator<Item = EventTypeView<'a>> {
        self.shown(List::EventTypes).filter_map(Shown::event_type)
    }

    pub fn brokers(self) -> impl Iterator<Item = ConduitView<'a>> {
        self.shown(List::Brokers).filter_map(Shown::conduit)
    }

    pub fn subscribables(self) -> impl Iterator<Item = ConduitView<'a>> {
        self.shown(List::Subscribables).filter_map(Shown::conduit)
    }

    pub fn sources(self) -> impl Iterator<Item = SourceView<'a>> {
        self.shown(List::Sources).filter_map(Shown::source)
    }

    /// What is in a list. Most objects are in none, and are not looked at.
    pub fn shown(self, list: List) -> impl Iterator<Item = Shown<'a>> {
        let view = self.view;
        let entries = if self.may_have_some(list) { self.shard.entries() } else { &[] };
        let all = view.is_everything();
        let shown = entries.iter().filter(move |entry| list.is_for(entry) && (all || view.includes(&entry.resource)));
        shown.map(move |entry| Shown { view, list, entry })
    }
}

impl<'a> Shown<'a> {
    /// Names what the list says of it to one grant, when that depends on nothing but the object and its relations: then it
    /// can be kept.
    pub fn id(self) -> Option<EntryId> {
        let depends_on_others = self.view.follows_ways(self.list) && self.entry.follows_ways();
        (!depends_on_others).then(|| self.entry.id())
    }

    /// What the list says of it.
    pub fn item(self) -> Option<Item<'a>> {
        match self.list {
            List::EventTypes => self.event_type().map(Item::EventType),
            List::Brokers => self.conduit().map(Item::Broker),
            List::Subscribables => self.conduit().map(Item::Subscribable),
            List::Sources => self.source().map(Item::Source),
        }
    }

    fn event_type(self) -> Option<EventTypeView<'a>> {
        let Self { view, entry, .. } = self;
        let TypeLinks { consumers, twins } = entry.links.event_type.as_deref()?;
        let event_type = entry.resource.event_type()?;
        let seen = |reference: &&Key| view.sees(reference);
        let consumers = match &event_type.reference.as_ref().filter(seen) {
            Some(reference) => consumers.iter().filter(|it| view.consumes(it, reference, twins)).collect(),
            None => vec![],
        };
        Some(EventTypeView { resource: &entry.resource, event_type, consumers })
    }

    fn conduit(self) -> Option<ConduitView<'a>> {
        let Self { view, entry, .. } = self;
        let ConduitLinks { provides, twins, .. } = entry.links.conduit.as_deref()?;
        let key = &entry.resource.key;
        let provided = provides.iter().filter(|it| {
            view.sees(&it.event_type) && view.sees(&it.reference) && view.are_one(key, &it.reference, twins)
        });
        Some(ConduitView { resource: &entry.resource, provides: provided.map(|it| &*it.event_type).collect() })
    }

    fn source(self) -> Option<SourceView<'a>> {
        let Self { view, entry, .. } = self;
        let SourceLinks { emits, supplies } = entry.links.source.as_deref()?;
        let resource = &*entry.resource;
        let everything = view.grant.is_everything();
        let supplied = supplies.iter().filter(|it| everything || view.supplies(resource, it));
        let sink = resource.duck().and_then(|it| it.sink.as_deref());
        Some(SourceView { resource, sink, emits, provides: supplied.map(|it| &*it.event_type).collect() })
    }
}

impl<'a> EventTypeView<'a> {
    /// The Backstage ids of the consumers, sorted, each once (`semantics.md` 3.6).
    pub fn consumed_by(&self) -> BTreeSet<&'a str> {
        self.consumers.iter().map(|it| &*it.route.backstage_id).collect()
    }
}
