//! The one writer and the many readers.
//!
//! An origin sends [`Batch`]es down a [`Feed`]; the [`Indexer`] applies all that wait, links what changed and publishes
//! the next [`Snapshot`]; each [`Reader`] takes the current one for as long as it needs it. Only the indexer writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::mesh::snapshot::Entries;
use crate::mesh::{Inventory, MeshGraph, Snapshot, Update};

/// How many batches may wait before an origin has to.
const WAITING: usize = 1024;
/// A change of more than this share of all objects is linked from scratch: that is quicker then.
const REBUILD_SHARE: usize = 4;

/// Updates that belong together: no answer shows some of them without the others.
#[derive(Debug, Default)]
pub struct Batch {
    pub updates: Vec<Update>,
    /// The origin has told everything at least once.
    pub complete: bool,
}

/// Where an origin reports to.
#[derive(Debug, Clone)]
pub struct Feed(mpsc::Sender<Batch>);

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
        self.0.send(batch).await.map_err(|_| Closed)
    }
}

/// Where answers come from.
#[derive(Debug, Clone)]
pub struct Reader(Arc<ArcSwap<Snapshot>>);

impl Reader {
    /// The newest snapshot, complete or not.
    pub fn latest(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// The newest snapshot, if it is complete: an incomplete one must not be answered from (`semantics.md` 7.4).
    pub fn current(&self) -> Option<Arc<Snapshot>> {
        Some(self.latest()).filter(|it| it.is_complete())
    }
}

/// The state behind the snapshots: what there is and how it is linked.
#[derive(Debug, Default)]
pub struct Index {
    inventory: Inventory,
    graph: MeshGraph,
    snapshot: Arc<Snapshot>,
}

impl Index {
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Applies updates. The snapshot is a new one only when something changed.
    pub fn apply(&mut self, updates: impl IntoIterator<Item = Update>, complete: bool) {
        let changes = self.inventory.apply(updates);
        let complete = complete || self.snapshot.is_complete();
        if changes.is_empty() && complete == self.snapshot.is_complete() {
            return;
        }
        let many = changes.len() > self.inventory.len() / REBUILD_SHARE;
        let relinked = if many { None } else { self.graph.relink(changes) };
        let entries = relinked.unwrap_or_else(|| self.rebuild());
        self.snapshot = Arc::new(self.snapshot.next(entries, complete));
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
    published: Arc<ArcSwap<Snapshot>>,
}

/// An indexer with both of its ends.
pub fn channel() -> (Feed, Indexer, Reader) {
    let (sender, waiting) = mpsc::channel(WAITING);
    let index = Index::default();
    let published = Arc::new(ArcSwap::new(index.snapshot().clone()));
    let reader = Reader(published.clone());
    (Feed(sender), Indexer { index, waiting, published }, reader)
}

impl Indexer {
    /// Runs until all feeds are gone.
    pub async fn run(mut self) {
        while let Some(batch) = self.waiting.recv().await {
            let mut batches = vec![batch];
            batches.extend(std::iter::from_fn(|| self.waiting.try_recv().ok()));
            self = self.publish(batches).await;
        }
    }

    /// Linking a large change takes long enough to be kept away from the threads that answer.
    async fn publish(mut self, batches: Vec<Batch>) -> Self {
        let work = move || {
            let complete = batches.iter().any(|it| it.complete);
            self.index.apply(batches.into_iter().flat_map(|it| it.updates), complete);
            self.published.store(self.index.snapshot().clone());
            self
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(indexer) => indexer,
            Err(failure) => std::panic::resume_unwind(failure.into_panic()),
        }
    }
}
