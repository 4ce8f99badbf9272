//! What ties together all that is told of one request: its answer, its lines in the log, and its trace.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};
use futures_util::FutureExt as _;
use tracing::{Instrument as _, Span};

/// Makes a span the continuation of whatever trace the header fields of a request name, and says the id of its trace where
/// that is one that is kept.
pub type Tracing = Arc<dyn Fn(&Span, &HeaderMap) -> Option<String> + Send + Sync>;

/// By what a request is known.
#[derive(Debug, Clone)]
pub struct Ids {
    /// That of the header `X-Request-Id`.
    pub request: HeaderValue,
    /// That of its trace, in hexadecimal, where there is one.
    pub trace: Option<String>,
}

tokio::task_local! {
    static CURRENT: Ids;
}

impl Ids {
    /// Works on the request: whatever is told meanwhile is told of it.
    pub fn of<T>(self, work: impl Future<Output = T>) -> impl Future<Output = T> {
        CURRENT.scope(self, work)
    }

    /// Tells something of the request that is worked on, if one is.
    pub fn with_current<T>(tell: impl FnOnce(&Self) -> T) -> Option<T> {
        CURRENT.try_with(tell).ok()
    }

    /// The id of the request, as text.
    pub fn request(&self) -> &str {
        self.request.to_str().unwrap_or_default()
    }
}

/// A piece of work for a request, with a span of its own where the request has a trace that is kept: otherwise nobody would
/// be told of it.
pub fn traced<T>(span: impl FnOnce() -> Span, work: impl Future<Output = T>) -> impl Future<Output = T> {
    let is_kept = Ids::with_current(|it| it.trace.is_some()).unwrap_or_default();
    if is_kept { work.instrument(span()).left_future() } else { work.right_future() }
}
