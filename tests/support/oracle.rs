//! The answer by definition: sections 1 to 6 of `semantics.md` read aloud over a list of objects.
//!
//! No graph, no index, no sharing: loops over all objects, again and again, but for what are conduits, subscriptions and
//! definitions, which is found out once. What it takes for granted is how one object is read and what a filter says of a declaration; those have
//! tests of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eventmesh_catalog::api::dto;
use eventmesh_catalog::cesql::Verdict;
use eventmesh_catalog::mesh::resource::{EventType, Subscriber, Subscription};
use eventmesh_catalog::mesh::template::Value;
use eventmesh_catalog::mesh::{Grant, GroupKind, ObjectRef, Resource};

/// The answer for a grant: sections 1 to 6 applied to what is seen, and to nothing else (7.2).
pub fn answer(resources: &[Arc<Resource>], grant: &Grant) -> dto::EventMesh {
    let resources = || resources.iter().map(|it| &**it);
    let counts_as_seen = |it: &&Resource| it.definition().is_some() || grant.sees(&it.key);
    let seen: Vec<_> = resources().filter(counts_as_seen).collect();
    let subscribers = resources().filter(|it| grant.sees_subscriber(&it.key)).collect();
    World::new(seen, subscribers).answer()
}

/// The answer of what somebody has listed, and of what the same one has only got, which is seen as subscribers.
pub fn answer_of(listed: &[Arc<Resource>], gotten: &[Arc<Resource>]) -> dto::EventMesh {
    let seen = listed.iter().map(|it| &**it).collect();
    let subscribers = listed.iter().chain(gotten).map(|it| &**it).collect();
    World::new(seen, subscribers).answer()
}

struct World<'a> {
    seen: Vec<&'a Resource>,
    event_types: Vec<(&'a Resource, &'a EventType)>,
    subscriptions: Vec<&'a Subscription>,
    /// Of each kind the first one by its name.
    definitions: BTreeMap<&'a GroupKind, &'a Resource>,
    /// Those seen, and those seen as subscribers only.
    subscribers: Vec<&'a Resource>,
    /// The conduits, each with all those that are one with it (1.6).
    conduits: BTreeMap<&'a ObjectRef, BTreeSet<&'a ObjectRef>>,
}

impl<'a> World<'a> {
    fn new(seen: Vec<&'a Resource>, subscribers: Vec<&'a Resource>) -> Self {
        let mut by_name: Vec<_> = seen.iter().copied().filter(|it| it.definition().is_some()).collect();
        by_name.sort_by_key(|it| std::cmp::Reverse(it.key.name.clone()));
        let mut world = World {
            event_types: seen.iter().filter_map(|it| Some((*it, it.event_type()?))).collect(),
            subscriptions: seen.iter().filter_map(|it| it.subscription()).collect(),
            definitions: by_name.into_iter().filter_map(|it| Some((&it.definition()?.of, it))).collect(),
            seen,
            subscribers,
            conduits: BTreeMap::new(),
        };
        let keys = || world.seen.iter().map(|it| &*it.key);
        world.conduits = keys().filter(|it| world.is_conduit_kind(&it.of)).map(|it| (it, BTreeSet::new())).collect();
        world.conduits = world.conduits.keys().map(|it| (*it, world.one_with(it))).collect();
        world
    }

    /// Section 3.
    fn answer(&self) -> dto::EventMesh {
        let mut all = self.seen.clone();
        all.sort_by_key(|it| {
            let ObjectRef { namespace, name, of } = &*it.key;
            (namespace.to_string(), name.to_string(), of.group.to_string(), of.kind.to_string())
        });
        let brokers = all.iter().filter(|it| is_broker(&it.key.of));
        let subscribables = all.iter().filter(|it| self.is_subscribable(&it.key.of));
        let sources = all.iter().filter(|it| self.is_source(&it.key.of));
        dto::EventMesh {
            event_types: all.iter().filter_map(|it| Some(self.event_type(it, it.event_type()?))).collect(),
            brokers: brokers
                .map(|it| dto::Broker { meta: meta(it), provided_event_types: self.provided_by_conduit(it) })
                .collect(),
            subscribables: subscribables
                .map(|it| dto::Subscribable {
                    meta: meta(it),
                    group: it.key.of.group.to_string(),
                    kind: it.key.of.kind.to_string(),
                    provided_event_types: self.provided_by_conduit(it),
                })
                .collect(),
            sources: sources.map(|it| self.source(it)).collect(),
        }
    }

    /// 3.3
    fn event_type(&self, resource: &Resource, event_type: &EventType) -> dto::EventType {
        let text = |it: Option<&str>| it.map(str::to_owned);
        dto::EventType {
            meta: meta(resource),
            of_type: event_type.declared.to_string(),
            description: text(event_type.description.as_deref()),
            schema_data: text(event_type.schema_data.as_deref()),
            schema_url: text(event_type.schema_url.as_deref()),
            reference: event_type.reference.as_deref().map(reference),
            consumed_by: self.consumers(event_type).into_iter().collect(),
        }
    }

    /// 3.4
    fn provided_by_conduit(&self, conduit: &Resource) -> Vec<String> {
        let refers = |it: &EventType| it.reference.as_ref().is_some_and(|to| self.are_one_conduit(to, &conduit.key));
        self.names(|_, event_type| refers(event_type))
    }

    /// 3.5
    fn source(&self, resource: &Resource) -> dto::Source {
        let types: BTreeSet<_> = self.emitted(resource).into_iter().map(|(of_type, _)| of_type).collect();
        dto::Source {
            meta: meta(resource),
            group: resource.key.of.group.to_string(),
            kind: resource.key.of.kind.to_string(),
            provided_event_type_types: types.into_iter().collect(),
            provided_event_types: self.names(|_, event_type| self.provides(resource, event_type)),
            sink: resource.duck().and_then(|it| it.sink.as_deref()).map(reference),
        }
    }

    /// The event types that are meant, as `namespace/name`, by namespace, then name (3.7).
    fn names(&self, meant: impl Fn(&Resource, &EventType) -> bool) -> Vec<String> {
        let meant = self.event_types.iter().filter(|(resource, event_type)| meant(resource, event_type));
        let names: BTreeSet<_> = meant.map(|(it, _)| (it.key.namespace.to_string(), it.key.name.to_string())).collect();
        names.into_iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect()
    }

    /// Section 5.
    fn consumers(&self, event_type: &EventType) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for subscription in self.subscriptions() {
            // 5.1
            let (Some(reference), Some(conduit)) = (&event_type.reference, &subscription.conduit) else { continue };
            if !self.are_one_conduit(reference, conduit) || !may_pass(subscription, event_type) {
                continue;
            }
            // 5.2, 5.3
            let Subscriber::Object(subscriber) = &subscription.subscriber else { continue };
            let found = self.subscribers.iter().filter(|it| it.key == *subscriber);
            ids.extend(found.filter_map(|it| it.backstage_id.as_ref()).map(ToString::to_string));
        }
        ids
    }

    /// 6.2
    fn provides(&self, source: &Resource, event_type: &EventType) -> bool {
        if event_type.reference.as_ref() == Some(&source.key) {
            return true;
        }
        if event_type.reference.as_ref().is_some_and(|it| self.is_source(&it.of)) {
            return false;
        }
        let declares = |attribute, text: &str| match event_type.declaration.get(attribute).1 {
            Value::Literal(literal) => **literal == *text,
            Value::Template(template) => template.can_produce(text),
            Value::Any => false,
        };
        let mut matching = self.emitted(source);
        matching.retain(|(of_type, _)| declares("type", of_type));
        let no_source = *event_type.declaration.get("source").1 == Value::Any;
        let from_there = |from: &Option<String>| from.as_ref().is_none_or(|from| no_source || declares("source", from));
        if !matching.iter().any(|(_, from)| from_there(from)) {
            return false;
        }
        let sink = source.duck().and_then(|it| it.sink.as_ref()).filter(|it| self.is_conduit_kind(&it.of));
        match (&event_type.reference, sink) {
            (None, _) | (_, None) => true,
            (Some(reference), Some(sink)) => self.reachable(sink, event_type).contains(&**reference),
        }
    }

    /// 6.1
    fn emitted(&self, source: &Resource) -> Vec<(String, Option<String>)> {
        let by_status = source.duck().map(|it| it.emits.to_vec()).unwrap_or_default();
        if !by_status.is_empty() {
            let entry = |it: &eventmesh_catalog::mesh::resource::Emitted| {
                (it.of_type.to_string(), it.source.as_ref().map(ToString::to_string))
            };
            return by_status.iter().map(entry).collect();
        }
        let Some(definition) = self.definition(&source.key.of).and_then(Resource::definition) else { return vec![] };
        definition.emits.iter().map(|it| (it.to_string(), None)).collect()
    }

    /// 6.3
    fn reachable(&self, sink: &ObjectRef, event_type: &EventType) -> BTreeSet<&'a ObjectRef> {
        let conduit = |it: &ObjectRef| self.conduits.get_key_value(it).map(|(it, _)| *it);
        let mut reached: BTreeSet<_> = conduit(sink).into_iter().collect();
        loop {
            let listens = |it: &&Subscription| it.conduit.as_deref().is_some_and(|from| reached.contains(from));
            let passing = self.subscriptions().filter(listens).filter(|it| may_pass(it, event_type));
            let onward = passing.filter_map(|it| match &it.subscriber {
                Subscriber::Object(subscriber) => Some(&**subscriber),
                Subscriber::Uri => None,
                Subscriber::Absent => it.reply.as_deref(),
            });
            let mut more: BTreeSet<_> = onward.filter_map(conduit).collect();
            more.extend(reached.iter().flat_map(|it| &self.conduits[it]));
            more.extend(&reached);
            if more.len() == reached.len() {
                return reached;
            }
            reached = more;
        }
    }

    fn subscriptions(&self) -> impl Iterator<Item = &'a Subscription> {
        self.subscriptions.iter().copied()
    }

    // Section 1.

    fn definition(&self, of: &GroupKind) -> Option<&'a Resource> {
        self.definitions.get(of).copied()
    }

    fn is_subscribable(&self, of: &GroupKind) -> bool {
        self.definition(of).and_then(Resource::definition).is_some_and(|it| it.subscribable)
    }

    fn is_source(&self, of: &GroupKind) -> bool {
        self.definition(of).and_then(Resource::definition).is_some_and(|it| it.source)
    }

    fn is_conduit_kind(&self, of: &GroupKind) -> bool {
        is_broker(of) || self.is_subscribable(of)
    }

    fn find(&self, key: &ObjectRef) -> Option<&'a Resource> {
        self.seen.iter().copied().find(|it| *it.key == *key)
    }

    /// 1.6
    fn is_conduit(&self, key: &ObjectRef) -> bool {
        self.conduits.contains_key(key)
    }

    /// 1.6
    fn are_one_conduit(&self, one: &ObjectRef, other: &ObjectRef) -> bool {
        self.conduits.get(one).is_some_and(|same| same.contains(other))
    }

    /// 1.6
    fn one_with(&self, conduit: &'a ObjectRef) -> BTreeSet<&'a ObjectRef> {
        let mut same = BTreeSet::from([conduit]);
        loop {
            let joins = |it: &&ObjectRef| {
                !same.contains(it) && same.iter().any(|one| self.is_behind(it, one) || self.is_behind(one, it))
            };
            let Some(joining) = self.conduits.keys().copied().find(joins) else { return same };
            same.insert(joining);
        }
    }

    /// Whether a channel is the one behind a generic one.
    fn is_behind(&self, channel: &ObjectRef, generic: &ObjectRef) -> bool {
        let is_generic = |it: &ObjectRef| &*it.of.group == "messaging.knative.dev" && &*it.of.kind == "Channel";
        if !is_generic(generic) || is_generic(channel) || is_broker(&channel.of) {
            return false;
        }
        if !self.is_conduit(generic) || !self.is_conduit(channel) {
            return false;
        }
        let names = self.find(generic).and_then(Resource::duck).and_then(|it| it.backing.as_deref());
        let points_back = self.find(channel).and_then(Resource::duck).and_then(|it| it.fronted_by.as_deref());
        names == Some(channel) || points_back == Some(generic)
    }
}

fn is_broker(of: &GroupKind) -> bool {
    &*of.group == "eventing.knative.dev" && &*of.kind == "Broker"
}

/// Section 4.
fn may_pass(subscription: &Subscription, event_type: &EventType) -> bool {
    subscription.filter.verdict(&event_type.declaration) != Verdict::Never
}

/// 3.1
fn meta(resource: &Resource) -> dto::Meta {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    dto::Meta {
        namespace: resource.key.namespace.to_string(),
        name: resource.key.name.to_string(),
        uid: resource.uid.to_string(),
        labels: resource.labels.iter().map(owned).collect(),
        annotations: resource.annotations.iter().map(owned).collect(),
    }
}

fn reference(key: &ObjectRef) -> dto::Reference {
    dto::Reference {
        group: key.of.group.to_string(),
        kind: key.of.kind.to_string(),
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
    }
}
