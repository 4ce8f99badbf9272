//! Who holds a token, kept for some seconds: a token that was found good is looked at again soon, so that one that was
//! revoked stops.
//!
//! What must stay true: a token that fails a check here is never sent anywhere, and a failure to find out is not kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use moka::future::Cache;
use moka::policy::EvictionPolicy;

use super::audit::Audit;
use super::jwt::{Issuers, JwtError, Verified};
use super::limits::Limits;
use super::reviews::{Audience, Reviewer, Standing};
use super::user::User;
use super::{AccessError, Authenticator};
use crate::kubernetes::backoff::random;
use crate::tally::{Cached, Lookups};

/// How many tokens are known at the most.
const MAX_TOKENS: u64 = 20_000;
/// How many tokens are known to be refused. They are kept apart: whoever makes up tokens must not keep good ones from being
/// known.
const MAX_REFUSED: u64 = 5_000;
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

/// What was found out of a good token.
#[derive(Clone)]
struct Known {
    holder: Holder,
    lifetime: Duration,
}

/// Why a token is not known to be good.
#[derive(Clone)]
enum No {
    Refused(Refused),
    Error(AccessError),
}

/// Why a token is not good, and for how long that counts.
#[derive(Clone)]
struct Refused {
    why: Arc<str>,
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
    refused: moka::sync::Cache<[u8; 32], Refused>,
    /// Tokens that were good lately. Whether they still are is not said.
    familiar: moka::sync::Cache<[u8; 32], ()>,
    lookups: Lookups,
}

/// What is known counts for as long as it says itself.
struct AsLongAsItSays;

impl moka::Expiry<[u8; 32], Known> for AsLongAsItSays {
    fn expire_after_create(&self, _: &[u8; 32], known: &Known, _: Instant) -> Option<Duration> {
        Some(known.lifetime)
    }
}

impl moka::Expiry<[u8; 32], Refused> for AsLongAsItSays {
    fn expire_after_create(&self, _: &[u8; 32], refused: &Refused, _: Instant) -> Option<Duration> {
        Some(refused.lifetime)
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
        let refused = moka::sync::Cache::builder().max_capacity(MAX_REFUSED).expire_after(AsLongAsItSays);
        let refused = refused.eviction_policy(EvictionPolicy::lru()).build();
        let (limits, lookups) = (Limits::default(), Lookups::default());
        Self { issuers, reviewer, settings, limits, audit, key, known, refused, familiar, lookups }
    }

    /// Brings up to date what is counted late.
    pub async fn settle(&self) {
        self.known.run_pending_tasks().await;
        self.refused.run_pending_tasks();
    }

    /// How many tokens are known, good or refused.
    pub fn cached(&self) -> Cached {
        let entries = self.known.entry_count() + self.refused.entry_count();
        Cached::new("tokens", entries, None, &self.lookups)
    }

    /// Who holds a token. Those who present the same one at the same time wait for one answer.
    ///
    /// # Errors
    /// When the token is not accepted, or that cannot be found out.
    pub async fn holder(&self, token: &str, from: IpAddr) -> Result<Holder, AccessError> {
        let hash = *blake3::keyed_hash(&self.key, token.as_bytes()).as_bytes();
        if let Some(known) = self.known.get(&hash).await {
            self.lookups.note(true);
            return Ok(known.holder);
        }
        let refused = self.refused.get(&hash);
        self.lookups.note(refused.is_some());
        let no = match refused {
            Some(refused) => No::Refused(refused),
            // Boxed, so that those who are known need not move about all that it takes to be.
            None => match Box::pin(self.known.try_get_with(hash, self.look_at(token, hash, from))).await {
                Ok(known) => return Ok(known.holder),
                Err(no) => Arc::unwrap_or_clone(no),
            },
        };
        Err(match no {
            No::Refused(Refused { why, .. }) => {
                self.audit.refused(hash, from, &why);
                AccessError::UnknownToken
            }
            No::Error(error) => {
                if error == AccessError::TooManyTokens {
                    self.audit.limited(from);
                }
                error
            }
        })
    }

    /// Finds out who holds a token, and keeps that it is refused before those who wait hear of it.
    async fn look_at(&self, token: &str, hash: [u8; 32], from: IpAddr) -> Result<Known, No> {
        let found = self.find_out(token, hash, from).await;
        if let Err(No::Refused(refused)) = &found {
            self.refused.insert(hash, refused.clone());
        }
        found
    }

    async fn find_out(&self, token: &str, hash: [u8; 32], from: IpAddr) -> Result<Known, No> {
        let verified = match self.issuers.check(token).await {
            Ok(verified) => verified,
            Err(JwtError::Refused(why)) => return Err(self.refused(&why.to_string())),
            Err(JwtError::RefusedFor(why, at_most)) => return Err(self.refused_for(&why.to_string(), at_most)),
            Err(JwtError::Unavailable(why)) => return Err(No::Error(AccessError::Unavailable(why.into()))),
        };
        match verified {
            Some(Verified { issuer, user: Some(user), expires, .. }) => {
                let holder = Holder { user: Arc::new(user), authenticator: Authenticator::Issuer(issuer) };
                Ok(self.accepted(holder, Some(expires)))
            }
            // The API server would go on for as long as clocks may differ.
            Some(Verified { expires, .. }) if expires + LATE < SystemTime::now() => {
                Err(self.refused("the token has expired"))
            }
            Some(Verified { audiences, expires, .. }) => {
                let is_ours = audiences.iter().any(|it| **it == *self.settings.audience);
                match (is_ours, self.settings.is_strict) {
                    (true, _) => self.review(token, Standing::Familiar, &self.ours(), Some(expires)).await,
                    (false, false) => self.review(token, Standing::Familiar, &Audience::Server, Some(expires)).await,
                    (false, true) => Err(self.refused("the token is for somebody else")),
                }
            }
            None => {
                let is_familiar = self.familiar.contains_key(&hash);
                // A stranger at the same address must not keep out those who come all the time.
                if !is_familiar && !self.limits.allow(from) {
                    return Err(No::Error(AccessError::TooManyTokens));
                }
                let standing = if is_familiar { Standing::Familiar } else { Standing::Strange };
                let either = Audience::Either(self.settings.audience.clone());
                let audience = if self.settings.is_strict { self.ours() } else { either };
                let known = self.review(token, standing, &audience, None).await;
                match &known {
                    Ok(_) => self.familiar.insert(hash, ()),
                    Err(No::Refused(_)) => self.familiar.invalidate(&hash),
                    Err(No::Error(_)) => (),
                }
                known
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
        standing: Standing,
        audience: &Audience,
        expires: Option<SystemTime>,
    ) -> Result<Known, No> {
        let user =
            self.reviewer.holder(token, standing, audience).await.map_err(|failure| No::Error(failure.into()))?;
        let Some(user) = user else {
            return Err(self.refused("the API server does not accept the token"));
        };
        let holder = Holder { user: Arc::new(user), authenticator: Authenticator::TokenReview };
        Ok(self.accepted(holder, expires))
    }

    /// Counts a little shorter each time, so that tokens that came together are not looked at again together.
    fn accepted(&self, holder: Holder, expires: Option<SystemTime>) -> Known {
        let chance = u32::try_from(random() % 256).unwrap_or_default();
        let lifetime = self.settings.lifetime * (1024 - chance) / 1024;
        let left = expires.map(|it| it.duration_since(SystemTime::now()).unwrap_or_default());
        Known { holder, lifetime: left.map_or(lifetime, |it| it.min(lifetime)) }
    }

    fn refused(&self, why: &str) -> No {
        self.refused_for(why, REFUSED)
    }

    fn refused_for(&self, why: &str, at_most: Duration) -> No {
        No::Refused(Refused { why: why.into(), lifetime: at_most.min(REFUSED).min(self.settings.lifetime) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::jwt::testing::{Answered, Script, rsa_named, token};
    use super::*;
    use crate::kubernetes::server::Server;

    /// With one issuer, and an API server that cannot be reached.
    fn tokens(lifetime: Duration) -> Tokens {
        let reviewer = Arc::new(Reviewer::new(Server::at("http://127.0.0.1:1", None).unwrap()));
        let issuers = Issuers::scripted(&Script::new(Answered::Keys(rsa_named("k"))));
        let settings = Settings { audience: "catalog".into(), is_strict: false, lifetime };
        Tokens::new(issuers, reviewer, Arc::default(), settings, [7; 32])
    }

    #[tokio::test]
    async fn a_refusal_counts_for_no_longer_than_it_says() {
        let tokens = tokens(Duration::from_mins(1));
        for (at_most, expected) in [(Duration::from_millis(3), Duration::from_millis(3)), (REFUSED * 2, REFUSED)] {
            let No::Refused(refused) = tokens.refused_for("no", at_most) else { panic!("it is refused") };
            assert_eq!(refused.lifetime, expected);
        }
    }

    #[tokio::test]
    async fn tokens_that_are_refused_take_no_room_from_those_that_are_good() {
        let tokens = tokens(Duration::from_mins(1));
        let from = IpAddr::from([192, 0, 2, 1]);
        for n in 0..2 * MAX_REFUSED {
            let other = format!("e30.{}.{n}", "eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlLmNvbSJ9");
            assert_eq!(tokens.holder(&other, from).await, Err(AccessError::UnknownToken));
        }
        tokens.known.run_pending_tasks().await;
        tokens.refused.run_pending_tasks();
        assert_eq!(tokens.known.entry_count(), 0);
        assert!((1..=MAX_REFUSED).contains(&tokens.refused.entry_count()), "{}", tokens.refused.entry_count());
        let good = token("k", &json!({ "exp": 4_000_000_000_u64 }));
        let holder = tokens.holder(&good, from).await.unwrap();
        assert_eq!(holder.user.name, "oidc:ann");
        tokens.known.run_pending_tasks().await;
        assert_eq!(tokens.known.entry_count(), 1);
    }
}
