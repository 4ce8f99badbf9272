//! Which files there are, and what is in them.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Place, Problem, ProblemKind};

/// How deep folders are looked into.
const MAX_DEPTH: usize = 64;

/// A file below a root. Ordered by root, then by path: the order in which objects written twice count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub root: usize,
    pub path: PathBuf,
}

/// What changes when a file's content does, or the right to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    inode: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
    bytes: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: inode(metadata),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            bytes: metadata.len(),
        }
    }
}

impl Stamp {
    /// Whether the content was last changed less than `age` ago, by the clock of this machine.
    pub fn is_younger_than(&self, age: Duration) -> bool {
        let (seconds, nanos) = self.modified;
        let since_epoch = u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok());
        let modified = since_epoch.map(|(seconds, nanos)| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos));
        // What changes in the future has a clock of its own, by which nothing can be told.
        modified.and_then(|it| SystemTime::now().duration_since(it).ok()).is_some_and(|it| it < age)
    }
}

/// Tells a file or folder from all others, by whatever name.
fn inode(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Tells a folder from another of the same name; `None` where there is none.
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().as_ref().map(inode)
}

/// One look at all roots. Whatever has several names, by links or because roots overlap, counts under the first.
#[derive(Debug, Default)]
pub struct Scan {
    seen: HashSet<(u64, u64)>,
    /// What was passed over.
    pub problems: Vec<Problem>,
}

/// The files below one root.
struct Walk<'a> {
    scan: &'a mut Scan,
    root: usize,
    found: BTreeMap<Found, Stamp>,
}

impl Scan {
    /// The manifests below a root, or the root itself when it is a file. Hidden files and folders do not count; links
    /// are followed, because that is how Kubernetes mounts a `ConfigMap`.
    ///
    /// # Errors
    /// When the root or a folder in it cannot be looked at: what is there is not known then, which is not the same as
    /// nothing.
    pub fn files(&mut self, root: usize, path: &Path) -> Result<BTreeMap<Found, Stamp>, Problem> {
        let mut walk = Walk { scan: self, root, found: BTreeMap::new() };
        let walked = fs::metadata(path).map_err(|error| (path.to_owned(), error)).and_then(|metadata| {
            if metadata.is_dir() {
                return walk.folder(path, 0);
            }
            walk.file(path.into(), &metadata);
            Ok(())
        });
        let found = walk.found;
        walked.map(|()| found).map_err(|(file, error)| {
            let what = ProblemKind::Unreadable(format!("{error}; what was last read of it still counts"));
            Problem { place: Place { file, line: 1 }, what }
        })
    }
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) -> Result<(), (PathBuf, io::Error)> {
        let at = |error| (folder.to_owned(), error);
        if !self.scan.seen.insert(inode(&fs::metadata(folder).map_err(at)?)) {
            return Ok(());
        }
        if depth > MAX_DEPTH {
            let what =
                ProblemKind::Unreadable(format!("it is deeper than the {MAX_DEPTH} folders that are looked into"));
            self.scan.problems.push(Problem { place: Place { file: folder.into(), line: 1 }, what });
            return Ok(());
        }
        let entries: Result<Vec<_>, _> = fs::read_dir(folder).map_err(at)?.map(|it| it.map(|it| it.path())).collect();
        let mut paths = entries.map_err(at)?;
        paths.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
        paths.sort();
        for path in paths {
            // A file that went away since, or a link to nowhere, is not there.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_dir() {
                self.folder(&path, depth + 1)?;
            } else if is_manifest(&path) {
                self.file(path, &metadata);
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf, metadata: &Metadata) {
        if !metadata.is_file() {
            // Reading a pipe or a device may never end.
            let what = ProblemKind::Unreadable("it is not a regular file".into());
            self.scan.problems.push(Problem { place: Place { file: path, line: 1 }, what });
        } else if self.scan.seen.insert(inode(metadata)) {
            self.found.insert(Found { root: self.root, path }, Stamp::of(metadata));
        }
    }
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().map(|it| it.to_string_lossy().to_lowercase());
    matches!(extension.as_deref(), Some("yaml" | "yml" | "json"))
}

/// The text of a file of at most `max_bytes`, however large it grows while it is read.
pub fn read(path: &Path, max_bytes: u64) -> Result<String, ProblemKind> {
    let unreadable = |error: io::Error| ProblemKind::Unreadable(error.to_string());
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > max_bytes {
        return Err(ProblemKind::TooLarge { limit: max_bytes });
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(at).filter(|it| **it == b'\n').count() + 1;
        ProblemKind::Malformed(format!("line {line} is not UTF-8; save the file as UTF-8"))
    })
}
