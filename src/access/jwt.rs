//! Tokens that can be checked here: JWTs of issuers whose keys are known (RFC 7519).
//!
//! What must stay true: a token is refused only for what it says or for a signature that no current key of its issuer
//! made. That an issuer cannot be asked, or that clocks disagree, is an outage and never a no.

mod configuration;
mod refusal;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use self::configuration::{ConfigurationError, Configured};
pub use self::refusal::Refusal;
use super::user::User;
use crate::kubernetes::server::Server;

/// A token that passed the check of its issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub issuer: Arc<str>,
    /// What `aud` says, of which at least one is of the issuer's configuration; of tokens of the cluster, whatever is there.
    pub audiences: Vec<String>,
    /// What `exp` says, without the skew that clocks may have.
    pub expires: SystemTime,
    /// Of an issuer that is trusted to say who somebody is. `None` for tokens of the cluster: the API server says that.
    pub user: Option<User>,
}

/// Why a token is not known to be good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// It fails the check of an issuer that is configured: why, in fixed words, never with bytes of the token.
    #[error("{0}")]
    Refused(Refusal),
    /// It cannot be checked now.
    #[error("{0}")]
    Unavailable(String),
}

/// The issuers whose tokens are checked here.
pub struct Issuers {}

impl Issuers {
    /// `cluster` is the API server whose service account tokens are checked, if there is one. Needs a runtime of tokio;
    /// nothing is asked yet.
    pub fn new(_cluster: Option<Server>, _configured: Vec<Configured>) -> Self {
        Self {}
    }

    /// Checks a token. `None` is no JWT, or one of nobody that is configured: the API server may know it.
    ///
    /// # Errors
    /// When the token is refused, or cannot be checked now.
    pub async fn check(&self, _token: &str) -> Result<Option<Verified>, JwtError> {
        Ok(None)
    }

    /// Keeps keys fresh; runs as long as the process.
    pub async fn keep_up(self: Arc<Self>) {
        std::future::pending().await
    }

    /// What is wrong now, with which issuer.
    pub fn problems(&self) -> Vec<String> {
        vec![]
    }
}

/// Reads the file of `--authentication-config`.
///
/// # Errors
/// When it cannot be read, or asks for what is not possible.
pub fn read_configuration(path: &Path) -> Result<Vec<Configured>, ConfigurationError> {
    configuration::read(path)
}
