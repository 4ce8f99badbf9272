//! One kind: who reads it, and how that goes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tracing::{info, warn};

use super::super::convert::Converter;
use super::super::fetch::Fetcher;
use super::super::kinds::is_core;
use super::super::plan::Wanted;
use super::super::reflect::{Reflector, Report, Teller};
use crate::index::status::{Cause, Reads, State};
use crate::kubernetes::failure::Failure;
use crate::kubernetes::list::{Progress, Scope};
use crate::kubernetes::server::Form;
use crate::kubernetes::server::Server;
use crate::mesh::place::Place;
use crate::mesh::{GroupKind, Key};

/// A refusal that has lasted so long is meant.
const REFUSED_FOR_GOOD: Duration = Duration::from_secs(2);

/// Starts readers.
pub struct Readers {
    server: Server,
    converter: Arc<Converter>,
    reports: mpsc::Sender<(u64, Report)>,
    woken: watch::Receiver<()>,
    count: u64,
}

impl Readers {
    pub fn new(
        server: Server,
        converter: Arc<Converter>,
        reports: mpsc::Sender<(u64, Report)>,
        woken: watch::Receiver<()>,
    ) -> Self {
        Self { server, converter, reports, woken, count: 0 }
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Wakes whoever is started now when the server is back the next time: that it came back before is no news to them.
    fn waker(&self) -> watch::Receiver<()> {
        let mut woken = self.woken.clone();
        woken.mark_unchanged();
        woken
    }

    fn teller(&mut self) -> Teller {
        self.count += 1;
        Teller { number: self.count, reports: self.reports.clone() }
    }

    /// Lists and watches.
    fn reflect(&mut self, scope: Scope) -> Reader {
        let teller = self.teller();
        let number = teller.number;
        let (server, converter, woken) = (self.server.clone(), self.converter.clone(), self.waker());
        let reflector = Reflector { server, scope, converter, teller: teller.clone(), woken };
        let task = spawn(reflector.run(), teller);
        Reader { number, task, names: None }
    }

    /// Asks for one object after the other.
    fn fetch(&mut self, scope: Scope, names: BTreeSet<Key>) -> Reader {
        let teller = self.teller();
        let number = teller.number;
        let (tell_names, names) = watch::channel(names);
        let (server, converter, woken) = (self.server.clone(), self.converter.clone(), self.waker());
        let fetcher = Fetcher { server, scope, converter, teller: teller.clone(), names, woken };
        let task = spawn(fetcher.run(), teller);
        Reader { number, task, names: Some(tell_names) }
    }
}

/// Runs a reader, and tells when it panics: nobody else would notice.
fn spawn(work: impl Future<Output: Send> + Send + 'static, teller: Teller) -> AbortHandle {
    let task = tokio::spawn(async move { _ = work.await });
    let handle = task.abort_handle();
    tokio::spawn(async move {
        if task.await.is_err_and(|it| it.is_panic()) {
            // Without anybody who listens, nobody waits for it either.
            let _ = teller.tell(Report::Died).await;
        }
    });
    handle
}

/// Reads as long as it is kept.
struct Reader {
    number: u64,
    task: AbortHandle,
    /// Where it asks for objects by their names: these.
    names: Option<watch::Sender<BTreeSet<Key>>>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn form(wanted: &Wanted) -> Option<Form> {
    wanted.scope.as_ref().map(|it| it.form)
}

/// Why reading begins again after a failure, or without one.
fn cause(failure: Option<&Failure>) -> Cause {
    match failure {
        None => Cause::Closed,
        Some(Failure::Expired) => Cause::Expired,
        Some(Failure::Unreachable(_)) => Cause::Unreachable,
        Some(Failure::Busy { .. }) => Cause::Busy,
        Some(Failure::Refused(_) | Failure::Unauthorized(_)) => Cause::Refused,
        Some(Failure::Absent) => Cause::Absent,
        Some(Failure::TooLarge | Failure::Garbled(_)) => Cause::Invalid,
    }
}

/// One kind that is read.
pub struct Kind {
    wanted: Wanted,
    /// None while it is not known where the kind is served.
    reader: Option<Reader>,
    was_listed: bool,
    progress: Progress,
    failure: Option<Failure>,
    /// Since when it is refused.
    refused_since: Option<Instant>,
    /// Why something is missing of what was listed.
    left_out: Option<String>,
    /// When it was last up to date.
    heard: Instant,
    reads: Reads,
}

impl Kind {
    pub fn new(wanted: Wanted, readers: &mut Readers) -> Self {
        let reader = wanted.scope.clone().map(|it| readers.reflect(it));
        let progress = Progress { seen: 0, remaining: 0 };
        Self {
            wanted,
            reader,
            was_listed: false,
            progress,
            failure: None,
            refused_since: None,
            left_out: None,
            heard: Instant::now(),
            reads: Reads::default(),
        }
    }

    /// Reads it in another way if that is wanted. What is known stays until it has been listed anew, unless the kind is
    /// not served any more: then it says so, and whatever is known of it is gone.
    pub fn change(&mut self, wanted: Wanted, readers: &mut Readers) -> bool {
        if self.wanted == wanted {
            return false;
        }
        let before = std::mem::replace(&mut self.wanted, wanted);
        if before.scope == self.wanted.scope && before.uid == self.wanted.uid {
            return false;
        }
        // What was read in another form is no list of this one.
        self.was_listed &= !self.is_asked_by_name() && form(&before) == form(&self.wanted);
        self.list_again(readers);
        before.scope.is_some() && self.wanted.scope.is_none()
    }

    /// What was asked for by name may be listed after all.
    pub fn stop_asking_by_name(&mut self, readers: &mut Readers) {
        self.was_listed = false;
        self.list_again(readers);
    }

    /// Begins again with a list.
    pub fn list_again(&mut self, readers: &mut Readers) {
        (self.failure, self.refused_since, self.left_out) = (None, None, None);
        self.reader = self.wanted.scope.clone().map(|it| readers.reflect(it));
    }

    pub fn is_read_by(&self, number: u64) -> bool {
        self.reader.as_ref().is_some_and(|it| it.number == number)
    }

    /// It is known where the kind is served.
    pub fn is_placed(&self) -> bool {
        self.reader.is_some()
    }

    /// Where it is served.
    pub fn place(&self) -> Option<Place> {
        let endpoint = &self.wanted.scope.as_ref()?.endpoint;
        Some(Place { version: endpoint.version.as_str().into(), plural: endpoint.plural.as_str().into() })
    }

    pub fn is_defined(&self) -> bool {
        self.wanted.defined
    }

    /// How often it was read.
    pub fn reads(&self) -> Reads {
        self.reads
    }

    /// Of a kind that may not be listed, single objects may still be readable; this is worth while where it is known
    /// which ones matter.
    pub fn may_be_asked_by_name(&self) -> bool {
        !self.wanted.defined && !self.was_listed && !self.is_asked_by_name() && self.is_refused_for_good()
    }

    /// A server that has just started may refuse what it allows soon.
    pub fn is_refused_for_good(&self) -> bool {
        self.refused_since.is_some_and(|it| it.elapsed() >= REFUSED_FOR_GOOD)
    }

    pub fn is_asked_by_name(&self) -> bool {
        self.reader.as_ref().is_some_and(|it| it.names.is_some())
    }

    /// Asks for these objects instead of a list.
    pub fn ask_by_name(&mut self, names: BTreeSet<Key>, readers: &mut Readers) {
        if let Some(scope) = self.wanted.scope.clone() {
            self.failure = None;
            self.reader = Some(readers.fetch(scope, names));
        }
    }

    /// Says which objects to ask for now.
    pub fn name(&mut self, names: BTreeSet<Key>) {
        if let Some(told) = self.reader.as_ref().and_then(|it| it.names.as_ref()) {
            told.send_if_modified(|known| {
                let changed = *known != names;
                *known = names;
                changed
            });
        }
    }

    /// Notes how it goes, and says whether that changed. As long as nothing has failed, it was up to date whenever the
    /// server was there, the last time when it was `probed`.
    pub fn note(&mut self, report: &Report, probed: Instant) -> bool {
        self.count(report);
        if matches!(report, Report::Ended(_)) {
            // Whether it is up to date, what it goes on with will tell.
            return true;
        }
        if let Report::Failed(failure) = report {
            let is_new =
                self.failure.as_ref().is_none_or(|it| std::mem::discriminant(it) != std::mem::discriminant(failure));
            if is_new {
                self.log_failure(failure);
            }
            let is_refused = matches!(failure, Failure::Refused(_) | Failure::Absent);
            self.refused_since = is_refused.then(|| self.refused_since.unwrap_or_else(Instant::now));
            if self.failure.is_none() {
                self.heard = self.heard.max(probed);
            }
            self.failure = Some(failure.clone());
            return true;
        }
        self.heard = Instant::now();
        match report {
            Report::Progress(progress) => self.progress = *progress,
            Report::Listed(_) => (self.was_listed, self.left_out) = (true, None),
            Report::LeftOut(why) => self.left_out = Some(why.clone()),
            _ => (),
        }
        // A list that goes on is no list yet.
        let is_over = !matches!(report, Report::Progress(_)) || !self.was_listed;
        let changed = self.failure.is_some() && is_over;
        if changed {
            if let Some(of) = self.of().filter(|_| self.was_listed) {
                info!(kind = %of, "{of} is up to date again");
            }
            (self.failure, self.refused_since) = (None, None);
        }
        changed || matches!(report, Report::Progress(_) | Report::Listed(_) | Report::LeftOut(_))
    }

    fn count(&mut self, report: &Report) {
        match report {
            // Objects that are asked for one by one are asked for again and again.
            Report::Listed(_) if !self.is_asked_by_name() => self.reads.lists += 1,
            Report::Failed(failure) => self.reads.note(cause(Some(failure))),
            Report::Ended(failure) => self.reads.note(cause(failure.as_ref())),
            Report::Died => self.reads.note(Cause::Died),
            _ => (),
        }
    }

    pub fn state(&self, of: &GroupKind) -> State {
        let Some(failure) = &self.failure else {
            let Progress { seen, remaining } = self.progress;
            let expected = (remaining > 0).then_some(seen + remaining);
            return match &self.left_out {
                Some(why) => State::LeftOut { why: why.as_str().into() },
                None if self.was_listed => State::Live,
                None => State::Listing { seen, expected },
            };
        };
        let why = failure.to_string().into();
        if self.was_listed {
            State::Stale { since: self.heard, why }
        } else if self.is_refused_for_good() && !is_core(of) {
            State::LeftOut { why }
        } else {
            State::Missing { why }
        }
    }

    fn log_failure(&self, failure: &Failure) {
        let Some(of) = self.of() else { return };
        if *failure == Failure::Expired {
            // Nothing out of the ordinary.
            info!(kind = %of, reason = %failure, "{of} is listed again: {failure}");
        } else {
            warn!(kind = %of, reason = %failure, "{of} cannot be read: {failure}");
        }
    }

    fn of(&self) -> Option<&GroupKind> {
        self.wanted.scope.as_ref().map(|it| &it.endpoint.of)
    }
}
