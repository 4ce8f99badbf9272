//! Tokens that can be checked here: JWTs of issuers whose keys are known (RFC 7519).
//!
//! What must stay true: a token is refused only for what it says or for a signature that no current key of its issuer
//! made. That an issuer cannot be asked, or that clocks disagree, is an outage and never a no.

mod address;
mod clock;
mod configuration;
mod keyring;
pub mod keys;
mod mapping;
mod misses;
mod refusal;
pub mod rules;
mod source;
mod token;

#[cfg(test)]
pub(in crate::access) mod testing;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jsonwebtoken::Algorithm;
use tokio::time::Instant;

use self::clock::Measured;
pub use self::configuration::{ConfigurationError, Configured};
use self::keyring::{Current, Keyring, Looked};
pub use self::refusal::Refusal;
use self::rules::{Rules, Signed, Statement, Unsigned};
use self::source::{FetchError, Servers, Source};
use super::user::User;
use crate::kubernetes::server::Server;

/// A token that passed the check of its issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub issuer: Arc<str>,
    /// What `aud` says, of which at least one is of the issuer's configuration; of tokens of the cluster, whatever is there.
    pub audiences: Vec<String>,
    /// What `exp` says, without the skew that clocks may have: by our clock, where it is known how that of the issuer
    /// differs.
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
    /// The same for a key that was not looked for, because that was done a moment ago: it counts for so long at the most.
    #[error("{0}")]
    RefusedFor(Refusal, Duration),
    /// It cannot be checked now.
    #[error("{0}")]
    Unavailable(String),
}

/// The issuers whose tokens are checked here.
pub struct Issuers {
    configured: Vec<Issuer>,
    cluster: Option<Arc<Keyring>>,
}

/// An issuer that is configured.
struct Issuer {
    rules: Rules,
    keyring: Arc<Keyring>,
}

/// As much as API servers allow.
const SKEW_OF_CLUSTER: Duration = Duration::from_mins(1);
const ALGORITHMS_OF_CLUSTER: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::ES256, Algorithm::ES384];

impl Issuers {
    /// `cluster` is the API server whose service account tokens are checked, if there is one. Needs a runtime of tokio;
    /// nothing is asked yet.
    pub fn new(cluster: Option<Server>, configured: Vec<Configured>) -> Self {
        let of_cluster = |it| Keyring::new("the cluster".into(), Source::Cluster(Box::new(it)), SKEW_OF_CLUSTER);
        let configured = configured.into_iter().map(|Configured { rules, discovery, authority }| {
            let issuer = rules.issuer.clone();
            let name = format!("issuer {issuer}");
            let source = Source::Elsewhere { issuer, discovery, authority, servers: Servers::default() };
            Issuer { keyring: Keyring::new(name, source, rules.skew), rules }
        });
        Self { configured: configured.collect(), cluster: cluster.map(of_cluster) }
    }

    /// One that is configured, and gives keys as a script says.
    #[cfg(test)]
    pub(in crate::access) fn scripted(script: &Arc<testing::Script>) -> Arc<Self> {
        let rules = testing::rules();
        let keyring = Keyring::new("the issuer".into(), Source::Scripted(script.clone()), rules.skew);
        Arc::new(Self { configured: vec![Issuer { rules, keyring }], cluster: None })
    }

    /// Checks a token. `None` is no JWT, or one of nobody that is configured: the API server may know it.
    ///
    /// # Errors
    /// When the token is refused, or cannot be checked now.
    pub async fn check(&self, token: &str) -> Result<Option<Verified>, JwtError> {
        self.check_at(token, SystemTime::now()).await
    }

    async fn check_at(&self, token: &str, now: SystemTime) -> Result<Option<Verified>, JwtError> {
        let named = token::issuers_named(token);
        let is_named = |issuer: &str| named.iter().any(|it| it == issuer);
        if let Some(issuer) = self.configured.iter().find(|it| is_named(&it.rules.issuer)) {
            return Ok(Some(check_with(&issuer.keyring, &issuer.rules, token, now).await?));
        }
        let Some(cluster) = self.cluster.as_ref().filter(|_| !named.is_empty()) else { return Ok(None) };
        let checked = match cluster.current().await {
            Ok(Current { fetched, .. }) if !is_named(&fetched.issuer) => return Ok(None),
            Ok(Current { fetched, .. }) => check_with(cluster, &rules_of_cluster(&fetched.issuer), token, now).await,
            Err(error) => Err(unchecked(cluster, &error)),
        };
        match checked {
            Ok(verified) => Ok(Some(verified)),
            // The API server can check what we cannot.
            Err(Unchecked::NotForUs | Unchecked::Known(JwtError::Refused(Refusal::Unimplemented))) => Ok(None),
            Err(Unchecked::Known(error)) => Err(error),
        }
    }

    /// Keeps keys fresh; runs as long as the process.
    pub async fn keep_up(self: Arc<Self>) {
        let mut tasks = tokio::task::JoinSet::new();
        for keyring in self.keyrings() {
            tasks.spawn(keyring.clone().keep_up());
        }
        while let Some(ended) = tasks.join_next().await {
            // Whoever runs this finds out.
            if let Err(failure) = ended
                && failure.is_panic()
            {
                std::panic::resume_unwind(failure.into_panic());
            }
        }
        std::future::pending::<()>().await;
    }

    /// What is wrong now, with which issuer.
    pub fn problems(&self) -> Vec<String> {
        let of_cluster = self.cluster.as_ref().and_then(|it| it.known()).map(|it| it.issuer.clone());
        let is_of_cluster = |it: &&Issuer| Some(&it.rules.issuer) == of_cluster.as_ref();
        let clash = self
            .configured
            .iter()
            .find(is_of_cluster)
            .map(|it| format!("issuer {} is the cluster's own; take it out of the configuration", it.rules.issuer));
        self.keyrings().flat_map(|it| it.problems()).chain(clash).collect()
    }

    fn keyrings(&self) -> impl Iterator<Item = &Arc<Keyring>> {
        self.configured.iter().map(|it| &it.keyring).chain(&self.cluster)
    }
}

/// The API server says who it is and whom the token is for.
fn rules_of_cluster(issuer: &Arc<str>) -> Rules {
    Rules {
        issuer: issuer.clone(),
        audiences: None,
        algorithms: ALGORITHMS_OF_CLUSTER.into(),
        skew: SKEW_OF_CLUSTER,
        required: vec![],
        mapping: None,
    }
}

/// Why a token of an issuer is not known to be good.
enum Unchecked {
    Known(JwtError),
    /// The issuer's keys are not for us.
    NotForUs,
}

async fn check_with(
    keyring: &Arc<Keyring>,
    rules: &Rules,
    token: &str,
    now: SystemTime,
) -> Result<Verified, Unchecked> {
    let begun = Instant::now();
    let statement = rules.read(token)?;
    let signed = signed(keyring, &statement).await?;
    let verdict = signed.at(now);
    let are_clocks_off = |clock: &Measured, now: SystemTime, at: Instant| {
        clock.difference(now, at) > rules.skew && signed.at(clock.now_there(now, at)).is_ok() != verdict.is_ok()
    };
    let by_our_clock = |clock: Option<Measured>, verified: &Verified, now: SystemTime| {
        let expires = clock.and_then(|it| it.ours(verified.expires, now, Instant::now()));
        Verified { expires: expires.unwrap_or(verified.expires), ..verified.clone() }
    };
    if let Ok(verified) = verdict {
        let clock = keyring.known().and_then(|it| it.clock);
        let here = now + begun.elapsed();
        // Of tokens of the cluster the API server has the last word, by its own clock.
        let is_ours_to_say = rules.mapping.is_some();
        if !is_ours_to_say || !clock.is_some_and(|it| are_clocks_off(&it, here, Instant::now())) {
            return Ok(by_our_clock(clock, verified, here));
        }
    }
    let clock = keyring.measure().await.and_then(|it| it.clock);
    let (at, now) = (Instant::now(), now + begun.elapsed());
    match clock {
        // Which of the two is wrong cannot be known here, so that this is no verdict on the token.
        Some(clock) if are_clocks_off(&clock, now, at) => {
            let seconds = clock.difference(now, at).as_secs();
            let issuer = &rules.issuer;
            Err(JwtError::Unavailable(format!("our clock and that of issuer {issuer} differ by {seconds} s")).into())
        }
        _ => verdict.map(|it| by_our_clock(clock, it, now)).map_err(Into::into),
    }
}

/// Checks the signature: with the keys that are known and, where they do not have that one, with newer ones.
async fn signed(keyring: &Arc<Keyring>, statement: &Statement<'_>) -> Result<Signed, Unchecked> {
    let id = statement.key_id();
    let current = keyring.current().await.map_err(|it| unchecked(keyring, &it))?;
    let refusal = match statement.signed(&current.fetched.keys) {
        Ok(signed) => return Ok(signed),
        Err(Unsigned::NoKey) if current.is_new => return Err(Refusal::UnknownKey.into()),
        Err(Unsigned::NoKey) => Refusal::UnknownKey,
        // An issuer may give the name of a key to another one.
        Err(Unsigned::Refused(refusal @ (Refusal::Signature | Refusal::OtherKey))) if current.is_old => refusal,
        Err(Unsigned::Refused(refusal)) => return Err(refusal.into()),
    };
    let fetched = match keyring.look_for(id).await.map_err(|it| unchecked(keyring, &it))? {
        Looked::At(fetched) => fetched,
        Looked::NotFor(rest) => return Err(JwtError::RefusedFor(refusal, rest).into()),
    };
    let refusal = match statement.signed(&fetched.keys) {
        Ok(signed) => return Ok(signed),
        Err(Unsigned::NoKey) => Refusal::UnknownKey,
        Err(Unsigned::Refused(refusal)) => refusal,
    };
    if matches!(refusal, Refusal::UnknownKey | Refusal::Signature | Refusal::OtherKey) {
        keyring.not_found(id);
    }
    Err(refusal.into())
}

impl From<Refusal> for Unchecked {
    fn from(refusal: Refusal) -> Self {
        Self::Known(JwtError::Refused(refusal))
    }
}

impl From<JwtError> for Unchecked {
    fn from(error: JwtError) -> Self {
        Self::Known(error)
    }
}

fn unchecked(keyring: &Keyring, error: &FetchError) -> Unchecked {
    match error {
        FetchError::NotForUs(_) => Unchecked::NotForUs,
        FetchError::Failed(_) => JwtError::Unavailable(keyring.problem_of(error)).into(),
    }
}

impl From<Unchecked> for JwtError {
    fn from(unchecked: Unchecked) -> Self {
        match unchecked {
            Unchecked::Known(error) => error,
            Unchecked::NotForUs => Self::Unavailable("the issuer's keys are not for us".into()),
        }
    }
}

/// Reads the file of `--authentication-config`.
///
/// # Errors
/// When it cannot be read, or asks for what is not possible.
pub fn read_configuration(path: &Path) -> Result<Vec<Configured>, ConfigurationError> {
    configuration::read(path)
}

/// Reads the text of such a file.
///
/// # Errors
/// What is wrong where.
pub fn parse_configuration(text: &str) -> Result<Vec<Configured>, String> {
    configuration::parse(text)
}
