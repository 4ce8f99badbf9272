//! Those who ask all the time, how long they wait, and what they are told.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use eventmesh_catalog::api::dto::EventMesh;
use hyper::Response;
use tokio::task::JoinHandle;

use crate::support::history::{History, Parts, parts};
use crate::support::polling::{Caller, decoded, header, tag};
use serde_json::Value;

/// Where the small mesh is.
pub const SMALL: &str = "shop";
/// How long after the API server is there again nobody may have found out what somebody may see.
const GRACE: Duration = Duration::from_secs(15);
/// How many tags are kept to be compared.
const TAGS: usize = 2000;

/// One who asks, again and again.
pub struct Habit {
    pub path: &'static str,
    /// In turns.
    pub encodings: &'static [&'static str],
    /// Whether to say which answer is known.
    pub conditional: bool,
    pub rest: Duration,
    pub looks: Looks,
    /// Whether the API server is needed to know what somebody may see, who gets no answer then while it is away.
    pub reviewed: bool,
}

/// What an answer is held against while the mesh changes.
#[derive(Clone)]
pub enum Looks {
    /// Against equal answers to others only.
    Tags,
    /// It shows these event types, and goes through what the small mesh goes through.
    Whole(Arc<BTreeSet<(String, String)>>),
    /// It shows nothing but this namespace, which goes through the same.
    Small,
    Nothing,
}

/// What was seen of the small mesh by each who looks at it.
#[derive(Clone, Default)]
pub struct Histories(Arc<Mutex<Vec<History>>>);

impl Histories {
    /// What may be seen from now on.
    pub fn expect(&self, state: &[Value]) {
        let state = parts(state);
        self.0.lock().unwrap().iter_mut().for_each(|it| it.expect(state.clone()));
    }

    fn begin(&self, state: &[Value]) -> usize {
        let mut histories = self.0.lock().unwrap();
        histories.push(History::default());
        let place = histories.len() - 1;
        histories[place].expect(parts(state));
        place
    }

    fn see(&self, place: usize, mesh: &EventMesh) -> Vec<String> {
        let mut histories = self.0.lock().unwrap();
        histories[place].see(&Parts::of(mesh));
        std::mem::take(&mut histories[place].wrong)
    }
}

/// What was answered since somebody looked.
#[derive(Default)]
pub struct Samples {
    /// Seconds.
    pub unchanged: Vec<f64>,
    pub whole: Vec<f64>,
    pub bare: Vec<f64>,
    pub bare_whole: Vec<f64>,
    pub answers: usize,
    /// 503 while the API server was away.
    pub away: usize,
    /// Connections that ended at rest, when another one was made.
    pub reconnected: usize,
    pub unexpected: Vec<String>,
    pub wrong: Vec<String>,
}

/// What all who ask share.
#[derive(Clone, Default)]
pub struct Board {
    pub samples: Arc<Mutex<Samples>>,
    pub histories: Histories,
    /// Nothing is measured now: the test itself is at work.
    pub paused: Arc<AtomicBool>,
    /// When the API server is away, or when it came back.
    away: Arc<Mutex<(bool, Option<Instant>)>>,
    /// What was told under a tag.
    tags: Arc<Mutex<HashMap<String, blake3::Hash>>>,
}

impl Board {
    pub fn goes_away(&self) {
        self.away.lock().unwrap().0 = true;
    }

    pub fn is_back(&self) {
        *self.away.lock().unwrap() = (false, Some(Instant::now()));
    }

    /// Whether a question of that time could be left without an answer.
    pub fn was_away(&self, asked: Instant) -> bool {
        let (away, back) = *self.away.lock().unwrap();
        away || back.is_some_and(|it| asked < it + GRACE)
    }

    pub fn wrong(&self, what: String) {
        println!("WRONG: {what}");
        self.samples.lock().unwrap().wrong.push(what);
    }

    pub fn unexpected(&self, what: String) {
        println!("UNEXPECTED: {what}");
        self.samples.lock().unwrap().unexpected.push(what);
    }

    /// Notes an answer that no caller should get, or one that is to be had while the API server is away.
    pub fn refused(&self, who: &str, asked: Instant, answer: &Response<Bytes>) {
        let may_be = answer.status() == 503 && !header(answer, "retry-after").is_empty();
        if may_be && self.was_away(asked) {
            self.samples.lock().unwrap().away += 1;
        } else {
            let body = String::from_utf8_lossy(&answer.body()[..answer.body().len().min(500)]);
            self.unexpected(format!("{who}: {}: {body}", answer.status()));
        }
    }

    /// Equal tags are equal contents, whoever asks.
    fn same_tag_same_content(&self, who: &str, tag: &str, content: &[u8]) {
        let hash = blake3::hash(content);
        let mut tags = self.tags.lock().unwrap();
        if tags.len() > TAGS {
            tags.clear();
        }
        let known = *tags.entry(tag.to_owned()).or_insert(hash);
        drop(tags);
        if known != hash {
            self.wrong(format!("{who}: two contents have the tag {tag}"));
        }
    }

    /// Asks until the end of the task.
    pub fn poll(&self, who: &'static str, address: &str, token: &str, habit: Habit, state: &[Value]) -> JoinHandle<()> {
        let place = matches!(habit.looks, Looks::Whole(_) | Looks::Small).then(|| self.histories.begin(state));
        let caller = Caller::new(address, token);
        tokio::spawn(Poller { who, caller, habit, place, board: self.clone(), etag: String::new() }.run())
    }

    /// Asks a route of the test's own in the same way.
    pub fn poll_bare(&self, address: &str, path: &'static str, rest: Duration) -> JoinHandle<()> {
        let (mut caller, board) = (Caller::new(address, ""), self.clone());
        tokio::spawn(async move {
            loop {
                let began = Instant::now();
                let answer = caller.request(path, &[]).await;
                let took = began.elapsed().as_secs_f64();
                if answer.is_ok_and(|it| it.status() == 200) && !board.paused.load(Ordering::Relaxed) {
                    let mut samples = board.samples.lock().unwrap();
                    let of = if path == "/" { &mut samples.bare } else { &mut samples.bare_whole };
                    of.push(took);
                }
                tokio::time::sleep(rest).await;
            }
        })
    }
}

struct Poller {
    who: &'static str,
    caller: Caller,
    habit: Habit,
    /// Among the histories.
    place: Option<usize>,
    board: Board,
    etag: String,
}

impl Poller {
    async fn run(mut self) {
        for encoding in self.habit.encodings.iter().cycle() {
            self.ask(encoding).await;
            tokio::time::sleep(self.habit.rest).await;
        }
    }

    async fn ask(&mut self, encoding: &str) {
        let mut headers = vec![("accept-encoding", encoding)];
        if self.habit.conditional && !self.etag.is_empty() {
            headers.push(("if-none-match", &self.etag));
        }
        let began = Instant::now();
        let answer = match self.caller.request(self.habit.path, &headers).await {
            Ok(answer) => answer,
            // It was closed before the question went out.
            Err(error) if error.is_canceled() || error.is_closed() => {
                self.board.samples.lock().unwrap().reconnected += 1;
                return;
            }
            Err(error) => return self.board.unexpected(format!("{}: {error:?}", self.who)),
        };
        let took = began.elapsed().as_secs_f64();
        let mut samples = self.board.samples.lock().unwrap();
        samples.answers += 1;
        let measured = self.habit.reviewed && !self.board.paused.load(Ordering::Relaxed);
        match answer.status().as_u16() {
            304 if measured => samples.unchanged.push(took),
            200 if measured => samples.whole.push(took),
            _ => {}
        }
        drop(samples);
        match answer.status().as_u16() {
            304 => {}
            200 => self.look(&answer),
            _ if self.habit.reviewed => self.board.refused(self.who, began, &answer),
            status => self.board.unexpected(format!("{}: {status}, though nothing has to be asked", self.who)),
        }
    }

    fn look(&mut self, answer: &Response<Bytes>) {
        let etag = header(answer, "etag");
        if etag == self.etag {
            return;
        }
        etag.clone_into(&mut self.etag);
        let content = decoded(answer);
        self.board.same_tag_same_content(self.who, tag(answer), &content);
        for what in self.complaints(&content) {
            self.board.wrong(format!("{}: {what}", self.who));
        }
    }

    fn complaints(&self, content: &[u8]) -> Vec<String> {
        let looks = self.habit.looks.clone();
        if matches!(looks, Looks::Tags) {
            return vec![];
        }
        let mut mesh: EventMesh = serde_json::from_slice(content).expect("the mesh as JSON");
        let mut complaints = vec![];
        if let Looks::Whole(lasting) = &looks {
            let name = |it: &eventmesh_catalog::api::dto::EventType| (it.meta.namespace.clone(), it.meta.name.clone());
            let names: BTreeSet<_> = mesh.event_types.iter().map(name).collect();
            let missing = lasting.difference(&names).count();
            if missing > 0 {
                complaints
                    .push(format!("{missing} of {} event types that are always there are missing", lasting.len()));
            }
            only(&mut mesh, SMALL);
        }
        if matches!(looks, Looks::Nothing) && count(&mesh) > 0 {
            complaints.push(format!("{} items for somebody who may see nothing", count(&mesh)));
        }
        let items = count(&mesh);
        only(&mut mesh, SMALL);
        if matches!(looks, Looks::Small) && count(&mesh) < items {
            complaints.push(format!("{} items of other namespaces", items - count(&mesh)));
        }
        complaints.extend(self.place.into_iter().flat_map(|it| self.board.histories.see(it, &mesh)));
        complaints
    }
}

/// Leaves a namespace.
pub fn only(mesh: &mut EventMesh, namespace: &str) {
    mesh.event_types.retain(|it| it.meta.namespace == namespace);
    mesh.brokers.retain(|it| it.meta.namespace == namespace);
    mesh.subscribables.retain(|it| it.meta.namespace == namespace);
    mesh.sources.retain(|it| it.meta.namespace == namespace);
}

pub fn count(mesh: &EventMesh) -> usize {
    mesh.event_types.len() + mesh.brokers.len() + mesh.subscribables.len() + mesh.sources.len()
}
