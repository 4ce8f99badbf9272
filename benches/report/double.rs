//! An API server in this process: it serves what it was given and what is changed of it, as fast as it is asked. A real
//! one writes some hundred objects in a second; this one is as fast as the question to be answered needs it to be.
//!
//! It has discovery, lists in pages, watches that go on from where a list was, and says yes to every review.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::Instant;

use super::LABEL;

/// How many changes of a kind are remembered; whoever has heard of none of them lists again.
const REMEMBERED: usize = 100_000;
/// After so much silence a watch says that nothing happened.
const SILENCE: Duration = Duration::from_mins(1);
/// How many bytes of a list are sent at once, at least.
const PIECE: usize = 64 << 10;
/// How long a watch lasts where nobody says.
const LASTS: u64 = 300;
/// Kinds that are served without a definition.
const BUILT_IN: [(&str, &str, &str, &str, bool); 8] = [
    ("", "v1", "Namespace", "namespaces", false),
    ("", "v1", "Service", "services", true),
    ("apps", "v1", "Deployment", "deployments", true),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false),
    (RBAC, "v1", "Role", "roles", true),
    (RBAC, "v1", "RoleBinding", "rolebindings", true),
    (RBAC, "v1", "ClusterRole", "clusterroles", false),
    (RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", false),
];
const RBAC: &str = "rbac.authorization.k8s.io";
const METADATA: &str = "as=PartialObjectMetadata";

/// A running server; it ends when it is dropped.
pub struct Double {
    pub kubeconfig: PathBuf,
    world: Arc<World>,
    _files: TempDir,
    /// Taken when it ends.
    runtime: Option<Runtime>,
}

/// All that there is.
struct World {
    state: Mutex<Objects>,
    /// Tells of each version that is there to be read.
    versions: watch::Sender<u64>,
}

#[derive(Default)]
struct Objects {
    version: u64,
    kinds: Vec<Kind>,
}

struct Kind {
    group: String,
    version: String,
    /// As in an object.
    name: String,
    plural: String,
    is_namespaced: bool,
    objects: BTreeMap<Name, Stored>,
    /// The latest changes, oldest first.
    changes: VecDeque<Change>,
    /// The version of the latest change that was forgotten.
    forgotten: u64,
}

/// A namespace and a name.
type Name = (String, String);

/// An object as it is sent.
#[derive(Clone)]
struct Stored {
    whole: Bytes,
    /// What is sent of one with the label where only metadata are asked for.
    labeled: Option<Bytes>,
}

struct Change {
    version: u64,
    what: &'static str,
    object: Stored,
}

/// What is done to an object.
pub enum Edit {
    Put(Value),
    Remove(Value),
}

impl Drop for Double {
    fn drop(&mut self) {
        // Watches never end by themselves.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Double {
    /// Serves these objects.
    pub fn start(documents: Vec<Value>) -> Self {
        let mut objects = Objects::default();
        let built_in = BUILT_IN.map(|(group, version, kind, plural, is_namespaced)| {
            Kind::new([group, version, kind, plural], is_namespaced)
        });
        objects.kinds.extend(built_in);
        let definitions = documents.iter().filter(|it| it["kind"] == "CustomResourceDefinition");
        objects.kinds.extend(definitions.map(Kind::of_definition));
        for mut document in documents {
            if document["kind"] == "CustomResourceDefinition" {
                document["status"] = json!({ "conditions": [{ "type": "Established", "status": "True" }] });
            }
            objects.put(document);
        }
        for kind in &mut objects.kinds {
            kind.changes.clear();
            kind.forgotten = objects.version;
        }
        let world = Arc::new(World { versions: watch::Sender::new(objects.version), state: Mutex::new(objects) });
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).thread_name("double").enable_all().build().expect("a runtime");
        let router = Router::new().fallback(answer).with_state(world.clone());
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).expect("a port");
        let address = listener.local_addr().expect("an address");
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("no delay"));
        runtime.spawn(async { axum::serve(listener, router).await });
        let files = TempDir::new().expect("a folder");
        let kubeconfig = files.path().join("kubeconfig");
        std::fs::write(&kubeconfig, kubeconfig_for(address).to_string()).expect("room");
        Self { kubeconfig, world, _files: files, runtime: Some(runtime) }
    }

    /// Makes these changes, each of which watches tell of.
    pub fn make(&self, edits: Vec<Edit>) {
        let mut objects = self.world.lock();
        for edit in edits {
            match edit {
                Edit::Put(document) => objects.put(document),
                Edit::Remove(document) => objects.remove(document),
            }
        }
        self.world.versions.send_replace(objects.version);
    }
}

fn kubeconfig_for(address: SocketAddr) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "double", "cluster": { "server": format!("http://{address}") } }],
        "users": [{ "name": "double", "user": {} }],
        "contexts": [{ "name": "double", "context": { "cluster": "double", "user": "double" } }],
        "current-context": "double",
    })
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.state.lock().expect("nobody panics with it")
    }
}

impl Objects {
    fn kind_of(&mut self, document: &Value) -> &mut Kind {
        let api_version = document["apiVersion"].as_str().expect("a version");
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let mut kinds = self.kinds.iter_mut();
        kinds.find(|it| it.group == group && document["kind"] == it.name.as_str()).expect("a kind that is served")
    }

    fn put(&mut self, mut document: Value) {
        self.version += 1;
        let version = self.version;
        let name = name(&document);
        adorn(&mut document, version);
        let kind = self.kind_of(&document);
        let object = Stored::new(&document);
        let before = kind.objects.insert(name, object.clone());
        kind.changed(Change { version, what: if before.is_some() { "MODIFIED" } else { "ADDED" }, object });
    }

    fn remove(&mut self, mut document: Value) {
        self.version += 1;
        let version = self.version;
        let kind = self.kind_of(&document);
        kind.objects.remove(&name(&document)).expect("an object that is there");
        adorn(&mut document, version);
        kind.changed(Change { version, what: "DELETED", object: Stored::new(&document) });
    }

    /// The kind whose objects are at this path.
    fn at(&self, path: &str) -> Option<&Kind> {
        self.kinds
            .iter()
            .find(|it| path.strip_prefix(it.group_version_path().as_str()) == Some(&format!("/{}", it.plural)))
    }
}

fn name(document: &Value) -> Name {
    let text = |field: &str| document["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// Adds what a server adds.
fn adorn(document: &mut Value, version: u64) {
    let created = "2026-01-01T00:00:00Z";
    let managed = json!([{
        "apiVersion": document["apiVersion"], "fieldsType": "FieldsV1", "manager": "kubectl", "operation": "Apply",
        "fieldsV1": { "f:metadata": { "f:labels": {} }, "f:spec": { "f:type": {}, "f:description": {} } },
        "time": created,
    }]);
    let metadata = &mut document["metadata"];
    metadata["resourceVersion"] = json!(version.to_string());
    metadata["generation"] = json!(1);
    metadata["creationTimestamp"] = json!(created);
    metadata["managedFields"] = managed;
}

impl Kind {
    fn new([group, version, kind, plural]: [&str; 4], is_namespaced: bool) -> Self {
        Self {
            group: group.into(),
            version: version.into(),
            name: kind.into(),
            plural: plural.into(),
            is_namespaced,
            objects: BTreeMap::new(),
            changes: VecDeque::new(),
            forgotten: 0,
        }
    }

    /// In the version that is stored.
    fn of_definition(definition: &Value) -> Self {
        let spec = &definition["spec"];
        let stored = spec["versions"].as_array().expect("versions").iter().find(|it| it["storage"] == true);
        let parts = [&spec["group"], &stored.expect("one")["name"], &spec["names"]["kind"], &spec["names"]["plural"]];
        Self::new(parts.map(|it| it.as_str().expect("text")), spec["scope"] == "Namespaced")
    }

    fn group_version_path(&self) -> String {
        match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        }
    }

    fn api_version(&self) -> String {
        self.group_version_path().trim_start_matches("/apis/").trim_start_matches("/api/").to_owned()
    }

    fn changed(&mut self, change: Change) {
        self.changes.push_back(change);
        if self.changes.len() > REMEMBERED
            && let Some(oldest) = self.changes.pop_front()
        {
            self.forgotten = oldest.version;
        }
    }

    fn list(&self, version: u64, query: &Query, is_metadata: bool) -> Body {
        let limit = query.number("limit").filter(|it| *it > 0).unwrap_or(usize::MAX);
        let first = query.number("continue").unwrap_or_default();
        let mut texts = self.objects.values().filter_map(|it| it.text(query, is_metadata)).skip(first);
        let page: Vec<Bytes> = texts.by_ref().take(limit).collect();
        let remaining = texts.count();
        let mut metadata = json!({ "resourceVersion": version.to_string() });
        if remaining > 0 {
            metadata["continue"] = json!((first + page.len()).to_string());
            metadata["remainingItemCount"] = json!(remaining);
        }
        let (api_version, kind) = if is_metadata {
            ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata")
        } else {
            (self.api_version(), self.name.as_str())
        };
        let head = format!(r#"{{"apiVersion":"{api_version}","kind":"{kind}List","metadata":{metadata},"items":["#);
        pieces_of(head, page)
    }

    /// What a watch tells that has told all up to a version; `None` where some of it is forgotten.
    fn told_after(&self, version: u64, query: &Query, is_metadata: bool) -> Option<Bytes> {
        if version < self.forgotten {
            return None;
        }
        let mut told = vec![];
        let first = self.changes.partition_point(|it| it.version <= version);
        for change in self.changes.range(first..) {
            if let Some(text) = change.object.text(query, is_metadata) {
                told.extend_from_slice(format!(r#"{{"type":"{}","object":"#, change.what).as_bytes());
                told.extend_from_slice(&text);
                told.extend_from_slice(b"}\n");
            }
        }
        Some(told.into())
    }
}

/// A list in pieces of some size, each made when it is its turn.
fn pieces_of(head: String, page: Vec<Bytes>) -> Body {
    let (mut piece, mut page) = (head.into_bytes(), page.into_iter().enumerate());
    let mut is_over = false;
    let next = move || {
        while !is_over && piece.len() < PIECE {
            if let Some((n, text)) = page.next() {
                if n > 0 {
                    piece.push(b',');
                }
                piece.extend_from_slice(&text);
            } else {
                piece.extend_from_slice(b"]}");
                is_over = true;
            }
        }
        Some(Bytes::from(std::mem::take(&mut piece))).filter(|it| !it.is_empty())
    };
    Body::from_stream(stream::iter(std::iter::from_fn(next).map(Ok::<_, Infallible>)))
}

impl Stored {
    fn new(document: &Value) -> Self {
        let is_labeled = !document["metadata"]["labels"][LABEL].is_null();
        let metadata = || {
            let kind = "PartialObjectMetadata";
            json!({ "apiVersion": "meta.k8s.io/v1", "kind": kind, "metadata": document["metadata"] }).to_string().into()
        };
        Self { whole: document.to_string().into(), labeled: is_labeled.then(metadata) }
    }

    /// What is sent of it, if it is asked for. The only selector that is understood is the one for the label.
    fn text(&self, query: &Query, is_metadata: bool) -> Option<Bytes> {
        if query.0.contains("labelSelector=") && self.labeled.is_none() {
            return None;
        }
        if is_metadata { self.labeled.clone() } else { Some(self.whole.clone()) }
    }
}

/// The query of a request.
struct Query(String);

impl Query {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.split('&').find_map(|it| it.strip_prefix(name)?.strip_prefix('='))
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }
}

async fn answer(State(world): State<Arc<World>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let query = Query(request.uri().query().unwrap_or_default().to_owned());
    let accepted = request.headers().get(header::ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let is_metadata = accepted.contains(METADATA);
    match path.as_str() {
        "/version" => told(&json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.0" })),
        "/apis" => told(&groups(&world.lock())),
        path if path.ends_with("/tokenreviews") || path.ends_with("/subjectaccessreviews") => {
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
            told(&reviewed(serde_json::from_slice(&body).unwrap_or_default()))
        }
        path => {
            let objects = world.lock();
            match objects.at(path) {
                Some(_) if query.get("watch") == Some("true") => {
                    drop(objects);
                    json_of(watched(world.clone(), path.to_owned(), query, is_metadata))
                }
                Some(kind) => json_of(kind.list(objects.version, &query, is_metadata)),
                None => match resources(&objects, path) {
                    Some(resources) => told(&resources),
                    None => absent(path),
                },
            }
        }
    }
}

fn told(value: &Value) -> Response {
    json_of(Body::from(value.to_string()))
}

fn json_of(body: Body) -> Response {
    Response::builder().header(header::CONTENT_TYPE, "application/json").body(body).expect("a response")
}

fn absent(path: &str) -> Response {
    let words = format!("nothing is served at {path}");
    let mut response =
        told(&json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "message": words }));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn groups(objects: &Objects) -> Value {
    let named: BTreeMap<_, _> =
        objects.kinds.iter().filter(|it| !it.group.is_empty()).map(|it| (&it.group, &it.version)).collect();
    let group = |(name, version): (&String, &String)| {
        let version = json!({ "groupVersion": format!("{name}/{version}"), "version": version });
        json!({ "name": name, "versions": [version], "preferredVersion": version })
    };
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": named.into_iter().map(group).collect::<Vec<_>>() })
}

fn resources(objects: &Objects, path: &str) -> Option<Value> {
    let resource = |it: &Kind| {
        let verbs = ["get", "list", "watch"];
        json!({ "name": it.plural, "kind": it.name, "namespaced": it.is_namespaced, "verbs": verbs })
    };
    let here: Vec<_> = objects.kinds.iter().filter(|it| it.group_version_path() == path).map(resource).collect();
    (!here.is_empty()).then(|| json!({ "kind": "APIResourceList", "apiVersion": "v1", "resources": here }))
}

/// Every token is somebody's, who may do everything.
fn reviewed(mut review: Value) -> Value {
    let spec = &review["spec"];
    review["status"] = match spec["token"].as_str() {
        Some(token) => {
            // Not for the audience that nobody has, which is asked for to be asked afresh.
            let audiences: Vec<_> = spec["audiences"].as_array().into_iter().flatten().take(1).collect();
            let user = json!({ "username": format!("user:{token}"), "groups": ["system:authenticated"] });
            json!({ "authenticated": true, "user": user, "audiences": audiences })
        }
        None => json!({ "allowed": true }),
    };
    review
}

/// Tells of changes for as long as it was asked to.
fn watched(world: Arc<World>, path: String, query: Query, is_metadata: bool) -> Body {
    let ends = Instant::now() + Duration::from_secs(query.number("timeoutSeconds").unwrap_or(LASTS));
    let version = query.number("resourceVersion").unwrap_or_default();
    let versions = world.versions.subscribe();
    let state = (world, versions, version);
    let pieces = stream::unfold(Some(state), move |state| {
        let (path, query) = (path.clone(), Query(query.0.clone()));
        async move {
            let (world, mut versions, mut version) = state?;
            loop {
                let news = {
                    let objects = world.lock();
                    // What is told next comes after what is here now.
                    versions.mark_unchanged();
                    let news = objects.at(&path)?.told_after(version, &query, is_metadata);
                    version = objects.version;
                    news
                };
                match news {
                    None => return Some((expired(), None)),
                    Some(news) if !news.is_empty() => return Some((news, Some((world, versions, version)))),
                    Some(_) => (),
                }
                let quiet = tokio::time::timeout_at(ends.min(Instant::now() + SILENCE), versions.changed()).await;
                if Instant::now() >= ends {
                    return None;
                }
                if quiet.is_err() {
                    let bookmark = bookmark(&world, &path, version);
                    return Some((bookmark, Some((world, versions, version))));
                }
            }
        }
    });
    Body::from_stream(pieces.map(Ok::<_, Infallible>))
}

fn bookmark(world: &World, path: &str, version: u64) -> Bytes {
    let objects = world.lock();
    let kind = objects.at(path).expect("a kind that was there before");
    let metadata = json!({ "resourceVersion": version.to_string() });
    let object = json!({ "apiVersion": kind.api_version(), "kind": kind.name, "metadata": metadata });
    format!("{}\n", json!({ "type": "BOOKMARK", "object": object })).into()
}

fn expired() -> Bytes {
    let status = json!({ "kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version" });
    format!("{}\n", json!({ "type": "ERROR", "object": status })).into()
}
