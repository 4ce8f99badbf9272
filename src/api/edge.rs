//! What every request passes through: an id, limits, a time limit, a net under panics; and what every answer bears.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, TryFutureExt as _};
use tokio::time::Instant;
use tower_service::Service;
use tracing::{Instrument as _, Span, debug, field, info_span};

use super::error::ApiError;
use super::request::{Ids, Tracing};
use super::route_of;

/// Told of each answer: method, route, status, time taken.
pub type Observer = Arc<dyn Fn(&Method, &str, StatusCode, Duration) + Send + Sync>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest URI that is read, in bytes.
pub const MAX_URI: usize = 8 * 1024;
/// The largest header fields that are read, all together, in bytes.
pub const MAX_HEADERS: usize = 32 * 1024;
/// The largest body of a request, in bytes. None is needed.
pub const MAX_BODY: usize = 16 * 1024;
/// How long an answer may take to begin.
const MAX_TIME: Duration = Duration::from_secs(30);

/// What the edge needs to know.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

struct Inner {
    /// Different in each process, so that ids of replicas and restarts are.
    prefix: String,
    count: AtomicU32,
    observer: Observer,
    /// Without, nothing is traced.
    tracing: Option<Tracing>,
}

impl Edge {
    /// `prefix` distinguishes the ids of this process from those of others.
    pub fn new(prefix: &str, observer: Observer) -> Self {
        Self::traced(prefix, observer, None)
    }

    /// The same, and requests are traced if there is somebody who does that.
    pub fn traced(prefix: &str, observer: Observer, tracing: Option<Tracing>) -> Self {
        Self(Arc::new(Inner { prefix: prefix.into(), count: AtomicU32::new(0), observer, tracing }))
    }

    /// The caller's id for the request when there is a sensible one, else one of ours.
    fn request_id(&self, headers: &HeaderMap) -> HeaderValue {
        let sensible =
            |it: &&HeaderValue| (1..=128).contains(&it.len()) && it.as_bytes().iter().all(u8::is_ascii_graphic);
        if let Some(given) = headers.get(REQUEST_ID).filter(sensible) {
            return given.clone();
        }
        let count = self.0.count.fetch_add(1, Ordering::Relaxed);
        let id = [self.0.prefix.as_bytes(), b"-", &hexadecimal(count)].concat();
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// What `{:08x}` writes, without all that formatting takes: a request at hand takes only a few microseconds.
fn hexadecimal(number: u32) -> [u8; 8] {
    let digit = |place: u8| number >> (28 - 4 * u32::from(place)) & 0xf;
    [0, 1, 2, 3, 4, 5, 6, 7].map(|place| char::from_digit(digit(place), 16).map_or(b'0', |it| it as u8))
}

/// Routes behind the edge. Around all of them at once: a layer of the router would be around each, and for each request it
/// would be put together anew.
#[derive(Clone)]
pub struct Edged {
    edge: Edge,
    routes: Router,
}

impl Edged {
    pub fn new(edge: Edge, routes: Router) -> Self {
        Self { edge, routes }
    }

    /// Runs a request between the limits and dresses its answer.
    ///
    /// This and what it calls are no `async` functions, which would keep what they are given beside what they make of it: each
    /// would move the request once more, and for each request there would be several kilobytes to have and to fill.
    fn answered(
        &mut self,
        request: Request,
        route: Option<&'static str>,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let began = Instant::now();
        let edge = self.edge.clone();
        let method = request.method().clone();
        let outcome = match too_large(&request) {
            Some(error) => std::future::ready(Err(error)).left_future(),
            None => within_limits(self.routes.call(request), began + MAX_TIME).right_future(),
        };
        outcome.map(move |outcome| {
            let id = Ids::with_current(|it| it.request.clone()).unwrap_or(HeaderValue::from_static("-"));
            let mut response = outcome.unwrap_or_else(|error| error.answer(id.to_str().unwrap_or_default()));
            let (route, elapsed) = (route.unwrap_or("none"), began.elapsed());
            debug!(%method, route, status = response.status().as_u16(), elapsed_seconds = elapsed.as_secs_f64(), "Answered");
            (edge.0.observer)(&method, route, response.status(), elapsed);
            let headers = response.headers_mut();
            headers.insert(REQUEST_ID, id);
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            Ok(response)
        })
    }
}

impl Service<Request> for Edged {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let route = route_of(request.uri().path());
        let id = self.edge.request_id(request.headers());
        let Some(tracing) = &self.edge.0.tracing else {
            return Ids { request: id, trace: None }.of(self.answered(request, route)).boxed();
        };
        let span = span_of(&request, route, &id);
        let trace = tracing(&span, request.headers());
        let answered = self.answered(request, route).inspect_ok(|it| record(&Span::current(), it.status()));
        Ids { request: id, trace }.of(answered.instrument(span)).boxed()
    }
}

/// The span of a request, in the words of OpenTelemetry. Who asks is not in it, and of what they write only what is known
/// to be harmless: the path where it is one of ours, and no query.
fn span_of(request: &Request, route: Option<&'static str>, id: &HeaderValue) -> Span {
    let method = known_method(request.method());
    let name = match (method, route) {
        (Some(method), Some(route)) => format!("{method} {route}"),
        (Some(method), None) => method.to_owned(),
        (None, route) => format!("HTTP {}", route.unwrap_or_default()).trim_end().to_owned(),
    };
    info_span!(
        "request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = method.unwrap_or("_OTHER"),
        http.route = route,
        url.path = route.filter(|it| *it == request.uri().path()),
        http.response.status_code = field::Empty,
        error.type = field::Empty,
        eventmesh.request_id = id.to_str().unwrap_or_default(),
    )
}

/// What a trace tells of an answer. What the caller did wrong is no error of ours.
fn record(span: &Span, status: StatusCode) {
    // Other numbers would be told as texts.
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status.as_str());
    }
}

/// A method by its name, unless it is one that a caller made up.
fn known_method(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|it| *it == method.as_str())
}

/// The error that a handler left in its answer, or the answer.
fn outcome(mut response: Response) -> Result<Response, ApiError> {
    match response.extensions_mut().remove::<ApiError>() {
        Some(error) => Err(error),
        // The router of the page to read the document answers with the bare status.
        None if response.status() == StatusCode::NOT_FOUND => Err(ApiError::NotFound),
        None => Ok(response),
    }
}

fn too_large(request: &Request) -> Option<ApiError> {
    let uri = request.uri();
    let uri = uri.path().len() + uri.query().map_or(0, str::len);
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
    if uri > MAX_URI {
        Some(ApiError::UriTooLong { limit: MAX_URI })
    } else if headers > MAX_HEADERS {
        Some(ApiError::HeadersTooLarge { limit: MAX_HEADERS })
    } else if length.is_some_and(|it| it > MAX_BODY) {
        Some(ApiError::BodyTooLarge { limit: MAX_BODY })
    } else {
        None
    }
}

/// The answer, unless it is not there in time, panics or is an error.
fn within_limits(
    answer: impl Future<Output = Result<Response, Infallible>>,
    until: Instant,
) -> impl Future<Output = Result<Response, ApiError>> {
    // Nothing that a panic could leave half done outlives the request.
    tokio::time::timeout_at(until, AssertUnwindSafe(answer).catch_unwind()).map(|answer| match answer {
        Ok(Ok(Ok(response))) => outcome(response),
        Ok(Err(_)) => Err(ApiError::Internal("the handler panicked".into())),
        Err(_) => Err(ApiError::Timeout),
    })
}
