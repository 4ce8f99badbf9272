//! Who may see what: the binary at a real API server, asked by callers with real tokens and real roles.

#[path = "access/stories.rs"]
mod stories;
mod support;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::cluster::Cluster;
use support::process::Service;

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
