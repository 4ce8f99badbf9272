//! Where an API server comes from, and its processes.

use std::ffi::OsString;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use super::{ADMIN, PATIENCE, client, pause};
use crate::support::callers::users;

/// The version of Kubernetes that `tests/kube-apiserver/go.mod` names.
const VERSION: (&str, &str, &str) = ("v1.36.3", "1", "36");

const ISSUER: &str = "https://kubernetes.default.svc";

static BUILT: OnceLock<PathBuf> = OnceLock::new();

/// In the order in which they are looked for.
#[derive(Clone)]
pub enum Source {
    /// The kubeconfig of a cluster that the developer chose.
    External(PathBuf),
    /// A folder with `etcd` and `kube-apiserver`.
    Assets(PathBuf),
    /// Both in one program, which we build.
    Built(PathBuf),
}

impl Source {
    /// Builds it if need be, which takes minutes the first time.
    pub fn find() -> Self {
        let set = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        if let Some(kubeconfig) = set("EVENTMESH_TEST_KUBECONFIG") {
            return Self::External(kubeconfig);
        }
        if let Some(folder) = set("KUBEBUILDER_ASSETS") {
            return Self::Assets(folder);
        }
        Self::Built(BUILT.get_or_init(build).clone())
    }
}

fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("kube-apiserver");
    std::fs::create_dir_all(&target).unwrap();
    let program = target.join("kube-apiserver");
    // Test crates may run side by side. The lock ends with the file.
    let lock = File::create(target.join("lock")).unwrap();
    lock.lock().unwrap();
    let (full, major, minor) = VERSION;
    let name = "k8s.io/component-base/version.git";
    // Without it the server says that it is v0.0.0.
    let flags = format!("-s -w -X {name}Version={full} -X {name}Major={major} -X {name}Minor={minor}");
    let output = Command::new("go")
        .args(["build", "-buildvcs=false", "-ldflags", &flags, "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kube-apiserver"))
        .output();
    let otherwise = "Set KUBEBUILDER_ASSETS to a folder with the programs etcd and kube-apiserver (setup-envtest makes \
                     one), or EVENTMESH_TEST_KUBECONFIG to the kubeconfig of a cluster to test with";
    match output {
        Ok(output) if output.status.success() => program,
        Ok(output) => panic!(
            "the API server of the tests does not build; {otherwise}.\n{}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => {
            panic!("the API server of the tests is built with Go, and `go` does not run: {error}. {otherwise}")
        }
    }
}

/// The processes of an API server, and the folder of all that they keep.
pub struct Server {
    source: Source,
    data: PathBuf,
    port: u16,
    audit: bool,
    processes: Vec<Child>,
}

impl Server {
    pub async fn start(source: Source, folder: &Path, audit: bool) -> Self {
        let mut server = Self { source, data: folder.join("data"), port: 0, audit, processes: Vec::new() };
        std::fs::create_dir_all(&server.data).unwrap();
        server.run().await;
        server
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.data.join("kubeconfig")
    }

    pub fn etcd(&self) -> PathBuf {
        self.data.join("etcd")
    }

    pub fn signing_key(&self) -> PathBuf {
        self.data.join("service-account.key")
    }

    pub fn audit_log(&self) -> String {
        assert!(self.audit, "this server does not log its requests");
        std::fs::read_to_string(self.data.join("audit.log")).unwrap_or_default()
    }

    pub fn is_running(&self) -> bool {
        !self.processes.is_empty()
    }

    /// Starts, and waits until it is ready. The first time it takes a free port, and another one if somebody else was
    /// faster; later it has to have the same.
    pub async fn run(&mut self) {
        let first = self.port == 0;
        let began = Instant::now();
        loop {
            if first {
                self.port = free_port();
            }
            self.processes = match self.source.clone() {
                Source::External(_) => unreachable!("nothing to start"),
                Source::Assets(folder) => self.run_assets(&folder),
                Source::Built(program) => vec![self.run_built(&program)],
            };
            if self.is_ready().await {
                return;
            }
            self.end("KILL").await;
            assert!(began.elapsed() < PATIENCE, "the API server does not start:\n{}", self.log());
        }
    }

    /// False if a process ends instead.
    async fn is_ready(&mut self) -> bool {
        let began = Instant::now();
        while self.processes.iter_mut().all(|it| it.try_wait().unwrap().is_none()) {
            // The server makes its certificate first; before that, there is nobody to trust.
            if self.data.join("certs/apiserver.crt").exists() && self.kubeconfig().exists() {
                let request = hyper::Request::get("/readyz").body(Vec::new()).unwrap();
                if client(&self.kubeconfig()).await.request_text(request).await.is_ok() {
                    return true;
                }
            }
            assert!(began.elapsed() < PATIENCE, "the API server does not become ready:\n{}", self.log());
            pause().await;
        }
        false
    }

    /// Ends all processes with a signal, and waits until they are gone.
    pub async fn end(&mut self, signal: &str) {
        // The server before its etcd.
        for mut process in self.processes.drain(..).rev() {
            if process.try_wait().unwrap().is_none() {
                let _ = Command::new("kill").args([&format!("-{signal}"), &process.id().to_string()]).status();
            }
            let began = Instant::now();
            while process.try_wait().unwrap().is_none() {
                assert!(began.elapsed() < PATIENCE, "the API server does not end");
                pause().await;
            }
        }
    }

    fn run_built(&self, program: &Path) -> Child {
        let mut command = Command::new(program);
        command.arg("--data").arg(&self.data).arg(format!("--port={}", self.port)).arg(format!("--users={}", users()));
        if self.audit {
            command.arg("--audit");
        }
        self.spawn(&mut command)
    }

    /// The same as the program that we build does, with two processes.
    fn run_assets(&self, folder: &Path) -> Vec<Child> {
        let at = |name: &str| self.data.join(name);
        let option = |name: &str, value: &Path| {
            let mut option = OsString::from(format!("--{name}="));
            option.push(value);
            option
        };
        let clients = format!("http://127.0.0.1:{}", free_port());
        let mut etcd = Command::new(folder.join("etcd"));
        etcd.arg(option("data-dir", &self.etcd())).args([
            format!("--listen-client-urls={clients}"),
            format!("--advertise-client-urls={clients}"),
            format!("--listen-peer-urls=http://127.0.0.1:{}", free_port()),
            "--log-level=error".into(),
            "--unsafe-no-fsync".into(),
        ]);

        let key = at("service-account.key");
        if !key.exists() {
            let made = Command::new("openssl").arg("genrsa").arg("-out").arg(&key).arg("2048").output();
            assert!(made.is_ok_and(|it| it.status.success()), "with KUBEBUILDER_ASSETS, `openssl genrsa` has to run");
        }
        std::fs::write(at("tokens.csv"), format!("{ADMIN},admin,admin,system:masters\n{}", users())).unwrap();
        let kubeconfig = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "test", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.port),
                "certificate-authority": at("certs/apiserver.crt"),
            } }],
            "users": [{ "name": "admin", "user": { "token": ADMIN } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "admin" } }],
            "current-context": "test",
        });
        std::fs::write(self.kubeconfig(), kubeconfig.to_string()).unwrap();

        let mut server = Command::new(folder.join("kube-apiserver"));
        server
            .args([
                format!("--etcd-servers={clients}"),
                "--bind-address=127.0.0.1".into(),
                format!("--secure-port={}", self.port),
                format!("--service-account-issuer={ISSUER}"),
                format!("--api-audiences={ISSUER}"),
                "--authorization-mode=RBAC".into(),
                "--disable-admission-plugins=ServiceAccount".into(),
                "--service-cluster-ip-range=10.0.0.0/16".into(),
            ])
            .arg(option("cert-dir", &at("certs")))
            .arg(option("service-account-key-file", &key))
            .arg(option("service-account-signing-key-file", &key))
            .arg(option("token-auth-file", &at("tokens.csv")));
        if self.audit {
            let policy = serde_json::json!({
                "apiVersion": "audit.k8s.io/v1",
                "kind": "Policy",
                "omitStages": ["RequestReceived"],
                "rules": [{ "level": "Metadata" }],
            });
            std::fs::write(at("audit-policy.yaml"), policy.to_string()).unwrap();
            server
                .arg(option("audit-policy-file", &at("audit-policy.yaml")))
                .arg(option("audit-log-path", &at("audit.log")));
        }
        vec![self.spawn(&mut etcd), self.spawn(&mut server)]
    }

    /// Standard input stays open as long as the test lives: that is how the program that we build ends with it, however
    /// the test ends.
    fn spawn(&self, command: &mut Command) -> Child {
        let log = File::options().create(true).append(true).open(self.data.join("log")).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        command.spawn().unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()))
    }

    /// The end of what the processes said.
    fn log(&self) -> String {
        let log = std::fs::read(self.data.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // etcd panics when its folder goes first.
        for process in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A port below those that systems give to outgoing connections: nobody gets it by accident before the server does.
pub fn free_port() -> u16 {
    loop {
        let port = 20_000 + u16::try_from(RandomState::new().hash_one(()) % 12_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
