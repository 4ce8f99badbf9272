//! How long somebody waits who was never there before: every right is asked for, beside as many bare reviews.

use std::thread;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::client::connect;
use super::figures::{float, ratios};
use super::measure::{Measures, Target};
use super::process::start;
use super::support::callers::{group, role, rule};
use super::support::cluster::Cluster;
use super::support::process::Service;
use super::{PATIENCE, Size};

const HOME: &str = "first-polls";
const RBAC: &str = "rbac.authorization.k8s.io/v1";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
/// As many as the service has under way.
const AT_ONCE: usize = 16;
const ROUNDS: usize = 5;
/// Of the time of as many bare reviews.
const FIRST: f64 = 1.5;
/// One in so many namespaces may be seen.
const SEEN: usize = 20;
/// Rights are kept when so much time has passed since roles changed.
const SETTLED: Duration = Duration::from_secs(5);

pub async fn measure(cluster: &Cluster, size: &Size, measures: &mut Measures) {
    let namespaces: Vec<_> = (0..size.arguments.namespaces).map(|it| format!("team-{it:03}")).collect();
    cluster.apply(&role("", HOME, &[rule(&["list"], "*", "*", &[])])).await;
    for namespace in namespaces.iter().step_by(SEEN) {
        cluster.apply(&bound(namespace)).await;
    }
    let (service, _) = start(cluster.kubeconfig(), &[]);
    thread::sleep(SETTLED);
    let (mut firsts, mut bare, mut counts) = (vec![], vec![], vec![]);
    for n in 0..ROUNDS {
        let name = format!("newcomer-{n}");
        let token = cluster.caller_token(HOME, &name).await;
        let before = reviews(&service);
        firsts.push(first_poll(&service, &token));
        let count = reviews(&service) - before;
        bare.push(bare_reviews(cluster, &name, &namespaces, count).await);
        counts.push(float(count));
    }
    let target = Target::AtMost(FIRST);
    measures.hold("first poll of somebody new / as many bare reviews", "", target, ratios(&firsts, &bare));
    measures.tell("first poll of somebody new", "s", firsts);
    measures.tell("reviews that it takes", "", counts);
}

/// Everybody at home may list everything there.
fn bound(namespace: &str) -> Value {
    json!({
        "apiVersion": RBAC, "kind": "RoleBinding", "metadata": {"namespace": namespace, "name": HOME},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": HOME},
        "subjects": [group(&format!("system:serviceaccounts:{HOME}"))],
    })
}

/// How many reviews the service has made.
fn reviews(service: &Service) -> usize {
    let metrics = service.admin("/metrics").body;
    let counts = metrics.lines().filter(|it| it.starts_with("eventmesh_reviews_total{"));
    counts.filter_map(|it| it.rsplit_once(' ')?.1.parse::<usize>().ok()).sum()
}

/// Until an answer begins. Where it takes too long for one request, another one goes on with what is known by then.
fn first_poll(service: &Service, token: &str) -> f64 {
    let began = Instant::now();
    loop {
        let mut http = connect(&service.address, token);
        http.send("GET", "/v1/getEventMesh", "accept-encoding: zstd\r\n", &[]);
        let status = http.head().status;
        if status == 200 {
            return began.elapsed().as_secs_f64();
        }
        assert!(status == 503 && began.elapsed() < PATIENCE, "{status}");
    }
}

/// So many questions like those of the service.
async fn bare_reviews(cluster: &Cluster, name: &str, namespaces: &[String], count: usize) -> f64 {
    let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{HOME}"), "system:authenticated"];
    let review = |n: usize| {
        let kinds = ["brokers", "triggers", "eventtypes"];
        let attributes = json!({
            "group": "eventing.knative.dev", "version": "v1", "verb": "list",
            "resource": kinds[n / namespaces.len() % kinds.len()], "namespace": namespaces[n % namespaces.len()],
        });
        let user = format!("system:serviceaccount:{HOME}:{name}");
        let spec = json!({"user": user, "groups": groups, "resourceAttributes": attributes});
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
    };
    let began = Instant::now();
    let ask = |n| async move {
        let answer = cluster.ask("POST", REVIEWS, Some(&review(n))).await.expect("a review");
        assert!(answer["status"].is_object());
    };
    stream::iter(0..count).map(ask).buffer_unordered(AT_ONCE).for_each(async |()| ()).await;
    began.elapsed().as_secs_f64()
}
