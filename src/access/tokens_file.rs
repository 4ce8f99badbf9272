//! A file of tokens, for use without a cluster: one `name:sha256-hex-of-token[:namespace,…]` per line.
//!
//! Empty lines and lines that begin with `#` do not count. The namespaces limit what the holder sees. The file is
//! refused when others than its owner and group could have a hand in it, because whoever writes it is let in.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tracing::{error, info};

use super::{Entry, Identity, TokenDigest};

/// How often to look whether the file changed.
const LOOK: Duration = Duration::from_secs(1);

/// The tokens of a file, as they were when it was last good.
pub struct TokensFile {
    path: PathBuf,
    entries: ArcSwap<Vec<Entry>>,
}

/// Why a tokens file is not used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokensFileError {
    #[error("tokens file {0} cannot be read: {1}")]
    Unreadable(PathBuf, String),
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
        let entries = load(path)?;
        if entries.is_empty() {
            return Err(TokensFileError::Empty(path.into()));
        }
        Ok(Self { path: path.into(), entries: ArcSwap::from_pointee(entries) })
    }

    pub(super) fn entries(&self) -> Arc<Vec<Entry>> {
        self.entries.load_full()
    }

    /// Keeps up with the file for as long as the process lives. A state that cannot be used is told and passed over;
    /// to take all tokens back, empty the file.
    pub async fn keep_up(self: Arc<Self>) {
        let mut seen = stamp(&self.path);
        loop {
            tokio::time::sleep(LOOK).await;
            let now = stamp(&self.path);
            if now == seen {
                continue;
            }
            seen = now;
            match load(&self.path) {
                Ok(entries) => {
                    info!(tokens = entries.len(), "Tokens file reloaded");
                    self.entries.store(Arc::new(entries));
                }
                Err(reason) => error!(%reason, "The tokens last read still count: {reason}"),
            }
        }
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64, fs::Permissions)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.permissions()))
}

fn load(path: &Path) -> Result<Vec<Entry>, TokensFileError> {
    let unreadable = |error: std::io::Error| TokensFileError::Unreadable(path.into(), error.to_string());
    refuse_exposed(path, &fs::metadata(path).map_err(unreadable)?)?;
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
    let meant = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    meant.map(|(n, line)| entry(line).map_err(|what| TokensFileError::Malformed(path.into(), n, what))).collect()
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, metadata: &fs::Metadata) -> Result<(), TokensFileError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
    if mode.is_multiple_of(0o10) { Ok(()) } else { Err(TokensFileError::Exposed(path.into(), mode)) }
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path, _: &fs::Metadata) -> Result<(), TokensFileError> {
    Ok(())
}

/// One line. The message never repeats what is in it: a token may have been put there by mistake.
fn entry(line: &str) -> Result<Entry, &'static str> {
    let mut fields = line.splitn(3, ':');
    let name = fields.next().map(str::trim).filter(|it| !it.is_empty()).ok_or("the name is missing")?;
    let hex = fields.next().map(str::trim).ok_or("expected `name:sha256-hex-of-token[:namespace,…]`")?;
    let digest = TokenDigest::from_hex(hex)
        .ok_or("the second field is not 64 hexadecimal digits; it is the SHA-256 of the token, not the token")?;
    let namespaces = fields.next().map(namespaces).transpose()?;
    Ok(Entry { digest, identity: Identity::within(name, namespaces) })
}

fn namespaces(field: &str) -> Result<BTreeSet<String>, &'static str> {
    let namespaces: BTreeSet<_> = field.split(',').map(|it| it.trim().to_owned()).collect();
    // A colon with nothing behind it might mean none or all: better to ask.
    if namespaces.contains("") {
        Err("a namespace is empty; leave the last colon out to allow all")
    } else {
        Ok(namespaces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            format!("ci:{}é", "a".repeat(62)),
        ] {
            let message = entry(&bad).err().unwrap_or_else(|| panic!("{bad} is refused"));
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
