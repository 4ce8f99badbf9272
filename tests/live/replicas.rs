//! Several replicas behind one address: each reads the cluster for itself, and whoever asks does not notice which one answers,
//! that one was restarted, or that one is being replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt as _;
use rustls::ClientConfig;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::support::balancer::Balancer;
use super::support::callers::{brokers, rule, service_account};
use super::support::cluster::{Cluster, eventually};
use super::support::history::{definition, round};
use super::support::polling::{Caller, ENCODINGS, decoded, header, tag};
use super::support::process::Service;
use super::support::tls::{Authority, Connection, HTTP1, HTTP2, connect};
use super::{MESH, empty_cluster};

const REPLICAS: usize = 3;
/// How long a replica goes on once it is told to end, and how long the balancer does not know.
const DELAY: &str = "6s";
const LAG: Duration = Duration::from_millis(500);
/// How long those rest who ask all the time.
const REST: Duration = Duration::from_millis(40);

/// A mesh in two namespaces, and tokens of three callers: one sees everything, the others some of it.
async fn world() -> Option<(Cluster, Vec<String>)> {
    let cluster = empty_cluster(false).await?;
    cluster.install_knative().await;
    cluster.apply(&definition("v1")).await;
    cluster.apply_all(&round(0)).await;
    cluster.apply(&broker("elsewhere", "other")).await;
    let everything = rule(&["get", "list"], "*", "*", &[]);
    for (namespace, name, rule) in [("", "portal", &everything), ("shop", "shop", &everything), ("", "few", &brokers())]
    {
        cluster.grant(namespace, name, service_account("callers", name), std::slice::from_ref(rule)).await;
    }
    let mut tokens = vec![];
    for name in ["portal", "shop", "few"] {
        tokens.push(cluster.caller_token("callers", name).await);
    }
    Some((cluster, tokens))
}

fn broker(namespace: &str, name: &str) -> Value {
    let metadata = json!({"namespace": namespace, "name": name});
    json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": metadata, "spec": {}})
}

async fn replica(kubeconfig: &Path, more: &[&str]) -> Service {
    let service = Service::start(&[&["--kubeconfig", kubeconfig.to_str().unwrap()], more].concat());
    // Who is not ready gets no requests.
    eventually("a replica that is ready", async || (service.admin("/readyz").status == 200).then_some(())).await;
    service
}

/// What a caller is answered by a replica: tag and content.
async fn told(service: &Service, token: &str) -> (String, Vec<u8>) {
    let answer = eventually("an answer", async || {
        let answer = service.caller(token).request(MESH, &[]).await.expect("an answer");
        (answer.status() == 200).then_some(answer)
    })
    .await;
    (tag(&answer).to_owned(), answer.into_body().to_vec())
}

/// Waits until all tell each caller the same, which is something else than before, and holds the bytes in each encoding
/// against each other. Gives the tags.
async fn agree(replicas: &[Service], tokens: &[String], before: &[String], after: &str) -> Vec<String> {
    let mut tags = vec![];
    for (n, token) in tokens.iter().enumerate() {
        let told = eventually(&format!("the same of all after {after}"), async || {
            let mut all = BTreeSet::new();
            for it in replicas {
                all.insert(told(it, token).await);
            }
            let (tag, content) = all.pop_first()?;
            (all.is_empty() && before.get(n) != Some(&tag)).then_some((tag, content))
        })
        .await;
        let mut bytes = BTreeMap::<&str, BTreeSet<(String, Vec<u8>)>>::new();
        for it in replicas {
            for encoding in ENCODINGS {
                let answer = it.caller(token).request(MESH, &[("accept-encoding", encoding)]).await.expect("an answer");
                assert_eq!(decoded(&answer), told.1, "after {after}, in {encoding}");
                assert_eq!(header(&answer, "content-encoding"), if encoding == "identity" { "" } else { encoding });
                let etag = header(&answer, "etag").to_owned();
                bytes.entry(encoding).or_default().insert((etag, answer.into_body().to_vec()));
            }
        }
        for (encoding, answers) in bytes {
            assert_eq!(answers.len(), 1, "after {after}, in {encoding}: one tag and the same bytes of all");
        }
        tags.push(told.0);
    }
    tags
}

/// Asks through the balancer, each time on a new connection, until each replica has answered, which is 304 each time.
async fn unchanged_for_all(balancer: &Balancer, token: &str, etag: &str) {
    let mut answered = BTreeSet::new();
    for _ in 0..4 * REPLICAS {
        let mut caller = Caller::new(&balancer.address, token);
        let answer = caller.request(MESH, &[("if-none-match", &format!("\"{etag}\""))]).await.expect("an answer");
        assert_eq!(answer.status(), 304);
        let (process, _) = header(&answer, "x-request-id").rsplit_once('-').expect("who answered and how often");
        answered.insert(process.to_owned());
    }
    assert_eq!(answered.len(), REPLICAS, "all have answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_replicas_tell_the_same() {
    let Some((cluster, tokens)) = world().await else { return };
    let balancer = Balancer::start().await;
    let mut replicas = vec![];
    for _ in 0..REPLICAS {
        replicas.push(replica(cluster.kubeconfig(), &[]).await);
    }
    for it in &replicas {
        balancer.add(&it.address);
    }
    let mut tags = agree(&replicas, &tokens, &[], "the start").await;
    assert_eq!(BTreeSet::from_iter(&tags).len(), 3, "each caller sees something else");
    unchanged_for_all(&balancer, &tokens[0], &tags[0]).await;

    let mut relabeled = broker("shop", "stays");
    relabeled["metadata"]["labels"] = json!({"tier": "a"});
    let changes = [("a new object", broker("shop", "new")), ("another label", relabeled)];
    for (what, object) in changes {
        cluster.apply(&object).await;
        tags = agree(&replicas, &tokens, &tags, what).await;
        unchanged_for_all(&balancer, &tokens[1], &tags[1]).await;
    }
    cluster.delete(&broker("shop", "new")).await;
    tags = agree(&replicas, &tokens, &tags, "the end of an object").await;

    // One that has read everything anew says the same of it as those who have seen it come about.
    let restarted = replica(cluster.kubeconfig(), &[]).await;
    balancer.remove(&replicas[0].address);
    balancer.add(&restarted.address);
    replicas[0] = restarted;
    assert_eq!(agree(&replicas, &tokens, &[], "a restart").await, tags);
    for (token, tag) in tokens.iter().zip(&tags) {
        unchanged_for_all(&balancer, token, tag).await;
    }
    println!("{REPLICAS} replicas, {} callers: {:?}", tokens.len(), balancer.connections().values());
}

/// How somebody asks all the time.
#[derive(Clone, Copy, Debug)]
struct Way {
    protocol: &'static [u8],
    /// Or each time on a new connection.
    keeps: bool,
}

/// What those who asked all the time have seen.
#[derive(Default)]
struct Seen {
    answers: usize,
    unchanged: usize,
    /// By the process that answered.
    by: BTreeMap<String, usize>,
    connections: usize,
    /// The API server did not say in time who asks; that is told with `Retry-After`, and is no matter of replicas.
    unreviewed: usize,
    failed: Vec<String>,
}

struct Polling {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Polling {
    fn start(address: &str, token: &str, config: ClientConfig, way: Way) -> Self {
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (address, token) = (address.to_owned(), format!("Bearer {token}"));
        let (told, stopped) = (seen.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let mut kept = None;
            let mut etag = String::new();
            while !stopped.load(Ordering::Relaxed) {
                if let Err(failure) = ask(&address, &config, &token, &mut kept, &mut etag, &told).await {
                    told.lock().unwrap().failed.push(format!("{way:?}: {failure}"));
                    kept = None;
                }
                if !way.keeps {
                    kept = None;
                }
                tokio::time::sleep(REST).await;
            }
        });
        Self { seen, stop, task }
    }

    async fn ended(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("it ends well");
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// One poll. A connection that was closed is not asked on; whatever else goes wrong has failed.
async fn ask(
    address: &str,
    config: &ClientConfig,
    token: &str,
    kept: &mut Option<Connection>,
    etag: &mut String,
    seen: &Mutex<Seen>,
) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Debug| format!("{error:?}");
    let answer = loop {
        let connection = if let Some(connection) = kept.as_mut().filter(|it| !it.is_closed()) {
            connection
        } else {
            seen.lock().unwrap().connections += 1;
            let stream = connect(address, config).await.map_err(|it| told(&it))?;
            kept.insert(Connection::start(stream).await.map_err(|it| told(&it))?.0)
        };
        match connection.send(MESH, &[("authorization", token), ("if-none-match", etag.as_str())]).await {
            Ok(answer) => break answer,
            Err(error) if was_not_looked_at(&error) => *kept = None,
            Err(error) => return Err(told(&error)),
        }
    };
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|it| told(&it))?.to_bytes();
    let text = |name: &str| head.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
    match head.status.as_u16() {
        200 => *etag = text("etag"),
        304 => seen.lock().unwrap().unchanged += 1,
        503 if !text("retry-after").is_empty()
            && String::from_utf8_lossy(&body).contains("cannot be found out now") =>
        {
            seen.lock().unwrap().unreviewed += 1;
            return Ok(());
        }
        other => return Err(format!("{other}: {}", String::from_utf8_lossy(&body))),
    }
    let mut seen = seen.lock().unwrap();
    seen.answers += 1;
    let id = text("x-request-id");
    *seen.by.entry(id.split('-').next().unwrap_or_default().to_owned()).or_default() += 1;
    Ok(())
}

/// Whether the client itself knew that it may not ask there any more, or was told so before anybody looked at the request:
/// streams above the last one that a server names when it goes without an error may be asked for again (RFC 9113, section
/// 6.8), which every client of HTTP/2 does.
fn was_not_looked_at(error: &hyper::Error) -> bool {
    let of_http2 = std::error::Error::source(error).and_then(|it| it.downcast_ref::<h2::Error>());
    let is_told =
        of_http2.is_some_and(|it| it.is_go_away() && it.is_remote() && it.reason() == Some(h2::Reason::NO_ERROR));
    error.is_closed() || error.is_canceled() || is_told
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_replaced_without_a_failed_poll() {
    let Some((cluster, tokens)) = world().await else { return };
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    authority.issue().write(folder.path());
    let [certificate, key] = ["tls.crt", "tls.key"].map(|it| folder.path().join(it).to_str().unwrap().to_owned());
    let arguments = ["--tls-cert", &certificate, "--tls-key", &key, "--shutdown-delay", DELAY];
    let balancer = Balancer::start().await;
    let mut replicas = vec![];
    for _ in 0..REPLICAS {
        replicas.push(replica(cluster.kubeconfig(), &arguments).await);
    }
    for it in &replicas {
        balancer.add(&it.address);
    }
    let ways = [(HTTP1, true), (HTTP1, false), (HTTP2, true), (HTTP2, false)];
    let polling: Vec<_> = ways
        .into_iter()
        .flat_map(|(protocol, keeps)| tokens.iter().map(move |token| (Way { protocol, keeps }, token)))
        .map(|(way, token)| Polling::start(&balancer.address, token, authority.client(&[way.protocol]), way))
        .collect();

    for _ in 0..REPLICAS {
        // As a Deployment with `maxUnavailable: 0` does it: first there is one more.
        let next = replica(cluster.kubeconfig(), &arguments).await;
        balancer.add(&next.address);
        let old = replicas.remove(0);
        replicas.push(next);
        old.signal("TERM");
        // Those who send requests there hear of it later.
        tokio::time::sleep(LAG).await;
        balancer.remove(&old.address);
        let (status, log) = tokio::task::spawn_blocking(|| old.ended()).await.unwrap();
        assert_eq!(status.code(), Some(0), "{log}");
    }

    let (mut answers, mut unchanged, mut connections, mut unreviewed, mut by) = (0, 0, 0, 0, BTreeSet::new());
    let mut failed = vec![];
    for it in polling {
        let seen = it.ended().await;
        answers += seen.answers;
        unchanged += seen.unchanged;
        connections += seen.connections;
        unreviewed += seen.unreviewed;
        by.extend(seen.by.into_keys());
        failed.extend(seen.failed);
    }
    println!(
        "{REPLICAS} replicas replaced: {answers} polls by {} callers, {unchanged} of them 304, on {connections} connections, answered \
         by {} processes; {} failed, {} connections refused; the API server \
         did not say {unreviewed} times in time who asks",
        ways.len() * tokens.len(),
        by.len(),
        failed.len(),
        balancer.refused().len()
    );
    assert_eq!((failed, balancer.refused()), (vec![], vec![]));
    assert_eq!(by.len(), 2 * REPLICAS, "all have answered");
}
