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

const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
/// How many tokens are reviewed at a time, and how many rights. Apart from each other, so that nobody waits to be let in
/// because somebody may see many namespaces.
const AT_ONCE: usize = 16;

/// What the API server said of its own audiences is looked at again after so long, when a token is not for them.
const LEARN_AGAIN: Duration = Duration::from_secs(10);
/// So much of a token is as good as all of it, in bytes.
const PIECE: usize = 20;

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

/// Asks an API server about callers.
pub struct Reviewer {
    server: Server,
    token_turns: Semaphore,
    access_turns: Semaphore,
    /// What is known of the API server's own audiences, and since when.
    own: ArcSwapOption<(Vec<String>, Instant)>,
    counts: Counts,
}

/// How often was asked.
#[derive(Debug, Default)]
pub struct Counts {
    pub tokens: AtomicU64,
    pub rights: AtomicU64,
    pub failures: AtomicU64,
}

impl Reviewer {
    pub fn new(server: Server) -> Self {
        let turns = || Semaphore::new(AT_ONCE);
        Self {
            server,
            token_turns: turns(),
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
    pub async fn holder(&self, token: &str, audience: &Audience) -> Result<Option<User>, Failure> {
        let (ours, is_for_server) = match audience {
            Audience::Ours(name) => (Some(name.to_string()), false),
            Audience::Server => (None, true),
            Audience::Either(name) => (Some(name.to_string()), true),
        };
        let own = self.own.load_full().filter(|_| is_for_server);
        let audiences: Vec<_> = ours.into_iter().chain(own.iter().flat_map(|it| it.0.iter().cloned())).collect();
        if !audiences.is_empty()
            && let Some((user, _)) = self.reviewed(token, Some(&audiences)).await?
        {
            return Ok(Some(user));
        }
        if !is_for_server || own.is_some_and(|it| it.1.elapsed() < LEARN_AGAIN) {
            return Ok(None);
        }
        // What its own audiences are is learned from the first token that is for them.
        let own = self.own.load_full();
        let reviewed = self.reviewed(token, None).await?;
        let learned = reviewed.as_ref().map(|(_, audiences)| audiences.clone()).filter(|it| !it.is_empty());
        if let Some(audiences) = learned.or_else(|| own.map(|it| it.0.clone())) {
            self.own.store(Some(Arc::new((audiences, Instant::now()))));
        }
        Ok(reviewed.map(|(user, _)| user))
    }

    /// The holder of a token that is for one of these audiences, or else for the API server, and for which it is.
    ///
    /// API servers keep what they have found out of a token for ten seconds. With an audience that nobody has it is a
    /// question that was never asked before, so that a token that was revoked is found out when we ask.
    async fn reviewed(
        &self,
        token: &str,
        audiences: Option<&[String]>,
    ) -> Result<Option<(User, Vec<String>)>, Failure> {
        let nobodys = || format!("eventmesh-catalog/{:016x}", random());
        let ask = || async {
            let audiences = audiences.map(|it| it.iter().cloned().chain([nobodys()]).collect());
            let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences };
            let review = TokenReview { spec, ..TokenReview::default() };
            self.server.create(TOKEN_REVIEWS, &review).await
        };
        let _turn = turn(&self.token_turns).await?;
        self.counts.tokens.fetch_add(1, Ordering::Relaxed);
        let review = self.counted(hedged(ask).await).map_err(|failure| without(token, failure))?;
        Ok(holder(review.status.ok_or_else(unanswered)?, audiences))
    }

    /// Whether somebody may do something.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn may(&self, user: &User, question: &Question, place: &Place) -> Result<bool, Failure> {
        let review = SubjectAccessReview { spec: spec(user, question, place), ..SubjectAccessReview::default() };
        let _turn = turn(&self.access_turns).await?;
        self.counts.rights.fetch_add(1, Ordering::Relaxed);
        let answer = self.counted(hedged(|| self.server.create(ACCESS_REVIEWS, &review)).await)?;
        allowed(answer.status.ok_or_else(unanswered)?)
    }

    fn counted<T>(&self, answer: Result<T, Failure>) -> Result<T, Failure> {
        answer.inspect_err(|_| _ = self.counts.failures.fetch_add(1, Ordering::Relaxed))
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
fn holder(status: TokenReviewStatus, asked: Option<&[String]>) -> Option<(User, Vec<String>)> {
    let audiences = status.audiences.unwrap_or_default();
    let is_for_it = asked.is_none_or(|asked| audiences.iter().any(|it| asked.contains(it)));
    let is_good = status.authenticated == Some(true) && is_for_it;
    Some((status.user.filter(|_| is_good).and_then(user)?, audiences))
}

/// Somebody without a name is nobody.
fn user(info: UserInfo) -> Option<User> {
    let mut groups = info.groups.unwrap_or_default();
    groups.sort();
    groups.dedup();
    let name = info.username.filter(|it| !it.is_empty())?;
    let extra = info.extra.unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>();
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
mod tests {
    use serde_json::{Value, json};

    use super::super::questions::Verb;
    use super::*;
    use crate::mesh::GroupKind;

    #[test]
    fn only_who_is_said_to_be_somebody_for_that_audience_is() {
        let ours = ["catalog".to_owned()];
        let check = |status: Value, asked: Option<&[String]>, expected: Option<&str>| {
            let found = holder(serde_json::from_value(status.clone()).unwrap(), asked);
            assert_eq!(found.map(|(user, _)| user.name).as_deref(), expected, "{status} for {asked:?}");
        };
        let user = json!({"username": "jane", "uid": "1", "groups": ["b", "a", "b"], "extra": {"x": ["1"]}});
        let good = |audiences: Value| json!({"authenticated": true, "user": user, "audiences": audiences});
        check(good(json!(["catalog", "nobody/1"])), Some(&ours), Some("jane"));
        check(good(json!(["server"])), None, Some("jane"));
        check(good(Value::Null), None, Some("jane"));
        // What does not know audiences has not looked at them.
        check(good(Value::Null), Some(&ours), None);
        check(good(json!([])), Some(&ours), None);
        check(good(json!(["server"])), Some(&ours), None);
        check(good(json!(["catalog/x", "catalo", "Catalog"])), Some(&ours), None);
        check(json!({"authenticated": false, "user": user, "audiences": ["catalog"]}), Some(&ours), None);
        check(json!({"user": user, "audiences": ["catalog"]}), Some(&ours), None);
        check(json!({"authenticated": true, "user": user, "error": "but"}), None, Some("jane"));
        check(json!({"authenticated": true}), None, None);
        check(json!({"authenticated": true, "user": {}}), None, None);
        check(json!({"authenticated": true, "user": {"username": ""}}), None, None);
        check(json!({}), None, None);
        let (found, _) = holder(serde_json::from_value(good(Value::Null)).unwrap(), None).unwrap();
        assert_eq!((found.groups, found.uid.as_str()), (vec!["a".to_owned(), "b".to_owned()], "1"));
        assert_eq!(found.extra, [("x".to_owned(), vec!["1".to_owned()])].into());
    }

    #[test]
    fn questions_are_about_all_that_they_cover_and_nothing_more() {
        let user = User { name: "jane".into(), groups: vec!["a".into()], ..User::default() };
        let place = Place { version: "v1".into(), plural: "geese".into() };
        let ask = |namespace: Option<&str>, name: Option<&str>| {
            let (namespace, name) = (namespace.map(Into::into), name.map(Into::into));
            let question = Question { verb: Verb::Get, of: GroupKind::new("a.example", "Goose"), namespace, name };
            serde_json::to_value(spec(&user, &question, &place)).unwrap()
        };
        let about = |attributes: Value| {
            let mut all = json!({"group": "a.example", "version": "v1", "resource": "geese", "verb": "get"});
            all.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
            json!({"user": "jane", "groups": ["a"], "extra": {}, "resourceAttributes": all})
        };
        assert_eq!(ask(None, None), about(json!({})));
        assert_eq!(ask(Some("shop"), None), about(json!({"namespace": "shop"})));
        assert_eq!(ask(Some("shop"), Some("one")), about(json!({"namespace": "shop", "name": "one"})));
    }
    #[test]
    fn what_could_not_be_decided_is_neither_a_no_nor_a_yes() {
        let check = |status: Value, expected: Option<bool>| {
            let found = allowed(serde_json::from_value(status.clone()).unwrap());
            assert_eq!(found.ok(), expected, "{status}");
        };
        check(json!({"allowed": true}), Some(true));
        check(json!({"allowed": false}), Some(false));
        check(json!({"allowed": false, "denied": true}), Some(false));
        check(json!({"allowed": true, "denied": true}), None);
        // One who decides may allow what another one could not be asked about.
        check(json!({"allowed": true, "evaluationError": "no answer"}), Some(true));
        check(json!({"allowed": false, "evaluationError": "no answer"}), None);
        check(json!({"allowed": false, "evaluationError": ""}), Some(false));
        check(json!({"allowed": false, "denied": true, "evaluationError": "no answer"}), Some(false));
    }

    #[test]
    fn failures_do_not_tell_tokens() {
        let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJhIn0.c2lnbmF0dXJl";
        let repeats = Failure::Garbled("the answer repeats what was asked".into());
        for words in [format!("what is {token}?"), format!("cut: {}", &token[7..27]), token[40..].to_owned()] {
            assert_eq!(without(token, Failure::Garbled(words)), repeats);
        }
        assert_eq!(without("short", Failure::Refused("a short one".into())), repeats);
        let others = Failure::Refused(format!("not {}", &token[7..26]));
        assert_eq!(without(token, others.clone()), others);
        assert_eq!(without("", others.clone()), others);
    }
}
