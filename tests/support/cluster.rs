//! A real API server for a test: one of its own, unless the developer names a cluster.
//!
//! No controller runs beside it: nothing is collected, no namespace is ever removed, and nobody writes a status but the
//! test.

mod objects;
pub mod server;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Request;
use kube::Client;
use kube::config::{AuthInfo, Config, KubeConfigOptions, Kubeconfig};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OwnedMutexGuard;

use self::objects::Kind;
use self::server::{Server, Source};

/// The token of the user who may do everything.
pub const ADMIN: &str = "admin-token";

/// How long anything may take that should take no time. It is never waited for when things go well; a server shares its
/// processors with a whole test run.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A running API server and its administrator.
pub struct Cluster {
    // Dropped first: the process ends before its folder goes.
    server: Option<Server>,
    files: TempDir,
    kubeconfig: PathBuf,
    client: Client,
    /// By API version and kind.
    kinds: Mutex<HashMap<(String, String), Arc<Kind>>>,
    /// When a definition was applied last.
    defined: Mutex<Option<Instant>>,
    /// One test at a time has an external cluster.
    _turn: Option<OwnedMutexGuard<()>>,
    /// What an external cluster has to be rid of.
    applied: Mutex<Vec<Value>>,
    written: AtomicUsize,
}

/// What a server kept at some time.
pub struct Saved(TempDir);

/// One request, as the audit log has it.
#[derive(Clone, Debug, Default)]
pub struct AuditEvent {
    pub verb: String,
    pub uri: String,
    pub user: String,
    pub user_agent: String,
    pub group: String,
    /// With its subresource, as `triggers/status`.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    /// Of the answer, 0 if there is none yet.
    pub code: u16,
}

static TURN: LazyLock<Arc<tokio::sync::Mutex<()>>> = LazyLock::new(Arc::default);

impl Drop for Cluster {
    /// Leaves an external cluster as it was.
    fn drop(&mut self) {
        if !self.is_external() {
            return;
        }
        // Nothing can be waited for where a cluster is dropped.
        std::thread::scope(|scope| {
            let wipe = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    self.client = client(&self.kubeconfig).await;
                    self.wipe().await;
                });
            });
            let _ = wipe.join();
        });
    }
}

impl Cluster {
    /// A server of its own, on an empty folder.
    pub async fn start() -> Self {
        Self::of(false).await
    }

    /// A server that logs its requests.
    pub async fn start_with_audit() -> Self {
        Self::of(true).await
    }

    async fn of(audit: bool) -> Self {
        // Another test may have been faster.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let files = TempDir::new().unwrap();
        let source = tokio::task::spawn_blocking(Source::find).await.unwrap();
        let (server, kubeconfig) = match source {
            Source::External(kubeconfig) => (None, kubeconfig),
            source => {
                let server = Server::start(source, files.path(), audit).await;
                let kubeconfig = server.kubeconfig();
                (Some(server), kubeconfig)
            }
        };
        let client = client(&kubeconfig).await;
        let turn = if server.is_none() { Some(TURN.clone().lock_owned().await) } else { None };
        Self {
            server,
            _turn: turn,
            files,
            kubeconfig,
            client,
            kinds: Mutex::default(),
            defined: Mutex::default(),
            applied: Mutex::default(),
            written: AtomicUsize::default(),
        }
    }

    /// Is it a cluster that the developer chose? That one is not ended, restored or audited.
    pub fn is_external(&self) -> bool {
        self.server.is_none()
    }

    /// The administrator.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Where it listens, as `https://127.0.0.1:20000`.
    pub fn server(&self) -> String {
        let (cluster, _) = self.identities();
        cluster.server.expect("a server").trim_end_matches('/').to_owned()
    }

    /// The certificate of its authority, in PEM.
    pub fn authority(&self) -> String {
        let (cluster, _) = self.identities();
        if let Some(file) = cluster.certificate_authority {
            return std::fs::read_to_string(file).expect("the certificate of the authority");
        }
        let data = cluster.certificate_authority_data.expect("a certificate of an authority");
        String::from_utf8(STANDARD.decode(data).expect("base64")).expect("PEM")
    }

    /// The token of the administrator.
    pub fn admin_token(&self) -> String {
        let (_, user) = self.identities();
        // The type hides its token, except where it is written.
        let user = serde_json::to_value(user).unwrap();
        user["token"].as_str().expect("the kubeconfig has to carry a token").to_owned()
    }

    fn identities(&self) -> (kube::config::Cluster, AuthInfo) {
        let file = Kubeconfig::read_from(&self.kubeconfig).expect("a kubeconfig");
        let current = file.current_context.as_deref().expect("a current context");
        let context = file.contexts.iter().find(|it| it.name == current).and_then(|it| it.context.clone()).unwrap();
        let cluster = file.clusters.into_iter().find(|it| it.name == context.cluster).and_then(|it| it.cluster);
        let user = file.auth_infos.into_iter().find(|it| Some(&it.name) == context.user.as_ref());
        (cluster.expect("a cluster"), user.and_then(|it| it.auth_info).unwrap_or_default())
    }

    /// A kubeconfig for this token at this address, which may be one in front of the server.
    pub fn kubeconfig_with(&self, server: &str, token: &str) -> PathBuf {
        let (cluster, _) = self.identities();
        let mut cluster = serde_json::to_value(cluster).unwrap();
        cluster["server"] = json!(server);
        let content = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "test", "cluster": cluster }],
            "users": [{ "name": "test", "user": { "token": token } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
            "current-context": "test",
        });
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let path = self.files.path().join(format!("kubeconfig-{number}"));
        // JSON is YAML.
        std::fs::write(&path, content.to_string()).unwrap();
        path
    }

    /// A token of this service account, which is created if it is missing, for the API server.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> String {
        self.token_for(namespace, name, &[]).await
    }

    /// A token for certain audiences; without any, for the API server.
    pub async fn token_for(&self, namespace: &str, name: &str, audiences: &[&str]) -> String {
        self.token_with(namespace, name, &json!({ "audiences": audiences })).await
    }

    /// A token as this `TokenRequest` asks for.
    pub async fn token_with(&self, namespace: &str, name: &str, spec: &Value) -> String {
        self.apply(&json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "namespace": namespace, "name": name },
        }))
        .await;
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec });
        let answer = self.ask("POST", &path, Some(&request)).await.expect("a token");
        answer["status"]["token"].as_str().expect("a token").to_owned()
    }

    /// Ends it as a power cut does.
    pub async fn kill(&mut self) {
        self.own().end("KILL").await;
    }

    /// Asks it to end, and waits for that.
    pub async fn stop(&mut self) {
        self.own().end("TERM").await;
    }

    /// Starts again on the same folder and port.
    pub async fn restart(&mut self) {
        if self.own().is_running() {
            self.stop().await;
        }
        self.own().run().await;
        self.client = client(&self.kubeconfig).await;
        self.forget_kinds();
    }

    /// A copy of what the stopped server keeps.
    pub fn save(&self) -> Saved {
        let copy = TempDir::new().unwrap();
        copy_folder(&self.stopped().etcd(), copy.path());
        Saved(copy)
    }

    /// Puts back what the stopped server kept earlier.
    pub fn restore(&self, saved: &Saved) {
        let etcd = self.stopped().etcd();
        std::fs::remove_dir_all(&etcd).unwrap();
        copy_folder(saved.0.path(), &etcd);
    }

    /// The requests until now, each once; a watch counts from its first byte. Only of a server that logs them.
    pub fn audit(&self) -> Vec<AuditEvent> {
        let server = self.server.as_ref().expect("an external cluster has no audit log");
        let mut places = HashMap::new();
        let mut events: Vec<AuditEvent> = Vec::new();
        // The last line may be half there.
        for line in server.audit_log().lines() {
            let Ok(line) = serde_json::from_str::<AuditLine>(line) else { continue };
            let place = *places.entry(line.audit_id.clone()).or_insert(events.len());
            events.resize_with(events.len().max(place + 1), AuditEvent::default);
            events[place] = line.into();
        }
        events
    }

    /// The private key that its tokens are signed with, in PEM. Only of a server of its own.
    pub fn signing_key(&self) -> String {
        let server = self.server.as_ref().expect("an external cluster keeps its key");
        std::fs::read_to_string(server.signing_key()).unwrap()
    }

    fn own(&mut self) -> &mut Server {
        self.server.as_mut().expect("an external cluster is not ended by a test")
    }

    fn stopped(&self) -> &Server {
        let server = self.server.as_ref().expect("what an external cluster keeps is its own");
        assert!(!server.is_running(), "the server has to be stopped");
        server
    }

    /// Asks the server, with `APPLY` as a method of its own, and again while it says "not yet": the storage of a kind
    /// begins some time after its definition.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, kube::Error> {
        let began = Instant::now();
        loop {
            let content = body.map_or_else(Vec::new, |it| serde_json::to_vec(it).unwrap());
            let (method, format) = match method {
                "APPLY" => ("PATCH", "application/apply-patch+yaml"),
                "PATCH" => ("PATCH", "application/merge-patch+json"),
                method => (method, "application/json"),
            };
            let request = Request::builder().method(method).uri(path).header("Content-Type", format);
            let answer = self.client.request(request.body(content).unwrap()).await;
            match answer {
                Err(kube::Error::Api(status)) if status.code == 429 && began.elapsed() < PATIENCE => pause().await,
                answer => return answer,
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuditLine {
    #[serde(rename = "auditID")]
    audit_id: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    user: AuditUser,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: AuditObject,
    #[serde(default)]
    response_status: AuditStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuditUser {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AuditObject {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuditStatus {
    code: u16,
}

impl From<AuditLine> for AuditEvent {
    fn from(line: AuditLine) -> Self {
        let object = line.object_ref;
        let resource = match object.subresource.as_str() {
            "" => object.resource,
            subresource => format!("{}/{subresource}", object.resource),
        };
        Self {
            verb: line.verb,
            uri: line.request_uri,
            user: line.user.username,
            user_agent: line.user_agent,
            group: object.api_group,
            resource,
            namespace: object.namespace,
            name: object.name,
            code: line.response_status.code,
        }
    }
}

/// A client as this kubeconfig says, which does not retry by itself: a test wants to see what happens.
pub async fn client(kubeconfig: &Path) -> Client {
    Client::try_from(config(kubeconfig).await).expect("a client")
}

/// The configuration of such a client.
pub async fn config(kubeconfig: &Path) -> Config {
    let file = Kubeconfig::read_from(kubeconfig).unwrap_or_else(|error| panic!("{}: {error}", kubeconfig.display()));
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("a kubeconfig");
    config.default_retry = false;
    config
}

/// Asks again until there is something, and fails when patience ends.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{what} did not come within {PATIENCE:?}");
        pause().await;
    }
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
