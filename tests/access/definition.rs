//! What a caller sees by definition (`semantics.md` 7.2): the caller lists and gets everything, one request each, and the
//! oracle makes an answer of what came back. Nothing is asked of reviews here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use hyper::Request;
use hyper::http::request::Builder;
use serde_json::Value;

use super::support::cluster::Cluster;
use super::support::{converted, oracle};
use super::world::{KINDS, definitions, version};
use eventmesh_catalog::api::dto::EventMesh;
use eventmesh_catalog::mesh::{Key, Resource};

/// Somebody who asks, both the service and the API server.
pub struct Caller {
    pub token: String,
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
}

/// All that there is to be seen.
pub struct Everything {
    /// By the number of the kind and the namespace.
    objects: BTreeMap<(usize, String), Vec<Key>>,
    /// The subscribers whose consumption would be told, by the path of each.
    subscribers: BTreeMap<Key, String>,
}

/// What one caller has seen.
#[derive(Clone, Default)]
pub struct Sight {
    pub listed: Vec<Arc<Resource>>,
    pub gotten: Vec<Arc<Resource>>,
    /// What was asked for by its name and not given.
    pub refused: usize,
}

/// Looks at a cluster with the eyes of others.
pub struct Observer<'a> {
    cluster: &'a Cluster,
    definitions: Vec<Arc<Resource>>,
    /// Objects that were read before, by uid and version.
    known: Mutex<HashMap<(String, String), Arc<Resource>>>,
    /// By the addresses of what is listed and what is got; all of that is among what is known.
    answers: Mutex<HashMap<[BTreeSet<usize>; 2], Arc<EventMesh>>>,
}

impl Everything {
    pub fn objects(&self) -> impl Iterator<Item = &Key> {
        self.objects.values().flatten()
    }
}

impl Sight {
    /// Definitions count as seen. Who sees the same is answered the same.
    pub fn answer(&self, observer: &Observer<'_>) -> Arc<EventMesh> {
        let address = |it: &Arc<Resource>| Arc::as_ptr(it).addr();
        let seen = [&self.listed, &self.gotten].map(|it| it.iter().map(address).collect::<BTreeSet<_>>());
        let mut answers = observer.answers.lock().unwrap();
        let answer = || oracle::answer_of(&[&*observer.definitions, &*self.listed].concat(), &self.gotten);
        answers.entry(seen).or_insert_with(|| Arc::new(answer())).clone()
    }
}

impl<'a> Observer<'a> {
    pub fn new(cluster: &'a Cluster) -> Self {
        Self { cluster, definitions: converted(&definitions()), known: Mutex::default(), answers: Mutex::default() }
    }

    /// What the administrator sees. What was known before is forgotten.
    pub async fn everything(&self) -> Everything {
        self.answers.lock().unwrap().clear();
        self.known.lock().unwrap().clear();
        let (mut objects, mut all) = (BTreeMap::<_, Vec<_>>::new(), vec![]);
        for n in 0..KINDS.len() {
            for it in self.list(n, None, None).await.expect("the administrator may list") {
                // A service of the server's own.
                if &*it.key.namespace != "default" {
                    objects.entry((n, it.key.namespace.to_string())).or_default().push(it.key.clone());
                    all.push(it);
                }
            }
        }
        let named: BTreeSet<_> = all.iter().filter_map(|it| it.subscription()?.subscriber()).collect();
        let is_told = |it: &&Arc<Resource>| named.contains(&it.key) && it.backstage_id.is_some();
        let subscribers = all.iter().filter(is_told).map(|it| (it.key.clone(), path_of(&it.key))).collect();
        Everything { objects, subscribers }
    }

    /// What a caller sees: of each kind what a list of the whole cluster holds or, where that is refused, the lists of
    /// the namespaces; of the subscribers that are in none of these, those that may be got by name.
    pub async fn look(&self, caller: &Caller, everything: &Everything) -> Sight {
        let mut sight = Sight::default();
        for n in 0..KINDS.len() {
            if let Some(listed) = self.list(n, None, Some(caller)).await {
                sight.listed.extend(listed);
                continue;
            }
            // A list of a namespace that has none would show none.
            for (_, namespace) in everything.objects.keys().filter(|(of, _)| *of == n) {
                sight.listed.extend(self.list(n, Some(namespace), Some(caller)).await.into_iter().flatten());
            }
        }
        let listed: BTreeSet<_> = sight.listed.iter().map(|it| &it.key).collect();
        for (_, path) in everything.subscribers.iter().filter(|(key, _)| !listed.contains(key)) {
            match self.ask(path, Some(caller)).await {
                Some(object) => sight.gotten.push(self.read(object)),
                None => sight.refused += 1,
            }
        }
        sight
    }

    /// `None` where it is refused.
    async fn list(&self, n: usize, namespace: Option<&str>, caller: Option<&Caller>) -> Option<Vec<Arc<Resource>>> {
        let (group, kind, plural) = KINDS[n];
        let mut list = self.ask(&path(group, kind, plural, namespace), caller).await?;
        let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let whole = |mut it: Value| {
            // Lists of built-in kinds do not repeat it.
            if group.is_empty() {
                it["apiVersion"] = "v1".into();
                it["kind"] = kind.into();
            }
            self.read(it)
        };
        Some(items.into_iter().map(whole).collect())
    }

    fn read(&self, object: Value) -> Arc<Resource> {
        let text = |it: &str| object["metadata"][it].as_str().unwrap_or_default().to_owned();
        let version = (text("uid"), text("resourceVersion"));
        let mut known = self.known.lock().unwrap();
        known.entry(version).or_insert_with(|| converted(&[object]).remove(0)).clone()
    }

    async fn ask(&self, path: &str, caller: Option<&Caller>) -> Option<Value> {
        loop {
            let request = caller.into_iter().fold(Request::get(path), impersonated).body(vec![]).unwrap();
            match self.cluster.client().request::<Value>(request).await {
                Ok(answer) => return Some(answer),
                Err(kube::Error::Api(status)) if status.code == 403 || status.code == 404 => return None,
                // It asks for patience.
                Err(kube::Error::Api(status)) if status.code == 429 => tokio::task::yield_now().await,
                Err(error) => panic!("{path}: {error}"),
            }
        }
    }
}

fn impersonated(request: Builder, caller: &Caller) -> Builder {
    let request = request.header("Impersonate-User", &caller.name).header("Impersonate-Uid", &caller.uid);
    caller.groups.iter().fold(request, |request, it| request.header("Impersonate-Group", it))
}

fn path(group: &str, kind: &str, plural: &str, namespace: Option<&str>) -> String {
    let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
    let namespace = namespace.map(|it| format!("namespaces/{it}/")).unwrap_or_default();
    format!("{root}/{}/{namespace}{plural}", version(kind))
}

fn path_of(key: &Key) -> String {
    let is_it = |(group, kind, _): &&(&str, &str, &str)| key.of.is(group, kind);
    let (group, kind, plural) = KINDS.iter().find(is_it).expect("one of the kinds");
    format!("{}/{}", path(group, kind, plural, Some(&key.namespace)), key.name)
}
