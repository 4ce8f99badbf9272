//! The admin server: health and metrics, for those who run the service.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{self, RawQuery};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::metrics::{Format, Metrics, Sources};
use crate::index::status::State;

/// What the admin server tells.
#[derive(Clone)]
pub struct Admin {
    pub sources: Sources,
    pub metrics: Metrics,
    /// The service is about to end and should get no more requests.
    pub draining: Arc<AtomicBool>,
}

/// `/livez`, `/readyz`, `/metrics`. No token is needed; listen where only those who run the service can connect.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

/// Ready is who gives answers; `?verbose` says what is looked at.
async fn readiness(extract::State(admin): extract::State<Admin>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let snapshot = admin.sources.reader.latest();
    let checks = [("complete", snapshot.is_complete()), ("not-shutting-down", !admin.draining.load(Ordering::Relaxed))];
    let ready = checks.iter().all(|(_, holds)| *holds);
    let mut text = String::new();
    if !ready || query.is_some_and(|it| it.split('&').any(|it| it == "verbose" || it.starts_with("verbose="))) {
        for (check, holds) in checks {
            let _ = writeln!(text, "[{}] {check}", if holds { '+' } else { '-' });
        }
        let _ = writeln!(text, "revision {}", snapshot.revision());
        let status = admin.sources.reader.status();
        if let Some(age) = status.age() {
            let _ = writeln!(text, "not up to date for {} s", age.as_secs());
        }
        for kind in &status.kinds {
            let mark = if matches!(kind.state, State::Live) { '+' } else { '-' };
            let _ = writeln!(text, "[{mark}] {}: {}", kind.of, kind.state);
        }
        for problem in status.problems.iter().cloned().chain(admin.sources.access.problems()) {
            let _ = writeln!(text, "[!] {problem}");
        }
    }
    let _ = writeln!(text, "{}", if ready { "ok" } else { "not ready" });
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

/// In OpenMetrics for those who ask for it, and otherwise in what everybody reads.
async fn metrics(extract::State(admin): extract::State<Admin>, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
    let format = Format::accepted(&accepted.collect::<Vec<_>>().join(","));
    admin.sources.settle().await;
    // Counting what changed takes a while in a large mesh, and must not keep others waiting.
    let text = tokio::task::spawn_blocking(move || admin.metrics.text(&admin.sources, format)).await;
    match text {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, format.media_type()), (header::VARY, "Accept")], text).into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
