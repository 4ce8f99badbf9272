//! Who holds a token, kept for some seconds: a token that was found good is looked at again soon, so that one that was
//! revoked stops.
//!
//! What must stay true: a token that fails a check here is never sent anywhere, and a failure to find out is not kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use moka::future::Cache;

use super::audit::Audit;
use super::jwt::{Issuers, JwtError, Verified};
use super::limits::Limits;
use super::reviews::{Audience, Reviewer};
use super::user::User;
use super::{AccessError, Authenticator};
use crate::kubernetes::backoff::random;

/// How many tokens are known at the most.
const MAX_TOKENS: u64 = 20_000;
/// How long a refusal counts.
const REFUSED: Duration = Duration::from_secs(2);
/// How long somebody is not counted among strangers after a token was found good.
const FAMILIAR: Duration = Duration::from_mins(5);
/// How much later than a token ends the clock here may be. API servers allow more.
const LATE: Duration = Duration::from_secs(5);

/// How tokens are looked at.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For whom a token has to be.
    pub audience: Arc<str>,
    /// Tokens for the API server are not taken.
    pub is_strict: bool,
    /// How long what was found out counts, at the most.
    pub lifetime: Duration,
}

/// Somebody who presented a good token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub user: Arc<User>,
    pub authenticator: Authenticator,
}

/// What was found out of a token.
#[derive(Clone)]
struct Known {
    holder: Result<Holder, Arc<str>>,
    lifetime: Duration,
}

/// Finds out who holds a token.
pub struct Tokens {
    issuers: Arc<Issuers>,
    reviewer: Arc<Reviewer>,
    settings: Settings,
    limits: Limits,
    audit: Arc<Audit>,
    /// With which tokens are hashed: whoever sees the hashes cannot try out tokens.
    key: [u8; 32],
    known: Cache<[u8; 32], Known>,
    /// Tokens that were good lately. Whether they still are is not said.
    familiar: moka::sync::Cache<[u8; 32], ()>,
}

/// What is known counts for as long as it says itself.
struct AsLongAsItSays;

impl moka::Expiry<[u8; 32], Known> for AsLongAsItSays {
    fn expire_after_create(&self, _: &[u8; 32], known: &Known, _: Instant) -> Option<Duration> {
        Some(known.lifetime)
    }
}

impl Tokens {
    /// `key` is random.
    pub fn new(
        issuers: Arc<Issuers>,
        reviewer: Arc<Reviewer>,
        audit: Arc<Audit>,
        settings: Settings,
        key: [u8; 32],
    ) -> Self {
        let known = Cache::builder().max_capacity(MAX_TOKENS).expire_after(AsLongAsItSays).build();
        let familiar = moka::sync::Cache::builder().max_capacity(MAX_TOKENS).time_to_live(FAMILIAR).build();
        Self { issuers, reviewer, settings, limits: Limits::default(), audit, key, known, familiar }
    }

    /// Who holds a token. Those who present the same one at the same time wait for one answer.
    ///
    /// # Errors
    /// When the token is not accepted, or that cannot be found out.
    pub async fn holder(&self, token: &str, from: IpAddr) -> Result<Holder, AccessError> {
        let hash = *blake3::keyed_hash(&self.key, token.as_bytes()).as_bytes();
        let known = match self.known.get(&hash).await {
            Some(known) => known,
            // Boxed, so that those who are known need not move about all that it takes to be.
            None => Box::pin(self.known.try_get_with(hash, self.find_out(token, hash, from)))
                .await
                .map_err(Arc::unwrap_or_clone)?,
        };
        known.holder.map_err(|why| {
            self.audit.refused(hash, from, &why);
            AccessError::UnknownToken
        })
    }

    async fn find_out(&self, token: &str, hash: [u8; 32], from: IpAddr) -> Result<Known, AccessError> {
        let verified = match self.issuers.check(token).await {
            Ok(verified) => verified,
            Err(JwtError::Refused(why)) => return Ok(self.refused(&why.to_string())),
            Err(JwtError::Unavailable(why)) => return Err(AccessError::Unavailable(why.into())),
        };
        match verified {
            Some(Verified { issuer, user: Some(user), expires, .. }) => {
                let holder = Holder { user: Arc::new(user), authenticator: Authenticator::Issuer(issuer) };
                Ok(self.accepted(holder, Some(expires)))
            }
            // The API server would go on for as long as clocks may differ.
            Some(Verified { expires, .. }) if expires + LATE < SystemTime::now() => {
                Ok(self.refused("the token has expired"))
            }
            Some(Verified { audiences, expires, .. }) => {
                let is_ours = audiences.iter().any(|it| **it == *self.settings.audience);
                match (is_ours, self.settings.is_strict) {
                    (true, _) => self.review(token, &self.ours(), Some(expires)).await,
                    (false, false) => self.review(token, &Audience::Server, Some(expires)).await,
                    (false, true) => Ok(self.refused("the token is for somebody else")),
                }
            }
            // A stranger at the same address must not keep out those who come all the time.
            None if !self.familiar.contains_key(&hash) && !self.limits.allow(from) => Err(AccessError::TooManyTokens),
            None => {
                let either = Audience::Either(self.settings.audience.clone());
                let known =
                    self.review(token, &if self.settings.is_strict { self.ours() } else { either }, None).await?;
                match &known.holder {
                    Ok(_) => self.familiar.insert(hash, ()),
                    Err(_) => self.familiar.invalidate(&hash),
                }
                Ok(known)
            }
        }
    }

    fn ours(&self) -> Audience {
        Audience::Ours(self.settings.audience.clone())
    }

    /// Asks the API server.
    async fn review(
        &self,
        token: &str,
        audience: &Audience,
        expires: Option<SystemTime>,
    ) -> Result<Known, AccessError> {
        let Some(user) = self.reviewer.holder(token, audience).await? else {
            return Ok(self.refused("the API server does not accept the token"));
        };
        let holder = Holder { user: Arc::new(user), authenticator: Authenticator::TokenReview };
        Ok(self.accepted(holder, expires))
    }

    /// Counts a little shorter each time, so that tokens that came together are not looked at again together.
    fn accepted(&self, holder: Holder, expires: Option<SystemTime>) -> Known {
        let chance = u32::try_from(random() % 256).unwrap_or_default();
        let lifetime = self.settings.lifetime * (1024 - chance) / 1024;
        let left = expires.map(|it| it.duration_since(SystemTime::now()).unwrap_or_default());
        Known { holder: Ok(holder), lifetime: left.map_or(lifetime, |it| it.min(lifetime)) }
    }

    fn refused(&self, why: &str) -> Known {
        Known { holder: Err(why.into()), lifetime: REFUSED.min(self.settings.lifetime) }
    }
}
