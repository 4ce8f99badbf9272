//! One kind, listed and then watched, for as long as somebody wants to know.
//!
//! What must stay true: what is told ends as what the API server holds, whatever happens on the way. So a list is told
//! whole or not at all; a watch goes on only from a state that the server is still known to have had; and where that is
//! not certain, all is listed again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{Instrument as _, debug, info_span};

use super::convert::Converter;
use super::kinds::Reading;
use super::object::{Object, read};
use crate::kubernetes::backoff::{Backoff, random};
use crate::kubernetes::failure::Failure;
use crate::kubernetes::list::{PAGE, Progress, ResourceVersion, Scope, current_version, list};
use crate::kubernetes::server::{Pulse, Server};
use crate::kubernetes::watch::{Event, Watch};

/// How many objects a list may give at once. API servers have all objects at hand for a first page and look up the
/// others in their store, which takes them several times as long.
pub const MANY: usize = 100_000;
/// How long to wait for so many to begin to come: a server that has just started reads them all from its store first. What
/// is dropped before has been read in vain, and in small pages it all takes longer still.
pub const PATIENCE_WITH_MANY: Duration = Duration::from_mins(1);
/// Definitions hold the schemas of their kinds, which are large.
pub const PAGE_OF_DEFINITIONS: usize = 25;
/// A watch that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(5);
/// When the server is back after it was away, what gives no sign of life for so long is given up.
const GRACE: Duration = Duration::from_secs(1);

/// What a reflector tells.
#[derive(Debug)]
pub enum Report {
    /// A list has got so far.
    Progress(Progress),
    /// These are all objects there are.
    Listed(Vec<Object>),
    Changed(Object),
    Deleted(Object),
    /// Nothing has happened.
    Heard,
    /// It cannot be kept up to date for now.
    Failed(Failure),
    /// A watch has ended, by the server or by a failure that is nothing special. It goes on at once.
    Ended(Option<Failure>),
    /// Of what was listed last, something is missing that may not be read.
    LeftOut(String),
    /// What was asked for object by object may be listed after all.
    MayBeListed,
    /// It has ended, which it never should.
    Died,
}

/// Tells reports, each with the number of who tells it.
#[derive(Debug, Clone)]
pub struct Teller {
    pub number: u64,
    pub reports: mpsc::Sender<(u64, Report)>,
}

/// Nobody wants to know any more.
#[derive(Debug)]
pub struct Unwanted;

impl Teller {
    /// Waits for room.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn tell(&self, report: Report) -> Result<(), Unwanted> {
        self.reports.send((self.number, report)).await.map_err(|_| Unwanted)
    }

    /// For what is soon out of date.
    fn tell_if_there_is_room(&self, report: Report) {
        let _ = self.reports.try_send((self.number, report));
    }
}

/// Reads the objects of one kind.
pub struct Reflector {
    pub server: Server,
    pub scope: Scope,
    pub converter: Arc<Converter>,
    pub teller: Teller,
    /// Changes when the server is back after it was away: whatever is waited for may never come.
    pub woken: watch::Receiver<()>,
}

/// Up to where the objects are known.
struct Position {
    version: ResourceVersion,
    /// Whether the server still goes on from there has to be asked.
    is_doubtful: bool,
}

/// Why an attempt ended early.
enum Stop {
    Failed(Failure),
    Unwanted,
}

impl<F: Into<Failure>> From<F> for Stop {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

impl From<Unwanted> for Stop {
    fn from(_: Unwanted) -> Self {
        Self::Unwanted
    }
}

impl Reflector {
    /// Goes on until nobody listens any more.
    pub async fn run(mut self) -> Unwanted {
        let mut position = None;
        let mut backoff = Backoff::default();
        let (server, pulse) = self.server.with_own_pulse();
        self.server = server;
        let mut woken = self.woken.clone();
        let mut page = MANY;
        loop {
            let mut opened = None;
            let ended = tokio::select! {
                ended = self.attempt(page, &mut position, &mut opened) => ended,
                () = is_given_up(&pulse, &mut woken) => {
                    position = position.map(Position::doubted);
                    let silence = Failure::Unreachable("the server is back, and the connection silent".into());
                    if self.teller.tell(Report::Ended(Some(silence))).await.is_err() {
                        return Unwanted;
                    }
                    continue;
                }
            };
            page = if position.is_some() { MANY } else { small_page(&self.scope) };
            let is_good = opened.is_some_and(|it: Instant| it.elapsed() >= GOOD);
            if is_good {
                backoff = Backoff::default();
            }
            let failure = match ended {
                Err(Stop::Unwanted) => return Unwanted,
                Err(Stop::Failed(failure)) => Some(failure),
                Ok(()) => None,
            };
            // A connection that ends is nothing special: go on at once, and see.
            if is_good && failure.as_ref().is_none_or(|it| matches!(it, Failure::Unreachable(_))) {
                position = position.map(|it| if failure.is_some() { it.doubted() } else { it });
                if self.teller.tell(Report::Ended(failure)).await.is_err() {
                    return Unwanted;
                }
                continue;
            }
            if let Some(failure) = failure {
                debug!(kind = %self.scope.endpoint.of, reason = %failure, "Reading {}: {failure}", self.scope.endpoint.of);
                position = position.filter(|_| keeps_position(&failure));
                if self.teller.tell(Report::Failed(failure.clone())).await.is_err() {
                    return Unwanted;
                }
                backoff.wait(Some(&failure), &mut woken).await;
            } else {
                if self.teller.tell(Report::Ended(None)).await.is_err() {
                    return Unwanted;
                }
                backoff.wait(None, &mut woken).await;
            }
        }
    }

    /// Lists where needed, and watches until that ends. Says when the watch began.
    async fn attempt(
        &self,
        page: usize,
        position: &mut Option<Position>,
        opened: &mut Option<Instant>,
    ) -> Result<(), Stop> {
        if !self.scope.endpoint.is_watchable {
            return Err(Failure::Refused("its objects cannot be listed and watched".into()).into());
        }
        if let Some(known) = position
            && known.is_doubtful
        {
            // Of a server that was restored from a backup, what we have may never have been.
            if current_version(&self.server, &self.scope).await?.is_before(&known.version) {
                *position = None;
            }
        }
        let Position { version, is_doubtful } = match position {
            Some(known) => known,
            None => position.insert(self.list(page).await?),
        };
        *is_doubtful = false;
        let dice = random();
        let mut watch = Watch::open(&self.server, &self.scope, version, dice).await?;
        *opened = Some(Instant::now());
        self.teller.tell(Report::Heard).await?;
        while let Some(event) = watch.next().await? {
            let report = match event {
                Event::Changed(object) => Report::Changed(self.read(object.get())?),
                Event::Deleted(object) => Report::Deleted(self.read(object.get())?),
                Event::Bookmark => Report::Heard,
            };
            self.teller.tell(report).await?;
            version.clone_from(watch.version());
        }
        Ok(())
    }

    async fn list(&self, page: usize) -> Result<Position, Stop> {
        let on_progress = |progress| self.teller.tell_if_there_is_room(Report::Progress(progress));
        let server = if page == MANY { self.server.with_patience(PATIENCE_WITH_MANY) } else { self.server.clone() };
        let span = info_span!("list", eventmesh.kind = %self.scope.endpoint.of);
        let listing = list(&server, &self.scope, page, |it| self.read(it), on_progress);
        let listed = listing.instrument(span).await?;
        self.teller.tell(Report::Listed(listed.objects)).await?;
        Ok(Position { version: listed.version, is_doubtful: false })
    }

    fn read(&self, object: &str) -> Result<Object, Failure> {
        read(&self.converter, &self.scope, object)
    }
}

impl Position {
    fn doubted(self) -> Self {
        Self { is_doubtful: true, ..self }
    }
}

/// How many objects of a kind to ask for at once where many were too many.
pub fn small_page(scope: &Scope) -> usize {
    let is_definition = Reading::of(&scope.endpoint.of) == Reading::Definition;
    if is_definition { PAGE_OF_DEFINITIONS } else { PAGE }
}

/// Whether what is known can be gone on from after a failure. A server that was away may come back as an earlier self.
fn keeps_position(failure: &Failure) -> bool {
    match failure {
        Failure::Unauthorized(_) | Failure::Refused(_) => true,
        Failure::Busy { status, .. } => *status == 429,
        Failure::Absent | Failure::Expired | Failure::Unreachable(_) | Failure::TooLarge | Failure::Garbled(_) => false,
    }
}

/// Waits until the server is back and what it was asked before has shown no sign of life since.
async fn is_given_up(pulse: &Pulse, woken: &mut watch::Receiver<()>) {
    loop {
        if woken.changed().await.is_err() {
            return std::future::pending().await;
        }
        let count = pulse.count();
        tokio::time::sleep(GRACE).await;
        if pulse.count() == count {
            return;
        }
    }
}
