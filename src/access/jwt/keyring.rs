//! The keys of one issuer, kept up with.
//!
//! They are kept through an outage of the issuer, and a fetch that goes well replaces them all: what the issuer took away
//! does not count any more. Many may wait for one fetch. Beside one that hangs, another is begun, and whichever ends well
//! first counts, so that nobody waits for an outage that is over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use super::misses::Misses;
use super::source::{FetchError, Fetched, Source};

/// How long a fetch may take, and how long anybody waits for one.
const LIMIT: Duration = Duration::from_secs(3);
/// A fetch that takes longer than this may hang.
const BESIDE: Duration = Duration::from_millis(800);
/// How long to leave an issuer alone after a failure.
const PAUSE: Duration = Duration::from_millis(300);
/// How old keys get.
const FRESH: Duration = Duration::from_mins(5);
/// How old keys are when it is worth a look whether they are still those of their names.
const YOUNG: Duration = Duration::from_secs(10);
/// How often to try again what failed: at first, and in the end.
const RETRIES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// How long a measured clock counts where much depends on it.
const MEASURED: Duration = Duration::from_secs(10);

/// The keys of one issuer.
pub struct Keyring {
    /// For people.
    name: String,
    source: Source,
    /// How much clocks may differ before it is told.
    skew: Duration,
    state: Mutex<State>,
    ended: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Fetched>>,
    /// The number of the fetch that `current` is of.
    current_number: u64,
    begun: u64,
    in_flight: Vec<(u64, Instant)>,
    succeeded: Option<Instant>,
    successes: u64,
    failures: u64,
    failed: Option<(Instant, FetchError)>,
    misses: Misses,
    measured: Option<Instant>,
    problem: Option<String>,
    is_clock_off: bool,
}

/// Keys, and whether they were fetched just now.
pub struct Current {
    pub fetched: Arc<Fetched>,
    pub is_new: bool,
    /// They may have been replaced by others of the same names.
    pub is_old: bool,
}

/// What comes of looking for a key.
pub enum Looked {
    At(Arc<Fetched>),
    /// It was done just now, or another one was looked for: not again for so long.
    NotFor(Duration),
}

impl Keyring {
    pub fn new(name: String, source: Source, skew: Duration) -> Arc<Self> {
        let (state, ended) = (Mutex::default(), watch::Sender::new(()));
        Arc::new(Self { name, source, skew, state, ended })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was fetched last, if anything ever was.
    pub fn known(&self) -> Option<Arc<Fetched>> {
        self.state().current.clone()
    }

    /// What was fetched last, or else is fetched now.
    ///
    /// # Errors
    /// When nothing ever was, and cannot be.
    pub async fn current(self: &Arc<Self>) -> Result<Current, FetchError> {
        let (known, succeeded, failed) = {
            let state = self.state();
            (state.current.clone(), state.succeeded, state.failed.clone())
        };
        if let Some(fetched) = known {
            let is_old = succeeded.is_none_or(|it| Instant::now() >= it + YOUNG);
            return Ok(Current { fetched, is_new: false, is_old });
        }
        // Nobody has to wait to hear that again; `keep_up` asks whether it is still so.
        if let Some((at, error @ FetchError::NotForUs(_))) = failed
            && Instant::now() < at + FRESH
        {
            return Err(error);
        }
        Ok(Current { fetched: self.fetch().await?, is_new: true, is_old: false })
    }

    /// Looks for a key that is not among those that are known.
    ///
    /// # Errors
    /// When the issuer cannot be asked.
    pub async fn look_for(self: &Arc<Self>, id: Option<&str>) -> Result<Looked, FetchError> {
        if let Some(rest) = self.state().misses.wait(id, Instant::now()) {
            return Ok(Looked::NotFor(rest));
        }
        self.fetch().await.map(Looked::At)
    }

    /// Remembers that a key was looked for in vain.
    pub fn not_found(&self, id: Option<&str>) {
        self.state().misses.add(id, Instant::now());
    }

    /// Has the issuer's clock measured again, if that was not done lately.
    pub async fn measure(self: &Arc<Self>) -> Option<Arc<Fetched>> {
        let now = Instant::now();
        let is_due = {
            let mut state = self.state();
            let is_recent = |at: Option<Instant>| at.is_some_and(|it| now < it + MEASURED);
            let is_due = !is_recent(state.succeeded) && !is_recent(state.measured);
            if is_due {
                state.measured = Some(now);
            }
            is_due
        };
        if is_due {
            // Where the issuer does not answer, what it said before has to do.
            let _ = self.fetch().await;
        }
        self.known()
    }

    /// Waits for the outcome of a fetch: one that is under way, or one that is begun for that.
    async fn fetch(self: &Arc<Self>) -> Result<Arc<Fetched>, FetchError> {
        let deadline = Instant::now() + LIMIT;
        let mut ended = self.ended.subscribe();
        let (successes, failures) = {
            let state = self.state();
            (state.successes, state.failures)
        };
        loop {
            let now = Instant::now();
            let look_again = {
                let mut state = self.state();
                if let Some(fetched) = state.current.clone().filter(|_| state.successes > successes) {
                    return Ok(fetched);
                }
                // What never ended in time was stopped together with its runtime.
                state.in_flight.retain(|(_, begun)| now < *begun + 2 * LIMIT);
                let paused = state.failed.as_ref().map(|(at, _)| *at + PAUSE).filter(|it| now < *it);
                if let Some((_, error)) = &state.failed
                    && state.in_flight.is_empty()
                    && (state.failures > failures || paused.is_some())
                {
                    return Err(error.clone());
                }
                let hangs = state.in_flight.last().map(|(_, begun)| *begun + BESIDE).filter(|it| now < *it);
                hangs.max(paused).unwrap_or_else(|| {
                    self.begin(&mut state);
                    now + BESIDE
                })
            };
            if now >= deadline {
                return Err(late());
            }
            tokio::select! {
                _ = ended.changed() => (),
                () = sleep_until(look_again.min(deadline)) => (),
            }
        }
    }

    /// Begins a fetch that goes on whoever still waits for it.
    fn begin(self: &Arc<Self>, state: &mut State) {
        state.begun += 1;
        let number = state.begun;
        state.in_flight.push((number, Instant::now()));
        let this = self.clone();
        tokio::spawn(async move {
            let outcome = timeout(LIMIT, this.source.fetch()).await.unwrap_or_else(|_| Err(late()));
            this.end(number, outcome);
        });
    }

    fn end(&self, number: u64, outcome: Result<Fetched, FetchError>) {
        let mut state = self.state();
        state.in_flight.retain(|(it, _)| *it != number);
        match outcome {
            // One that began before the last that ended well: what that brought is newer.
            _ if number < state.current_number => (),
            Ok(fetched) => {
                self.tell_clock(&mut state, &fetched);
                if state.problem.take().is_some() || state.current.is_none() {
                    info!(issuer = self.name, "The keys of {} are known", self.name);
                }
                state.current = Some(Arc::new(fetched));
                state.current_number = number;
                state.succeeded = Some(Instant::now());
                state.failed = None;
                state.successes += 1;
            }
            Err(error) => {
                let problem = self.problem(&error, state.current.is_some());
                if state.problem.as_ref() != Some(&problem) {
                    warn!(issuer = self.name, reason = %error, "{problem}");
                }
                state.problem = Some(problem);
                state.failed = Some((Instant::now(), error));
                state.failures += 1;
            }
        }
        drop(state);
        self.ended.send_replace(());
    }

    /// What an error means, for people.
    pub fn problem_of(&self, error: &FetchError) -> String {
        self.problem(error, self.known().is_some())
    }

    fn problem(&self, error: &FetchError, has_keys: bool) -> String {
        let name = &self.name;
        match error {
            FetchError::NotForUs(_) => format!("the tokens of {name} cannot be checked here: {error}"),
            FetchError::Failed(_) if has_keys => format!("the keys of {name} are old: {error}"),
            FetchError::Failed(_) => format!("the keys of {name} are not known: {error}"),
        }
    }

    fn tell_clock(&self, state: &mut State, fetched: &Fetched) {
        let off = self.clock_problem(fetched);
        if let Some(problem) = off.as_ref().filter(|_| !state.is_clock_off) {
            warn!(issuer = self.name, "{problem}");
        }
        state.is_clock_off = off.is_some();
    }

    fn clock_problem(&self, fetched: &Fetched) -> Option<String> {
        let difference = fetched.clock?.difference(SystemTime::now(), Instant::now());
        let seconds = difference.as_secs();
        let name = &self.name;
        (difference > self.skew)
            .then(|| format!("our clock and that of {name} differ by {seconds} s; set the one that is wrong"))
    }

    /// What is wrong now.
    pub fn problems(&self) -> Vec<String> {
        let (problem, known) = {
            let state = self.state();
            (state.problem.clone(), state.current.clone())
        };
        problem.into_iter().chain(known.and_then(|it| self.clock_problem(&it))).collect()
    }

    /// Fetches the keys again before they get old.
    pub async fn keep_up(self: Arc<Self>) {
        let (first, last) = RETRIES;
        let mut retry = first;
        loop {
            if self.fetch().await.is_ok() {
                retry = first;
                sleep(FRESH).await;
            } else {
                sleep(retry).await;
                retry = (2 * retry).min(last);
            }
        }
    }
}

fn late() -> FetchError {
    FetchError::Failed(format!("it did not answer within {} s", LIMIT.as_secs()))
}
