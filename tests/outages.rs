//! One service lives through everything that can go wrong between it and the API server.
//!
//! While it does, the mesh is changed, and the answer is asked for all the time: it is never refused, never wrong, never
//! short, and each part of it only ever goes from an earlier state to a later one. In the end it is what the API server
//! holds.

#[path = "outages/soak.rs"]
mod soak;
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::cluster::{Cluster, eventually};
use support::history::{History, Parts, definition, identity, parts, plain, round};
use support::process::{self, Service};
use support::proxy::{Fault, How, Proxy};

const MESH: &str = "/v1/getEventMesh";

/// Asks all the time.
struct Poller {
    history: Arc<Mutex<History>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Poller {
    fn start(service: &Service, state: Parts) -> Self {
        let (history, stop) = (Arc::<Mutex<History>>::default(), Arc::<AtomicBool>::default());
        history.lock().unwrap().expect(state);
        let (address, token) = (service.address.clone(), format!("Bearer {}", service.token));
        let (told, stopped) = (history.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let answer = process::get(&address, MESH, &[("Authorization", &token)]);
                let mut history = told.lock().unwrap();
                match answer.status {
                    200 => history.see(&Parts::of(&serde_json::from_str(&answer.body).unwrap())),
                    status => history.wrong.push(format!("{status}: {}", answer.body)),
                }
                drop(history);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { history, stop, thread: Some(thread) }
    }
}

impl Poller {
    /// What is seen now counts, or not.
    fn trust(&self, trusted: bool) {
        self.history.lock().unwrap().is_mistrusted = !trusted;
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_some_and(|it| it.is_ok()), "the poller ends well");
    }
}

/// A cluster, the way to it, and the service at the end of the way.
struct World {
    // It ends before the one that it asks.
    poller: Poller,
    service: Service,
    proxy: Proxy,
    cluster: Cluster,
    round: usize,
}

impl World {
    async fn new() -> Self {
        let cluster = Cluster::start().await;
        cluster.install_knative().await;
        cluster.apply(&definition("v1")).await;
        cluster.apply_all(&round(0)).await;
        let proxy = Proxy::start(&cluster).await;
        let service = Service::start(&["--kubeconfig", proxy.kubeconfig().to_str().unwrap(), "--dev-token"]);
        service.mesh();
        let poller = Poller::start(&service, parts(&round(0)));
        let world = Self { cluster, proxy, service, poller, round: 0 };
        world.catch_up("the start").await;
        world
    }

    /// What is to be seen of these objects is to be seen from now on. Nothing has to be seen of a state that was soon
    /// over, but no part may fall behind one that was seen.
    fn expect(&self, objects: &[Value]) {
        self.poller.history.lock().unwrap().expect(parts(objects));
    }

    /// Goes on to the next round: every object that differs is created, changed or deleted.
    async fn change(&mut self) {
        let before = round(self.round);
        self.round += 1;
        let after = round(self.round);
        // Every state on the way may be seen.
        let mut state = before.clone();
        for object in after.iter().filter(|it| !before.contains(it)) {
            state.retain(|it| identity(it) != identity(object));
            state.push(object.clone());
            self.expect(&state);
            self.cluster.apply(object).await;
        }
        for object in before.iter().filter(|it| !after.iter().any(|other| identity(it) == identity(other))) {
            state.retain(|it| it != object);
            self.expect(&state);
            self.cluster.delete(object).await;
        }
    }

    /// Waits until the answer is the last state, and fails where it was ever wrong. Says how long it took.
    async fn catch_up(&self, after: &str) -> Duration {
        let began = Instant::now();
        eventually(&format!("the mesh after {after}"), async || {
            let history = self.poller.history.lock().unwrap();
            assert_eq!(history.wrong, [""; 0], "after {after}, round {}", self.round);
            history.is_up_to_date().then_some(())
        })
        .await;
        let took = began.elapsed();
        println!("up to date {:>4} ms after {after}", took.as_millis());
        took
    }

    async fn is_told_as_stale(&self) {
        eventually("an age", async || {
            let age = self.service.get(MESH, &[]).header("EventMesh-Stale-Seconds").parse::<u64>();
            age.is_ok().then_some(())
        })
        .await;
    }

    async fn is_not_stale(&self) {
        eventually("an answer without an age", async || {
            self.service.get(MESH, &[]).header("EventMesh-Stale-Seconds").is_empty().then_some(())
        })
        .await;
    }
}

fn faults() -> Vec<(&'static str, Vec<Fault>)> {
    let status = |code, retry_after| How::Status { code, retry_after, body: None };
    let of_watches = |how| Fault::new(how).verb("watch");
    let of_lists = |how| Fault::new(how).verb("list");
    vec![
        ("connections are refused", vec![Fault::new(How::Refuse)]),
        ("everything hangs, and goes on", vec![Fault::new(How::Hang { resume: true })]),
        ("everything hangs for ever", vec![Fault::new(How::Hang { resume: false })]),
        ("everything is slow", vec![Fault::new(How::Slow(Duration::from_millis(100)))]),
        ("watches are cut in the middle of an event", vec![of_watches(How::Cut { after: 100 })]),
        ("everything is cut", vec![Fault::new(How::Cut { after: 200 })]),
        ("watches are too late, told as events", vec![of_watches(How::Cut { after: 0 }), of_watches(How::Gone)]),
        (
            "watches are too late, told as a status",
            vec![of_watches(status(410, None)), of_watches(How::Cut { after: 0 })],
        ),
        ("lists are too late", vec![of_lists(status(410, None)), of_watches(How::Gone)]),
        ("the server has had enough", vec![Fault::new(status(429, Some(1))), of_watches(How::Cut { after: 0 })]),
        ("the server fails", vec![Fault::new(status(500, None)), of_watches(How::Cut { after: 0 })]),
        ("the server is not available", vec![Fault::new(status(503, Some(1))), of_watches(How::Cut { after: 0 })]),
        ("everything is forbidden", vec![Fault::new(status(403, None)), of_watches(How::Cut { after: 0 })]),
        ("everything is absent", vec![Fault::new(status(404, None)), of_watches(How::Cut { after: 0 })]),
        ("nobody is known", vec![Fault::new(status(401, None)), of_watches(How::Cut { after: 0 })]),
        ("events come twice", vec![Fault::new(How::lines(|line| vec![line.into(), line.into()]))]),
        ("events are garbage", vec![Fault::new(How::lines(|_| vec!["{\"type\":\"ADDED\",\"object\":7}".into()]))]),
        ("events are half there", vec![Fault::new(How::lines(|line| vec![line[..line.len() / 2].into()]))]),
        (
            "lists are garbage",
            vec![
                of_watches(How::Gone),
                of_watches(How::Cut { after: 0 }),
                of_lists(How::body(|_| b"{\"items\":[]}".into())),
            ],
        ),
        (
            "lists are half there",
            vec![
                of_watches(How::Gone),
                of_watches(How::Cut { after: 0 }),
                of_lists(How::body(|body| body[..body.len() / 2].into())),
            ],
        ),
        (
            "objects in lists are garbage",
            vec![
                of_watches(How::Gone),
                of_watches(How::Cut { after: 0 }),
                of_lists(How::body(|_| b"{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[7]}".into())),
            ],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_lives_through_all_faults_of_the_way() {
    if Cluster::knative_crds().is_none() {
        return;
    }
    let mut world = World::new().await;
    for (fault, parts) in faults() {
        for part in parts {
            world.proxy.inject(part);
        }
        // Some of it happens while nobody has noticed yet, some of it long after.
        world.change().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.change().await;
        world.proxy.heal();
        world.catch_up(fault).await;
        world.is_not_stale().await;
    }
    world.proxy.inject(Fault::new(How::Refuse));
    world.is_told_as_stale().await;
    world.proxy.heal();
    world.is_not_stale().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_lives_through_all_faults_of_the_server() {
    if Cluster::knative_crds().is_none() {
        return;
    }
    let mut world = World::new().await;
    if world.cluster.is_external() {
        support::not_run("a check that ends its API server");
        return;
    }
    world.change().await;

    world.cluster.kill().await;
    world.is_told_as_stale().await;
    world.cluster.restart().await;
    world.catch_up("the server was killed").await;
    world.change().await;
    world.catch_up("a change after that").await;

    world.cluster.stop().await;
    let saved = world.cluster.save();
    let round_then = world.round;
    world.cluster.restart().await;
    world.change().await;
    world.change().await;
    world.catch_up("changes that will never have been").await;
    world.cluster.stop().await;
    world.cluster.restore(&saved);
    world.expect(&round(round_then));
    world.round = round_then;
    world.cluster.restart().await;
    world.catch_up("the server was restored from a backup").await;
    world.change().await;
    world.catch_up("a change after that").await;

    // The kind is stored in another version from now on, and soon not served in the first one any more.
    world.cluster.apply(&definition("v2")).await;
    world.change().await;
    world.catch_up("a kind changed its version").await;
    let mut later = definition("v2");
    later["spec"]["versions"][0]["served"] = json!(false);
    world.cluster.apply(&later).await;
    eventually("the kind in its new version", async || {
        let told = world.service.admin("/readyz?verbose").body;
        told.contains("[+] Strand.queues.example.com: live").then_some(())
    })
    .await;
    world.catch_up("a kind lost a version").await;
    world.is_not_stale().await;

    // An object that was stored in the first version has to be converted, and nobody is there who could.
    world.cluster.apply(&definition("v1")).await;
    world.change().await;
    world.catch_up("a kind changed its version back").await;
    let mut broken = definition("v2");
    let client = json!({"service": {"namespace": "shop", "name": "nobody", "path": "/"}});
    broken["spec"]["conversion"] =
        json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": client}});
    world.cluster.apply(&broken).await;
    eventually("the failed conversion", async || {
        let told = world.service.admin("/readyz?verbose").body;
        told.lines().any(|it| it.contains("Strand") && it.contains("conversion webhook")).then_some(())
    })
    .await;
    world.cluster.apply(&definition("v2")).await;
    world.catch_up("a conversion failed").await;
    world.is_not_stale().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_may_be_huge_or_garbage() {
    if Cluster::knative_crds().is_none() {
        return;
    }
    let mut world = World::new().await;
    world.poller.trust(false);
    let schema = "x".repeat(1_400_000);
    let spec = json!({"type": "t.huge", "schemaData": schema, "description": "huge"});
    let huge = plain("eventing.knative.dev/v1beta2", "EventType", "huge", &spec);
    world.cluster.apply(&huge).await;
    eventually("the huge object", async || {
        let mesh = world.service.mesh();
        let found = mesh.event_types.iter().find(|it| it.meta.name == "huge")?;
        (found.schema_data.as_ref()?.len() == schema.len()).then_some(())
    })
    .await;
    world.cluster.delete(&huge).await;
    for (n, spec) in [json!("text"), json!(7), json!([[]]), json!({"sink": [], "x": {"ref": null}})].iter().enumerate()
    {
        let mut garbage = plain("queues.example.com/v1", "Strand", &format!("garbage-{n}"), spec);
        garbage["status"] = json!({"channel": 7, "ceAttributes": {"type": []}});
        garbage["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "x/v1", "kind": "Channel", "name": "../..", "uid": "u"}]);
        world.cluster.apply(&garbage).await;
        eventually("the garbage, as one item", async || {
            let mesh = world.service.mesh();
            mesh.subscribables.iter().any(|it| *it.meta.name == format!("garbage-{n}")).then_some(())
        })
        .await;
        world.cluster.delete(&garbage).await;
    }
    eventually("the rest as before", async || {
        (Parts::of(&world.service.mesh()) == parts(&round(world.round))).then_some(())
    })
    .await;
    world.poller.trust(true);
    world.change().await;
    world.catch_up("garbage").await;
}
