//! Folders of manifests: a repository before it is deployed.
//!
//! Manifests are not objects yet. What the API server would add is made up here, the same each time: the namespace, the
//! uid, and, of an object written twice, which one counts. What must stay true: a file that cannot be read keeps what it
//! last said, and a folder that is gone is an outage, not emptiness.

pub mod document;
mod scan;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use self::document::{Document, DocumentError};
use self::scan::{Found, Scan, Stamp};
pub use self::watch::run;
use super::kubernetes::convert::Converter;
use super::kubernetes::kinds::known_definitions;
use crate::mesh::diagnostic::Severity;
use crate::mesh::{Key, Resource, Update};

/// Several times what a document of the greatest depth needs, in bytes.
const PARSER_STACK: usize = 32 << 20;

/// Which files are read, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Files and folders, the first ones counting for more.
    pub roots: Vec<PathBuf>,
    /// The namespace of an object that names none.
    pub default_namespace: String,
    /// The largest file that is read, in bytes.
    pub max_bytes: u64,
    /// Nothing is complete before every file was read once.
    pub strict: bool,
    /// A known file that changed more recently than this is still being written and not read yet.
    pub settle: Duration,
    pub converter: Converter,
}

/// Where an object was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub file: PathBuf,
    /// Of the document's beginning, counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Something wrong with a file rather than with an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    pub place: Place,
    pub what: ProblemKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ProblemKind {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("the file has more than the {limit} bytes that are read; split it or raise --max-manifest-bytes")]
    TooLarge { limit: u64 },
    #[error("{0}")]
    Malformed(String),
    #[error("skipped, because it is not a Kubernetes object: {0}")]
    NotAnObject(String),
    #[error("{object} is already written at {first}, which counts; remove one of them")]
    Duplicate { object: Key, first: Place },
}

impl ProblemKind {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable-file",
            Self::TooLarge { .. } => "file-too-large",
            Self::Malformed(_) => "malformed-file",
            Self::NotAnObject(_) => "not-an-object",
            Self::Duplicate { .. } => "duplicate-object",
        }
    }

    /// A repository may well hold other YAML; everything else is a mistake.
    pub fn severity(&self) -> Severity {
        if matches!(self, Self::NotAnObject(_)) { Severity::Warning } else { Severity::Error }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// What is known of one root.
#[derive(Debug, Default)]
struct Root {
    /// It could be looked at, at least once.
    was_seen: bool,
    problem: Option<Problem>,
}

/// What is known of one file.
#[derive(Debug, Default)]
struct File {
    /// What it was like when it was read; `None` to read it again.
    stamp: Option<Stamp>,
    /// It could be read, at least once.
    was_good: bool,
    /// The last good state.
    documents: Vec<Document>,
    problems: Vec<Problem>,
}

/// The folders as they were when last looked at.
#[derive(Debug)]
pub struct Manifests {
    options: Options,
    roots: Vec<Root>,
    files: BTreeMap<Found, File>,
    merged: Merged,
    problems: Vec<Problem>,
    /// No file was passed over because it is still being written.
    settled: bool,
}

/// All objects of all files.
#[derive(Debug, Default)]
struct Merged {
    objects: BTreeMap<Key, Arc<Resource>>,
    places: BTreeMap<Key, Place>,
    duplicates: Vec<Problem>,
}

impl Manifests {
    pub fn new(options: Options) -> Self {
        let roots = options.roots.iter().map(|_| Root::default()).collect();
        Self { options, roots, files: BTreeMap::new(), merged: Merged::default(), problems: vec![], settled: true }
    }

    /// Looks at the folders again and says what changed since the last time.
    pub fn refresh(&mut self) -> Vec<Update> {
        let mut scan = Scan::default();
        let mut changed = false;
        self.settled = true;
        for root in 0..self.roots.len() {
            changed |= self.refresh_root(root, &mut scan);
        }
        let mut problems = scan.problems;
        problems.extend(self.roots.iter().filter_map(|it| it.problem.clone()));
        problems.extend(self.files.values().flat_map(|it| it.problems.clone()));
        let mut updates = vec![];
        if changed || self.merged.objects.is_empty() {
            let merged = self.merged();
            updates = difference(&self.merged.objects, &merged.objects);
            self.merged = merged;
        }
        problems.extend(self.merged.duplicates.iter().cloned());
        self.problems = problems;
        updates
    }

    /// Whether what is known is all that there is. A folder that could not be looked at yet may hold anything; a file
    /// that never parsed holds something, which only matters to those who are strict.
    pub fn is_complete(&self) -> bool {
        let read = || self.files.values().all(|it| it.was_good);
        self.roots.iter().all(|it| it.was_seen) && (!self.options.strict || read())
    }

    /// Whether the files were all at rest. If not, look again soon.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// What is wrong with the files as they are now.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Where an object was written; nothing for kinds that are known without being written.
    pub fn place(&self, key: &Key) -> Option<&Place> {
        self.merged.places.get(key)
    }

    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// How many objects are written, each counted once.
    pub fn object_count(&self) -> usize {
        self.merged.places.len()
    }

    /// Reads the files below one root that changed, and says whether any did. A root that cannot be looked at keeps
    /// what it last said.
    fn refresh_root(&mut self, root: usize, scan: &mut Scan) -> bool {
        let (Some(path), Some(known)) = (self.options.roots.get(root), self.roots.get_mut(root)) else { return false };
        let found = match scan.files(root, path) {
            Ok(found) => found,
            Err(problem) => {
                known.problem = Some(problem);
                return false;
            }
        };
        *known = Root { was_seen: true, problem: None };
        let before = self.files.len();
        self.files.retain(|file, _| file.root != root || found.contains_key(file));
        let mut changed = self.files.len() != before;
        for (file, stamp) in found {
            let known = self.files.entry(file.clone()).or_default();
            if known.stamp.as_ref() != Some(&stamp) {
                // Half of what somebody is writing may well parse.
                if known.was_good && stamp.is_younger_than(self.options.settle) {
                    self.settled = false;
                    continue;
                }
                known.stamp = Some(stamp);
                changed |= known.read(&file.path, &self.options);
            }
        }
        changed
    }

    /// All objects: of those written twice the first, and the kinds that are known unless they are written.
    fn merged(&self) -> Merged {
        let mut merged = Merged::default();
        for (file, document) in self.files.iter().flat_map(|(file, it)| it.documents.iter().map(move |it| (file, it))) {
            let key = &document.resource.key;
            let place = Place { file: file.path.clone(), line: document.line };
            if let Some(first) = merged.places.get(key) {
                let what = ProblemKind::Duplicate { object: key.clone(), first: first.clone() };
                merged.duplicates.push(Problem { place, what });
            } else {
                merged.places.insert(key.clone(), place);
                merged.objects.insert(key.clone(), document.resource.clone());
            }
        }
        for known in known_definitions() {
            merged.objects.entry(known.key.clone()).or_insert(known);
        }
        merged
    }
}

impl File {
    /// Reads the file anew and says whether that gave new documents; where it fails, the last good state stays.
    fn read(&mut self, path: &Path, options: &Options) -> bool {
        let problem = |line, what| Problem { place: Place { file: path.into(), line }, what };
        let parse = |text: String| on_ample_stack(|| document::parse(path, &text, options));
        let parsed = scan::read(path, options.max_bytes)
            .and_then(|text| parse(text).map_err(|error| ProblemKind::Unreadable(error.to_string())));
        match parsed {
            Ok(Ok(parsed)) => {
                let skipped = |(line, why): (usize, String)| problem(line, ProblemKind::NotAnObject(why));
                self.problems = parsed.skipped.into_iter().map(skipped).collect();
                self.documents = parsed.documents;
                self.was_good = true;
                return true;
            }
            Ok(Err(DocumentError { line, reason })) => {
                self.problems = vec![problem(line, ProblemKind::Malformed(reason))];
            }
            Err(what) => {
                if matches!(what, ProblemKind::Unreadable(_)) {
                    // That may pass without the file changing.
                    self.stamp = None;
                }
                self.problems = vec![problem(1, what)];
            }
        }
        false
    }
}

/// Parsers of nested texts recurse, and how deep they may is bounded by what is read, not by who calls.
fn on_ample_stack<T: Send>(work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(PARSER_STACK).spawn_scoped(scope, work)?;
        thread.join().map_err(|_| std::io::Error::other("the parser panicked"))
    })
}

fn difference(old: &BTreeMap<Key, Arc<Resource>>, new: &BTreeMap<Key, Arc<Resource>>) -> Vec<Update> {
    let gone = old.keys().filter(|key| !new.contains_key(*key)).cloned().map(Update::Remove);
    let changed = new.iter().filter(|(key, resource)| old.get(*key) != Some(resource));
    gone.chain(changed.map(|(_, resource)| Update::Upsert(resource.clone()))).collect()
}
