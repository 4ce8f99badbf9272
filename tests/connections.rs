//! The listener in process, with limits so small that they are reached.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use axum::http::StatusCode;
use axum::routing::get;
use eventmesh_catalog::access::{Access, Token};
use eventmesh_catalog::api::caller::Peer;
use eventmesh_catalog::api::edge::Edge;
use eventmesh_catalog::api::render::Bodies;
use eventmesh_catalog::api::{self, Api};
use eventmesh_catalog::app::server::tls::{Files, Tls};
use eventmesh_catalog::app::server::{Answering, Limits, Server};
use eventmesh_catalog::index;
use support::tls::{
    Authority, Connection, END_HEADERS, END_STREAM, GOAWAY, HEADERS, HTTP1, HTTP2, INITIAL_WINDOW_SIZE, ask, connect,
    ended, frame, get_head, next_frame, preface,
};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// More than systems keep for those who do not read.
const LARGE: usize = 64 << 20;
/// Enough for those who do what they should.
const SOON: Duration = Duration::from_millis(300);
const NEVER: Duration = Duration::from_hours(1);

/// Nothing ends for lack of time.
fn patient() -> Limits {
    Limits {
        connections: 100,
        handshake: NEVER,
        head: NEVER,
        stall: NEVER,
        rate: 1,
        idle: NEVER,
        ping: NEVER,
        pong: NEVER,
        drain: NEVER,
    }
}

struct Listener {
    address: String,
    authority: Authority,
    /// `/held` answers once there is something.
    held: Arc<Semaphore>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Listener {
    async fn plain(limits: Limits) -> Self {
        Self::start(limits, false).await
    }

    async fn tls(limits: Limits) -> Self {
        Self::start(limits, true).await
    }

    async fn start(limits: Limits, encrypted: bool) -> Self {
        let held = Arc::new(Semaphore::new(0));
        let holding = held.clone();
        let router = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/peer", get(|Extension(peer): Extension<Peer>| async move { peer.address.to_string() }))
            .route("/large", get(|| async { vec![b'x'; LARGE] }))
            .route(
                "/held",
                get(|| async move {
                    holding.acquire().await.unwrap().forget();
                    "at last"
                }),
            );
        Self { held, ..Self::of(router, limits, encrypted).await }
    }

    async fn of(router: impl Answering, limits: Limits, encrypted: bool) -> Self {
        let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
        authority.issue().write(folder.path());
        let [certificate, key] = ["tls.crt", "tls.key"].map(|it| folder.path().join(it));
        let tls = Tls::open(Files { certificate, key, client_ca: None }).expect("good files");
        let bound = Server::bind("--listen", SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let server = bound.with_limits(limits).with_tls(encrypted.then(|| Arc::new(tls)));
        let address = server.address().to_string();
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(server.run(router, stopped));
        Self { address, authority, held: Arc::new(Semaphore::new(0)), stop, running }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    /// A connection of HTTP/2 frame by frame.
    async fn frames(&self) -> impl AsyncRead + AsyncWrite + Unpin + use<> {
        connect(&self.address, &self.authority.client(&[HTTP2])).await.unwrap()
    }

    /// That somebody else is served.
    async fn serves(&self) {
        let mut other = Connection::open(&self.address, &self.authority.client(&[HTTP2])).await;
        assert_eq!(other.get("/", &[]).await.unwrap(), (200, "hello".into()));
    }

    async fn serves_plainly(&self) {
        let (mut other, _) = Connection::plain(self.connect().await).await.unwrap();
        assert_eq!(other.get("/", &[]).await.unwrap(), (200, "hello".into()));
    }
}

/// The first bytes of an answer.
async fn answered(stream: &mut (impl AsyncRead + Unpin)) {
    let mut first = [0; 15];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_request_says_where_it_comes_from() {
    let listener = Listener::plain(patient()).await;
    let (mut plain, _) = Connection::plain(listener.connect().await).await.unwrap();
    assert_eq!(plain.get("/peer", &[]).await.unwrap().1, "127.0.0.1");
    let listener = Listener::tls(patient()).await;
    for protocol in [HTTP1, HTTP2] {
        let mut connection = Connection::open(&listener.address, &listener.authority.client(&[protocol])).await;
        assert_eq!(connection.get("/peer", &[]).await.unwrap().1, "127.0.0.1");
    }
}

/// RFC 9110, section 8.6: it would be that of the whole body.
#[tokio::test]
async fn what_did_not_change_has_no_length() {
    let router = Router::new().route("/", get(|| async { StatusCode::NOT_MODIFIED }));
    let listener = Listener::of(router, patient(), false).await;
    for method in ["GET", "HEAD"] {
        let mut stream = listener.connect().await;
        let request = format!("{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 304 ") && !answer.contains("content-length"), "{answer}");
    }
}

#[tokio::test]
async fn too_many_header_fields_are_not_read() {
    let listener = Listener::plain(patient()).await;
    for (fields, expected) in [(99, 200), (100, 431)] {
        let mut stream = listener.connect().await;
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "a: b\r\n".repeat(fields));
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; "HTTP/1.1 200".len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, format!("HTTP/1.1 {expected}").as_bytes(), "{fields} and one");
    }
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let listener = Listener::plain(Limits { head: SOON, ..patient() }).await;
    let mut silent = listener.connect().await;
    ended(&mut silent).await;
    listener.serves_plainly().await;

    let listener = Listener::tls(Limits { handshake: SOON, ..patient() }).await;
    let mut silent = listener.connect().await;
    ended(&mut silent).await;
    // The beginning of a handshake, and no more.
    let mut half = listener.connect().await;
    half.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    ended(&mut half).await;
}

#[tokio::test]
async fn who_is_slow_to_ask_is_not_waited_for() {
    let limits = Limits { head: SOON, ..patient() };
    let listener = Listener::plain(limits.clone()).await;
    let mut slow = listener.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nSlow: ").await.unwrap();
    ended(&mut slow).await;
    // Nor for the next request.
    let mut again = listener.connect().await;
    ask(&mut again, "/").await;
    answered(&mut again).await;
    ended(&mut again).await;

    let listener = Listener::tls(limits).await;
    let mut silent = listener.frames().await;
    ended(&mut silent).await;
    let mut slow = listener.frames().await;
    let head = frame(HEADERS, END_STREAM, 1, &get_head("/"));
    slow.write_all(&[preface(INITIAL_WINDOW_SIZE, 65_535), head].concat()).await.unwrap();
    ended(&mut slow).await;
}

#[tokio::test]
async fn who_has_nothing_to_ask_is_let_go() {
    let listener = Listener::tls(Limits { idle: SOON, ..patient() }).await;
    let stream = connect(&listener.address, &listener.authority.client(&[HTTP2])).await.unwrap();
    let (mut connection, end) = Connection::start(stream).await.unwrap();
    assert_eq!(connection.get("/", &[]).await.unwrap().0, 200);
    end.await.unwrap().expect("a parting in good order");
}

#[tokio::test]
async fn who_has_never_had_a_good_token_is_let_go_sooner() {
    let (_feed, _indexer, reader) = index::channel();
    let access = Arc::new(Access::new(None, Some(&Token::new("good")), None));
    let router =
        api::router(Api { reader, access, bodies: Bodies::default() }, Edge::new("x", Arc::new(|_, _, _, _| {})));
    let listener = Listener::of(router, Limits { head: SOON, ..patient() }, true).await;
    let client = listener.authority.client(&[HTTP2]);
    let cases = [
        ("/v1/getEventMesh", "Bearer good", 503, true),
        ("/v1/getEventMesh", "Bearer bad", 401, false),
        ("/v1/getEventMesh", "", 401, false),
        // What everybody may read says nothing about who reads it.
        ("/openapi.json", "Bearer good", 200, false),
    ];
    for (path, authorization, expected, stays) in cases {
        let stream = connect(&listener.address, &client).await.unwrap();
        let (mut connection, end) = Connection::start(stream).await.unwrap();
        assert_eq!(connection.get(path, &[("authorization", authorization)]).await.unwrap().0, expected);
        if stays {
            tokio::time::sleep(3 * SOON).await;
            assert_eq!(connection.get(path, &[]).await.unwrap().0, 401, "it is known, whatever comes after");
            tokio::time::sleep(3 * SOON).await;
            assert!(!end.is_finished());
        } else {
            let ended = tokio::time::timeout(20 * SOON, end).await.expect("it ends");
            ended.unwrap().expect("a parting in good order");
        }
    }
}

#[tokio::test]
async fn who_has_gone_without_a_word_is_found_out() {
    let listener = Listener::tls(Limits { ping: SOON, pong: SOON, ..patient() }).await;
    let mut gone = listener.frames().await;
    let asked = frame(HEADERS, END_STREAM | END_HEADERS, 1, &get_head("/held"));
    gone.write_all(&[preface(INITIAL_WINDOW_SIZE, 65_535), asked].concat()).await.unwrap();
    ended(&mut gone).await;
    listener.serves().await;
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_loses_the_place() {
    let limits = Limits { connections: 1, stall: SOON, ..patient() };
    let listener = Listener::plain(limits.clone()).await;
    let mut stalled = listener.connect().await;
    ask(&mut stalled, "/large").await;
    answered(&mut stalled).await;
    listener.serves_plainly().await;
    let mut rest = vec![];
    let _ = stalled.read_to_end(&mut rest).await;
    assert!(rest.len() < LARGE, "the rest was not waited for");

    // Answers without a body fill the way as well.
    let mut stalled = listener.connect().await;
    while stalled.write_all(&b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000)).await.is_ok() {}
    listener.serves_plainly().await;

    let listener = Listener::tls(limits).await;
    let mut stalled = connect(&listener.address, &listener.authority.client(&[HTTP1])).await.unwrap();
    ask(&mut stalled, "/large").await;
    answered(&mut stalled).await;
    listener.serves().await;

    // Ready for nothing, or for a little, of the answer, but reading all that comes.
    for window in [0, 3] {
        let mut stalled = listener.frames().await;
        let asked = frame(HEADERS, END_STREAM | END_HEADERS, 1, &get_head("/"));
        stalled.write_all(&[preface(INITIAL_WINDOW_SIZE, window), asked].concat()).await.unwrap();
        ended(&mut stalled).await;
    }
    listener.serves().await;
}

#[tokio::test]
async fn who_takes_an_answer_gets_it_all() {
    let listener = Listener::tls(Limits { stall: Duration::from_secs(30), ..patient() }).await;
    for protocol in [HTTP1, HTTP2] {
        let mut connection = Connection::open(&listener.address, &listener.authority.client(&[protocol])).await;
        let (status, body) = connection.get("/large", &[]).await.unwrap();
        assert_eq!((status, body.len()), (200, LARGE));
    }
}

#[tokio::test]
async fn when_all_places_are_taken_the_next_waits_for_one() {
    let listener = Listener::plain(Limits { connections: 2, ..patient() }).await;
    let mut first = listener.connect().await;
    let (mut second, _) = Connection::plain(listener.connect().await).await.unwrap();
    ask(&mut first, "/").await;
    answered(&mut first).await;
    assert_eq!(second.get("/", &[]).await.unwrap().0, 200);
    let mut third = listener.connect().await;
    ask(&mut third, "/").await;
    for _ in 0..10 {
        assert_eq!(second.get("/", &[]).await.unwrap().0, 200, "those who are there go on");
    }
    assert!(third.try_read(&mut [0]).is_err(), "it is not its turn");
    drop(first);
    answered(&mut third).await;
}

#[tokio::test]
async fn told_to_end_it_finishes_what_is_under_way() {
    for protocol in [HTTP1, HTTP2] {
        let listener = Listener::tls(patient()).await;
        let stream = connect(&listener.address, &listener.authority.client(&[protocol])).await.unwrap();
        let (mut connection, end) = Connection::start(stream).await.unwrap();
        let mut shaking = listener.connect().await;
        let mut idle = listener.frames().await;
        idle.write_all(&preface(INITIAL_WINDOW_SIZE, 65_535)).await.unwrap();
        assert_eq!(connection.get("/", &[]).await.unwrap().0, 200);
        let mut asked = std::pin::pin!(connection.get("/held", &[]));
        // The request is sent before anything else is done.
        tokio::select! {
            biased;
            _ = asked.as_mut() => panic!("it is held"),
            () = listener.serves() => {}
        }
        listener.stop.send_replace(true);
        while next_frame(&mut idle).await.expect("a farewell").0 != GOAWAY {}
        ended(&mut shaking).await;
        assert!(!listener.running.is_finished());
        drop(idle);
        listener.held.add_permits(1);
        assert_eq!(asked.await.unwrap(), (200, "at last".into()));
        end.await.unwrap().expect("a parting in good order");
        listener.running.await.unwrap();
    }
}

#[tokio::test]
async fn told_to_end_it_does_not_wait_for_ever() {
    let listener = Listener::tls(Limits { drain: SOON, ..patient() }).await;
    let mut connection = Connection::open(&listener.address, &listener.authority.client(&[HTTP2])).await;
    let mut asked = std::pin::pin!(connection.get("/held", &[]));
    tokio::select! {
        biased;
        _ = asked.as_mut() => panic!("it is held"),
        () = listener.serves() => {}
    }
    listener.stop.send_replace(true);
    listener.running.await.unwrap();
}
