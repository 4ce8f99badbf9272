//! How the service stands at a moment: what it knows, how it keeps up, what it asked, what it keeps.

use std::collections::BTreeMap;

use super::Sources;
use super::content::Content;
use super::kinds::{Kinds, Sort};
use super::table::{Labels, Table, Value};
use crate::index::status::KindStatus;
use crate::mesh::Snapshot;
use crate::tally::Cached;

pub struct State<'a> {
    pub sources: &'a Sources,
    pub snapshot: &'a Snapshot,
    pub content: &'a Content,
    pub kinds: &'a mut Kinds,
}

fn label(name: &'static str, value: &str) -> (&'static str, String) {
    (name, value.to_owned())
}

fn gauge(count: usize) -> Value {
    Value::Gauge(count as u64)
}

impl State<'_> {
    pub fn table(mut self) -> Table {
        let mut table = Table::default();
        self.tell_freshness(&mut table);
        self.tell_kinds(&mut table);
        self.tell_content(&mut table);
        self.tell_access(&mut table);
        self.tell_caches(&mut table);
        self.tell_connections(&mut table);
        table
    }

    fn tell_freshness(&self, table: &mut Table) {
        let Sources { reader, .. } = self.sources;
        let (status, revision) = (reader.status(), self.snapshot.revision());
        let complete = Value::Gauge(self.snapshot.is_complete().into());
        table.add_one("eventmesh_complete", "1 when the catalog is complete and answers are given.", complete);
        table.add_one(
            "eventmesh_snapshot_revision",
            "Revision of the current snapshot; grows with each change.",
            Value::Gauge(revision),
        );
        table.add_one(
            "eventmesh_snapshots",
            "Snapshots published: changes of the catalog, those that came together counted once.",
            Value::Count(revision),
        );
        table.add_one(
            "eventmesh_publish_duration_seconds",
            "Time from taking what an origin has reported to publishing it.",
            reader.publications().into(),
        );
        table.add_one(
            "eventmesh_staleness_seconds",
            "How long the catalog has not been up to date; 0 when it is.",
            Value::Level(status.age().unwrap_or_default().as_secs_f64()),
        );
        table.add_one(
            "eventmesh_max_staleness_seconds",
            "How long it may not be up to date before there are no answers any more.",
            Value::Level(reader.max_staleness().as_secs_f64()),
        );
        table.add_one(
            "eventmesh_manifest_problems",
            "What is wrong with the manifests; see /readyz?verbose.",
            gauge(status.problems.len()),
        );
    }

    /// Kinds that go by one name are told together.
    fn tell_kinds(&mut self, table: &mut Table) {
        let status = self.sources.reader.status();
        let (mut manners, mut ages) = (BTreeMap::<Labels, u64>::new(), BTreeMap::<Labels, f64>::new());
        let (mut lists, mut restarts) = (BTreeMap::<Labels, u64>::new(), BTreeMap::<Labels, u64>::new());
        for kind in &status.kinds {
            let labels = self.kinds.labels(&kind.of, sort(kind));
            let with = |name, value| [labels.clone(), vec![label(name, value)]].concat();
            *manners.entry(with("state", kind.state.name())).or_default() += 1;
            *lists.entry(labels.clone()).or_default() += kind.reads.lists;
            for (cause, count) in kind.reads.restarts() {
                *restarts.entry(with("cause", cause.name())).or_default() += count;
            }
            if let Some(age) = status.age_of(kind) {
                let oldest = ages.entry(labels).or_default();
                *oldest = oldest.max(age.as_secs_f64());
            }
        }
        let counts = |counts: BTreeMap<Labels, u64>| counts.into_iter().map(|(it, count)| (it, Value::Count(count)));
        table.add(
            "eventmesh_kinds",
            "Kinds that are read from a cluster, by how that goes.",
            manners.into_iter().map(|(it, count)| (it, Value::Gauge(count))),
        );
        table.add(
            "eventmesh_kind_staleness_seconds",
            "How long a kind that was read once has not been up to date; 0 when it is.",
            ages.into_iter().map(|(it, age)| (it, Value::Level(age))),
        );
        table.add("eventmesh_lists", "How often all objects of a kind were listed.", counts(lists));
        table.add(
            "eventmesh_watch_restarts",
            "How often reading a kind had to begin again, by cause; `closed` is nothing out of the ordinary.",
            counts(restarts),
        );
    }

    fn tell_content(&mut self, table: &mut Table) {
        let Self { content, kinds, .. } = self;
        let origin = || label("origin", self.sources.origin);
        let mut objects = BTreeMap::<Labels, u64>::new();
        for (of, count) in &content.objects {
            let sort = if content.defined.contains(of) { Sort::Defined } else { Sort::Existing };
            *objects.entry([kinds.labels(of, sort), vec![origin()]].concat()).or_default() += count;
        }
        table.add(
            "eventmesh_objects",
            "Objects in the catalog by kind and origin.",
            objects.into_iter().map(|(it, count)| (it, Value::Gauge(count))),
        );
        let edges = content.edges.by_kind().into_iter();
        table.add(
            "eventmesh_edges",
            "Relations in the catalog by kind and origin.",
            edges.map(|(kind, count)| (vec![label("kind", kind), origin()], gauge(count))),
        );
        let findings = content.findings.iter().map(|((code, severity), count)| {
            (vec![label("code", code), label("severity", severity.name())], Value::Gauge(*count))
        });
        table.add(
            "eventmesh_diagnostics",
            "What is wrong with the mesh, told a little late where that is large; `check` says where.",
            findings,
        );
    }

    fn tell_access(&self, table: &mut Table) {
        let access = &self.sources.access;
        table.add_one(
            "eventmesh_access_problems",
            "What is wrong with what access is decided by; see /readyz?verbose.",
            gauge(access.problems().len()),
        );
        let Some(counts) = access.counts() else { return };
        let reviews = [("tokens", &counts.tokens), ("rights", &counts.rights)];
        let outcomes = reviews.iter().flat_map(|(of, reviews)| {
            reviews
                .outcomes()
                .map(|(outcome, count)| (vec![label("of", of), label("outcome", outcome)], Value::Count(count)))
        });
        table.add(
            "eventmesh_reviews",
            "Questions about callers to the API server, by what they are about and what came of them.",
            outcomes,
        );
        table.add(
            "eventmesh_review_duration_seconds",
            "Time until such a question is answered.",
            reviews.map(|(of, reviews)| (vec![label("of", of)], (&reviews.durations).into())),
        );
    }

    fn tell_caches(&self, table: &mut Table) {
        let caches: Vec<_> = self.sources.bodies.caches().into_iter().chain(self.sources.access.caches()).collect();
        let cache = |it: &Cached| label("cache", it.name);
        table.add(
            "eventmesh_cache_requests",
            "Looks at what is kept, by whether it was there.",
            caches.iter().flat_map(|it| {
                let counts = [("hit", it.hits), ("miss", it.misses)];
                counts.map(|(result, count)| (vec![cache(it), label("result", result)], Value::Count(count)))
            }),
        );
        table.add(
            "eventmesh_cache_entries",
            "How much is kept.",
            caches.iter().map(|it| (vec![cache(it)], Value::Gauge(it.entries))),
        );
        let bytes = || caches.iter().filter_map(|it| Some((vec![cache(it)], it.bytes?)));
        table.add(
            "eventmesh_cache_bytes",
            "What that takes, about.",
            bytes().map(|(cache, bytes)| (cache, Value::Gauge(bytes.held))),
        );
        table.add(
            "eventmesh_cache_limit_bytes",
            "What it may take.",
            bytes().map(|(cache, bytes)| (cache, Value::Gauge(bytes.limit))),
        );
    }

    fn tell_connections(&self, table: &mut Table) {
        let loads = || self.sources.loads.iter().map(|(server, load)| (vec![label("server", server)], load));
        table.add(
            "eventmesh_connections",
            "Connections to each of the two addresses.",
            loads().map(|(server, load)| (server, gauge(load.connections()))),
        );
        table.add(
            "eventmesh_max_connections",
            "How many there may be.",
            loads().map(|(server, load)| (server, gauge(load.limit()))),
        );
    }
}

/// A kind that is served nowhere is no more than a name.
fn sort(kind: &KindStatus) -> Sort {
    if kind.defined {
        Sort::Defined
    } else if kind.place.is_some() {
        Sort::Existing
    } else {
        Sort::Named
    }
}
