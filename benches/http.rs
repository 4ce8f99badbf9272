//! What our part of an answer costs: the API at L side by side with a constant route behind the same layers, and with
//! one that axum serves alone. `cargo bench --bench http [-- 304]`.
//!
//! All three are in this process, each with one thread of its own; a fourth asks them in turns, so that whatever else
//! the machine does concerns all alike. What is compared is how many answers come, not how long one takes.

#[path = "../tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use eventmesh_catalog::access::{Access, Token};
use eventmesh_catalog::api::edge::Edge;
use eventmesh_catalog::api::render::Bodies;
use eventmesh_catalog::api::{self, Api};
use eventmesh_catalog::app::server::Server;
use eventmesh_catalog::index::{self, Batch, Feed};
use eventmesh_catalog::mesh::Update;
use eventmesh_catalog::origins::kubernetes::kinds::known_definitions;
use eventmesh_catalog::telemetry::metrics::Metrics;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use self::support::generate::{L, generate};

const PATH: &str = "/v1/getEventMesh";
const TOKEN: &str = "bench-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Of what a constant route behind the same layers answers, and of what axum alone answers.
const TARGETS: [f64; 2] = [0.9, 0.7];
const ROUNDS: usize = 9;
/// How long each server is under load in a round, and in how many turns: a machine that is busy with other things for a
/// moment slows all of them down.
const ROUND: Duration = Duration::from_secs(1);
const SLICES: u32 = 40;
/// How many connections ask for large and for small answers.
const LARGE: usize = 4;
const SMALL: usize = 16;
/// How often the time from a change to its answer is taken.
const CHANGES: usize = 5;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

fn main() {
    // `cargo test --all-targets` runs benchmarks too, and means something else by it.
    if !std::env::args().any(|it| it == "--bench") {
        return;
    }
    let wanted = std::env::args().skip(1).find(|it| !it.starts_with("--")).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(compare(&wanted));
}

/// Compares the answers whose name contains what is wanted.
async fn compare(wanted: &str) {
    let documents = generate(&L);
    let (ours, feed) = serve_ours().await;
    let updates = known_definitions().into_iter().chain(support::converted(&documents)).map(Update::Upsert).collect();
    let began = Instant::now();
    feed.send(Batch { updates, complete: true, status: None }).await.expect("an indexer");
    until(&ours, "", |answer| answer.status == 200).await;
    println!("from objects to the first 200 at L: {:.1?}", began.elapsed());
    time_changes(&ours, &feed, &documents).await;

    for encoding in ["zstd", "gzip", "identity"] {
        let name = format!("warm 200 {encoding}");
        if !name.contains(wanted) {
            continue;
        }
        let headers = format!("accept-encoding: {encoding}\r\n");
        let began = Instant::now();
        let answer = ask(&ours, &headers).await;
        println!("\nbody at L, {encoding}: {} bytes, {:.0?} for the first one", answer.body.len(), began.elapsed());
        assert_eq!(answer.status, 200);
        side_by_side(&name, &ours, answer, &headers, LARGE).await;
    }
    if !"304".contains(wanted) {
        return;
    }
    println!();
    let etag = ask(&ours, "").await.etag().to_owned();
    let headers = format!("accept-encoding: gzip\r\nif-none-match: {etag}\r\n");
    let answer = ask(&ours, &headers).await;
    assert_eq!(answer.status, 304);
    side_by_side("304", &ours, answer, &headers, SMALL).await;
}

/// From an object that changes to the answer that has it, for one who polls.
async fn time_changes(ours: &Served, feed: &Feed, documents: &[Value]) {
    let types = documents.iter().filter(|it| it["kind"] == "EventType");
    let mut taken = vec![];
    for (n, document) in types.step_by(1000).take(CHANGES).enumerate() {
        let etag = ask(ours, "").await.etag().to_owned();
        let mut changed = document.clone();
        changed["spec"]["description"] = json!(format!("Changed {n}."));
        let updates = support::converted(&[changed]).into_iter().map(Update::Upsert).collect();
        let began = Instant::now();
        feed.send(Batch { updates, complete: true, status: None }).await.expect("an indexer");
        until(ours, &format!("if-none-match: {etag}\r\n"), |answer| answer.status == 200).await;
        taken.push(began.elapsed().as_secs_f64());
    }
    println!(
        "from a change to a fresh 200 (identity) at L: {}",
        spread(&taken, |it| format!("{:.0?}", Duration::from_secs_f64(it)))
    );
}

// The three servers.

/// The whole service, without an origin.
async fn serve_ours() -> (Served, Feed) {
    let (feed, indexer, reader) = index::channel();
    let access = Access::new(None, Some(&Token::new(TOKEN)), None);
    let api = Api { reader, access: Arc::new(access), bodies: Bodies::default() };
    let router = api::router(api, edge());
    let served = Served::start("ours", async {
        tokio::spawn(indexer.run());
        with_our_server(router).await
    });
    (served.await, feed)
}

/// A route that always gives the same answer, behind our layers and our server.
async fn serve_constant(answer: Answer) -> Served {
    let router = api::layered(constant(answer), edge());
    Served::start("constant", with_our_server(router)).await
}

/// The same route as axum serves it.
async fn serve_bare(answer: Answer) -> Served {
    let router = constant(answer);
    Served::start("bare", async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("no delay"));
        tokio::spawn(async { axum::serve(listener, router).await });
        address
    })
    .await
}

/// A server on a thread of its own, for as long as the process lives.
#[derive(Clone)]
struct Served {
    address: SocketAddr,
    /// Where Linux tells the nanoseconds that the thread ran.
    times: Option<PathBuf>,
}

impl Served {
    async fn start(name: &str, serve: impl Future<Output = SocketAddr> + Send + 'static) -> Self {
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name(name).enable_all().build().expect("a runtime");
        // Spawned, because the thread that blocks here is not the one that serves.
        runtime.spawn(async {
            let times = std::fs::read_link("/proc/thread-self").ok();
            let times = times.map(|it| Path::new("/proc").join(it).join("schedstat"));
            assert!(tell.send(Self { address: serve.await, times }).is_ok(), "somebody waits");
        });
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        told.await.expect("a server")
    }

    /// How long the server has computed so far; nothing where nobody tells.
    fn computed(&self) -> Duration {
        let times = self.times.as_ref().and_then(|it| std::fs::read_to_string(it).ok());
        let nanoseconds = times.and_then(|it| it.split(' ').next()?.parse().ok());
        Duration::from_nanos(nanoseconds.unwrap_or_default())
    }
}

async fn with_our_server(router: Router) -> SocketAddr {
    let server = Server::bind("--listen", ([127, 0, 0, 1], 0).into()).await.expect("a port");
    let address = server.address();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async {
        server.run(router, stopped).await;
        drop(stop);
    });
    address
}

fn edge() -> Edge {
    Edge::new("0123456789abcdef", Metrics::default().observer())
}

/// A route that gives an answer again and again, with its headers except those that the layers and hyper add.
fn constant(answer: Answer) -> Router {
    let mut headers = answer.headers;
    for added in ["connection", "x-request-id", "x-content-type-options", "date", "content-length"] {
        headers.remove(added);
    }
    let status = StatusCode::from_u16(answer.status).expect("a status");
    // In an `Arc`, because axum clones a handler for each request.
    let constant = Arc::new((headers, answer.body));
    let handler = async move || {
        let (headers, body) = &*constant;
        let mut response = Response::new(if body.is_empty() { Body::empty() } else { Body::from(body.clone()) });
        *response.status_mut() = status;
        *response.headers_mut() = headers.clone();
        response
    };
    Router::new().route(PATH, get(handler))
}

// The comparison.

/// Rounds of load on each in turns.
async fn side_by_side(name: &str, ours: &Served, answer: Answer, headers: &str, connections: usize) {
    let servers = [ours, &serve_constant(answer.clone()).await, &serve_bare(answer).await];
    let request = &request(headers);
    let mut rates: [Vec<f64>; 3] = Default::default();
    let mut costs: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let mut loads = vec![];
        for server in servers {
            loads.push(Load::start(server, request, connections).await);
        }
        for _ in 0..SLICES {
            for load in &mut loads {
                load.go_on().await;
            }
        }
        for (n, load) in loads.iter().enumerate() {
            rates[n].push(load.rate());
            costs[n].push(load.cost());
        }
    }
    let whose = ["ours", "constant behind the same layers", "bare axum"];
    for (n, whose) in whose.iter().enumerate() {
        let cost = Duration::from_secs_f64(median(&costs[n]));
        println!(
            "{name} {whose}: {} answers/s, {cost:.1?} of computing each",
            spread(&rates[n], |it| format!("{it:.0}"))
        );
    }
    for ((n, whose), target) in whose.iter().enumerate().skip(1).zip(TARGETS) {
        let ratio = ratio(&rates[0], &rates[n]);
        let verdict = if ratio >= target { "met" } else { "MISSED" };
        let by_cost = self::ratio(&costs[n], &costs[0]);
        println!(
            "ratio {name} ours/{whose} at L: {ratio:.3} (target >= {target}) {verdict}; by computing {by_cost:.3}"
        );
    }
}

/// Some connections to a server, each of which asks again when it has its answer.
struct Load<'a> {
    clients: Vec<Client>,
    server: &'a Served,
    request: &'a str,
    /// How many bytes an answer has: all have the same.
    size: usize,
    bytes: usize,
    taken: Duration,
    computed: Duration,
}

impl<'a> Load<'a> {
    async fn start(server: &'a Served, request: &'a str, connections: usize) -> Self {
        let mut clients = join_all((0..connections).map(|_| Client::connect(server))).await;
        let sizes = join_all(clients.iter_mut().map(|it| it.exchange(request))).await;
        Self { clients, server, request, size: sizes[0], bytes: 0, taken: Duration::ZERO, computed: Duration::ZERO }
    }

    /// One slice. What is under way at its end is awaited, so that the next server has the machine for itself.
    async fn go_on(&mut self) {
        let (before, began) = (self.server.computed(), Instant::now());
        let end = began + ROUND / SLICES;
        let received = join_all(self.clients.iter_mut().map(|it| it.exchange_until(end, self.request))).await;
        self.bytes += received.into_iter().sum::<usize>();
        self.taken += began.elapsed();
        self.computed += self.server.computed().saturating_sub(before);
    }

    fn answers(&self) -> usize {
        self.bytes / self.size
    }

    /// Answers per second.
    fn rate(&self) -> f64 {
        float(self.answers()) / self.taken.as_secs_f64()
    }

    /// Seconds that the server computes for an answer. Says less than the rate, but what else the machine does is not
    /// in it.
    fn cost(&self) -> f64 {
        self.computed.as_secs_f64() / float(self.answers())
    }
}

/// A connection that sends one request again and again and reads as little of the answers as it can.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(server: &Served) -> Self {
        let stream = TcpStream::connect(server.address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, buffer: vec![0; 256 << 10] }
    }

    /// Asks until the time is over; returns how many bytes came.
    async fn exchange_until(&mut self, end: Instant, request: &str) -> usize {
        let mut received = 0;
        while Instant::now() < end {
            received += self.exchange(request).await;
        }
        received
    }

    /// Asks once; returns how many bytes the answer has.
    async fn exchange(&mut self, request: &str) -> usize {
        self.stream.write_all(request.as_bytes()).await.expect("the server reads");
        let (mut received, mut size) = (0, None);
        while size.is_none_or(|size| received < size) {
            let read = self.stream.read(&mut self.buffer[if size.is_none() { received } else { 0 }..]).await;
            received += read.ok().filter(|it| *it > 0).expect("an answer");
            if size.is_none()
                && let Some(head) = Head::parse(&self.buffer[..received])
            {
                size = Some(head.size + head.length);
            }
        }
        received
    }
}

// Single questions.

#[derive(Clone)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn etag(&self) -> &str {
        self.headers[header::ETAG].to_str().expect("text")
    }
}

/// Where an answer's head ends, and how long the body behind it is.
struct Head {
    size: usize,
    length: usize,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = b"\r\n\r\n";
        let size = bytes.windows(end.len()).position(|it| it == end)? + end.len();
        let head = &bytes[..size];
        assert!(head.starts_with(b"HTTP/1.1 200") || head.starts_with(b"HTTP/1.1 304"), "{}", head.escape_ascii());
        let name = b"\ncontent-length: ";
        let value = head.windows(name.len()).position(|it| it == name).map(|at| &head[at + name.len()..]);
        let digits = value.unwrap_or_default().iter().take_while(|it| it.is_ascii_digit());
        Some(Self { size, length: digits.fold(0, |length, digit| 10 * length + usize::from(digit - b'0')) })
    }
}

fn request(headers: &str) -> String {
    format!(
        "GET {PATH} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\naccept: application/json\r\n{headers}\r\n"
    )
}

/// Asks once, on a connection of its own.
async fn ask(server: &Served, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(server.address).await.expect("a connection");
    let request = request(&format!("{headers}connection: close\r\n"));
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut bytes = vec![];
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    read.expect("an answer in time").expect("an answer");
    let bytes = Bytes::from(bytes);
    let size = bytes.windows(4).position(|it| it == b"\r\n\r\n").expect("a head") + 4;
    let head = std::str::from_utf8(&bytes[..size]).expect("text");
    let status = head[9..12].parse().expect("a status");
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers =
        fields.map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect();
    Answer { status, headers, body: bytes.slice(size..) }
}

/// Asks until the answer is as wanted.
async fn until(server: &Served, headers: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let answer = ask(server, headers).await;
        if wanted(&answer) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("no such answer came");
}

// Figures.

/// The median over rounds.
fn ratio(of: &[f64], to: &[f64]) -> f64 {
    median(&of.iter().zip(to).map(|(of, to)| of / to).collect::<Vec<_>>())
}

#[expect(clippy::cast_precision_loss, reason = "no more than millions")]
fn float(count: usize) -> f64 {
    count as f64
}

fn spread(values: &[f64], shown: impl Fn(f64) -> String) -> String {
    let (min, max) = (values.iter().copied().fold(f64::MAX, f64::min), values.iter().copied().fold(f64::MIN, f64::max));
    format!("{} ({} to {})", shown(median(values)), shown(min), shown(max))
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
