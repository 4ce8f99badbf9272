//! Logs, metrics, and the admin server for those who run the service.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{self, RawQuery};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tracing_subscriber::EnvFilter;

use crate::access::Access;
use crate::access::reviews::Counts;
use crate::api::edge::Observer;
use crate::config::{ConfigError, LogFormat};
use crate::index::Reader;
use crate::index::status::State;

/// Tells each failure of a request a second time, without saying what it was about. Of interest to those who ask for it.
const CLIENT: &str = "kube_client";

/// Sends logs to standard error, so that standard output is for results.
///
/// # Errors
/// When the filter cannot be read.
pub fn start_logging(filter: &str, format: LogFormat) -> Result<(), ConfigError> {
    let quiet = if filter.contains(CLIENT) { String::new() } else { format!(",{CLIENT}=off") };
    let filter = EnvFilter::try_new(format!("{filter}{quiet}")).map_err(|error| {
        ConfigError::new(format!("--log {filter}: {error}."), "Give a level such as `info`, or `target=level,…`.")
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => subscriber.with_target(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| ConfigError::new(format!("Logging cannot start: {error}."), "Start it once."))
}

/// What the service counts.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: Family<Answered, Counter>,
    durations: Family<Route, Histogram>,
    objects: Family<Kind, Gauge>,
    revision: Gauge<u64, AtomicU64>,
    complete: Gauge,
    problems: Gauge<u64, AtomicU64>,
    kinds: Family<KindState, Gauge>,
    stale: Gauge<f64, AtomicU64>,
    reviews: Family<ReviewsOf, Counter>,
    failed_reviews: Counter,
    /// The revision that the objects were last counted at.
    counted: Mutex<Option<u64>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    group: String,
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindState {
    group: String,
    kind: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewsOf {
    of: &'static str,
}

/// From a 304 to a large body made afresh, in seconds.
const BUCKETS: [f64; 8] = [0.000_1, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("eventmesh");
        let durations = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        let (requests, objects) = (Family::default(), Family::default());
        let (kinds, stale) = (Family::default(), Gauge::<f64, AtomicU64>::default());
        let (revision, complete, problems) = (Gauge::default(), Gauge::default(), Gauge::<u64, AtomicU64>::default());
        registry.register("http_requests", "Answers by route, method and status", requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time until an answer begins",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register("objects", "Objects in the catalog by kind", objects.clone());
        registry.register(
            "snapshot_revision",
            "Revision of the current snapshot; grows with each change",
            revision.clone(),
        );
        registry.register("complete", "1 when the catalog is complete and answers are given", complete.clone());
        registry.register(
            "manifest_problems",
            "What is wrong with the manifests; see /readyz?verbose",
            problems.clone(),
        );
        registry.register("kinds", "1 for each kind that is read from a cluster, with how that goes", kinds.clone());
        registry.register_with_unit(
            "staleness",
            "How long the catalog has not been up to date; 0 when it is",
            Unit::Seconds,
            stale.clone(),
        );
        let (reviews, failed_reviews) = (Family::default(), Counter::default());
        registry.register(
            "reviews",
            "Questions about callers that the API server was asked, by what they are about",
            reviews.clone(),
        );
        registry.register("failed_reviews", "Those that it did not answer", failed_reviews.clone());
        registry.register("build", "Build", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        let counted = Mutex::default();
        Self(Arc::new(Inner {
            registry,
            requests,
            durations,
            objects,
            revision,
            complete,
            problems,
            kinds,
            stale,
            reviews,
            failed_reviews,
            counted,
        }))
    }
}

impl Metrics {
    /// Counts answers.
    pub fn observer(&self) -> Observer {
        let metrics = self.0.clone();
        Arc::new(move |method, route, status, elapsed: Duration| {
            // Unknown methods are one, so that callers cannot make up labels.
            let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
            let method = known.into_iter().find(|it| *it == method.as_str()).unwrap_or("other");
            let answered = Answered { route: route.into(), method, status: status.as_u16() };
            metrics.requests.get_or_create(&answered).inc();
            metrics.durations.get_or_create(&Route { route: route.into() }).observe(elapsed.as_secs_f64());
        })
    }

    fn text(&self, reader: &Reader, access: &Access) -> Result<String, std::fmt::Error> {
        // Until the text is written, so that nobody reads what is only half counted.
        let mut counted = self.0.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let status = reader.status();
        self.0.problems.set(status.problems.len() as u64);
        self.0.stale.set(status.age().unwrap_or_default().as_secs_f64());
        if let Some(Counts { tokens, rights, failures }) = access.counts() {
            for (of, count) in [("tokens", tokens), ("rights", rights)] {
                let asked = self.0.reviews.get_or_create(&ReviewsOf { of });
                asked.inner().store(count.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            self.0.failed_reviews.inner().store(failures.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.0.kinds.clear();
        for kind in &status.kinds {
            let labels = KindState {
                group: kind.of.group.to_string(),
                kind: kind.of.kind.to_string(),
                state: kind.state.name(),
            };
            self.0.kinds.get_or_create(&labels).set(1);
        }
        let snapshot = reader.latest();
        self.0.revision.set(snapshot.revision());
        self.0.complete.set(snapshot.is_complete().into());
        if *counted != Some(snapshot.revision()) {
            let mut kinds = BTreeMap::new();
            for entry in snapshot.entries() {
                *kinds.entry(&entry.resource.key.of).or_insert(0) += 1;
            }
            self.0.objects.clear();
            for (kind, count) in kinds {
                let labels = Kind { group: kind.group.to_string(), kind: kind.kind.to_string() };
                self.0.objects.get_or_create(&labels).set(count);
            }
            *counted = Some(snapshot.revision());
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

/// What the admin server tells.
#[derive(Clone)]
pub struct Admin {
    pub reader: Reader,
    pub access: Arc<Access>,
    pub metrics: Metrics,
    /// The service is about to end and should get no more requests.
    pub draining: Arc<AtomicBool>,
}

/// `/livez`, `/readyz`, `/metrics`. No token is needed; listen where only those who run the service can connect.
pub fn admin_router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

/// Ready is who gives answers; `?verbose` says what is looked at.
async fn readiness(extract::State(admin): extract::State<Admin>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let snapshot = admin.reader.latest();
    let checks = [("complete", snapshot.is_complete()), ("not-shutting-down", !admin.draining.load(Ordering::Relaxed))];
    let ready = checks.iter().all(|(_, holds)| *holds);
    let mut text = String::new();
    if !ready || query.is_some_and(|it| it.split('&').any(|it| it == "verbose" || it.starts_with("verbose="))) {
        for (check, holds) in checks {
            let _ = writeln!(text, "[{}] {check}", if holds { '+' } else { '-' });
        }
        let _ = writeln!(text, "revision {}", snapshot.revision());
        let status = admin.reader.status();
        if let Some(age) = status.age() {
            let _ = writeln!(text, "not up to date for {} s", age.as_secs());
        }
        for kind in &status.kinds {
            let mark = if matches!(kind.state, State::Live) { '+' } else { '-' };
            let _ = writeln!(text, "[{mark}] {}: {}", kind.of, kind.state);
        }
        for problem in status.problems.iter().cloned().chain(admin.access.problems()) {
            let _ = writeln!(text, "[!] {problem}");
        }
    }
    let _ = writeln!(text, "{}", if ready { "ok" } else { "not ready" });
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

async fn metrics(extract::State(admin): extract::State<Admin>) -> Response {
    match admin.metrics.text(&admin.reader, &admin.access) {
        Ok(text) => {
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, content_type)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
