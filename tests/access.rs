//! Who may see what: the binary at a real API server, asked by callers with real tokens and real roles.

#[path = "access/definition.rs"]
mod definition;
#[path = "access/oracle.rs"]
mod oracle;
#[path = "access/outage.rs"]
mod outage;
#[path = "access/polls.rs"]
mod polls;
#[path = "access/rbac.rs"]
mod rbac;
#[path = "access/revocation.rs"]
mod revocation;
#[path = "access/stories.rs"]
mod stories;
mod support;
#[path = "access/world.rs"]
mod world;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::cluster::Cluster;
use support::process::Service;
use support::proxy::Proxy;

const MESH: &str = "/v1/getEventMesh";
/// How long anything may take that should take no time.
const PATIENCE: Duration = Duration::from_mins(1);

/// A cluster of the test's own with nothing in it; none where it cannot be had, which is said.
async fn empty_cluster() -> Option<Cluster> {
    Cluster::knative_crds()?;
    let cluster = Cluster::start().await;
    if cluster.is_external() {
        // Past the capture of the test runner: what did not run must be seen.
        let _ = writeln!(std::io::stderr(), "NOT RUN: a check that needs an empty cluster of its own");
        return None;
    }
    Some(cluster)
}

/// Serves what this kubeconfig leads to, to those who have rights there.
fn serve(kubeconfig: &Path, more: &[&str]) -> Service {
    Service::start(&[&["--kubeconfig", kubeconfig.to_str().unwrap()], more].concat())
}

/// How many tokens and how many rights the API server was asked about.
fn reviews(proxy: &Proxy) -> (usize, usize) {
    let seen = proxy.requests();
    let count = |of: &str| seen.iter().filter(|it| it.resource == of).count();
    (count("tokenreviews"), count("subjectaccessreviews"))
}

/// The answer to a caller, as soon as it is the one that is waited for.
async fn answered(service: &Service, token: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let answer = service.get_as(token, MESH, &[]);
        let mesh = if answer.status == 200 { serde_json::from_str(&answer.body).unwrap() } else { Value::Null };
        if is_it(&mesh) {
            return mesh;
        }
        let readiness = || service.admin("/readyz?verbose").body;
        assert!(began.elapsed() < PATIENCE, "{what} is not answered, but {}\n{}", answer.body, readiness());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How long each of many took.
struct Times {
    what: String,
    sorted: Vec<Duration>,
}

impl Times {
    /// Tells them: what runs on a busy machine is told from what is wrong by looking.
    fn of(what: &str, mut times: Vec<Duration>) -> Self {
        times.sort();
        let times = Self { what: what.into(), sorted: times };
        let [p50, p99] = [50, 99].map(|it| times.percentile(it));
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let (count, max, load) = (times.sorted.len(), times.max(), load.split(' ').next().unwrap_or_default());
        println!("{what}: {count} callers, P50 {p50:.2?}, P99 {p99:.2?}, max {max:.2?} (load {load})");
        times
    }

    fn percentile(&self, percent: usize) -> Duration {
        let place = (self.sorted.len() * percent).div_ceil(100);
        self.sorted[place.max(1) - 1]
    }

    fn max(&self) -> Duration {
        *self.sorted.last().expect("a time")
    }

    fn within(&self, limit: Duration) {
        assert!(self.max() <= limit, "{} took {:?}", self.what, self.max());
    }
}
