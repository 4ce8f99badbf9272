//! How long somebody waits who was never there before: every right is asked for, beside as many bare reviews.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::http::connect;
use super::{Case, PATIENCE, Table, load_of_the_machine, median, seconds};
use crate::support::callers::{group, role, rule};
use crate::support::cluster::Cluster;
use crate::support::process::{Service, get};

const HOME: &str = "first-polls";
const RBAC: &str = "rbac.authorization.k8s.io/v1";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
/// As many as the service has under way.
const AT_ONCE: usize = 16;
const ROUNDS: usize = 3;
/// One in so many namespaces may be seen.
const SEEN: usize = 20;
/// Rights are kept when so much time has passed since roles changed.
const SETTLED: Duration = Duration::from_secs(5);

/// Somebody's first poll, and bare reviews right after it. Times are seconds.
struct Round {
    first: f64,
    bare: f64,
    reviews: usize,
}

pub async fn measure(cluster: &Cluster, case: &Case, table: &mut Table) {
    let namespaces: Vec<_> = (0..case.size.namespaces).map(|it| format!("team-{it:03}")).collect();
    let seen: Vec<_> = namespaces.iter().step_by(SEEN).collect();
    cluster.apply(&role("", HOME, &[rule(&["list"], "*", "*", &[])])).await;
    for namespace in &seen {
        cluster.apply(&bound(namespace)).await;
    }
    let service = serving(cluster.kubeconfig());
    thread::sleep(SETTLED);
    println!("{}: first polls, with rights in {} of {} namespaces", case.name, seen.len(), namespaces.len());
    let mut rounds = vec![];
    for n in 0..ROUNDS {
        let name = format!("newcomer-{n}");
        let token = cluster.caller_token(HOME, &name).await;
        let before = reviews(&service);
        let first = first_poll(&service, &token);
        let reviews = reviews(&service) - before;
        let bare = bare_reviews(cluster, &name, &namespaces, reviews).await;
        println!(
            "first poll {}, {reviews} reviews; as many bare ones {} ({})",
            seconds(first),
            seconds(bare),
            load_of_the_machine()
        );
        rounds.push(Round { first, bare, reviews });
    }
    let of = |value: &dyn Fn(&Round) -> f64| median(&rounds.iter().map(value).collect::<Vec<_>>());
    let measure = |what: &str| format!("{}: first poll of somebody new{what}", case.name);
    table.tell(measure(""), format!("{}, {} reviews", seconds(of(&|it| it.first)), rounds[0].reviews));
    table.tell(measure(" / bare reviews"), format!("{:.2}", of(&|it| it.first / it.bare)));
}

/// Everybody at home may list everything there.
fn bound(namespace: &str) -> Value {
    json!({
        "apiVersion": RBAC, "kind": "RoleBinding", "metadata": {"namespace": namespace, "name": HOME},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": HOME},
        "subjects": [group(&format!("system:serviceaccounts:{HOME}"))],
    })
}

fn serving(kubeconfig: &Path) -> Service {
    let service = Service::start(&["--kubeconfig", kubeconfig.to_str().expect("text")]);
    let began = Instant::now();
    while get(&service.admin, "/readyz", &[]).status != 200 {
        assert!(began.elapsed() < PATIENCE, "the service is not ready");
        thread::sleep(Duration::from_millis(5));
    }
    service
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
