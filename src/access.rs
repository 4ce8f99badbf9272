//! Who is asking, and what may they see?
//!
//! A token becomes an [`Identity`], an identity becomes a [`Grant`], and only a grant opens a view. What must stay true:
//! a failure to find out is an error of its own, never a no and never a yes.

pub mod jwt;
pub mod tokens_file;
pub mod user;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use self::tokens_file::TokensFile;
use crate::mesh::Grant;
use crate::mesh::grant::Scope;

/// A bearer token, where it is; no copy of it is made. It has no `Debug` and no `Display`, so that it cannot get into a
/// log or an error.
pub struct Token<'a>(&'a str);

impl<'a> Token<'a> {
    pub fn new(text: &'a str) -> Self {
        Self(text)
    }

    fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(self.0.as_bytes()).into())
    }
}

/// The SHA-256 of a token: enough to know it again, of no use to those who want to present it.
#[derive(Clone, Copy)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// From 64 hexadecimal digits.
    fn from_hex(text: &str) -> Option<Self> {
        let mut digest = [0; 32];
        if text.len() != 2 * digest.len() || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
            return None;
        }
        for (n, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
        }
        Some(Self(digest))
    }
}

/// Somebody who is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub name: Arc<str>,
    grant: Arc<Grant>,
}

/// Why access is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The token is not one that is known.
    #[error("the token is not known")]
    UnknownToken,
}

/// One who may ask.
#[derive(Clone)]
struct Entry {
    digest: TokenDigest,
    identity: Identity,
}

/// Finds out who is asking and what they may see.
pub struct Access {
    /// The token made up for trying things out.
    dev: Option<Entry>,
    file: Option<Arc<TokensFile>>,
}

impl Access {
    /// Access for the holders of the tokens in a file, or of a token made up for trying things out, or both.
    pub fn new(file: Option<Arc<TokensFile>>, dev_token: Option<&Token<'_>>) -> Self {
        let dev = dev_token
            .map(|token| Entry { digest: token.digest(), identity: Identity::new("dev-token", Scope::Everywhere) });
        Self { dev, file }
    }

    /// Who the holder of a token is.
    ///
    /// All tokens are compared, each in constant time, so that an answer's timing tells nothing about them.
    ///
    /// # Errors
    /// When the token is not known.
    #[expect(clippy::unused_async, reason = "other authenticators have to ask")]
    pub async fn identify(&self, token: &Token<'_>) -> Result<Identity, AccessError> {
        let digest = token.digest();
        let from_file = self.file.as_ref().map(|it| it.entries());
        let entries = self.dev.iter().chain(from_file.iter().flat_map(|it| it.iter()));
        let mut found = None;
        for entry in entries {
            let same: Choice = entry.digest.0.ct_eq(&digest.0);
            if same.into() {
                found = Some(&entry.identity);
            }
        }
        found.cloned().ok_or(AccessError::UnknownToken)
    }

    /// What somebody may see.
    ///
    /// # Errors
    /// When that cannot be found out.
    #[expect(clippy::unused_async, reason = "other authorizers have to ask")]
    pub async fn grant(&self, identity: &Identity) -> Result<Arc<Grant>, AccessError> {
        Ok(identity.grant.clone())
    }
}

impl Identity {
    fn new(name: &str, scope: Scope) -> Self {
        Self { name: name.into(), grant: Arc::new(Grant::scoped(scope)) }
    }

    fn within(name: &str, namespaces: Option<BTreeSet<String>>) -> Self {
        Self::new(name, namespaces.map_or(Scope::Everywhere, Scope::Namespaces))
    }
}

/// A token that nobody can guess: 256 random bits.
///
/// # Errors
/// When the system has no random numbers.
pub fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    let mut token = String::from("dev-");
    for byte in bytes {
        let _ = write!(token, "{byte:02x}");
    }
    Ok(token)
}
