//! What there is in a snapshot, counted once for each.
//!
//! What is wrong takes longer to find out than what there is, in a large mesh by far. So it is looked for beside, and only
//! after a while again, and may be told a little late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::cesql::Verdict;
use crate::mesh::diagnostic::{self, Severity};
use crate::mesh::resource::Role;
use crate::mesh::snapshot::Links;
use crate::mesh::{GroupKind, Snapshot};

/// How much longer than the last look for what is wrong took, there is none: a small share of a processor is enough for it.
const REST: u32 = 20;
/// How long whoever asks waits for a look to end, before being told what the one before it found.
const PATIENCE: Duration = Duration::from_millis(500);

/// The objects, relations and findings of a snapshot.
#[derive(Debug, Default)]
pub struct Content {
    revision: Option<u64>,
    pub objects: BTreeMap<GroupKind, u64>,
    /// The kinds that definitions speak of, or that need none.
    pub defined: BTreeSet<GroupKind>,
    pub edges: Edges,
    /// As the last look found it, and empty before the first.
    pub findings: Findings,
    look: Look,
}

/// How often each finding is made.
type Findings = BTreeMap<(&'static str, Severity), u64>;

/// A look for what is wrong.
#[derive(Debug, Default)]
enum Look {
    #[default]
    None,
    Under {
        way: mpsc::Receiver<Findings>,
        revision: u64,
        began: Instant,
    },
    Over {
        revision: u64,
        ended: Instant,
        took: Duration,
    },
}

impl Look {
    /// Begins one, unless the last was at this snapshot or not long ago.
    fn begin(&mut self, snapshot: &Arc<Snapshot>) {
        let revision = snapshot.revision();
        match self {
            Self::Under { .. } => return,
            Self::Over { revision: last, ended, took } if *last == revision || ended.elapsed() < *took * REST => return,
            Self::None | Self::Over { .. } => (),
        }
        let (found, way) = mpsc::channel();
        let snapshot = snapshot.clone();
        // Where no thread can be had, nothing comes of it, and it is over.
        let _ = thread::Builder::new().name("findings".into()).spawn(move || found.send(diagnostic::count(&snapshot)));
        *self = Self::Under { way, revision, began: Instant::now() };
    }

    /// What it has found, if it ends in time.
    fn end(&mut self) -> Option<Findings> {
        let Self::Under { way, revision, began } = self else { return None };
        let found = match way.recv_timeout(PATIENCE) {
            Err(mpsc::RecvTimeoutError::Timeout) => return None,
            found => found.ok(),
        };
        *self = Self::Over { revision: *revision, ended: Instant::now(), took: began.elapsed() };
        found
    }
}

/// How many relations there are of each sort.
#[derive(Debug, Default)]
pub struct Edges {
    provides: usize,
    supplies: usize,
    forwards: usize,
    consumes: usize,
    may_consume: usize,
}

impl Content {
    /// Counts what there is and what is wrong with it, unless that is what was counted last.
    pub fn follow(&mut self, snapshot: &Arc<Snapshot>) {
        self.look.begin(snapshot);
        if let Some(findings) = self.look.end() {
            self.findings = findings;
        }
        if self.revision == Some(snapshot.revision()) {
            return;
        }
        self.revision = Some(snapshot.revision());
        (self.objects, self.defined, self.edges) = Default::default();
        for entry in snapshot.entries() {
            let of = &entry.resource.key.of;
            if let Some(count) = self.objects.get_mut(of) {
                *count += 1;
            } else {
                self.objects.insert(of.clone(), 1);
            }
            match &entry.resource.role {
                Role::Definition(definition) => {
                    self.defined.extend([of.clone(), definition.of.clone()]);
                }
                Role::Broker | Role::EventType(_) | Role::Subscription(_) => _ = self.defined.insert(of.clone()),
                Role::Duck(_) | Role::Plain => (),
            }
            self.edges.add(&entry.links);
        }
    }
}

impl Edges {
    fn add(&mut self, links: &Links) {
        if let Some(conduit) = &links.conduit {
            self.provides += conduit.provides.len();
            self.forwards += conduit.forwards.len();
        }
        if let Some(source) = &links.source {
            self.supplies += source.supplies.len();
        }
        if let Some(event_type) = &links.event_type {
            let definite = event_type.consumers.iter().filter(|it| it.verdict == Verdict::Definite).count();
            self.consumes += definite;
            self.may_consume += event_type.consumers.len() - definite;
        }
    }

    /// By what they say of an event type and somebody else, or of two conduits.
    pub fn by_kind(&self) -> [(&'static str, usize); 5] {
        [
            // A conduit has the type.
            ("provides", self.provides),
            // A source sends it.
            ("supplies", self.supplies),
            // A subscriber gets it for certain, or may.
            ("consumes", self.consumes),
            ("may-consume", self.may_consume),
            // A trigger or subscription passes events on from one conduit to another.
            ("forwards", self.forwards),
        ]
    }
}
