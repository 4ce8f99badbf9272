//! What our part of an answer costs: side by side with a constant route behind the same layers, with one that axum serves
//! alone, and with nginx.
//!
//! All of ours are in this process, each with one thread of its own, and nginx has one process; another thread asks them
//! in turns, so that whatever else the machine does concerns all alike. What is compared is how many answers come, not how
//! long one takes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use eventmesh_catalog::access::{Access, Token};
use eventmesh_catalog::api::edge::{Edge, Edged};
use eventmesh_catalog::api::render::Bodies;
use eventmesh_catalog::api::{self, Api};
use eventmesh_catalog::app::server::{Answering, Server};
use eventmesh_catalog::index::{self, Batch, Feed};
use eventmesh_catalog::mesh::Update;
use eventmesh_catalog::origins::kubernetes::kinds::known_definitions;
use eventmesh_catalog::telemetry::metrics::Metrics;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::asking::{self, Answer, Client, PATH};
use super::figures::{float, least, most, ratios};
use super::measure::{Measures, Target};
use super::nginx::Nginx;
use super::support::generate::generate;
use super::{Size, support};

const TOKEN: &str = "bench-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Of what a constant route behind the same layers answers with 304, and of what axum alone does.
const UNCHANGED: [f64; 2] = [0.9, 0.75];
/// Of the most answers with 304 at any size, the fewest at any.
const FLAT: f64 = 0.9;
/// Of what axum alone answers with the same bytes, and of what nginx does.
const WHOLE: [f64; 2] = [0.9, 1.0];
/// From so many bytes on an answer is a large one.
const LARGE: usize = 1_000_000;
/// A few percent between two servers are less than what a shared machine does from one second to the next.
const ROUNDS: usize = 9;
/// How long each server is under load in a round, and in how many turns: a machine that is busy with other things for a
/// moment slows all of them down.
const ROUND: Duration = Duration::from_millis(600);
const SLICES: u32 = 30;
const SLICES_OF_LARGE: u32 = 6;
/// How many connections ask for large and for small answers.
const FEW: usize = 4;
const MANY: usize = 16;
/// How often the time from a change to its answer is taken.
const CHANGES: usize = 5;
const ENCODINGS: [&str; 3] = ["identity", "gzip", "zstd"];

pub fn measure(sizes: &[&Size], measures: &mut Measures) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (mut ours, mut feeds) = (vec![], vec![]);
        for size in sizes {
            measures.begin("answers", size.name);
            let (served, feed) = full(size, measures).await;
            ours.push((*size, served));
            // The indexer ends with its last feed.
            feeds.push(feed);
        }
        unchanged(&ours, measures).await;
        for (size, served) in &ours {
            measures.begin("answers", size.name);
            for encoding in ENCODINGS {
                whole(served, encoding, measures).await;
            }
        }
    });
}

/// The service with all objects of a size.
async fn full(size: &Size, measures: &mut Measures) -> (Served, Feed) {
    let documents = generate(&size.arguments);
    let (ours, feed) = serve_ours().await;
    let updates = known_definitions().into_iter().chain(support::converted(&documents)).map(Update::Upsert).collect();
    let began = Instant::now();
    feed.send(Batch { updates, complete: true, status: None }).await.expect("an indexer");
    asking::until(ours.address, TOKEN, "", |answer| answer.status == 200).await;
    measures.tell("from objects to the first 200", "s", vec![began.elapsed().as_secs_f64()]);
    let changes = time_changes(&ours, &feed, &documents).await;
    measures.tell("from a change to the 200 that has it", "s", changes);
    (ours, feed)
}

/// From an object that changes to the answer that has it, for one who polls.
async fn time_changes(ours: &Served, feed: &Feed, documents: &[Value]) -> Vec<f64> {
    let types: Vec<_> = documents.iter().filter(|it| it["kind"] == "EventType").collect();
    let mut taken = vec![];
    for n in 0..CHANGES {
        let etag = asking::ask(ours.address, TOKEN, "").await.etag().to_owned();
        let mut changed = types[n * types.len() / CHANGES].clone();
        changed["spec"]["description"] = json!(format!("Changed {n}."));
        let updates = support::converted(&[changed]).into_iter().map(Update::Upsert).collect();
        let began = Instant::now();
        feed.send(Batch { updates, complete: true, status: None }).await.expect("an indexer");
        asking::until(ours.address, TOKEN, &format!("if-none-match: {etag}\r\n"), |answer| answer.status == 200).await;
        taken.push(began.elapsed().as_secs_f64());
    }
    taken
}

/// Whoever holds the answer of a mesh that is still the same, at all sizes in turns.
async fn unchanged(ours: &[(&Size, Served)], measures: &mut Measures) {
    let mut requests = vec![];
    let mut last = None;
    for (_, served) in ours {
        let etag = asking::ask(served.address, TOKEN, "").await.etag().to_owned();
        let headers = format!("accept-encoding: gzip\r\nif-none-match: {etag}\r\n");
        let answer = asking::ask(served.address, TOKEN, &headers).await;
        assert_eq!(answer.status, 304);
        requests.push(asking::request(TOKEN, &headers));
        last = Some(answer);
    }
    let Some(answer) = last else { return };
    let others = [serve_constant(answer.clone()).await, serve_bare(answer).await];
    let one = requests[0].clone();
    let all = ours.iter().map(|(_, served)| served).chain(&others);
    let asked: Vec<_> = all.zip(requests.iter().chain([&one, &one]).map(String::as_str)).collect();
    let (rates, costs) = side_by_side(&asked, MANY, SLICES).await;
    let [constant, bare] = [ours.len(), ours.len() + 1];
    for (n, (size, _)) in ours.iter().enumerate() {
        measures.begin("answers", size.name);
        measures.tell("304: answers", "1/s", rates[n].clone());
        measures.tell("304: computing for each", "µs", costs[n].clone());
        for (to, what, target) in
            [(constant, "a constant route behind the same layers", UNCHANGED[0]), (bare, "bare axum", UNCHANGED[1])]
        {
            let target = if size.name == "L" { Target::AtLeast(target) } else { Target::None };
            measures.hold(format!("304: ours / {what}"), "", target, ratios(&rates[n], &rates[to]));
            measures.tell(format!("304: computing of {what} / ours"), "", ratios(&costs[to], &costs[n]));
        }
    }
    measures.begin("answers", "");
    measures.tell("304: a constant route behind the same layers", "1/s", rates[constant].clone());
    measures.tell("304: bare axum", "1/s", rates[bare].clone());
    if ours.len() > 1 {
        let round = |n: usize| rates[..ours.len()].iter().map(|it| it[n]).collect::<Vec<_>>();
        let flat = (0..ROUNDS).map(|n| least(&round(n)) / most(&round(n))).collect();
        measures.hold("304: fewest of all sizes / most of all sizes", "", Target::AtLeast(FLAT), flat);
    }
}

/// Whoever has no answer yet.
async fn whole(ours: &Served, encoding: &str, measures: &mut Measures) {
    let headers = format!("accept-encoding: {encoding}\r\n");
    let began = Instant::now();
    let answer = asking::ask(ours.address, TOKEN, &headers).await;
    assert_eq!(answer.status, 200);
    let name = |what: &str| format!("200 {encoding}: {what}");
    measures.tell(name("the first one"), "s", vec![began.elapsed().as_secs_f64()]);
    measures.tell(name("size of the body"), "MB", vec![float(answer.body.len()) / 1e6]);
    let is_large = answer.body.len() >= LARGE;
    let slices = if is_large { SLICES_OF_LARGE } else { SLICES };
    let nginx = Nginx::serve(PATH, &answer.body, encoding);
    let constant = serve_constant(answer.clone()).await;
    let bare = serve_bare(answer).await;
    let by_nginx = |it: &Nginx| [it.address, it.copying].map(|address| Served::by(it, address));
    let files = nginx.as_ref().map(by_nginx);
    let request = asking::request(TOKEN, &headers);
    let servers = [ours, &constant, &bare].into_iter().chain(files.iter().flatten());
    let asked: Vec<_> = servers.map(|it| (it, request.as_str())).collect();
    let (rates, costs) = side_by_side(&asked, FEW, slices).await;
    measures.tell(name("answers"), "1/s", rates[0].clone());
    measures.tell(name("computing for each"), "µs", costs[0].clone());
    let at_least = |least: f64, counts: bool| if counts { Target::AtLeast(least) } else { Target::None };
    let of = |n: usize| ratios(&rates[0], &rates[n]);
    measures.tell(name("ours / a constant route behind the same layers"), "", of(1));
    measures.hold(name("ours / bare axum"), "", at_least(WHOLE[0], is_large), of(2));
    // nginx has no zstd; its file says that it is, which compares the sending of so many bytes.
    let target = at_least(WHOLE[1], is_large && encoding != "zstd");
    match &nginx {
        Ok(_) => {
            measures.hold(name("ours / nginx with a file"), "", target, of(3));
            measures.tell(name("ours / nginx without sendfile"), "", of(4));
        }
        Err(why) => measures.miss(name("ours / nginx with a file"), "", target, why),
    }
    let computing = |n: usize| ratios(&costs[n], &costs[0]);
    measures.tell(name("computing of bare axum / ours"), "", computing(2));
    if nginx.is_ok() {
        measures.tell(name("computing of nginx / ours"), "", computing(3));
    }
}

// The servers.

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
    let router = Edged::new(edge(), constant(answer));
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

/// A server on a thread of its own, or in a process.
struct Served {
    address: SocketAddr,
    /// Where Linux tells the nanoseconds that it ran.
    times: Option<PathBuf>,
    /// Taken when it ends.
    runtime: Option<Runtime>,
}

impl Drop for Served {
    fn drop(&mut self) {
        // Connections are kept as long as somebody has them.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Served {
    fn by(nginx: &Nginx, address: SocketAddr) -> Self {
        Self { address, times: Some(nginx.times()), runtime: None }
    }

    async fn start(name: &str, serve: impl Future<Output = SocketAddr> + Send + 'static) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name(name).enable_all().build().expect("a runtime");
        // Spawned, because the thread that waits here is not the one that serves.
        let started = runtime.spawn(async {
            let times = std::fs::read_link("/proc/thread-self").ok();
            let times = times.map(|it| Path::new("/proc").join(it).join("schedstat"));
            (serve.await, times)
        });
        let (address, times) = started.await.expect("a server");
        Self { address, times, runtime: Some(runtime) }
    }

    /// How long the server has computed so far; nothing where nobody tells.
    fn computed(&self) -> Duration {
        let times = self.times.as_ref().and_then(|it| std::fs::read_to_string(it).ok());
        let nanoseconds = times.and_then(|it| it.split(' ').next()?.parse().ok());
        Duration::from_nanos(nanoseconds.unwrap_or_default())
    }
}

async fn with_our_server(router: impl Answering) -> SocketAddr {
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
    for added in ["connection", "x-request-id", "x-content-type-options", "date", "content-length", "transfer-encoding"]
    {
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

/// Rounds of load on each in turns, each with its request; returns how many answers came in a second, and how many
/// microseconds the server computed for one.
async fn side_by_side(servers: &[(&Served, &str)], connections: usize, slices: u32) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let mut rates = vec![vec![]; servers.len()];
    let mut costs = rates.clone();
    for _ in 0..ROUNDS {
        let mut loads = vec![];
        for (server, request) in servers {
            loads.push(Load::start(server, request, connections).await);
        }
        for _ in 0..slices {
            for load in &mut loads {
                load.go_on(ROUND / slices).await;
            }
        }
        for (n, load) in loads.iter().enumerate() {
            rates[n].push(load.rate());
            costs[n].push(load.cost() * 1e6);
        }
    }
    (rates, costs)
}

/// Some connections to a server, each of which asks again when it has its answer.
struct Load<'a> {
    clients: Vec<Client>,
    server: &'a Served,
    request: &'a str,
    answers: usize,
    taken: Duration,
    computed: Duration,
}

impl<'a> Load<'a> {
    async fn start(server: &'a Served, request: &'a str, connections: usize) -> Self {
        let mut clients = join_all((0..connections).map(|_| Client::connect(server.address))).await;
        join_all(clients.iter_mut().map(|it| it.exchange(request))).await;
        Self { clients, server, request, answers: 0, taken: Duration::ZERO, computed: Duration::ZERO }
    }

    /// One slice. What is under way at its end is awaited, so that the next server has the machine for itself.
    async fn go_on(&mut self, slice: Duration) {
        let (before, began) = (self.server.computed(), Instant::now());
        let end = began + slice;
        let answers = awake(join_all(self.clients.iter_mut().map(|it| it.exchange_until(end, self.request)))).await;
        self.answers += answers.into_iter().sum::<usize>();
        self.taken += began.elapsed();
        self.computed += self.server.computed().saturating_sub(before);
    }

    /// Answers per second.
    fn rate(&self) -> f64 {
        float(self.answers) / self.taken.as_secs_f64()
    }

    /// Seconds that the server computes for an answer. Says less than the rate, but what else the machine does is not
    /// in it.
    fn cost(&self) -> f64 {
        self.computed.as_secs_f64() / float(self.answers)
    }
}

/// Waits for work without ever sleeping. To wake somebody on the same machine costs the server that does it as much as a small
/// answer; where clients are elsewhere, no server pays for that, and here only those would that clients wait for.
async fn awake<T>(work: impl Future<Output = T>) -> T {
    let pass_time = async {
        loop {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        () = pass_time => unreachable!("time has no end"),
    }
}
