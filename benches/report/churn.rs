//! A mesh of which thousands of objects change in a second, for a minute: whether any change is lost, how late answers
//! are, whether anything grows, and what those who read notice.

use std::net::TcpStream;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Http, connect};
use super::double::{Double, Edit};
use super::figures::{float, mean, median, quantile};
use super::measure::{Measures, Target};
use super::nginx::Nginx;
use super::process::{computed, connect_to, memory, start};
use super::support::process::Service;
use super::{PATIENCE, Size};

/// Changes in a second, in so many batches.
const RATE: usize = 5000;
const BATCHES: usize = 100;
const LASTS: Duration = Duration::from_mins(1);
/// Before that, one change comes in so much time, for so long: what readers notice is compared with this. Whoever asks finds
/// a change each time, as then.
const CALM: Duration = Duration::from_millis(20);
const CALM_LASTS: Duration = Duration::from_secs(20);
/// As large a part of what was to be sent has to be sent.
const SENT: f64 = 0.98;
/// Milliseconds that hardly any answer may be late.
const LATE: f64 = 1000.0;
/// The lateness in the last third of the time, of that in the first.
const LATER: f64 = 1.25;
/// The memory held in the last ten seconds, of that after ten seconds.
const GROWN: f64 = 1.1;
/// What readers wait for an answer, of what they waited before.
const SLOWER: f64 = 2.0;
/// Has a label of its own, and says which change was made last.
const PROBE: &str = "/v1/getEventMesh?labelSelector=bench%3Dprobe";
/// What nothing of changes.
const STILL: &str = "/v1/getEventMesh?labelSelector=tier%3Da";
const WHOLE: &str = "/v1/getEventMesh";

/// What all threads know.
struct Shared {
    /// When each probe was sent.
    sent: Mutex<Vec<Instant>>,
    /// Is it calm, under way, over?
    is_under_way: AtomicBool,
    is_over: AtomicBool,
    failures: AtomicUsize,
}

/// Says that it is over when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How long somebody waited for answers, in milliseconds: while it was calm, and then.
#[derive(Default)]
struct Waits {
    before: Vec<f64>,
    during: Vec<f64>,
}

/// What was seen while objects changed.
struct Seen {
    began: Instant,
    took: Duration,
    /// How many changes were made.
    changes: usize,
    /// Which probe was answered with at what time.
    arrivals: Vec<(Instant, usize)>,
    whole: Waits,
    still: Waits,
    /// Of a file that nginx serves: what the machine alone makes others wait.
    file: Option<Waits>,
    /// Seconds of all processors that the service has used.
    computed: f64,
    /// MiB of each second.
    held: Vec<f64>,
}

pub fn measure(double: &Double, documents: &[Value], size: &Size, measures: &mut Measures) {
    measures.begin("churn", size.name);
    double.make(vec![Edit::Put(probe(0))]);
    let (service, _) = start(&double.kubeconfig, &["--dev-token"]);
    let shared = Shared {
        sent: Mutex::new(vec![Instant::now()]),
        is_under_way: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
        failures: AtomicUsize::new(0),
    };
    let nginx = Nginx::serve(WHOLE, b"{}", "identity");
    let seen = run(double, &service, nginx.as_ref().ok(), &shared, Changes::of(documents));
    let rate = float(seen.changes) / seen.took.as_secs_f64();
    measures.hold("changes sent", "1/s", Target::AtLeast(SENT * float(RATE)), vec![rate]);
    tell_lags(&seen, &shared.sent.lock().expect("the times"), measures);
    tell_memory(&seen.held, measures);
    measures.tell("processors that the service used", "", vec![seen.computed / seen.took.as_secs_f64()]);
    tell_waits("all of the mesh, once a second", &seen.whole, Target::AtMost(SLOWER), measures);
    tell_waits("what does not change", &seen.still, Target::AtMost(SLOWER), measures);
    if let Some(file) = &seen.file {
        tell_waits("a file of nginx", file, Target::None, measures);
    }
    if let Err(why) = nginx {
        measures.remark(format!("readers of a file of nginx were NOT MEASURED: {why}"));
    }
    let failures = float(shared.failures.load(Ordering::Relaxed));
    measures.hold("readers: answers that were none", "", Target::AtMost(0.0), vec![failures]);
    let answer = |service: &Service| connect_to(service).ask(WHOLE, "");
    let (fresh, _) = start(&double.kubeconfig, &["--dev-token"]);
    let lost = if answer(&service) == answer(&fresh) { 0.0 } else { 1.0 };
    measures.hold("final answer differs from that of a fresh service", "", Target::AtMost(0.0), vec![lost]);
}

/// Some quiet seconds, then all changes, while others read.
fn run(double: &Double, service: &Service, nginx: Option<&Nginx>, shared: &Shared, mut changes: Changes) -> Seen {
    thread::scope(|scope| {
        // Also where this thread fails: the others are waited for.
        let over = Over(&shared.is_over);
        let arrivals = scope.spawn(|| arrivals_of(service, shared));
        let reads = |http, path, pause| scope.spawn(move || waits(http, shared, path, Duration::from_millis(pause)));
        let whole = reads(connect_to(service), WHOLE, 1000);
        let still = reads(connect_to(service), STILL, 50);
        let file = nginx.map(|it| reads(connect(&it.address.to_string(), ""), WHOLE, 50));
        let calm = Instant::now();
        while calm.elapsed() < CALM_LASTS {
            send(double, shared, vec![]);
            thread::sleep(CALM);
        }
        shared.is_under_way.store(true, Ordering::Relaxed);
        let held = scope.spawn(|| samples(service, shared));
        let (began, before) = (Instant::now(), computed(service));
        let made = send_all(double, shared, &mut changes, began);
        let (took, computed) = (began.elapsed(), computed(service) - before);
        // The last of them arrives, too.
        let last = shared.sent.lock().expect("the times").len() - 1;
        wait_for(service, last);
        drop(over);
        Seen {
            began,
            took,
            changes: made,
            arrivals: arrivals.join().expect("arrivals"),
            whole: whole.join().expect("a reader"),
            still: still.join().expect("a reader"),
            file: file.map(|it| it.join().expect("a reader")),
            computed,
            held: held.join().expect("samples"),
        }
    })
}

/// Returns how many changes were made.
fn send_all(double: &Double, shared: &Shared, changes: &mut Changes, began: Instant) -> usize {
    let batches = BATCHES * usize::try_from(LASTS.as_secs()).expect("a minute");
    let mut made = 0;
    for batch in 0..batches {
        let due = began + LASTS.mul_f64(float(batch) / float(batches));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // The probe is one of them.
        send(double, shared, changes.next(RATE / BATCHES - 1));
        made += RATE / BATCHES;
        // On a machine that is too slow.
        if began.elapsed() > 2 * LASTS {
            break;
        }
    }
    made
}

fn tell_lags(seen: &Seen, sent: &[Instant], measures: &mut Measures) {
    let lags = lags(sent, &seen.arrivals, seen.began);
    let late = |part: Range<Duration>| {
        lags.iter().filter(|(at, _)| part.contains(at)).map(|(_, lag)| *lag).collect::<Vec<_>>()
    };
    let all = late(Duration::ZERO..Duration::MAX);
    let name = |what: &str| format!("from a change to an answer that has it, {what}");
    measures.tell(name("P50"), "ms", vec![median(&all)]);
    measures.hold(name("P99"), "ms", Target::AtMost(LATE), vec![quantile(&all, 0.99)]);
    measures.tell(name("most"), "ms", vec![quantile(&all, 1.0)]);
    let third = seen.took / 3;
    let (first, last) = (median(&late(Duration::ZERO..third)), median(&late(2 * third..3 * third)));
    measures.hold("lateness in the last third / in the first", "", Target::AtMost(LATER), vec![last / first]);
}

fn tell_memory(held: &[f64], measures: &mut Measures) {
    let ten = (held.len() / 3).clamp(1, 10);
    let (early, late) = (&held[ten..2 * ten], &held[held.len() - ten..]);
    measures.tell("memory held", "MiB", held.to_vec());
    measures.hold("memory held at the end / after 10 s", "", Target::AtMost(GROWN), vec![mean(late) / mean(early)]);
}

fn tell_waits(what: &str, waits: &Waits, target: Target, measures: &mut Measures) {
    let name = |which: &str| format!("readers of {what}: wait {which}");
    let slower = median(&waits.during) / median(&waits.before);
    measures.hold(name("during / before, P50"), "", target, vec![slower]);
    measures.tell(name("before"), "ms", waits.before.clone());
    measures.tell(name("during"), "ms", waits.during.clone());
    measures.tell(name("during, P99"), "ms", vec![quantile(&waits.during, 0.99)]);
}

fn probe(n: usize) -> Value {
    json!({
        "apiVersion": "eventing.knative.dev/v1beta2", "kind": "EventType",
        "metadata": { "name": "probe", "namespace": "team-000", "labels": { "bench": "probe" } },
        "spec": { "type": "bench.probe", "description": format!("Sent {n}.") },
    })
}

fn send(double: &Double, shared: &Shared, mut edits: Vec<Edit>) {
    let mut sent = shared.sent.lock().expect("the times");
    edits.push(Edit::Put(probe(sent.len())));
    double.make(edits);
    sent.push(Instant::now());
}

/// Which probe the service answers with at what time.
fn arrivals_of(service: &Service, shared: &Shared) -> Vec<(Instant, usize)> {
    let mut http = connect(&service.address, &service.token);
    let mut arrivals = vec![];
    while !shared.is_over.load(Ordering::Relaxed) {
        match http.answer(PROBE, "") {
            (200, body) => arrivals.push((Instant::now(), seen(&body))),
            _ => _ = shared.failures.fetch_add(1, Ordering::Relaxed),
        }
        thread::sleep(Duration::from_millis(5));
    }
    arrivals
}

fn seen(body: &[u8]) -> usize {
    let mesh: Value = serde_json::from_slice(body).expect("JSON");
    let described = mesh["eventTypes"][0]["description"].as_str().expect("the probe");
    let number = described.strip_prefix("Sent ").and_then(|it| it.strip_suffix('.')).expect("its number");
    number.parse().expect("a number")
}

fn wait_for(service: &Service, last: usize) {
    let began = Instant::now();
    while seen(&connect_to(service).get(PROBE, "")) < last {
        assert!(began.elapsed() < PATIENCE, "the last change never arrives");
        thread::sleep(Duration::from_millis(5));
    }
}

/// When since the beginning each probe was sent, and how many milliseconds later it was in an answer.
fn lags(sent: &[Instant], arrivals: &[(Instant, usize)], began: Instant) -> Vec<(Duration, f64)> {
    let lag = |(n, sent): (usize, &Instant)| {
        let first = arrivals.get(arrivals.partition_point(|(_, seen)| *seen < n))?;
        let lag = first.0.saturating_duration_since(*sent).as_secs_f64() * 1e3;
        Some((sent.checked_duration_since(began)?, lag))
    };
    sent.iter().enumerate().filter_map(lag).collect()
}

/// Asks for what is newer than what it has.
fn waits(mut http: Http<TcpStream>, shared: &Shared, path: &str, pause: Duration) -> Waits {
    let mut waits = Waits::default();
    let mut etag = String::new();
    while !shared.is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let (status, tag) = http.ask(path, &format!("accept-encoding: zstd\r\nif-none-match: {etag}\r\n"));
        let wait = began.elapsed().as_secs_f64() * 1e3;
        let which = if shared.is_under_way.load(Ordering::Relaxed) { &mut waits.during } else { &mut waits.before };
        // The first answer is made from nothing.
        if !etag.is_empty() {
            which.push(wait);
        }
        match status {
            200 => etag = tag,
            304 => (),
            _ => _ = shared.failures.fetch_add(1, Ordering::Relaxed),
        }
        thread::sleep(pause.saturating_sub(began.elapsed()));
    }
    waits
}

/// MiB that are held, second by second.
fn samples(service: &Service, shared: &Shared) -> Vec<f64> {
    let mut samples = vec![];
    while !shared.is_over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_secs(1));
        samples.push(memory(service, "VmRSS"));
    }
    samples
}

/// Changes all over the mesh, without an end.
struct Changes {
    types: Vec<Value>,
    triggers: Vec<Value>,
    /// How many were made.
    made: usize,
}

impl Changes {
    fn of(documents: &[Value]) -> Self {
        let of = |kind: &str| documents.iter().filter(|it| it["kind"] == kind).cloned().collect::<Vec<_>>();
        let mut triggers = of("Trigger");
        triggers.retain(|it| it["spec"]["filter"]["attributes"]["type"].is_string());
        Self { types: of("EventType"), triggers, made: 0 }
    }

    fn next(&mut self, count: usize) -> Vec<Edit> {
        (0..count).map(|_| self.one()).collect()
    }

    /// Six in ten describe an event type anew, two let a trigger have other events, one adds a trigger, and one takes
    /// that away again.
    fn one(&mut self) -> Edit {
        // A prime, so that they are all over the place.
        const STEP: usize = 7919;
        let n = self.made;
        self.made += 1;
        let place = n * STEP;
        match n % 10 {
            0..=5 => {
                let place = place % self.types.len();
                let changed = &mut self.types[place];
                changed["spec"]["description"] = json!(format!("Changed {n}."));
                Edit::Put(changed.clone())
            }
            6 | 7 => {
                let event_type = self.types[place % self.types.len()]["spec"]["type"].clone();
                let place = place % self.triggers.len();
                let changed = &mut self.triggers[place];
                changed["spec"]["filter"]["attributes"]["type"] = event_type;
                Edit::Put(changed.clone())
            }
            8 => Edit::Put(self.added(n)),
            _ => Edit::Remove(self.added(n - 1)),
        }
    }

    fn added(&self, n: usize) -> Value {
        let mut added = self.triggers[n % self.triggers.len()].clone();
        added["metadata"]["name"] = json!("added");
        added
    }
}
