//! While nothing changes: everybody is answered what the oracle makes of what the API server holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventmesh_catalog::api::dto::EventMesh;
use eventmesh_catalog::mesh::Resource;

use super::callers::Standing;
use super::polls::{Board, only};
use crate::support::cluster::{Cluster, PATIENCE};
use crate::support::polling::{Caller, ENCODINGS, decoded, header, tag};
use crate::support::{converted, difference, oracle};

const MESH: &str = "/v1/getEventMesh";

/// API version, kind and collection of all that a mesh is made of here.
const COLLECTIONS: [(&str, &str, &str); 14] = [
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions"),
    ("eventing.knative.dev/v1", "Broker", "brokers"),
    ("eventing.knative.dev/v1", "Trigger", "triggers"),
    ("eventing.knative.dev/v1beta2", "EventType", "eventtypes"),
    ("messaging.knative.dev/v1", "Subscription", "subscriptions"),
    ("messaging.knative.dev/v1", "InMemoryChannel", "inmemorychannels"),
    ("messaging.knative.dev/v1", "KafkaChannel", "kafkachannels"),
    ("sources.knative.dev/v1", "PingSource", "pingsources"),
    ("sources.knative.dev/v1", "ApiServerSource", "apiserversources"),
    ("sources.knative.dev/v1", "SinkBinding", "sinkbindings"),
    ("sources.knative.dev/v1", "KafkaSource", "kafkasources"),
    ("serving.knative.dev/v1", "Service", "services"),
    ("queues.example.com/v1", "Strand", "strands"),
    ("passing.example.com/v1", "Comet", "comets"),
];
/// Lists of built-in kinds do not repeat what they are of.
const BUILT_IN: [(&str, &str, &str); 2] = [("v1", "Service", "services"), ("apps/v1", "Deployment", "deployments")];

/// Asks for everybody, each on a connection of its own.
pub struct Checker {
    callers: Vec<Caller>,
    standing: Arc<[Standing]>,
}

impl Checker {
    pub fn new(address: &str, standing: Arc<[Standing]>) -> Self {
        let callers = standing.iter().map(|it| Caller::new(address, &it.token)).collect();
        Self { callers, standing }
    }

    /// How many answers were looked at.
    pub async fn check(&mut self, cluster: &Cluster, board: &Board, when: &str) -> usize {
        let resources = Arc::new(everything(cluster).await);
        let mut checked = 0;
        for (caller, standing) in self.callers.iter_mut().zip(&*self.standing) {
            let (seen, grant) = (resources.clone(), standing.grant.clone());
            let expected = tokio::task::spawn_blocking(move || oracle::answer(&seen, &grant)).await.unwrap();
            let mut check = Check { caller, board, who: format!("{when}: {}", standing.name), checked: 0 };
            check.all(&expected).await;
            checked += check.checked;
        }
        checked
    }
}

/// All objects as they are on the server.
async fn everything(cluster: &Cluster) -> Vec<Arc<Resource>> {
    let mut resources = vec![];
    for (version, kind, plural) in COLLECTIONS.into_iter().chain(BUILT_IN) {
        let root = if version.contains('/') { "apis" } else { "api" };
        let mut objects = cluster.list(&format!("/{root}/{version}/{plural}")).await;
        for it in &mut objects {
            it["apiVersion"] = version.into();
            it["kind"] = kind.into();
        }
        resources.extend(converted(&objects));
    }
    resources
}

struct Check<'a> {
    caller: &'a mut Caller,
    board: &'a Board,
    who: String,
    checked: usize,
}

impl Check<'_> {
    async fn all(&mut self, expected: &EventMesh) {
        let Some(known) = self.caught_up(expected).await else { return };
        let text = serde_json::to_vec(expected).unwrap();
        for encoding in ENCODINGS {
            self.is(MESH, encoding, &text, &known).await;
        }
        let one = |mut mesh: EventMesh| {
            only(&mut mesh, "team-000");
            mesh
        };
        let selected = serde_json::to_vec(&one(expected.clone())).unwrap();
        self.is("/v1/getEventMesh?namespace=team-000", "gzip", &selected, "").await;
        let labeled = serde_json::to_vec(&labeled(expected.clone(), "domain", "order")).unwrap();
        self.is("/v1/getEventMesh?labelSelector=domain%3Dorder", "br", &labeled, "").await;
    }

    /// Waits until the answer is the expected one, and gives its tag.
    async fn caught_up(&mut self, expected: &EventMesh) -> Option<String> {
        let text = serde_json::to_vec(expected).unwrap();
        let began = Instant::now();
        loop {
            let asked = Instant::now();
            let answer = match self.caller.request(MESH, &[("accept-encoding", "identity")]).await {
                Ok(answer) => answer,
                Err(error) if error.is_canceled() || error.is_closed() => continue,
                Err(error) => {
                    self.board.unexpected(format!("{}: {error:?}", self.who));
                    return None;
                }
            };
            self.checked += 1;
            match answer.status().as_u16() {
                200 if answer.body()[..] == text[..] => return Some(tag(&answer).to_owned()),
                200 => {}
                _ => self.board.refused(&self.who, asked, &answer),
            }
            if began.elapsed() > PATIENCE {
                let found = serde_json::from_slice::<EventMesh>(answer.body());
                let found = found.map_or_else(|error| error.to_string(), |it| difference(expected, &it));
                self.board.wrong(format!("{}: not what is there: {found:.4000}", self.who));
                return None;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// One answer, which has to be the one at once, and to be known by its tag.
    async fn is(&mut self, path: &str, encoding: &str, expected: &[u8], known: &str) {
        let Ok(answer) = self.caller.request(path, &[("accept-encoding", encoding)]).await else {
            return self.board.unexpected(format!("{}: no answer in {encoding}", self.who));
        };
        self.checked += 1;
        if answer.status() != 200 || decoded(&answer) != expected {
            return self.board.wrong(format!("{}: {path} in {encoding}: {}", self.who, answer.status()));
        }
        if !known.is_empty() && tag(&answer) != known {
            self.board.wrong(format!("{}: in {encoding} it is {}, not {known}", self.who, tag(&answer)));
        }
        let etag = header(&answer, "etag").to_owned();
        let again = self.caller.request(path, &[("accept-encoding", encoding), ("if-none-match", &etag)]).await;
        self.checked += 1;
        if !again.is_ok_and(|it| it.status() == 304) {
            self.board.wrong(format!("{}: {path} in {encoding} is not known by its tag", self.who));
        }
    }
}

/// Leaves the items with this label.
fn labeled(mut mesh: EventMesh, name: &str, value: &str) -> EventMesh {
    let has = |labels: &BTreeMap<String, String>| labels.get(name).is_some_and(|it| it == value);
    mesh.event_types.retain(|it| has(&it.meta.labels));
    mesh.brokers.retain(|it| has(&it.meta.labels));
    mesh.subscribables.retain(|it| has(&it.meta.labels));
    mesh.sources.retain(|it| has(&it.meta.labels));
    mesh
}
