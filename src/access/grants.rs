//! What each user may see, kept for as long as it is certain to be so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use tokio::sync::Mutex;

use super::AccessError;
use super::questions::{Answers, Outcome, decide};
use super::rbac::{Moment, Rbac, Subjects};
use super::reviews::Reviewer;
use super::user::User;
use crate::kubernetes::failure::Failure;
use crate::mesh::place::Places;
use crate::mesh::{Grant, Snapshot};
use crate::tally::{Bytes, Cached, Lookups};

/// How much the answers about users may take, in bytes, about.
const MAX_ANSWERS: u64 = 128 << 20;
/// What an answer takes, and what a user takes beside them.
const ANSWER: usize = 128;
/// How long a user who does not ask is known.
const MAX_IDLE: Duration = Duration::from_mins(2);
/// How many questions about one user are asked at a time.
const AT_A_TIME: usize = 16;

/// How long to wait before asking again where nothing may be kept: those who come meanwhile share what is asked then.
const REST: Duration = Duration::from_millis(250);

/// How often what was allowed is asked again because rights changed meanwhile.
const MAX_ROUNDS: usize = 3;
/// How long ago that may have been which was allowed and counts although rights have changed since: as long as an API server
/// may take to hear of a change itself.
const RECENT: Duration = Duration::from_secs(2);

/// The grants of users.
pub struct Grants {
    reviewer: Arc<Reviewer>,
    rbac: Arc<Rbac>,
    users: moka::sync::Cache<Arc<User>, Arc<Cell>>,
    lookups: Lookups,
}

/// What is known of one user, and how many answers that is, for those who only want to know how much there is.
struct Cell {
    subjects: Subjects,
    known: Mutex<Known>,
    answers: AtomicUsize,
}

/// What is known of a user's rights. Who finds it locked waits for what is being asked, instead of asking the same.
#[derive(Default)]
struct Known {
    answers: Answers,
    /// Where kinds were served when that was asked.
    places: Arc<Places>,
    /// When the first of the answers was asked for.
    asked: Option<(Instant, Moment)>,
    /// What the answers came to, and at which revision.
    latest: Option<(u64, Arc<Grant>)>,
    /// What was granted last, be it out of date.
    last: Option<Arc<Grant>>,
}

impl Grants {
    pub fn new(reviewer: Arc<Reviewer>, rbac: Arc<Rbac>) -> Self {
        let weight = |_: &Arc<User>, it: &Arc<Cell>| {
            u32::try_from(ANSWER * (4 + it.answers.load(Ordering::Relaxed))).unwrap_or(u32::MAX)
        };
        let users =
            moka::sync::Cache::builder().max_capacity(MAX_ANSWERS).weigher(weight).time_to_idle(MAX_IDLE).build();
        Self { reviewer, rbac, users, lookups: Lookups::default() }
    }

    /// Brings up to date what is counted late.
    pub fn settle(&self) {
        self.users.run_pending_tasks();
    }

    /// Of how many users it is known what they may see.
    pub fn cached(&self) -> Cached {
        let bytes = Bytes { held: self.users.weighted_size(), limit: MAX_ANSWERS };
        Cached::new("grants", self.users.entry_count(), Some(bytes), &self.lookups)
    }

    /// What a user may see of a snapshot.
    ///
    /// # Errors
    /// When the API server does not say. What it has said by then is kept.
    pub async fn of(&self, user: &Arc<User>, snapshot: &Snapshot) -> Result<Arc<Grant>, AccessError> {
        let arrived = Instant::now();
        let cell = self.users.get_with_by_ref(user, || Arc::new(Cell::of(user)));
        let mut known = cell.known.lock().await;
        let mut now = self.rbac.moment(&cell.subjects);
        if let Some(rest) = known.rest(now, arrived) {
            tokio::time::sleep(rest).await;
            now = self.rbac.moment(&cell.subjects);
        }
        if !known.counts(now, arrived) || !Arc::ptr_eq(&known.places, snapshot.places()) {
            let (places, asked, last) = (snapshot.places().clone(), Some((Instant::now(), now)), known.last.take());
            *known = Known { places, asked, last, ..Known::default() };
        }
        let latest = known.latest.as_ref().filter(|(revision, _)| *revision == snapshot.revision());
        self.lookups.note(latest.is_some());
        if let Some((_, grant)) = latest {
            return Ok(grant.clone());
        }
        // Boxed, so that those whose rights are known need not move about all that it takes to ask.
        let grant = Box::pin(self.ask_in_peace(user, &cell.subjects, snapshot, now.epoch, &mut known.answers)).await?;
        // Whoever looks at equal grants sees at a glance that they are.
        let grant = known.last.take().filter(|it| **it == grant).unwrap_or_else(|| Arc::new(grant));
        known.last = Some(grant.clone());
        known.latest = Some((snapshot.revision(), grant.clone()));
        if cell.answers.swap(known.answers.len(), Ordering::Relaxed) != known.answers.len() {
            // It is weighed when it is put in.
            self.users.insert(user.clone(), cell.clone());
        }
        Ok(grant)
    }

    /// Asks until no rights of the user change meanwhile. It may take long, and what was allowed at its beginning need not
    /// be any more; what was not is left for the next time. Where they change all the time, what was allowed a moment ago
    /// has to do for this once.
    async fn ask_in_peace(
        &self,
        user: &User,
        subjects: &Subjects,
        snapshot: &Snapshot,
        mut epoch: u64,
        answers: &mut Answers,
    ) -> Result<Grant, AccessError> {
        for round in 1..=MAX_ROUNDS {
            let began = Instant::now();
            let grant = self.ask(user, snapshot, answers).await?;
            let now = self.rbac.moment(subjects).epoch;
            if now == epoch || (round == MAX_ROUNDS && began.elapsed() < RECENT) {
                return Ok(grant);
            }
            epoch = now;
            answers.retain(|_, is_allowed| !*is_allowed);
        }
        Err(AccessError::Unavailable("rights change faster than they can be asked for".into()))
    }

    /// Asks whatever is not answered yet.
    async fn ask(&self, user: &User, snapshot: &Snapshot, answers: &mut Answers) -> Result<Grant, Failure> {
        loop {
            let questions = match decide(snapshot, answers) {
                Outcome::Granted(grant) => return Ok(grant),
                Outcome::Ask(questions) => questions,
            };
            let asked = questions.into_iter().map(|question| async move {
                let nowhere = || Failure::Garbled(format!("{} is served nowhere", question.of));
                let place = snapshot.places().get(&question.of).ok_or_else(nowhere)?;
                let answer = self.reviewer.may(user, &question, place).await?;
                Ok::<_, Failure>((question, answer))
            });
            let mut asked = stream::iter(asked).buffer_unordered(AT_A_TIME);
            while let Some(answered) = asked.next().await {
                let (question, answer) = answered?;
                answers.insert(question, answer);
            }
        }
    }
}

impl Cell {
    fn of(user: &User) -> Self {
        Self { subjects: Subjects::of(user), known: Mutex::default(), answers: AtomicUsize::default() }
    }
}

impl Known {
    /// How long to wait before asking again what was asked a moment ago, since when nothing is known to have changed.
    fn rest(&self, now: Moment, arrived: Instant) -> Option<Duration> {
        let (asked, then) = self.asked?;
        let is_repeated = then.epoch == now.epoch && !self.counts(now, arrived);
        REST.checked_sub(asked.elapsed()).filter(|_| is_repeated)
    }

    /// Whether it can be relied on by one who arrived at a certain time. What was asked for right after a change counts
    /// for those only who had been waiting when it was asked for.
    fn counts(&self, now: Moment, arrived: Instant) -> bool {
        self.asked.is_some_and(|(asked, then)| {
            let is_recent = if then.is_settled { asked.elapsed() < now.lifetime } else { asked >= arrived };
            then.epoch == now.epoch && is_recent
        })
    }
}
