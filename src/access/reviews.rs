//! What the API server is asked about callers: whose token this is, and what somebody may do. Nothing is kept here.
//!
//! What must stay true: a question that is not answered is a failure, and neither a no nor a yes.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::hedge::{PATIENCE, hedged};
use super::questions::Question;
use super::user::User;
use crate::kubernetes::backoff::random;
use crate::kubernetes::failure::Failure;
use crate::kubernetes::server::Server;
use crate::mesh::place::Place;
use crate::tally::Durations;

const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
/// How many tokens are reviewed at a time, how many of those that nothing is known of, and how many rights. Apart from each
/// other, so that nobody waits to be let in because somebody may see many namespaces; nor because somebody makes up tokens, for
/// which an authenticator may take long.
const AT_ONCE: usize = 16;

/// After something new was learned of the API server's own audiences, a token that is not for them is taken to be for none
/// of it for so long.
const LEARNED: Duration = Duration::from_secs(10);
/// How many of the API server's own audiences are remembered.
const MAX_OWN: usize = 16;
/// So much of a token is as good as all of it, in bytes.
const PIECE: usize = 20;
/// What API servers say of a token beside whose it is. It names a credential and not a person, and is another one for each
/// token, so that nobody would be known again. Authorizers that decide by it are not served.
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
/// How much of the error of a review is passed on, in characters.
const MAX_WORDS: usize = 300;
/// What is said where somebody could not be asked, in small letters; not as parts of other words.
const TRANSPORT: [&str; 18] = [
    "dial tcp",
    "connection refused",
    "connection reset",
    "broken pipe",
    "no route to host",
    "unreachable",
    "deadline exceeded",
    "timeout",
    "timed out",
    "eof",
    "no such host",
    "server misbehaving",
    "not initialized",
    "unable to handle the request",
    "fetching keys",
    "tls handshake",
    "x509:",
    "i/o",
];

/// For whom a token has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// For a service of this name.
    Ours(Arc<str>),
    /// For the API server.
    Server,
    /// For one or the other.
    Either(Arc<str>),
}

/// What is known of a token before it is reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is signed as it should be, or was good lately.
    Familiar,
    /// Nothing.
    Strange,
}

/// Asks an API server about callers.
pub struct Reviewer {
    server: Server,
    token_turns: Semaphore,
    stranger_turns: Semaphore,
    access_turns: Semaphore,
    own: ArcSwapOption<Own>,
    counts: Counts,
}

/// What is known of the API server's own audiences: it never says all of them, but those that a token is for as well.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Own {
    audiences: Vec<String>,
    /// When the last of them was learned. What brings nothing new does not count: whoever presents garbage must not keep
    /// out those whose audience is still to be learned.
    learned: Instant,
}

/// How often was asked, by what it was about.
#[derive(Debug, Default)]
pub struct Counts {
    pub tokens: Reviews,
    pub rights: Reviews,
}

/// What came of questions.
#[derive(Debug, Default)]
pub struct Reviews {
    allowed: AtomicU64,
    denied: AtomicU64,
    failed: AtomicU64,
    /// How long answers took, waiting for a turn included.
    pub durations: Durations,
}

impl Reviews {
    /// Waits for an answer, and counts it.
    async fn counted<T>(
        &self,
        answer: impl Future<Output = Result<T, Failure>>,
        is_yes: impl Fn(&T) -> bool,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        let answer = answer.await;
        let count = match answer.as_ref().map(is_yes) {
            Ok(true) => &self.allowed,
            Ok(false) => &self.denied,
            Err(_) => &self.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.durations.note(began.elapsed());
        answer
    }

    /// How many of them came out each way.
    pub fn outcomes(&self) -> [(&'static str, u64); 3] {
        let outcomes = [("allowed", &self.allowed), ("denied", &self.denied), ("error", &self.failed)];
        outcomes.map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}

impl Reviewer {
    pub fn new(server: Server) -> Self {
        let turns = || Semaphore::new(AT_ONCE);
        Self {
            server,
            token_turns: turns(),
            stranger_turns: turns(),
            access_turns: turns(),
            own: ArcSwapOption::empty(),
            counts: Counts::default(),
        }
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whose token this is; `None` where it is nobody's, or is not for this audience.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn holder(&self, token: &str, standing: Standing, audience: &Audience) -> Result<Option<User>, Failure> {
        let (ours, is_for_server) = match audience {
            Audience::Ours(name) => (Some(name.to_string()), false),
            Audience::Server => (None, true),
            Audience::Either(name) => (Some(name.to_string()), true),
        };
        let own = self.own.load_full().filter(|_| is_for_server);
        let known = own.iter().flat_map(|it| it.audiences.iter().cloned());
        let audiences: Vec<_> = ours.iter().cloned().chain(known).collect();
        if !audiences.is_empty()
            && let Some((user, _)) = self.reviewed(token, standing, Some(&audiences)).await?
        {
            return Ok(Some(user));
        }
        // Tokens that are for the API server for certain are not so many that the second question matters.
        let is_taken_for_nobodys = ours.is_some() && own.is_some_and(|it| it.learned.elapsed() < LEARNED);
        if !is_for_server || is_taken_for_nobodys {
            return Ok(None);
        }
        // What its own audiences are is learned from tokens that are for them.
        let Some((user, its_own)) = self.reviewed(token, standing, None).await? else { return Ok(None) };
        self.learn(&its_own);
        if its_own.is_empty() {
            // It knows of no audiences.
            return Ok(Some(user));
        }
        // That may be what the API server found out some time ago, for somebody else. What it was asked anew counts for more:
        // it was, if nothing of this is new, and said no.
        if its_own.iter().all(|it| audiences.contains(it)) {
            return Ok(None);
        }
        Ok(self.reviewed(token, standing, Some(&its_own)).await?.map(|(user, _)| user))
    }

    fn learn(&self, audiences: &[String]) {
        let now = Instant::now();
        self.own.rcu(|own| match Own::with(own.as_deref(), audiences, now) {
            Some(more) => Some(Arc::new(more)),
            None => own.clone(),
        });
    }

    /// The holder of a token that is for one of these audiences, or else for the API server, and for which it is.
    ///
    /// API servers keep what they have found out of a token for ten seconds. With an audience that nobody has it is a
    /// question that was never asked before, so that a token that was revoked is found out when we ask.
    async fn reviewed(
        &self,
        token: &str,
        standing: Standing,
        audiences: Option<&[String]>,
    ) -> Result<Option<(User, Vec<String>)>, Failure> {
        let nobodys = || format!("eventmesh-catalog/{:016x}", random());
        let ask = || async {
            let audiences = audiences.map(|it| it.iter().cloned().chain([nobodys()]).collect());
            let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences };
            let review = TokenReview { spec, ..TokenReview::default() };
            self.server.create(TOKEN_REVIEWS, &review).await
        };
        let answer = async {
            let turns = match standing {
                Standing::Familiar => &self.token_turns,
                Standing::Strange => &self.stranger_turns,
            };
            let _turn = turn(turns).await?;
            let review = hedged(ask).await?;
            holder(review.status.ok_or_else(unanswered)?, audiences)
        };
        let answer = self.counts.tokens.counted(answer, Option::is_some).await;
        answer.map_err(|failure| without(token, failure))
    }

    /// Whether somebody may do something.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn may(&self, user: &User, question: &Question, place: &Place) -> Result<bool, Failure> {
        let review = SubjectAccessReview { spec: spec(user, question, place), ..SubjectAccessReview::default() };
        let answer = async {
            let _turn = turn(&self.access_turns).await?;
            let review = hedged(|| self.server.create(ACCESS_REVIEWS, &review)).await?;
            allowed(review.status.ok_or_else(unanswered)?)
        };
        self.counts.rights.counted(answer, |is_allowed| *is_allowed).await
    }
}

impl Own {
    /// What is known with these audiences; `None` where none of them is new, or there is no room for more.
    fn with(own: Option<&Self>, audiences: &[String], now: Instant) -> Option<Self> {
        let known = own.map(|it| &it.audiences[..]).unwrap_or_default();
        let mut all = known.to_vec();
        for audience in audiences {
            if all.len() < MAX_OWN && !all.contains(audience) {
                all.push(audience.clone());
            }
        }
        (all.len() > known.len()).then_some(Self { audiences: all, learned: now })
    }
}

/// Waits for a turn, but not for longer than those whose turn it is may take.
async fn turn(turns: &Semaphore) -> Result<SemaphorePermit<'_>, Failure> {
    match tokio::time::timeout(PATIENCE, turns.acquire()).await {
        Ok(Ok(turn)) => Ok(turn),
        Ok(Err(_)) | Err(_) => Err(Failure::Unreachable("too many reviews are under way".into())),
    }
}

fn unanswered() -> Failure {
    Failure::Garbled("a review without an answer".into())
}

/// What is decided. Where nobody allows something, but not all who decide could be asked, that is no answer.
fn allowed(status: SubjectAccessReviewStatus) -> Result<bool, Failure> {
    match (status.allowed, status.denied == Some(true), status.evaluation_error.filter(|it| !it.is_empty())) {
        (true, true, _) => Err(Failure::Garbled("a right is both allowed and denied".into())),
        (false, false, Some(error)) => {
            Err(Failure::Busy { status: 200, words: format!("it could not decide: {error}"), retry_after: None })
        }
        (is_allowed, ..) => Ok(is_allowed),
    }
}

/// A failure without the token: its words are those of a server, which may repeat what it was sent.
fn without(token: &str, failure: Failure) -> Failure {
    let pieces: HashSet<_> = token.as_bytes().windows(PIECE.min(token.len().max(1))).collect();
    let words = failure.to_string();
    let tells = |size: usize| words.as_bytes().windows(size).any(|it| pieces.contains(it));
    if pieces.iter().next().is_some_and(|it| tells(it.len())) {
        return Failure::Garbled("the answer repeats what was asked".into());
    }
    failure
}

/// Who is said to hold a token, and for which audiences it is. A review that does not speak of audiences has only looked
/// whether the token is for the API server.
fn holder(status: TokenReviewStatus, asked: Option<&[String]>) -> Result<Option<(User, Vec<String>)>, Failure> {
    let audiences = status.audiences.unwrap_or_default();
    let is_for_it = asked.is_none_or(|asked| audiences.iter().any(|it| asked.contains(it)));
    let is_good = status.authenticated == Some(true) && is_for_it;
    if let Some(user) = status.user.filter(|_| is_good).and_then(user) {
        return Ok(Some((user, audiences)));
    }
    match status.error.filter(|it| is_of_transport(it)) {
        Some(error) => {
            let words = format!("it could not find out whose token it is: {error}").chars().take(MAX_WORDS).collect();
            Err(Failure::Busy { status: 201, words, retry_after: None })
        }
        None => Ok(None),
    }
}

/// Whether the error of a review is that somebody whom the API server asks could not be asked: a webhook, or the issuer
/// of tokens whose keys it needs. All others are verdicts on the token, such as "token has expired": there is no telling
/// the two apart but by their words. Whoever gets such words into an error by what is in their token gets a 503 for it
/// instead of a 401, and nobody else does.
fn is_of_transport(error: &str) -> bool {
    let error = error.to_lowercase();
    let is_part = |it: Option<char>| it.is_some_and(|it| it.is_ascii_alphanumeric());
    let is_said = |words: &&str| {
        let mut found = error.match_indices(*words).filter_map(|(at, _)| error.split_at_checked(at));
        found.any(|(before, after)| {
            !is_part(before.chars().next_back()) && !is_part(after.get(words.len()..).and_then(|it| it.chars().next()))
        })
    };
    TRANSPORT.iter().any(is_said)
}

/// Somebody without a name is nobody.
fn user(info: UserInfo) -> Option<User> {
    let mut groups = info.groups.unwrap_or_default();
    groups.sort();
    groups.dedup();
    let name = info.username.filter(|it| !it.is_empty())?;
    let extra = info.extra.unwrap_or_default().into_iter().filter(|(it, _)| it != CREDENTIAL_ID);
    let extra = extra.collect::<BTreeMap<_, _>>();
    Some(User { name, uid: info.uid.unwrap_or_default(), groups, extra })
}

/// The question in the words of Kubernetes. It is about all objects that it covers: nothing is said of selectors, so that
/// who may see a selection only is answered with no.
fn spec(user: &User, question: &Question, place: &Place) -> SubjectAccessReviewSpec {
    let attributes = ResourceAttributes {
        group: Some(question.of.group.to_string()),
        version: Some(place.version.to_string()),
        resource: Some(place.plural.to_string()),
        verb: Some(question.verb.name().into()),
        namespace: question.namespace.as_ref().map(ToString::to_string),
        name: question.name.as_ref().map(ToString::to_string),
        ..ResourceAttributes::default()
    };
    SubjectAccessReviewSpec {
        user: Some(user.name.clone()),
        uid: Some(user.uid.clone()).filter(|it| !it.is_empty()),
        groups: Some(user.groups.clone()),
        extra: Some(user.extra.clone().into_iter().collect()),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    }
}

#[cfg(test)]
mod tests;
