//! How soon a write is in the answers, beside how soon a bare watch tells of it.
//!
//! Three connections that are kept: one writes, one watches the API server, one polls the service. Both times begin when
//! the write was sent, before it is acknowledged.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PATIENCE;
use super::client::{Api, Http, connect};
use super::support::process::Service;

const PATH: &str = "/v1/getEventMesh";
const EVENT_TYPES: &str = "/apis/eventing.knative.dev/v1beta2/eventtypes";
/// Between two polls, so that asking does not take the processor from those who are waited for.
const PAUSE: Duration = Duration::from_micros(500);
/// Between two writes.
const REST: Duration = Duration::from_millis(20);

/// Milliseconds of each write.
#[derive(Default)]
pub struct Times {
    /// Until the bare watch had the event.
    pub bare: Vec<f64>,
    /// Until the service began to give an answer that has it.
    pub begun: Vec<f64>,
    /// Until that answer was there.
    pub whole: Vec<f64>,
}

/// An answer that is another than the one before.
struct Fresh {
    begun: Instant,
    whole: Instant,
    body: Vec<u8>,
}

/// Writes so often, and waits each time until both have it.
pub fn measure(api: &Api, service: &Service, writes: usize, nonce: &str) -> Times {
    let listed = api.json(EVENT_TYPES);
    let names: Vec<_> = listed["items"].as_array().expect("event types").iter().map(|it| &it["metadata"]).collect();
    let version = listed["metadata"]["resourceVersion"].as_str().expect("a version");
    let (events, watching) = watch(api.clone(), version);
    let is_over = Arc::new(AtomicBool::new(false));
    let (answers, polling) = poll(service, is_over.clone());
    let mut connection = api.connect();
    let mut times = Times::default();
    // The first answer is rendered from nothing, which is not what is measured.
    answers.recv_timeout(PATIENCE).expect("an answer");
    let mut write = |n: usize| {
        let metadata = names[n * names.len() / writes % names.len()];
        let text = |field: &str| metadata[field].as_str().expect("text");
        let path = format!("{}/namespaces/{}/eventtypes/{}", prefix(), text("namespace"), text("name"));
        let description = format!("Fresh {nonce} {n}.");
        let change = json!({ "spec": { "description": description } }).to_string();
        connection.send("PATCH", &path, "content-type: application/merge-patch+json\r\n", change.as_bytes());
        let sent = Instant::now();
        let head = connection.head();
        connection.body(&head);
        assert_eq!(head.status, 200, "{path}");
        (sent, description)
    };
    for n in 0..writes {
        let (sent, description) = write(n);
        let told = loop {
            let (at, said) = events.recv_timeout(PATIENCE).expect("an event");
            if said == description {
                break at;
            }
        };
        let fresh = loop {
            let fresh = answers.recv_timeout(PATIENCE).expect("an answer");
            if contains(&fresh.body, &description) {
                break fresh;
            }
        };
        for (times, at) in [(&mut times.bare, told), (&mut times.begun, fresh.begun), (&mut times.whole, fresh.whole)] {
            times.push(at.saturating_duration_since(sent).as_secs_f64() * 1000.0);
        }
        drop(fresh);
        thread::sleep(REST);
    }
    is_over.store(true, Ordering::Relaxed);
    drop((events, answers));
    polling.join().expect("a good end");
    // Who watches finds out that nobody listens when there is something to tell.
    write(writes);
    watching.join().expect("a good end");
    times
}

fn prefix() -> &'static str {
    EVENT_TYPES.strip_suffix("/eventtypes").expect("its group and version")
}

/// Tells when an event comes and what the event type says. Goes on until nobody listens.
fn watch(api: Api, version: &str) -> (Receiver<(Instant, String)>, JoinHandle<()>) {
    let (tell, told) = channel();
    let path = format!("{EVENT_TYPES}?watch=true&resourceVersion={version}");
    let watching = thread::spawn(move || {
        let mut http = api.connect();
        http.send("GET", &path, "accept: application/json\r\n", &[]);
        assert_eq!(http.head().status, 200);
        let mut lines = vec![];
        while http.chunk(&mut lines) {
            while let Some(end) = lines.iter().position(|it| *it == b'\n') {
                let at = Instant::now();
                let event: Value = serde_json::from_slice(&lines[..end]).expect("an event");
                lines.drain(..=end);
                let description = event["object"]["spec"]["description"].as_str().unwrap_or_default();
                if tell.send((at, description.to_owned())).is_err() {
                    return;
                }
            }
        }
    });
    (told, watching)
}

/// Tells of each answer that is not the one before, until it is over.
fn poll(service: &Service, is_over: Arc<AtomicBool>) -> (Receiver<Fresh>, JoinHandle<()>) {
    let (tell, told) = channel();
    let mut http = connect(&service.address, &service.token);
    (told, thread::spawn(move || poll_until(&is_over, &mut http, &tell)))
}

fn poll_until(is_over: &AtomicBool, http: &mut Http<TcpStream>, tell: &Sender<Fresh>) {
    let mut etag = String::new();
    while !is_over.load(Ordering::Relaxed) {
        http.send("GET", PATH, &format!("if-none-match: {etag}\r\n"), &[]);
        let head = http.head();
        let begun = Instant::now();
        let body = http.body(&head);
        if head.status == 200 {
            etag.clone_from(&head.etag);
            if tell.send(Fresh { begun, whole: Instant::now(), body }).is_err() {
                return;
            }
        } else {
            assert_eq!(head.status, 304);
            thread::sleep(PAUSE);
        }
    }
}

fn contains(body: &[u8], text: &str) -> bool {
    std::str::from_utf8(body).expect("text").contains(text)
}
