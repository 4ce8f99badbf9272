//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service as HyperService, service_fn};
use hyper::{StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower_service::Service as TowerService;

use super::Limits;
use super::answers::{Answers, Given, Overdue};
use super::impatient::Impatient;
use super::tls::{HTTP2, Tls};
use crate::api::caller::Peer;
use crate::api::edge::{MAX_HEADERS, MAX_URI};

/// How much of a request's head is read before it is refused, in bytes. More than the API's own limits, so that those
/// answer first, with a reason.
const MAX_HEAD: usize = 128 * 1024;
const _: () = assert!(MAX_HEAD > 2 * (MAX_HEADERS + MAX_URI));
/// The same for HTTP/2, where each field counts for 32 bytes more than it has (RFC 9113, section 6.5.2).
const MAX_HEADER_LIST: u32 = 128 * 1024;
/// How many requests a connection may have under way with HTTP/2.
const MAX_STREAMS: u32 = 100;
/// How many requests may be given up by the client before anybody has looked at them, and how many have to be refused for
/// errors in the protocol, before the connection ends. A client that works has hardly any.
const MAX_RESETS: usize = 20;
const MAX_ERRORS: usize = 256;
/// How many bytes of bodies a client of HTTP/2 may send unasked: the least there is, because no request needs one.
const WINDOW: u32 = 65_535;

/// Answers requests, and is always ready to: nobody waits until it is.
pub trait Answering:
    TowerService<Request, Response = Response, Error = Infallible, Future: Send + 'static> + Clone + Send + Sync + 'static
{
}

impl<T> Answering for T where
    T: TowerService<Request, Response = Response, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// What all connections share.
pub struct Service<A> {
    pub router: A,
    pub limits: Limits,
    pub tls: Option<Arc<Tls>>,
    /// Whether each answer of HTTP/1.1 is the last one of its connection. With HTTP/2 nothing needs to be said before the
    /// end: it has a word for which requests are still answered.
    pub leaving: Arc<AtomicBool>,
}

/// Why a connection ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[source] io::Error),
    #[error("the TLS handshake took too long")]
    HandshakeTime,
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("the client does not take an answer")]
    Stalled,
    #[error("no request came in time, or not all of its head")]
    Silent,
    #[error("the client does not go")]
    Stays,
}

impl<A: Answering> Service<A> {
    /// Serves a connection until it ends, or until `stopped` turns true and what is under way is finished.
    pub async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), Ended> {
        // Answers are written at once; waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        let peer = peer.ip().to_canonical();
        let stream = Impatient::new(stream, self.limits.stall);
        let Some(tls) = &self.tls else { return self.http1(stream, peer, stopped).await };
        let handshake = TlsAcceptor::from(tls.current()).accept(stream);
        let stream = tokio::select! {
            shaken = tokio::time::timeout(self.limits.handshake, handshake) => {
                shaken.map_err(|_| Ended::HandshakeTime)?.map_err(Ended::Handshake)?
            }
            // Nothing has been asked yet.
            () = told(&mut stopped) => return Ok(()),
        };
        if stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
            self.http2(stream, peer, stopped).await
        } else {
            self.http1(stream, peer, stopped).await
        }
    }

    async fn http1<T>(&self, stream: T, peer: IpAddr, stopped: watch::Receiver<bool>) -> Result<(), Ended>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // Silence and a head that does not end are the same here: nothing has been asked. The clock of answers serves for both;
        // one of hyper's for each head would have to be set and stopped for each request.
        let answers = Answers::new(&Limits { idle: self.limits.head, ..self.limits.clone() });
        let connection = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), self.answering(peer, answers.clone()));
        attend(connection, &answers, stopped, Silence::Ends).await
    }

    async fn http2<T>(&self, stream: T, peer: IpAddr, stopped: watch::Receiver<bool>) -> Result<(), Ended>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let answers = Answers::new(&self.limits);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_LIST)
            .max_pending_accept_reset_streams(MAX_RESETS)
            .max_local_error_reset_streams(MAX_ERRORS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .keep_alive_interval(self.limits.ping)
            .keep_alive_timeout(self.limits.pong)
            .serve_connection(TokioIo::new(stream), self.answering(peer, answers.clone()));
        attend(connection, &answers, stopped, Silence::IsTold).await
    }

    /// The router, told where requests come from, and watched.
    fn answering(
        &self,
        address: IpAddr,
        answers: Answers,
    ) -> impl HyperService<Request<Incoming>, Response = Response<Given>, Error = Infallible, Future: Send + 'static> + use<A>
    {
        let router = self.router.clone();
        let leaving = self.leaving.clone();
        let peer = Peer { address, known: answers.known() };
        service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            let last = leaving.clone();
            let is_told_by_answers = request.version() < Version::HTTP_2;
            let (answer, response) = (answers.begin(), router.clone().call(request.map(Body::new)));
            async move {
                let mut response = response.await?;
                // It would have to be that of the body which is not sent (RFC 9110, section 8.6); axum tells it of the empty one.
                if response.status() == StatusCode::NOT_MODIFIED {
                    response.headers_mut().remove(CONTENT_LENGTH);
                }
                if is_told_by_answers && last.load(Ordering::Relaxed) {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok(response.map(|body| answer.given(body)))
            }
        })
    }
}

/// What becomes of a connection on which nothing is asked.
#[derive(Debug, Clone, Copy)]
enum Silence {
    /// It ends: HTTP/1.1 has no word for parting.
    Ends,
    /// The client is told to go, and may finish a request that is on its way.
    IsTold,
}

/// Keeps a connection for as long as there is a reason to.
async fn attend<C>(
    connection: C,
    answers: &Answers,
    mut stopped: watch::Receiver<bool>,
    silence: Silence,
) -> Result<(), Ended>
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = pin!(connection);
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = told(&mut stopped), if !leaving => {}
            overdue = answers.overdue() => match (overdue, silence) {
                (Overdue::Stalled, _) => return Err(Ended::Stalled),
                (Overdue::Idle, _) if leaving => return Err(Ended::Stays),
                (Overdue::Idle, Silence::Ends) => return Err(Ended::Silent),
                (Overdue::Idle, Silence::IsTold) => {}
            },
        }
        leaving = true;
        answers.leave();
        connection.as_mut().graceful_shutdown();
    }
}

/// Waits for the word to stop. Whoever could say it being gone counts as well.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|it| *it).await;
}
