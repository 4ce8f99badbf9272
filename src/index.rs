//! The one writer and the many readers.
//!
//! An origin sends [`Batch`]es down a [`Feed`]; the [`Indexer`] applies all that wait, links what changed and publishes
//! the next [`Snapshot`]; each [`Reader`] takes the current one for as long as it needs it. Only the indexer writes.
//! Beside the facts, an origin reports its [`Status`].

pub mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use self::status::Status;
use crate::mesh::inventory::Changes;
use crate::mesh::place::Places;
use crate::mesh::snapshot::Entries;
use crate::mesh::{Inventory, MeshGraph, Snapshot, Update};
use crate::tally::Durations;

/// How many batches may wait before an origin has to.
const WAITING: usize = 1024;
/// A change of more than this share of all objects is linked from scratch: that is quicker then.
const REBUILD_SHARE: usize = 4;
/// After a snapshot the next one is not begun for as long as it took, and no longer than this: what comes meanwhile is
/// linked together, and where changes never end there is half of the time for those who read.
const MAX_REST: Duration = Duration::from_millis(100);
/// How old an answer may be when nobody says otherwise.
pub const MAX_STALENESS: Duration = Duration::from_hours(1);

/// Updates that belong together: no answer shows some of them without the others.
#[derive(Debug, Default)]
pub struct Batch {
    pub updates: Vec<Update>,
    /// With these, what the origin has told is the whole mesh at some moment. What is not whole is kept until it is.
    pub complete: bool,
    /// How the origin stands with these, if that has changed.
    pub status: Option<Status>,
}

/// Where an origin reports to.
#[derive(Debug, Clone)]
pub struct Feed {
    batches: mpsc::Sender<Batch>,
}

/// The indexer has ended, so there is nobody to report to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the index is closed")]
pub struct Closed;

impl Feed {
    /// Waits for room.
    ///
    /// # Errors
    /// When the indexer has ended.
    pub async fn send(&self, batch: Batch) -> Result<(), Closed> {
        self.batches.send(batch).await.map_err(|_| Closed)
    }
}

/// What readers find. The one is never seen without the other: that the mesh is up to date again is said with the facts.
#[derive(Debug)]
struct Published {
    snapshot: Arc<Snapshot>,
    status: Arc<Status>,
}

/// Where answers come from.
#[derive(Debug, Clone)]
pub struct Reader {
    published: Arc<ArcSwap<Published>>,
    max_staleness: Duration,
    publications: Arc<Durations>,
}

/// What may be answered from.
#[derive(Debug)]
pub struct Current {
    pub snapshot: Arc<Snapshot>,
    /// How old it may be, where it is not up to date.
    pub age: Option<Duration>,
}

/// Why nothing may be answered (`semantics.md` 7.4).
#[derive(Debug, Clone)]
pub enum Unavailable {
    /// Not everything was read yet.
    Incomplete(Arc<Status>),
    /// It has not been up to date for too long.
    Stale { age: Duration },
}

impl Reader {
    /// The same, with a limit to how old answers may be.
    #[must_use]
    pub fn with_max_staleness(self, max_staleness: Duration) -> Self {
        Self { max_staleness, ..self }
    }

    /// How old answers may be.
    pub fn max_staleness(&self) -> Duration {
        self.max_staleness
    }

    /// How long it took each time from taking what waits to publishing it, for those who run the service.
    pub fn publications(&self) -> &Durations {
        &self.publications
    }

    /// The newest snapshot, complete or not.
    pub fn latest(&self) -> Arc<Snapshot> {
        self.published.load().snapshot.clone()
    }

    /// What the origin said last of how it stands.
    pub fn status(&self) -> Arc<Status> {
        self.published.load().status.clone()
    }

    /// The newest snapshot, if it may be answered from.
    ///
    /// # Errors
    /// When it is not complete, or too old.
    pub fn current(&self) -> Result<Current, Unavailable> {
        let published = self.published.load();
        let Published { snapshot, status } = &**published;
        if !snapshot.is_complete() {
            return Err(Unavailable::Incomplete(status.clone()));
        }
        match status.age() {
            Some(age) if age > self.max_staleness => Err(Unavailable::Stale { age }),
            age => Ok(Current { snapshot: snapshot.clone(), age }),
        }
    }
}

/// The state behind the snapshots: what there is and how it is linked.
#[derive(Debug, Default)]
pub struct Index {
    inventory: Inventory,
    /// What has changed since the snapshot.
    pending: Changes,
    graph: MeshGraph,
    places: Arc<Places>,
    snapshot: Arc<Snapshot>,
}

impl Index {
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Notes where kinds are served. The next snapshot tells, which the next updates make, be there none.
    pub fn place(&mut self, places: Places) {
        if *self.places != places {
            self.places = Arc::new(places);
        }
    }

    /// Applies updates. The snapshot is a new one only when something changed, and only when all of it is there: nobody
    /// may be answered from a part.
    pub fn apply(&mut self, updates: impl IntoIterator<Item = Update>, complete: bool) {
        let was_complete = self.snapshot.is_complete();
        let changes = self.inventory.apply(updates);
        if was_complete {
            self.pending.extend(changes);
        }
        let is_news = !self.pending.is_empty() || !Arc::ptr_eq(&self.places, self.snapshot.places());
        if !complete || (was_complete && !is_news) {
            return;
        }
        let changes = std::mem::take(&mut self.pending);
        let afresh = !was_complete || changes.len() > self.inventory.len() / REBUILD_SHARE;
        let relinked = if afresh { None } else { self.graph.relink(changes) };
        let entries = relinked.unwrap_or_else(|| self.rebuild());
        self.snapshot = Arc::new(self.snapshot.next(entries, self.places.clone(), true));
    }

    fn rebuild(&mut self) -> Entries {
        let mut entries: BTreeMap<_, _> = self.snapshot.entries().map(|it| (it.resource.key.clone(), None)).collect();
        let (graph, built) = MeshGraph::build(self.inventory.iter());
        self.graph = graph;
        entries.extend(built);
        entries
    }
}

/// Applies what origins report and publishes the result.
#[derive(Debug)]
pub struct Indexer {
    index: Index,
    waiting: mpsc::Receiver<Batch>,
    published: Arc<ArcSwap<Published>>,
    publications: Arc<Durations>,
}

/// An indexer with both of its ends.
pub fn channel() -> (Feed, Indexer, Reader) {
    let (batches, waiting) = mpsc::channel(WAITING);
    let index = Index::default();
    let published = Published { snapshot: index.snapshot().clone(), status: Arc::default() };
    let published = Arc::new(ArcSwap::from_pointee(published));
    let publications = Arc::<Durations>::default();
    let reader =
        Reader { published: published.clone(), max_staleness: MAX_STALENESS, publications: publications.clone() };
    (Feed { batches }, Indexer { index, waiting, published, publications }, reader)
}

impl Indexer {
    /// Runs until all feeds are gone.
    pub async fn run(mut self) {
        while let Some(batch) = self.waiting.recv().await {
            let mut batches = vec![batch];
            batches.extend(std::iter::from_fn(|| self.waiting.try_recv().ok()));
            let (revision, began) = (self.index.snapshot().revision(), Instant::now());
            self = self.publish(batches).await;
            if self.index.snapshot().revision() > revision {
                tokio::time::sleep(began.elapsed().min(MAX_REST)).await;
            }
        }
    }

    /// Linking a large change takes long enough to be kept away from the threads that answer.
    async fn publish(mut self, mut batches: Vec<Batch>) -> Self {
        let began = Instant::now();
        let work = move || {
            let status = batches.iter().rev().find_map(|it| it.status.clone());
            let whole = batches.iter().rposition(|it| it.complete).map_or(0, |last| last + 1);
            let rest = batches.split_off(whole);
            for (batches, complete) in [(batches, true), (rest, false)] {
                // Where kinds are served belongs to the objects that came with it.
                if let Some(status) = batches.iter().rev().find_map(|it| it.status.as_ref()) {
                    self.index.place(status.places());
                }
                if !batches.is_empty() {
                    self.index.apply(batches.into_iter().flat_map(|it| it.updates), complete);
                }
            }
            let snapshot = self.index.snapshot().clone();
            let status = status.map_or_else(|| self.published.load().status.clone(), Arc::new);
            self.published.store(Arc::new(Published { snapshot, status }));
            self.publications.note(began.elapsed());
            self
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(indexer) => indexer,
            Err(failure) => std::panic::resume_unwind(failure.into_panic()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::status::{KindStatus, Reads, State};
    use super::*;
    use crate::mesh::GroupKind;
    use crate::mesh::place::Place;
    use crate::mesh::resource::testing::broker;

    #[tokio::test]
    async fn where_kinds_are_served_is_told_with_what_is_whole() {
        let (feed, indexer, reader) = channel();
        let status = |place: Option<&str>| {
            let place = place.map(|plural| Place { version: "v1".into(), plural: plural.into() });
            let (of, reads) = (GroupKind::new("a.example", "Goose"), Reads::default());
            let kind = KindStatus { of, defined: true, place, state: State::Live, reads };
            Some(Status { kinds: vec![kind], ..Status::default() })
        };
        // Both wait, so that they are applied together.
        feed.send(Batch { updates: vec![], complete: true, status: status(Some("geese")) }).await.unwrap();
        feed.send(Batch { updates: vec![], complete: false, status: status(None) }).await.unwrap();
        drop(feed);
        indexer.run().await;
        let plurals: Vec<_> = reader.latest().places().values().map(|it| it.plural.to_string()).collect();
        assert_eq!(plurals, ["geese"]);
        assert!(reader.status().places().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_soon_after_a_snapshot_is_linked_together() {
        let (feed, indexer, reader) = channel();
        tokio::spawn(indexer.run());
        let send = async |names: std::ops::Range<usize>| {
            let updates = names.map(|it| Update::Upsert(broker(&it.to_string(), "1"))).collect();
            feed.send(Batch { updates, complete: true, status: None }).await.unwrap();
        };
        let published = || (reader.latest().revision(), reader.latest().entries().count());
        let many = 5000;
        send(0..many).await;
        // The clock stands still while something is linked.
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(published(), (1, many));
        for n in [many, many + 1] {
            send(n..n + 1).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(published(), (1, many), "it took some time, and so much is left to others");
        }
        tokio::time::sleep(MAX_REST).await;
        assert_eq!(published(), (2, many + 2));
    }
}
