//! A live cluster, kept up with: starts and stops reading kinds as definitions come and go and as subscribers are named,
//! passes on what is read, and says how that goes.
//!
//! One task owns all of this; what is read comes to it as reports, each with the number of the reader. So a reader that
//! was stopped cannot bring back what it knew.

mod heartbeat;
mod kind;

use std::collections::BTreeMap;
use std::mem::take;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, watch};
use tracing::{error, info, warn};

use self::heartbeat::{Beat, Heartbeat};
use self::kind::{Kind, Readers};
use super::convert::Converter;
use super::discover::discover;
use super::kinds::{definition_kind, definitions_endpoint, known_definitions};
use super::named::Named;
use super::object::Object;
use super::plan::{Defined, Definitions, Discovered, Wanted, plan};
use super::reflect::Report;
use crate::index::status::{KindStatus, State, Status};
use crate::index::{Batch, Closed, Feed};
use crate::kubernetes::backoff::Backoff;
use crate::kubernetes::endpoint::Endpoint;
use crate::kubernetes::failure::Failure;
use crate::kubernetes::list::Scope;
use crate::kubernetes::server::Server;
use crate::mesh::{GroupKind, Uid, Update};

/// How many reports may wait before readers have to.
const WAITING: usize = 1024;
/// How often the progress is logged until everything was read once, and how often what is not served is looked for.
const TICK: Duration = Duration::from_secs(5);
/// How many ticks to look away from what is not served.
const LOOK_AGAIN: u32 = 6;
/// How many kinds to look for then.
const LOOK_AT_ONCE: usize = 16;
/// How long to wait for whoever should know what a group serves, where a kind of it is only named.
pub const PATIENCE_WITH_DISCOVERY: Duration = Duration::from_secs(10);
/// After which time such a group of which nobody names a kind would be waited for once more.
const FORGOTTEN: Duration = Duration::from_hours(1);
/// How many kinds are asked for at a time.
const ASK_AT_ONCE: usize = 4;

/// What discovery found out of a kind.
struct Answer {
    of: GroupKind,
    /// Of the question.
    number: u64,
    found: Result<Option<Endpoint>, Failure>,
}

/// Keeps up with a cluster.
///
/// # Errors
/// When the index has ended; nothing else ends it.
pub async fn run(server: Server, converter: Converter, feed: Feed) -> Result<(), Closed> {
    let (tell, mut reports) = mpsc::channel(WAITING);
    let (answer, mut answers) = mpsc::channel(WAITING);
    let (wake, woken) = watch::channel(());
    let heartbeat = Heartbeat::start(server.with_own_connections().unwrap_or_else(|_| server.clone()), wake);
    let mut beats = heartbeat.beats.clone();
    let label = converter.backstage_label().to_owned();
    let readers = Readers::new(server, Arc::new(converter), tell, woken);
    let mut cluster = Cluster::new(readers, label, answer);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut waiting, mut answered) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            _ = reports.recv_many(&mut waiting, WAITING) => {
                for (number, report) in waiting.drain(..) {
                    cluster.on_report(number, report);
                }
            }
            _ = answers.recv_many(&mut answered, WAITING) => {
                for answer in answered.drain(..) {
                    cluster.on_discovered(answer);
                }
            }
            Ok(()) = beats.changed() => cluster.on_heartbeat(*beats.borrow_and_update()),
            _ = ticks.tick() => cluster.on_tick(),
        }
        cluster.follow_plan();
        let complete = cluster.is_complete();
        let is_news = cluster.note_completeness(complete);
        let status = take(&mut cluster.is_status_old).then(|| cluster.status());
        if is_news || status.is_some() || !cluster.updates.is_empty() {
            feed.send(Batch { updates: take(&mut cluster.updates), complete, status }).await?;
        }
    }
}

/// What is known of the cluster.
struct Cluster {
    readers: Readers,
    /// The reader of definitions.
    of_definitions: Kind,
    definitions: Definitions,
    kinds: BTreeMap<GroupKind, Kind>,
    named: Named,
    discovered: Discovered,
    /// What is being asked, and how often it was in vain.
    asked: BTreeMap<GroupKind, Question>,
    /// Since when nobody says what these groups serve. Of each kind of such a group that somebody names, that is known before it
    /// is asked for; and for a while after it says something again, which may not be all.
    silent: BTreeMap<Arc<str>, Instant>,
    answer: mpsc::Sender<Answer>,
    label: String,
    beat: Beat,
    /// Not passed on yet.
    updates: Vec<Update>,
    is_plan_old: bool,
    is_status_old: bool,
    /// Everything was read at least once.
    was_complete: bool,
    /// Since when something is not read yet: at first everything, later what is wanted in addition.
    incomplete_since: Option<Instant>,
    began: Instant,
    ticks: u32,
    /// How many questions there were.
    questions: u64,
    /// Who may ask where a kind is served.
    turns: Arc<Semaphore>,
    /// The last one that was looked for again.
    looked_for: Option<GroupKind>,
}

/// Where is this kind served?
struct Question {
    number: u64,
    backoff: Backoff,
    failure: Option<Failure>,
}

impl Cluster {
    fn new(mut readers: Readers, label: String, answer: mpsc::Sender<Answer>) -> Self {
        let scope = Some(Scope::all(definitions_endpoint()));
        let of_definitions = Kind::new(Wanted { scope, uid: Uid::from(""), defined: true }, &mut readers);
        Self {
            readers,
            of_definitions,
            definitions: Definitions::Awaited,
            kinds: BTreeMap::new(),
            named: Named::default(),
            discovered: Discovered::new(),
            asked: BTreeMap::new(),
            silent: BTreeMap::new(),
            answer,
            label,
            beat: Beat { at: Instant::now(), is_away: false },
            updates: vec![],
            is_plan_old: false,
            is_status_old: true,
            was_complete: false,
            incomplete_since: Some(Instant::now()),
            began: Instant::now(),
            ticks: 0,
            questions: 0,
            turns: Arc::new(Semaphore::new(ASK_AT_ONCE)),
            looked_for: None,
        }
    }

    fn on_report(&mut self, number: u64, report: Report) {
        if self.of_definitions.is_read_by(number) {
            self.is_status_old |= self.of_definitions.note(&report, self.beat.at);
            return self.on_definitions(report);
        }
        let Some((of, kind)) = self.kinds.iter_mut().find(|(_, it)| it.is_read_by(number)) else { return };
        self.is_status_old |= kind.note(&report, self.beat.at);
        match report {
            Report::Listed(objects) => {
                let resources: Vec<_> = objects.into_iter().map(|it| it.resource).collect();
                self.is_plan_old |= self.named.replace(of, resources.iter().map(|it| &**it));
                self.updates.push(Update::Replace(of.clone(), resources));
            }
            Report::Changed(Object { resource, .. }) => {
                self.is_plan_old |= self.named.put(&resource);
                self.updates.push(Update::Upsert(resource));
            }
            Report::Deleted(Object { resource, .. }) => {
                self.is_plan_old |= self.named.take(&resource.key);
                self.updates.push(Update::Remove(resource.key.clone()));
            }
            Report::Failed(Failure::Refused(_)) if kind.may_be_asked_by_name() => {
                kind.ask_by_name(self.named.of_kind(of), &mut self.readers);
            }
            Report::Failed(Failure::Absent) if self.discovered.contains_key(of) => {
                // It may be served in another version now, or not any more.
                let of = of.clone();
                self.ask(of);
            }
            Report::MayBeListed => kind.stop_asking_by_name(&mut self.readers),
            Report::Died => {
                error!(kind = %of, "Reading {of} ended unexpectedly; it begins again");
                kind.list_again(&mut self.readers);
            }
            Report::Progress(_) | Report::Heard | Report::Failed(_) | Report::Ended(_) | Report::LeftOut(_) => (),
        }
    }

    fn on_definitions(&mut self, report: Report) {
        let known = match &mut self.definitions {
            Definitions::Read(known) => Some(known),
            Definitions::Awaited | Definitions::Refused => None,
        };
        match (report, known) {
            (Report::Listed(objects), _) => {
                let defined: BTreeMap<_, _> = objects.into_iter().map(Defined::from_object).collect();
                let resources = defined.values().filter(|it| it.matters()).map(|it| it.resource.clone());
                self.updates.push(Update::Replace(definition_kind(), resources.collect()));
                self.definitions = Definitions::Read(defined);
            }
            (Report::Changed(object), Some(known)) => {
                let (key, defined) = Defined::from_object(object);
                self.updates.push(if defined.matters() {
                    Update::Upsert(defined.resource.clone())
                } else {
                    Update::Remove(key.clone())
                });
                known.insert(key, defined);
            }
            (Report::Deleted(object), Some(known)) => {
                known.remove(&object.resource.key);
                self.updates.push(Update::Remove(object.resource.key.clone()));
            }
            (Report::Died, _) => self.of_definitions.list_again(&mut self.readers),
            (Report::Failed(Failure::Refused(_) | Failure::Absent), None) => {
                if !matches!(self.definitions, Definitions::Refused) && self.of_definitions.is_refused_for_good() {
                    warn!("Definitions may not be read; only the kinds of Knative that are known are looked for");
                    self.updates.push(Update::Replace(definition_kind(), known_definitions()));
                    self.definitions = Definitions::Refused;
                }
            }
            _ => return,
        }
        self.is_plan_old = true;
    }

    fn on_discovered(&mut self, Answer { of, number, found }: Answer) {
        let Some(question) = self.asked.get_mut(&of).filter(|it| it.number == number) else { return };
        match found {
            Ok(endpoint) => {
                self.asked.remove(&of);
                self.discovered.insert(of, endpoint);
            }
            Err(failure) => {
                warn!(kind = %of, reason = %failure, "Where {of} is served cannot be found out: {failure}");
                let wait = question.backoff.next(Some(&failure));
                question.failure = Some(failure);
                let asked = &self.asked;
                let is_asked = |group: &Arc<str>| asked.keys().any(|it| it.group == *group);
                self.silent.retain(|group, since| since.elapsed() < FORGOTTEN || is_asked(group));
                self.silent.entry(of.group.clone()).or_insert_with(Instant::now);
                self.discover(of, number, wait);
            }
        }
        (self.is_plan_old, self.is_status_old) = (true, true);
    }

    fn on_heartbeat(&mut self, beat: Beat) {
        match (self.beat.is_away, beat.is_away) {
            (false, true) => warn!("The API server does not answer; going on with what is known"),
            (true, false) => {
                info!("The API server answers again, after {} s", self.beat.at.elapsed().as_secs());
                // What it did not say while it was away says nothing about others.
                self.silent.retain(|_, since| *since < self.beat.at);
            }
            _ => (),
        }
        self.is_status_old |= self.beat.is_away != beat.is_away;
        self.beat = beat;
    }

    fn on_tick(&mut self) {
        self.ticks += 1;
        if !self.was_complete {
            self.is_status_old = true;
            if self.ticks > 1 {
                info!("Reading the cluster: {}", self.progress());
            }
        }
        if self.ticks.is_multiple_of(LOOK_AGAIN) {
            self.look_again();
        }
    }

    /// Starts and stops readers, so that what is wanted is read.
    fn follow_plan(&mut self) {
        while take(&mut self.is_plan_old) {
            self.is_status_old = true;
            let wanted = plan(&self.definitions, self.named.kinds(), &self.discovered, &self.label);
            self.discovered.retain(|of, _| wanted.contains_key(of) && !self.definitions.place(of));
            self.asked.retain(|of, _| wanted.contains_key(of));
            let unwanted: Vec<_> = self.kinds.keys().filter(|of| !wanted.contains_key(*of)).cloned().collect();
            for of in unwanted {
                self.stop_reading(of);
            }
            for (of, wanted) in wanted {
                self.want(of, wanted);
            }
        }
    }

    fn want(&mut self, of: GroupKind, wanted: Wanted) {
        if wanted.scope.is_none() && !self.discovered.contains_key(&of) {
            self.ask(of.clone());
        }
        let Some(kind) = self.kinds.get_mut(&of) else {
            self.kinds.insert(of, Kind::new(wanted, &mut self.readers));
            return;
        };
        if kind.change(wanted, &mut self.readers) {
            self.updates.push(Update::Replace(of.clone(), vec![]));
        }
        if kind.is_asked_by_name() {
            kind.name(self.named.of_kind(&of));
        }
    }

    fn stop_reading(&mut self, of: GroupKind) {
        info!(kind = %of, "{of} is not read any more");
        self.kinds.remove(&of);
        // It may have named the last subscriber of another.
        self.is_plan_old |= self.named.replace(&of, []);
        self.updates.push(Update::Replace(of, vec![]));
    }

    /// What was not served may be served by now. A few are looked for at a time, one after the other: anybody can name
    /// kinds that do not exist.
    fn look_again(&mut self) {
        let last = self.looked_for.take();
        let after = last.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.discovered.range((after, Bound::Unbounded)).filter(|(_, endpoint)| endpoint.is_none());
        let next: Vec<_> = next.map(|(of, _)| of.clone()).take(LOOK_AT_ONCE).collect();
        self.looked_for = next.last().cloned();
        for of in next {
            self.ask(of);
        }
    }

    /// Finds out where a kind is served, unless that is under way.
    fn ask(&mut self, of: GroupKind) {
        if !self.asked.contains_key(&of) {
            self.questions += 1;
            let number = self.questions;
            let question = Question { number, backoff: Backoff::default(), failure: None };
            self.asked.insert(of.clone(), question);
            self.discover(of, number, Duration::ZERO);
        }
    }

    fn discover(&self, of: GroupKind, number: u64, wait: Duration) {
        let (server, answer, turns) = (self.readers.server().clone(), self.answer.clone(), self.turns.clone());
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            // Nobody closes it.
            let _turn = turns.acquire().await;
            let found = discover(&server, &of).await;
            // Without anybody who wants to know, there is nothing to tell.
            let _ = answer.send(Answer { of, number, found }).await;
        });
    }

    /// Whether everything that is wanted now has been read once (`semantics.md` 7.4). Until it has, what is read is kept
    /// back: without what is missing the rest would be told as if that did not exist.
    fn is_complete(&self) -> bool {
        !matches!(self.definitions, Definitions::Awaited) && self.states().all(|(_, _, state)| !state.is_awaited())
    }

    fn states(&self) -> impl Iterator<Item = (GroupKind, &Kind, State)> {
        let of_definitions = (definition_kind(), &self.of_definitions, self.of_definitions.state(&definition_kind()));
        let kinds = self.kinds.iter().map(|(of, kind)| (of.clone(), kind, self.state(of, kind)));
        std::iter::once(of_definitions).chain(kinds)
    }

    fn state(&self, of: &GroupKind, kind: &Kind) -> State {
        if kind.is_placed() {
            return kind.state(of);
        }
        if self.discovered.contains_key(of) {
            return State::LeftOut { why: "the API server does not serve it, or not in namespaces".into() };
        }
        // Whoever writes a trigger may name what a broken extension of the API server would serve, one kind of it after
        // the other; nobody knows whether there is such a kind at all, and the rest does not wait for it.
        let is_silent = self.silent.get(&of.group).is_some_and(|it| it.elapsed() >= PATIENCE_WITH_DISCOVERY);
        let is_given_up = !kind.is_defined() && is_silent && !self.beat.is_away;
        match self.asked.get(of).and_then(|it| it.failure.as_ref()) {
            Some(failure) => {
                let is_refused = matches!(failure, Failure::Refused(_)) && !kind.is_defined();
                let why = failure.to_string().into();
                if is_refused || is_given_up { State::LeftOut { why } } else { State::Missing { why } }
            }
            None if is_given_up => State::LeftOut { why: "the API server does not say whether it serves it".into() },
            None => State::Listing { seen: 0, expected: None },
        }
    }

    fn status(&self) -> Status {
        let kinds: Vec<_> = self
            .states()
            .map(|(of, kind, state)| {
                // Nobody is asked whether somebody may see definitions.
                let place = self.kinds.get(&of).and_then(Kind::place);
                KindStatus { of, defined: kind.is_defined(), place, state, reads: kind.reads() }
            })
            .collect();
        let since = |it: &KindStatus| if let State::Stale { since, .. } = it.state { Some(since) } else { None };
        let away_since = self.beat.is_away.then_some(self.beat.at);
        let kept_back_since = self.incomplete_since.filter(|_| self.was_complete);
        let stale_since = kinds.iter().filter_map(since).chain(away_since).chain(kept_back_since).min();
        Status { kinds, stale_since, away_since, problems: vec![] }
    }

    fn progress(&self) -> String {
        let awaited = self.states().filter(|(_, _, state)| state.is_awaited());
        awaited.map(|(of, _, state)| format!("{of} {state}")).collect::<Vec<_>>().join("; ")
    }

    /// Says whether that is new.
    fn note_completeness(&mut self, complete: bool) -> bool {
        if complete == self.incomplete_since.is_none() {
            return false;
        }
        if complete && !self.was_complete {
            info!(kinds = self.kinds.len(), "Everything was read, in {:.1} s", self.began.elapsed().as_secs_f64());
        }
        self.was_complete |= complete;
        self.incomplete_since = (!complete).then(Instant::now);
        self.is_status_old = true;
        true
    }
}
