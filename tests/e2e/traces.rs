//! Traces, as a collector gets them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message as _;
use serde_json::Value;

use super::support::process::{Service, eventually, run};
use super::support::secrets::Secrets;
use super::{MESH, sample};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
/// Sent to the collector by who sends, and told to nobody else.
const KEY: &str = "collector-key-0123456789abcdef";

/// A collector of traces.
struct Collector {
    address: String,
    got: Arc<Got>,
}

#[derive(Default)]
struct Got {
    connections: AtomicUsize,
    /// Answers 500.
    fails: AtomicBool,
    /// Does not answer.
    hangs: AtomicBool,
    requests: Mutex<Vec<Request>>,
}

#[derive(Clone)]
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::<Got>::default();
        let collecting = got.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let got = collecting.clone();
                got.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || got.serve(stream));
            }
        });
        Self { address, got }
    }

    fn requests(&self) -> Vec<Request> {
        self.got.requests.lock().unwrap().clone()
    }

    /// All spans, with the attributes of who made them.
    fn spans(&self) -> Vec<(BTreeMap<String, String>, Span)> {
        let mut spans = vec![];
        for request in self.requests() {
            let message = ExportTraceServiceRequest::decode(&*request.body).expect("OTLP");
            for of_resource in message.resource_spans {
                let resource = attributes(&of_resource.resource.unwrap().attributes);
                for span in of_resource.scope_spans.into_iter().flat_map(|it| it.spans) {
                    spans.push((resource.clone(), span));
                }
            }
        }
        spans
    }

    /// The names of the spans of a trace, sorted.
    fn names(&self, trace: &str) -> Vec<String> {
        let spans = self.spans().into_iter().filter(|(_, it)| hex(&it.trace_id) == trace);
        let mut names: Vec<_> = spans.map(|(_, it)| it.name).collect();
        names.sort();
        names
    }
}

impl Got {
    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).is_ok_and(|it| it == 0) {
                    return;
                }
            }
            let length = head.lines().find_map(|it| it.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.unwrap_or_default()];
            reader.read_exact(&mut body).unwrap();
            self.requests.lock().unwrap().push(Request { head, body });
            while self.hangs.load(Ordering::SeqCst) {
                std::thread::park();
            }
            let status = if self.fails.load(Ordering::SeqCst) { "500 Internal Server Error" } else { "200 OK" };
            if write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, it| {
        let _ = write!(hex, "{it:02x}");
        hex
    })
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |it: &KeyValue| match it.value.clone().and_then(|it| it.value) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => format!("#{number}"),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|it| (it.key.clone(), text(it))).collect()
}

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// Serves the sample, and sends traces there.
fn serve(collector: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Service {
    let sample = sample();
    let all = ["--manifests", &sample, "--dev-token", "--log-format", "json", "--otlp-endpoint", collector];
    let service = Service::start_in(environment, &[&all, arguments].concat());
    // Until the folder is read.
    service.mesh();
    service
}

#[test]
fn a_request_is_one_in_its_answer_its_log_and_its_trace() {
    let collector = Collector::start();
    let headers = format!("x-key={KEY}");
    let environment = [("OTEL_EXPORTER_OTLP_HEADERS", headers.as_str()), ("OTEL_SERVICE_NAME", "catalog-of-the-shop")];
    let service = serve(&collector.address, &environment, &["--log", "debug", "--max-traces-per-second", "1000"]);
    let (parent, secrets) = (traceparent("01"), Secrets::default());
    secrets.remember(&service.token);
    secrets.remember(KEY);
    let asked = [("traceparent", parent.as_str()), ("x-request-id", "poll-42"), ("accept-encoding", "gzip")];
    let answer = service.get(&format!("{MESH}?labelSelector=team"), &asked);
    assert_eq!((answer.status, answer.header("x-request-id")), (200, "poll-42"));
    service.signal("TERM");
    let (status, log) = service.ended();
    // What was not sent yet is sent before the end.
    assert!(status.success(), "{log}");
    let spans = collector.spans();
    let spans: Vec<_> = spans.iter().filter(|(_, it)| hex(&it.trace_id) == TRACE).collect();
    let (resource, server) = spans.iter().find(|(_, it)| hex(&it.parent_span_id) == PARENT).expect("the request");
    assert_eq!((server.name.as_str(), server.kind()), ("GET /v1/getEventMesh", SpanKind::Server));
    let told = attributes(&server.attributes);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", MESH),
        ("url.path", MESH),
        ("http.response.status_code", "#200"),
        ("eventmesh.request_id", "poll-42"),
    ] {
        assert_eq!(told.get(name).map(String::as_str), Some(value), "{name} of {told:?}");
    }
    assert_eq!(resource["service.name"], "catalog-of-the-shop");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    let children: Vec<_> = spans.iter().filter(|(_, it)| it.parent_span_id == server.span_id).collect();
    assert_eq!(children.len(), spans.len() - 1);
    assert_eq!(collector.names(TRACE), ["GET /v1/getEventMesh", "compress", "grant", "identify", "render"]);
    let lines: Vec<Value> = log.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let ours: Vec<_> = lines.iter().filter(|it| it["request_id"] == "poll-42").collect();
    assert!(ours.iter().any(|it| it["message"] == "Answered" && it["status"] == 200), "{log}");
    assert!(ours.iter().all(|it| it["trace_id"] == TRACE), "{log}");
    let requests = collector.requests();
    assert!(requests.iter().all(|it| it.head.to_lowercase().contains(&format!("x-key: {KEY}"))));
    assert!(requests.iter().all(|it| it.head.starts_with("POST /v1/traces HTTP/1.1\r\n")));
    for request in requests {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        secrets.are_not_in("a trace", &body);
        assert!(!body.contains("dev-token") && !body.contains("labelSelector"), "who asks, and what for");
    }
    secrets.are_not_in("the log", &log);
}

#[test]
fn callers_continue_their_traces_and_decline_them() {
    let collector = Collector::start();
    let service = serve(&collector.address, &[], &["--trace-percent", "0", "--max-traces-per-second", "1000"]);
    let ask = |traceparent: &str| service.get(MESH, &[("traceparent", traceparent)]).status;
    let declined = traceparent("00").replace(TRACE, "11111111111111111111111111111111");
    for none in [
        declined.as_str(),
        "",
        "x",
        "00-00000000000000000000000000000000-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01-xx",
    ] {
        assert_eq!(ask(none), 200, "{none}");
    }
    let parent = traceparent("01");
    assert_eq!(ask(&parent), 200);
    for (path, token) in [(MESH, "nobodys"), ("/not/here/secret-path", service.token.as_str())] {
        let answer = service.get_as(token, path, &[("traceparent", &parent)]);
        assert!(answer.status == 401 || answer.status == 404);
    }
    service.signal("TERM");
    service.ended();
    assert!(collector.spans().iter().all(|(_, it)| hex(&it.trace_id) == TRACE), "nobody else asked for a trace");
    let spans = collector.spans();
    let mut requests: Vec<_> = spans
        .iter()
        .filter(|(_, it)| it.kind() == SpanKind::Server)
        .map(|(_, it)| (it.name.as_str(), attributes(&it.attributes)["http.response.status_code"].clone(), it))
        .collect();
    requests.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let shown: Vec<_> = requests.iter().map(|(name, status, _)| (*name, status.as_str())).collect();
    assert_eq!(shown, [("GET", "#404"), ("GET /v1/getEventMesh", "#200"), ("GET /v1/getEventMesh", "#401")]);
    for (_, _, span) in requests {
        let status = span.status.as_ref().map_or(StatusCode::Unset, Status::code);
        assert_eq!(status, StatusCode::Unset, "what a caller does wrong is no error of ours");
    }
    let bodies: String = collector.requests().iter().map(|it| String::from_utf8_lossy(&it.body).into_owned()).collect();
    assert!(!bodies.contains("secret-path"), "a path that is none is anything that somebody writes");
}

#[test]
fn traces_that_are_not_delivered_are_told_of_once() {
    let collector = Collector::start();
    collector.got.fails.store(true, Ordering::SeqCst);
    let service = serve(&collector.address, &[("OTEL_BSP_SCHEDULE_DELAY", "10")], &[]);
    let batches = |more: usize| {
        let before = collector.requests().len();
        eventually("a batch", || {
            assert_eq!(service.get(MESH, &[]).status, 200);
            (collector.requests().len() >= before + more).then_some(())
        });
    };
    batches(3);
    eventually("a line", || service.log().contains("Traces are not delivered").then_some(()));
    collector.got.fails.store(false, Ordering::SeqCst);
    batches(1);
    eventually("a line", || service.log().contains("Traces are delivered again").then_some(()));
    batches(3);
    service.signal("TERM");
    let (_, log) = service.ended();
    assert_eq!(log.matches("Traces are").count(), 2, "{log}");
    assert!(log.contains("it answers 500 Internal Server Error"), "{log}");
}

#[test]
fn nobody_waits_for_a_collector() {
    let hanging = Collector::start();
    hanging.got.hangs.store(true, Ordering::SeqCst);
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [hanging.address.clone(), format!("http://{away}")] {
        let service = serve(&address, &[("OTEL_BSP_SCHEDULE_DELAY", "10")], &[]);
        for _ in 0..20 {
            assert_eq!(service.get(MESH, &[]).status, 200);
        }
        service.signal("TERM");
        let (status, log) = service.ended();
        assert!(status.success(), "{log}");
        assert!(log.matches("Traces are not delivered").count() <= 1, "{log}");
    }
}

#[test]
fn without_an_endpoint_nothing_is_sent() {
    let collector = Collector::start();
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address.as_str())];
    let service = Service::start_in(&environment, &["--manifests", &sample(), "--dev-token", "--log", "debug"]);
    service.mesh();
    let parent = traceparent("01");
    service.get(MESH, &[("traceparent", &parent), ("x-request-id", "poll-43")]);
    service.signal("TERM");
    let (_, log) = service.ended();
    assert_eq!(collector.got.connections.load(Ordering::SeqCst), 0);
    let line = log.lines().find(|it| it.contains("Answered") && it.contains("poll-43")).expect("a line");
    assert!(line.ends_with(r#" request_id="poll-43""#) && !log.contains("trace_id"), "{line}");
}

#[test]
fn an_endpoint_that_cannot_be_is_refused_without_being_told() {
    let manifests = sample();
    let check = |more: &[&str]| run(&[&["config", "check", "--manifests", &manifests, "--dev-token"], more].concat());
    for (arguments, told) in [
        (&["--otlp-endpoint", "http://jane:hunter2@collector:4318"][..], "--otlp-endpoint: it has a user in it"),
        (&["--otlp-endpoint", "collector:4318"], "--otlp-endpoint: it does not begin with http:// or https://"),
        (&["--trace-percent", "5"], "--trace-percent is of no use without --otlp-endpoint"),
        (&["--max-traces-per-second", "5"], "--max-traces-per-second is of no use without --otlp-endpoint"),
        (&["--otlp-endpoint", "http://collector:4318", "--trace-percent", "101"], "101 is not in"),
    ] {
        let output = check(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(told) && !error.contains("hunter2"), "{error}");
    }
    assert!(check(&["--otlp-endpoint", "https://collector.example.com/otlp"]).status.success());
}
