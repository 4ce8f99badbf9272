//! The file that names issuers, in the shape that Kubernetes has for it.

use std::path::{Path, PathBuf};

/// An issuer that is trusted to say who somebody is.
#[derive(Debug, Clone)]
pub struct Configured {}

/// Why a configuration of issuers is not used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    #[error("authentication configuration {0} cannot be read: {1}; check the path and its permissions")]
    Unreadable(PathBuf, String),
    /// What it says where, and what to write instead.
    #[error("authentication configuration {0}: {1}")]
    Malformed(PathBuf, String),
}

pub(super) fn read(path: &Path) -> Result<Vec<Configured>, ConfigurationError> {
    let unreadable = |error: std::io::Error| ConfigurationError::Unreadable(path.into(), error.to_string());
    std::fs::read_to_string(path).map_err(unreadable)?;
    Ok(vec![])
}
