//! What the service counts, in the text format of OpenMetrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::access::Access;
use crate::access::reviews::Counts;
use crate::api::edge::Observer;
use crate::index::Reader;
use crate::telemetry::build;

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
        registry.register(
            "build",
            "Build",
            Info::new(vec![("version", build::VERSION), ("revision", build::REVISION)]),
        );
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

    /// All metrics as they are now.
    ///
    /// # Errors
    /// When they cannot be written as text.
    pub fn text(&self, reader: &Reader, access: &Access) -> Result<String, std::fmt::Error> {
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
