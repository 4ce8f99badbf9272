//! Who is asking, and what may they see?
//!
//! A token becomes an [`Identity`], an identity becomes a [`Grant`], and only a grant opens a view. What must stay true:
//! a failure to find out is an error of its own, never a no and never a yes.

mod audit;
mod grants;
mod hedge;
pub mod jwt;
mod limits;
pub mod questions;
pub mod rbac;
pub mod reviews;
pub mod tokens;
pub mod tokens_file;
pub mod user;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use self::audit::Audit;
use self::grants::Grants;
use self::jwt::{Configured, Issuers};
use self::rbac::Rbac;
use self::reviews::{Counts, Reviewer};
use self::tokens::{Holder, Settings, Tokens};
use self::tokens_file::TokensFile;
use crate::kubernetes::failure::Failure;
use crate::kubernetes::server::Server;
use crate::mesh::grant::Scope;
use crate::mesh::{Grant, Snapshot};
use crate::tally::Cached;

/// A bearer token, where it is; no copy of it is made. It has no `Debug` and no `Display`, so that it cannot get into a
/// log or an error.
pub struct Token<'a>(&'a str);

impl<'a> Token<'a> {
    pub fn new(text: &'a str) -> Self {
        Self(text)
    }

    fn digest(&self) -> TokenDigest {
        TokenDigest::new(Sha256::digest(self.0.as_bytes()).into())
    }
}

/// The SHA-256 of a token: enough to know it again, of no use to those who want to present it. In words, because what is
/// compared in constant time is compared piece by piece.
#[derive(Clone, Copy)]
pub struct TokenDigest([u64; 4]);

impl TokenDigest {
    fn new(bytes: [u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self(words)
    }

    /// From 64 hexadecimal digits.
    fn from_hex(text: &str) -> Option<Self> {
        let mut digest = [0; 32];
        if text.len() != 2 * digest.len() || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
            return None;
        }
        for (n, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
        }
        Some(Self::new(digest))
    }
}

/// Somebody who is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Of whom it is written down what they may see.
    Listed(Arc<Listed>),
    /// Of whom the API server says what they may see.
    Reviewed(Holder),
}

/// Somebody in the tokens file, or who tries things out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    name: Box<str>,
    grant: Arc<Grant>,
}

/// Who vouches for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authenticator {
    TokenReview,
    /// An issuer of tokens that is trusted by configuration.
    Issuer(Arc<str>),
}

impl fmt::Display for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokenReview => f.write_str("TokenReview"),
            Self::Issuer(url) => f.write_str(url),
        }
    }
}

/// Why access is not given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The token is not one that is known.
    #[error("the token is not known")]
    UnknownToken,
    /// Too many tokens that nobody knows come from there.
    #[error("too many tokens that are not known")]
    TooManyTokens,
    /// Whether access is to be given cannot be found out now (`semantics.md` 7.1).
    #[error("{0}")]
    Unavailable(Arc<str>),
}

impl From<Failure> for AccessError {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(failure.to_string().into())
    }
}

/// One who may ask.
#[derive(Clone)]
struct Entry {
    digest: TokenDigest,
    listed: Arc<Listed>,
}

/// Finds out who is asking and what they may see.
pub struct Access {
    /// The token made up for trying things out.
    dev: Option<Entry>,
    file: Option<Arc<TokensFile>>,
    cluster: Option<Cluster>,
}

/// A cluster that is asked who somebody is and what they may see.
pub struct Cluster {
    server: Server,
    issuers: Arc<Issuers>,
    reviewer: Arc<Reviewer>,
    rbac: Arc<Rbac>,
    tokens: Tokens,
    grants: Grants,
    audit: Arc<Audit>,
}

impl Cluster {
    /// `configured` are issuers beside the cluster's own; `key` is random.
    pub fn new(server: Server, configured: Vec<Configured>, settings: Settings, key: [u8; 32]) -> Self {
        let issuers = Arc::new(Issuers::new(Some(server.clone()), configured));
        let (reviewer, rbac) = (Arc::new(Reviewer::new(server.clone())), Arc::<Rbac>::default());
        let audit = Arc::<Audit>::default();
        let tokens = Tokens::new(issuers.clone(), reviewer.clone(), audit.clone(), settings, key);
        let grants = Grants::new(reviewer.clone(), rbac.clone());
        Self { server, issuers, reviewer, rbac, tokens, grants, audit }
    }

    /// Tells those who run the service of what callers cannot mend.
    fn tell(&self, error: &AccessError, from: IpAddr) {
        if let AccessError::Unavailable(reason) = error {
            self.audit.unanswered(from, reason);
        }
    }
}

impl Access {
    /// Access for the holders of the tokens in a file, of a token made up for trying things out, of tokens that a cluster
    /// knows.
    pub fn new(file: Option<Arc<TokensFile>>, dev_token: Option<&Token<'_>>, cluster: Option<Cluster>) -> Self {
        let dev = dev_token
            .map(|token| Entry { digest: token.digest(), listed: Listed::new("dev-token", Scope::Everywhere) });
        Self { dev, file, cluster }
    }

    /// Who the holder of a token is.
    ///
    /// All tokens that are written down are compared, each in constant time, so that an answer's timing tells nothing
    /// about them.
    ///
    /// # Errors
    /// When the token is not known, or that cannot be found out.
    pub async fn identify(&self, token: &Token<'_>, from: IpAddr) -> Result<Identity, AccessError> {
        if let Some(listed) = self.listed(token) {
            return Ok(Identity(Kind::Listed(listed)));
        }
        let cluster = self.cluster.as_ref().ok_or(AccessError::UnknownToken)?;
        // Boxed, as what is below: those who are at hand need not move about all that it takes to ask a cluster.
        let holder = Box::pin(cluster.tokens.holder(token.0, from)).await;
        Ok(Identity(Kind::Reviewed(holder.inspect_err(|error| cluster.tell(error, from))?)))
    }

    fn listed(&self, token: &Token<'_>) -> Option<Arc<Listed>> {
        let from_file = self.file.as_ref().map(|it| it.entries());
        if self.dev.is_none() && from_file.is_none() {
            return None;
        }
        let digest = token.digest();
        let entries = self.dev.iter().chain(from_file.iter().flat_map(|it| it.iter()));
        let mut found = None;
        for entry in entries {
            let same: Choice = entry.digest.0.ct_eq(&digest.0);
            if same.into() {
                found = Some(&entry.listed);
            }
        }
        found.cloned()
    }

    /// What somebody may see of a snapshot.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn grant(
        &self,
        identity: &Identity,
        from: IpAddr,
        snapshot: &Snapshot,
    ) -> Result<Arc<Grant>, AccessError> {
        match (&identity.0, &self.cluster) {
            (Kind::Listed(listed), _) => Ok(listed.grant.clone()),
            (Kind::Reviewed(_), None) => Err(AccessError::Unavailable("there is no cluster to ask".into())),
            (Kind::Reviewed(Holder { user, authenticator }), Some(cluster)) => {
                let grant = Box::pin(cluster.grants.of(user, snapshot)).await;
                let grant = grant.inspect_err(|error| cluster.tell(error, from))?;
                cluster.audit.granted(user, from, authenticator, &grant);
                Ok(grant)
            }
        }
    }

    /// Keeps up with the tokens file, with the keys of issuers, and with what rights are made of, as long as the process
    /// lives.
    pub async fn keep_up(self: Arc<Self>) {
        let of_file = async {
            if let Some(file) = &self.file {
                file.clone().keep_up().await;
            }
        };
        let of_cluster = async {
            if let Some(Cluster { server, issuers, rbac, .. }) = &self.cluster {
                tokio::join!(issuers.clone().keep_up(), rbac.clone().keep_up(server.clone()));
            }
        };
        tokio::join!(of_file, of_cluster);
    }

    /// What is wrong, for those who run the service.
    pub fn problems(&self) -> Vec<String> {
        let of_cluster = |it: &Cluster| [it.issuers.problems(), it.rbac.problems()].concat();
        self.cluster.as_ref().map(of_cluster).unwrap_or_default()
    }

    /// How often an API server was asked about callers, if there is one.
    pub fn counts(&self) -> Option<&Counts> {
        self.cluster.as_ref().map(|it| it.reviewer.counts())
    }

    /// Brings up to date what is counted late.
    pub async fn settle(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.tokens.settle().await;
            cluster.grants.settle();
        }
    }

    /// What is kept about callers, where an API server is asked about them.
    pub fn caches(&self) -> Vec<Cached> {
        self.cluster.iter().flat_map(|it| [it.tokens.cached(), it.grants.cached()]).collect()
    }
}

impl Identity {
    /// What they are called.
    pub fn name(&self) -> &str {
        match &self.0 {
            Kind::Listed(listed) => &listed.name,
            Kind::Reviewed(holder) => &holder.user.name,
        }
    }
}

impl Listed {
    fn new(name: &str, scope: Scope) -> Arc<Self> {
        Arc::new(Self { name: name.into(), grant: Arc::new(Grant::scoped(scope)) })
    }

    fn within(name: &str, namespaces: Option<BTreeSet<String>>) -> Arc<Self> {
        Self::new(name, namespaces.map_or(Scope::Everywhere, Scope::Namespaces))
    }
}

/// A token that nobody can guess: 256 random bits.
///
/// # Errors
/// When the system has no random numbers.
pub fn random_token() -> Result<String, getrandom::Error> {
    let mut token = String::from("dev-");
    for byte in random_key()? {
        let _ = write!(token, "{byte:02x}");
    }
    Ok(token)
}

/// 256 random bits.
///
/// # Errors
/// When the system has no random numbers.
pub fn random_key() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
