//! Which tokens of an issuer are good: keys, time and text in, a verdict out. Pure.
//!
//! A token goes through three hands: what it says is read, its signature is checked, and then its dates are. Each gives
//! what the next takes, so that none can be left out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::Verified;
use super::keys::Keys;
use super::mapping::Mapping;
use super::refusal::Refusal;
use super::token::{Dates, Parts};

/// The most keys that are tried for a token that names none, or one that several have.
const MAX_TRIES: usize = 20;
/// What API servers may sign with and is not implemented here (RFC 7518, 3.4).
const UNIMPLEMENTED: &str = "ES512";

/// What an issuer's tokens have to be.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Compared byte for byte (RFC 7519, 4.1.1).
    pub issuer: Arc<str>,
    /// One of them has to be in the token; `None` where somebody else looks at that.
    pub audiences: Option<Vec<String>>,
    pub algorithms: Vec<Algorithm>,
    /// How much clocks may differ.
    pub skew: Duration,
    /// Claims that have to say exactly this.
    pub required: Vec<(String, String)>,
    /// `None` where somebody else says who it is.
    pub mapping: Option<Mapping>,
}

/// What a token says, without proof.
pub struct Statement<'a> {
    rules: &'a Rules,
    token: Parts<'a>,
    algorithm: Algorithm,
    audiences: Vec<String>,
    dates: Dates,
}

/// A statement that its issuer signed, some time.
#[derive(Debug)]
pub struct Signed {
    verified: Verified,
    dates: Dates,
    skew: Duration,
}

/// Why a statement is not known to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    Refused(Refusal),
    /// By none of these keys; the issuer may have newer ones.
    NoKey,
}

impl Rules {
    /// Reads what a token says, as far as no key is needed.
    ///
    /// # Errors
    /// When it could not be good whatever the keys are.
    pub fn read<'a>(&'a self, text: &'a str) -> Result<Statement<'a>, Refusal> {
        let token = Parts::read(text)?;
        if token.algorithm == UNIMPLEMENTED {
            return Err(Refusal::Unimplemented);
        }
        // The list is ours: what a token says selects from it, and a key has to fit that as well (RFC 8725, 3.1).
        let algorithm = token.algorithm.parse().map_err(|_| Refusal::Algorithm)?;
        if !self.algorithms.contains(&algorithm) {
            return Err(Refusal::Algorithm);
        }
        if token.claims.get("iss").and_then(Value::as_str) != Some(&*self.issuer) {
            return Err(Refusal::Issuer);
        }
        let audiences = token.claims.audiences()?;
        if self.audiences.as_ref().is_some_and(|wanted| !audiences.iter().any(|it| wanted.contains(it))) {
            return Err(Refusal::OtherAudience);
        }
        let dates = token.claims.dates()?;
        Ok(Statement { rules: self, token, algorithm, audiences, dates })
    }
}

impl Statement<'_> {
    /// The name of the key that it says it is signed with.
    pub fn key_id(&self) -> Option<&str> {
        self.token.key_id.as_deref()
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// When none of the keys made it, or the claims that it covers are not what they have to be.
    pub fn signed(&self, keys: &Keys) -> Result<Signed, Unsigned> {
        let named = keys.named(self.key_id()).count();
        let mut fitting = keys.named(self.key_id()).filter(|it| it.fits(self.algorithm)).peekable();
        if self.key_id().is_some() && named > 0 && fitting.peek().is_none() {
            return Err(Unsigned::Refused(Refusal::OtherKey));
        }
        let Parts { message, signature, .. } = self.token;
        let made = |key: &super::keys::Key| {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.decoding, self.algorithm) == Ok(true)
        };
        if fitting.by_ref().take(MAX_TRIES).any(made) {
            return self.believed().map_err(Unsigned::Refused);
        }
        let refusal = match (fitting.next(), self.key_id()) {
            (Some(_), _) => Refusal::TooManyKeys,
            (None, Some(_)) if named > 0 => Refusal::Signature,
            // Of an issuer that does not name its keys, a new one looks like a wrong signature.
            _ => return Err(Unsigned::NoKey),
        };
        Err(Unsigned::Refused(refusal))
    }

    fn believed(&self) -> Result<Signed, Refusal> {
        let claims = &self.token.claims;
        let says = |(claim, value): &(String, String)| claims.get(claim).and_then(Value::as_str) == Some(value);
        if !self.rules.required.iter().all(says) {
            return Err(Refusal::RequiredClaim);
        }
        let user = self.rules.mapping.as_ref().map(|it| it.user(claims)).transpose()?;
        let expires = SystemTime::UNIX_EPOCH.checked_add(self.dates.expires).ok_or(Refusal::Date)?;
        let verified = Verified { issuer: self.rules.issuer.clone(), audiences: self.audiences.clone(), expires, user };
        Ok(Signed { verified, dates: self.dates, skew: self.rules.skew })
    }
}

impl Signed {
    /// What is known of the token, if it counts at this time (RFC 7519, 4.1.4 to 4.1.6).
    ///
    /// # Errors
    /// When it does not.
    pub fn at(&self, now: SystemTime) -> Result<&Verified, Refusal> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let latest = now.saturating_add(self.skew);
        if now >= self.dates.expires.saturating_add(self.skew) {
            return Err(Refusal::Expired);
        }
        if self.dates.not_before.is_some_and(|it| it > latest) {
            return Err(Refusal::NotYetValid);
        }
        if self.dates.issued.is_some_and(|it| it > latest) {
            return Err(Refusal::IssuedInFuture);
        }
        Ok(&self.verified)
    }
}

#[cfg(test)]
mod tests;
