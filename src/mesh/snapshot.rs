//! The published state: immutable, cheap to make from the one before, complete in itself for every reader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use super::object::{Key, ObjectRef, Pairs};
use super::place::{Extent, Places};
use super::resource::{Forward, Resource};
use super::selector::LabelSet;
use crate::cesql::Verdict;

/// The mesh as it was at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    revision: u64,
    complete: bool,
    /// Of the entry that came last.
    newest: EntryId,
    /// Sorted, and never empty ones.
    shards: Vec<Arc<Shard>>,
    ids: PerRole<Arc<[ShardId]>>,
    places: Arc<Places>,
    /// Put together from the shards when somebody asks.
    extent: OnceLock<Extent>,
}

/// A run of neighboring objects. Where a run ends depends on the names in it alone, not on the order in which they
/// came: equal inventories give equal shards.
#[derive(Debug)]
pub struct Shard {
    ids: PerRole<ShardId>,
    /// Sorted by key, never empty.
    entries: Box<[Entry]>,
    extent: Arc<Extent>,
    /// Triggers and subscriptions, each with the subscriber that it names.
    subscribers: Arc<[(Key, Key)]>,
    follows_ways: bool,
    /// Of the objects that can be in a list in that role, if there are any.
    labels: PerRole<Option<LabelSet>>,
}

/// Names some content of a shard for as long as the process lives. What came later is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId {
    revision: u64,
    ordinal: usize,
}

/// Something for each role that objects are shown in: mostly there are only event types that change, or what nobody is
/// shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerRole<T> {
    pub event_types: T,
    pub conduits: T,
    pub sources: T,
}

impl<T: Copy> PerRole<T> {
    fn all(of_each: T) -> Self {
        Self { event_types: of_each, conduits: of_each, sources: of_each }
    }

    /// Puts what is new in place of what it has for the roles that somebody plays.
    fn renew(&mut self, plays: PerRole<bool>, new: T) {
        let renewed = |old: T, plays| if plays { new } else { old };
        *self = Self {
            event_types: renewed(self.event_types, plays.event_types),
            conduits: renewed(self.conduits, plays.conduits),
            sources: renewed(self.sources, plays.sources),
        };
    }
}

/// An object and its relations. Those are equal that say the same, whenever they came.
#[derive(Debug, Clone)]
pub struct Entry {
    id: EntryId,
    pub resource: Arc<Resource>,
    pub links: Links,
}

/// Names what an entry said from one change of it to the next, for as long as the process lives. What came later is greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId(u64);

impl Entry {
    pub fn new(resource: Arc<Resource>, links: Links) -> Self {
        Self { id: EntryId::default(), resource, links }
    }

    /// Of an entry in a snapshot; others have none yet.
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// Whether what is seen of it as a source depends on what is seen of others: on the way to an event type.
    pub fn follows_ways(&self) -> bool {
        self.links.source.as_ref().is_some_and(|it| it.supplies.iter().any(|it| it.if_reachable))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        let Self { id: _, resource, links } = self;
        (resource, links) == (&other.resource, &other.links)
    }
}

/// The relations of an object, by what it is: an object can be a conduit and a source. Behind pointers that are shared, as a
/// change copies those of all its neighbors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    pub event_type: Option<Arc<TypeLinks>>,
    pub conduit: Option<Arc<ConduitLinks>>,
    pub source: Option<Arc<SourceLinks>>,
}

impl Links {
    /// In which roles the object can be in a list.
    fn roles(&self) -> PerRole<bool> {
        PerRole {
            event_types: self.event_type.is_some(),
            conduits: self.conduit.is_some(),
            sources: self.source.is_some(),
        }
    }
}

/// The generic channels of a conduit and the channels behind them, as pairs; mostly there are none. Conduits that
/// these pairs connect are one conduit (`semantics.md` 1.6).
pub type Twins = Option<Arc<[(Key, Key)]>>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeLinks {
    /// Who consumes the type, sorted by subscription.
    pub consumers: Box<[Consumer]>,
    /// Of the conduit that the type refers to.
    pub twins: Twins,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    pub route: Arc<Route>,
    /// Possible or definite.
    pub verdict: Verdict,
}

/// The way that a trigger or subscription makes from a conduit to a subscriber with a Backstage id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub subscription: Key,
    pub conduit: Key,
    pub subscriber: Key,
    pub backstage_id: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConduitLinks {
    /// The event types that it provides, sorted by event type (`semantics.md` 3.4).
    pub provides: Box<[Provided]>,
    /// The triggers and subscriptions on it that pass events on to another conduit (`semantics.md` 6.3).
    pub forwards: Box<[Forward]>,
    pub twins: Twins,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Provided {
    pub event_type: Key,
    /// The conduit that the type refers to: this one or a twin.
    pub reference: Key,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLinks {
    /// `semantics.md` 6.1, sorted.
    pub emits: Box<[Arc<str>]>,
    /// The event types that it provides, sorted (`semantics.md` 6.2).
    pub supplies: Box<[Supplied]>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Supplied {
    pub event_type: Key,
    /// The event type counts only while its reference can be reached from the source's sink (`semantics.md` 6.3).
    pub if_reachable: bool,
}

impl Snapshot {
    /// Grows with each snapshot that is published.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether the origin has told everything at least once. Before that, no answer may be given.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Of the entry that came last.
    pub fn newest(&self) -> EntryId {
        self.newest
    }

    /// Names what the shards have of each role, one after the other. The very same while nothing of it changes.
    pub fn ids(&self) -> &PerRole<Arc<[ShardId]>> {
        &self.ids
    }

    pub fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.shards.iter().flat_map(|shard| shard.entries())
    }

    /// Where the kinds are served.
    pub fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// Which kinds have objects, and in which namespaces.
    pub fn extent(&self) -> &Extent {
        self.extent.get_or_init(|| {
            let mut extent = Extent::new();
            for (of, namespaces) in self.shards.iter().flat_map(|shard| &*shard.extent) {
                let known = extent.entry(of.clone()).or_default();
                for namespace in namespaces {
                    if !known.contains(namespace) {
                        known.insert(namespace.clone());
                    }
                }
            }
            extent
        })
    }

    /// Triggers and subscriptions, each with the subscriber that it names, whether or not there is one.
    pub fn subscribers(&self) -> impl Iterator<Item = &(Key, Key)> {
        self.shards.iter().flat_map(|shard| &*shard.subscribers)
    }

    pub fn get(&self, key: &ObjectRef) -> Option<&Entry> {
        let shard = self.shards.get(self.shard_of(key))?;
        let at = shard.entries().binary_search_by(|entry| (*entry.resource.key).cmp(key)).ok()?;
        shard.entries().get(at)
    }

    /// The snapshot after some entries changed (`None`: gone). All other shards are shared with this one.
    #[must_use]
    pub fn next(&self, changes: Entries, places: Arc<Places>, complete: bool) -> Self {
        let mut by_shard: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        let mut newest = self.newest;
        for (key, mut entry) in changes {
            if self.get(&key) != entry.as_ref() {
                if let Some(entry) = &mut entry {
                    newest.0 += 1;
                    entry.id = newest;
                }
                by_shard.entry(self.shard_of(&key)).or_default().push((key, entry));
            }
        }
        let mut next = Self {
            revision: self.revision + 1,
            complete,
            newest,
            shards: Vec::with_capacity(self.shards.len() + 1),
            ids: self.ids.clone(),
            places,
            extent: OnceLock::new(),
        };
        let mut news = PerRole::all(false);
        let mut loose = Vec::new();
        for n in 0..self.shards.len().max(1) {
            let old = self.shards.get(n);
            let Some(changes) = by_shard.remove(&n) else {
                next.cut(std::mem::take(&mut loose));
                next.shards.extend(old.cloned());
                continue;
            };
            // Most changes are of what objects say, and of them none moves the ends of a shard.
            if let Some((shard, states)) = old.and_then(|shard| Some((shard, shard.placed(&changes)?))) {
                next.cut(std::mem::take(&mut loose));
                let (replaced, roles) = shard.replaced(states, next.free_id());
                news.renew(roles, true);
                next.shards.push(Arc::new(replaced));
                continue;
            }
            news = PerRole::all(true);
            let merged = merge(old.map_or(&[], |shard| shard.entries()), changes);
            // A shard that lost its first entry goes on where the one before it ends.
            let continues = merged.first().is_some_and(|entry| !begins_shard(&entry.resource.key));
            if continues && loose.is_empty() {
                loose.extend(next.shards.pop().iter().flat_map(|shard| shard.entries().iter().cloned()));
            }
            loose.extend(merged);
        }
        next.cut(loose);
        next.name(news);
        next
    }

    /// Names what is new.
    fn name(&mut self, news: PerRole<bool>) {
        let ids = |of: fn(&PerRole<ShardId>) -> ShardId| self.shards.iter().map(|it| of(&it.ids)).collect();
        if news.event_types {
            self.ids.event_types = ids(|it| it.event_types);
        }
        if news.conduits {
            self.ids.conduits = ids(|it| it.conduits);
        }
        if news.sources {
            self.ids.sources = ids(|it| it.sources);
        }
    }

    /// Appends entries, in as many shards as they make.
    fn cut(&mut self, entries: Vec<Entry>) {
        let mut shard = Vec::new();
        for entry in entries {
            if begins_shard(&entry.resource.key) {
                self.push(std::mem::take(&mut shard));
            }
            shard.push(entry);
        }
        self.push(shard);
    }

    fn push(&mut self, entries: Vec<Entry>) {
        if !entries.is_empty() {
            self.shards.push(Arc::new(Shard::new(self.free_id(), entries.into())));
        }
    }

    /// Of the next shard.
    fn free_id(&self) -> ShardId {
        ShardId { revision: self.revision, ordinal: self.shards.len() }
    }

    /// The place of the shard that holds a key or would hold it.
    fn shard_of(&self, key: &ObjectRef) -> usize {
        let begins_before = |shard: &Arc<Shard>| shard.entries().first().is_some_and(|e| *e.resource.key <= *key);
        self.shards.partition_point(begins_before).saturating_sub(1)
    }
}

/// Entries to put in place of those there are; `None` for those to take away.
pub type Entries = BTreeMap<Key, Option<Entry>>;

impl Shard {
    fn new(id: ShardId, entries: Box<[Entry]>) -> Self {
        Self {
            ids: PerRole::all(id),
            extent: Arc::new(extent(&entries)),
            subscribers: subscribers(&entries),
            follows_ways: entries.iter().any(Entry::follows_ways),
            labels: labels(&entries),
            entries,
        }
    }

    pub fn ids(&self) -> &PerRole<ShardId> {
        &self.ids
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether an entry in it does ([`Entry::follows_ways`]).
    pub fn follows_ways(&self) -> bool {
        self.follows_ways
    }

    /// What labels its objects have, about, by the role that they can be in a list in; nothing where there are none.
    pub fn labels(&self) -> &PerRole<Option<LabelSet>> {
        &self.labels
    }

    /// Its first and its last object.
    pub fn ends(&self) -> Option<(&Key, &Key)> {
        Some((&self.entries.first()?.resource.key, &self.entries.last()?.resource.key))
    }

    /// New states and their places, if all of them are of objects that are here and stay.
    fn placed<'a>(&self, changes: &'a [(Key, Option<Entry>)]) -> Option<Vec<(usize, &'a Entry)>> {
        let place = |key: &Key| self.entries.binary_search_by(|entry| entry.resource.key.cmp(key)).ok();
        changes.iter().map(|(key, entry)| Some((place(key)?, entry.as_ref()?))).collect()
    }

    /// The shard with the same objects, some in new states, and the roles that those play. What does not change is shared.
    fn replaced(&self, states: Vec<(usize, &Entry)>, id: ShardId) -> (Self, PerRole<bool>) {
        let (mut ids, mut entries) = (self.ids, self.entries.clone());
        let (mut same_subscribers, mut same_labels, mut roles) = (true, true, PerRole::default());
        for (place, new) in states {
            let Some(old) = entries.get_mut(place) else { continue };
            for links in [&old.links, &new.links] {
                roles.renew(links.roles(), true);
            }
            let subscribes = subscriber(old).is_some() || subscriber(new).is_some();
            same_subscribers &= !subscribes || Arc::ptr_eq(&old.resource, &new.resource);
            same_labels &= shown_labels(old) == shown_labels(new);
            old.clone_from(new);
        }
        ids.renew(roles, id);
        let replaced = Self {
            ids,
            extent: self.extent.clone(),
            subscribers: if same_subscribers { self.subscribers.clone() } else { subscribers(&entries) },
            follows_ways: entries.iter().any(Entry::follows_ways),
            labels: if same_labels { self.labels } else { labels(&entries) },
            entries,
        };
        (replaced, roles)
    }
}

fn extent(entries: &[Entry]) -> Extent {
    let mut extent = Extent::new();
    for Entry { resource, .. } in entries {
        let of = &resource.key.of;
        if !extent.contains_key(of) {
            extent.insert(of.clone(), BTreeSet::new());
        }
        if let Some(namespaces) = extent.get_mut(of)
            && !namespaces.contains(&resource.key.namespace)
        {
            namespaces.insert(resource.key.namespace.clone());
        }
    }
    extent
}

fn subscribers(entries: &[Entry]) -> Arc<[(Key, Key)]> {
    entries.iter().filter_map(|it| Some((it.resource.key.clone(), subscriber(it)?.clone()))).collect()
}

fn subscriber(entry: &Entry) -> Option<&Key> {
    entry.resource.subscription()?.subscriber()
}

fn labels(entries: &[Entry]) -> PerRole<Option<LabelSet>> {
    let of_those = |play: fn(PerRole<bool>) -> bool| {
        let mut players = entries.iter().filter(|it| play(it.links.roles())).peekable();
        players.peek().is_some().then(|| LabelSet::of(players.map(|it| &it.resource.labels)))
    };
    PerRole {
        event_types: of_those(|it| it.event_types),
        conduits: of_those(|it| it.conduits),
        sources: of_those(|it| it.sources),
    }
}

/// Of an object that lists can have, with those that it can be in.
fn shown_labels(entry: &Entry) -> Option<(PerRole<bool>, &Pairs)> {
    let roles = entry.links.roles();
    (roles != PerRole::default()).then_some((roles, &entry.resource.labels))
}

/// How many entries a shard has on the average.
const SHARD_SIZE: u64 = 128;

/// Whether a new shard begins at a key: a property of its name alone (FNV-1a), so that shards depend on nothing else.
fn begins_shard(key: &ObjectRef) -> bool {
    let parts = [&key.namespace, &key.name, &key.of.group, &key.of.kind];
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.into_iter().flat_map(|part| part.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // The low bits of FNV-1a mix least.
    (hash >> 32).is_multiple_of(SHARD_SIZE)
}

/// The entries of a shard after changes, all in order.
fn merge(old: &[Entry], changes: Vec<(Key, Option<Entry>)>) -> Vec<Entry> {
    let mut merged = Vec::with_capacity(old.len() + changes.len());
    let mut changes = changes.into_iter().peekable();
    for entry in old {
        let key = &entry.resource.key;
        while let Some((_, change)) = changes.next_if(|(changed, _)| changed < key) {
            merged.extend(change);
        }
        match changes.next_if(|(changed, _)| changed == key) {
            Some((_, change)) => merged.extend(change),
            None => merged.push(entry.clone()),
        }
    }
    merged.extend(changes.filter_map(|(_, change)| change));
    merged
}
