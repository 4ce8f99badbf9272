//! Which files there are, and what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Place, Problem, ProblemKind};

/// How deep folders are looked into.
const MAX_DEPTH: usize = 64;

/// A file below a root. Ordered by root, then by path: the order in which objects written twice count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub root: usize,
    pub path: PathBuf,
}

/// What changes when a file's content does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    #[cfg(unix)]
    inode: u64,
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            #[cfg(unix)]
            inode: std::os::unix::fs::MetadataExt::ino(metadata),
        }
    }
}

/// The manifests below a root, or the root itself when it is a file. Hidden files and folders do not count; links are
/// followed, because that is how Kubernetes mounts a `ConfigMap`.
///
/// # Errors
/// When the root or a folder in it cannot be looked at: what is there is not known then, which is not the same as
/// nothing.
pub fn files(root: usize, path: &Path) -> Result<BTreeMap<Found, Stamp>, Problem> {
    let mut found = BTreeMap::new();
    let mut walk = Walk { root, found: &mut found, on_the_way: BTreeSet::new() };
    let walked = fs::metadata(path).map_err(|error| (path.to_owned(), error)).and_then(|metadata| {
        if metadata.is_dir() {
            return walk.folder(path);
        }
        walk.found.insert(Found { root, path: path.into() }, Stamp::of(&metadata));
        Ok(())
    });
    match walked {
        Ok(()) => Ok(found),
        Err((file, error)) => {
            let what = ProblemKind::Unreadable(format!("{error}; what was last read of it still counts"));
            Err(Problem { place: Place { file, line: 1 }, what })
        }
    }
}

/// Tells a folder from another of the same name; `None` where there is none.
pub fn identity(path: &Path) -> Option<u64> {
    let metadata = fs::metadata(path).ok()?;
    #[cfg(unix)]
    return Some(std::os::unix::fs::MetadataExt::ino(&metadata));
    #[cfg(not(unix))]
    return metadata.created().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok().map(|it| it.as_secs());
}

struct Walk<'a> {
    root: usize,
    found: &'a mut BTreeMap<Found, Stamp>,
    /// The folders that lead here, so that a link to one of them is not followed round and round.
    on_the_way: BTreeSet<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path) -> Result<(), (PathBuf, std::io::Error)> {
        let at = |error| (folder.to_owned(), error);
        let real = fs::canonicalize(folder).map_err(at)?;
        if self.on_the_way.len() >= MAX_DEPTH || !self.on_the_way.insert(real.clone()) {
            return Ok(());
        }
        for entry in fs::read_dir(folder).map_err(at)? {
            let path = entry.map_err(at)?.path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            // A file that went away since, or a link to nowhere, is not there.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if hidden {
                continue;
            }
            if metadata.is_dir() {
                self.folder(&path)?;
            } else if is_manifest(&path) {
                self.found.insert(Found { root: self.root, path }, Stamp::of(&metadata));
            }
        }
        self.on_the_way.remove(&real);
        Ok(())
    }
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().map(|it| it.to_string_lossy().to_lowercase());
    matches!(extension.as_deref(), Some("yaml" | "yml" | "json"))
}

/// The text of a file of at most `max_bytes`, however large it grows while it is read.
pub fn read(path: &Path, max_bytes: u64) -> Result<String, ProblemKind> {
    let unreadable = |error: std::io::Error| ProblemKind::Unreadable(error.to_string());
    let file = fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(ProblemKind::Unreadable("it is not a regular file".into()));
    }
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > max_bytes {
        return Err(ProblemKind::TooLarge { bytes: metadata.len(), limit: max_bytes });
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(at).filter(|it| **it == b'\n').count() + 1;
        ProblemKind::Malformed(format!("line {line} is not UTF-8; save the file as UTF-8"))
    })
}
