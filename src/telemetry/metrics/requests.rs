//! Answers, counted by route, method and status.
//!
//! Most answers take microseconds, so that what counts them is looked up once for each route.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// From a 304 to a large body made afresh, in seconds.
const BUCKETS: [f64; 11] = [0.000_1, 0.000_5, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Methods that are told apart. All others are one, so that callers cannot make up labels.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "other"];
/// What is answered mostly. Other statuses are looked up each time.
const STATUSES: [u16; 9] = [200, 304, 400, 401, 404, 405, 429, 500, 503];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// What is there from the beginning, so that the first of each is seen as an increase.
const EXPECTED: (&str, &str, [u16; 6]) = ("/v1/getEventMesh", "GET", [200, 304, 401, 429, 500, 503]);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: Arc<str>,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Timed {
    route: Arc<str>,
    class: &'static str,
}

pub struct Requests {
    answers: Family<Answered, Counter>,
    durations: Family<Timed, Histogram, fn() -> Histogram>,
    /// Those that were asked for. There are as many as the router has.
    routes: ArcSwap<Vec<Arc<Route>>>,
}

/// What counts the answers of one route.
struct Route {
    name: Arc<str>,
    answers: [[OnceLock<Counter>; STATUSES.len()]; METHODS.len()],
    durations: [OnceLock<Histogram>; CLASSES.len()],
}

impl Requests {
    pub fn registered(registry: &mut Registry) -> Self {
        let answers = Family::default();
        let durations = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        registry.register("http_requests", "Answers by route, method and status", answers.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time until an answer begins, by route and class of status",
            Unit::Seconds,
            durations.clone(),
        );
        let requests = Self { answers, durations, routes: ArcSwap::default() };
        let (route, method, statuses) = EXPECTED;
        let route = requests.route(route);
        for status in statuses {
            requests.answered(&route, method, status);
        }
        for class in ["2xx", "3xx", "5xx"] {
            requests.timed(&route, class);
        }
        requests
    }

    /// Counts an answer.
    pub fn note(&self, method: &str, route: &str, status: u16, elapsed: Duration) {
        let routes = self.routes.load();
        match routes.iter().find(|it| *it.name == *route) {
            Some(route) => self.count(route, method, status, elapsed),
            None => self.count(&self.route(route), method, status, elapsed),
        }
    }

    fn count(&self, route: &Route, method: &str, status: u16, elapsed: Duration) {
        let at = METHODS.iter().position(|it| *it == method).unwrap_or(METHODS.len() - 1);
        let place = STATUSES.iter().position(|it| *it == status);
        let known = place.and_then(|status| route.answers.get(at)?.get(status));
        let find = || self.answered(route, METHODS.get(at).copied().unwrap_or_default(), status);
        match known {
            Some(known) => known.get_or_init(find).inc(),
            None => find().inc(),
        };
        let at = usize::from(status / 100).saturating_sub(1).min(CLASSES.len() - 1);
        if let (Some(known), Some(class)) = (route.durations.get(at), CLASSES.get(at)) {
            known.get_or_init(|| self.timed(route, class)).observe(elapsed.as_secs_f64());
        }
    }

    fn answered(&self, route: &Route, method: &'static str, status: u16) -> Counter {
        self.answers.get_or_create_owned(&Answered { route: route.name.clone(), method, status })
    }

    fn timed(&self, route: &Route, class: &'static str) -> Histogram {
        self.durations.get_or_create_owned(&Timed { route: route.name.clone(), class })
    }

    /// A route, which is noted if it is new.
    fn route(&self, name: &str) -> Arc<Route> {
        let route = Arc::new(Route { name: name.into(), answers: Default::default(), durations: Default::default() });
        self.routes.rcu(|routes| {
            let is_known = routes.iter().any(|it| *it.name == *name);
            if is_known { Vec::clone(routes) } else { routes.iter().chain([&route]).cloned().collect() }
        });
        route
    }
}
