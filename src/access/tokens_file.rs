//! A file of tokens, for use without a cluster: one `name:sha256-hex-of-token[:namespace,…]` per line.
//!
//! Empty lines and lines that begin with `#` do not count. The namespaces limit what the holder sees. The file is
//! refused when others than its owner and group can read it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::{error, info};

use super::{Entry, Listed, TokenDigest};
use crate::mesh::object::is_namespace_name;

/// How often to look whether the file changed. What was found twice counts: a file is not written at once.
const LOOK: Duration = Duration::from_millis(400);

/// The tokens of a file, as they were when it was last good.
pub struct TokensFile {
    path: PathBuf,
    entries: ArcSwap<Vec<Entry>>,
}

/// Why a tokens file is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokensFileError {
    #[error("tokens file {0} does not exist")]
    Gone(PathBuf),
    #[error("tokens file {0} cannot be read: {1}")]
    Unreadable(PathBuf, String),
    #[error("tokens file {0} is not a regular file")]
    NoFile(PathBuf),
    #[error("tokens file {0} has mode {1:03o}, so that others can read it; run `chmod o= {0}`")]
    Exposed(PathBuf, u32),
    #[error("tokens file {0}, line {1}: {2}")]
    Malformed(PathBuf, usize, &'static str),
    #[error("tokens file {0} has no tokens, so that nobody could ask; add a line `name:sha256-hex-of-token`")]
    Empty(PathBuf),
}

impl TokensFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// When it cannot be used, or has no tokens.
    pub fn open(path: &Path) -> Result<Self, TokensFileError> {
        let entries = parse(path, &read(path)?)?;
        if entries.is_empty() {
            return Err(TokensFileError::Empty(path.into()));
        }
        Ok(Self { path: path.into(), entries: ArcSwap::from_pointee(entries) })
    }

    pub(super) fn entries(&self) -> Arc<Vec<Entry>> {
        self.entries.load_full()
    }

    /// Keeps up with the file for as long as the process lives. A state that cannot be used is told and passed over,
    /// so that a slip does not lock everybody out. A file that is gone lets nobody in. Half a file may open more than a
    /// whole one, so that a state counts that lasts from one look to the next.
    ///
    /// The file is small and is read each time: nothing else tells for certain that it is still the same. A file system
    /// that hangs keeps nobody but this from going on.
    pub async fn keep_up(self: Arc<Self>) {
        let mut looks = Looks::default();
        loop {
            let file = self.clone();
            // It fails when it panicked, and when the process ends.
            let Ok(now) = tokio::task::spawn_blocking(move || read(&file.path)).await else { return };
            if looks.is_news(&now) {
                self.renew(&now);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn renew(&self, text: &Result<String, TokensFileError>) {
        match text.as_ref().map(|text| parse(&self.path, text)) {
            Ok(Ok(entries)) => {
                info!(tokens = entries.len(), "Tokens file read");
                self.entries.store(Arc::new(entries));
            }
            Err(gone @ TokensFileError::Gone(_)) => {
                error!(reason = %gone, "Nobody is let in any more: {gone}");
                self.entries.store(Arc::default());
            }
            Ok(Err(reason)) => error!(%reason, "The tokens last read still count: {reason}"),
            Err(reason) => error!(%reason, "The tokens last read still count: {reason}"),
        }
    }
}

/// What was found at the last look, and what was news last.
struct Looks<T> {
    before: Option<T>,
    news: Option<T>,
}

impl<T> Default for Looks<T> {
    fn default() -> Self {
        Self { before: None, news: None }
    }
}

impl<T: Clone + PartialEq> Looks<T> {
    /// Whether this was found at the last look as well, and is something else than what was news last.
    fn is_news(&mut self, now: &T) -> bool {
        let is_at_rest = self.before.as_ref() == Some(now);
        self.before = Some(now.clone());
        let is_news = is_at_rest && self.news.as_ref() != Some(now);
        if is_news {
            self.news = Some(now.clone());
        }
        is_news
    }
}

fn read(path: &Path) -> Result<String, TokensFileError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => TokensFileError::Gone(path.into()),
        _ => TokensFileError::Unreadable(path.into(), error.to_string()),
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    // What is something else may keep whoever opens it.
    if !metadata.is_file() {
        return Err(TokensFileError::NoFile(path.into()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if !mode.is_multiple_of(0o10) {
        return Err(TokensFileError::Exposed(path.into(), mode));
    }
    fs::read_to_string(path).map_err(failed)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, TokensFileError> {
    let mut entries: Vec<Entry> = vec![];
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let malformed = |what| TokensFileError::Malformed(path.into(), n + 1, what);
        let entry = entry(line).map_err(malformed)?;
        if entries.iter().any(|it| it.digest.0 == entry.digest.0) {
            return Err(malformed("the token is already there; which of the two would count?"));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// One line. The message never repeats what is in it: a token may have been put there by mistake.
fn entry(line: &str) -> Result<Entry, &'static str> {
    let mut fields = line.splitn(3, ':');
    let name = fields.next().map(str::trim).filter(|it| !it.is_empty()).ok_or("the name is missing")?;
    let hex = fields.next().map(str::trim).ok_or("expected `name:sha256-hex-of-token[:namespace,…]`")?;
    let digest = TokenDigest::from_hex(hex)
        .ok_or("the second field is not 64 hexadecimal digits; it is the SHA-256 of the token, not the token")?;
    let namespaces = fields.next().map(namespaces).transpose()?;
    Ok(Entry { digest, listed: Listed::within(name, namespaces) })
}

fn namespaces(field: &str) -> Result<BTreeSet<String>, &'static str> {
    let namespaces: BTreeSet<_> = field.split(',').map(|it| it.trim().to_owned()).collect();
    // A colon with nothing behind it might mean none or all: better to ask.
    if namespaces.iter().all(|it| is_namespace_name(it)) {
        return Ok(namespaces);
    }
    Err("a namespace is not one; leave the last colon out to allow all")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_written_is_no_news() {
        let mut looks = Looks::default();
        let news =
            ["a", "a", "a", "", "ab", "abc", "abc", "a", "abc", "abc", "d", "d"].map(|it| (it, looks.is_news(&it)));
        let news: Vec<_> = news.into_iter().filter_map(|(it, is_news)| is_news.then_some(it)).collect();
        assert_eq!(news, ["a", "abc", "d"]);
    }

    #[test]
    fn lines_that_cannot_be_right_are_refused_without_repeating_them() {
        let hex = "a".repeat(64);
        for good in
            [format!("ci:{hex}"), format!("ci:{hex}:shop"), format!(" ci : {} : shop, logistics ", hex.to_uppercase())]
        {
            assert!(entry(&good).is_ok(), "{good}");
        }
        for bad in [
            "ci".into(),
            "ci:secret".into(),
            format!(":{hex}"),
            format!("ci:{hex}:"),
            format!("ci:{hex}:a,,b"),
            format!("ci:{hex}:Shop"),
            format!("ci:{}é", "a".repeat(62)),
        ] {
            let message = entry(&bad).err().unwrap_or_else(|| panic!("{bad} is refused"));
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
