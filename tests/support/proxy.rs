//! The way to an API server, with faults: plain HTTP in, HTTPS out. What passes is recorded.

mod exchange;
mod fault;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use hyper::Method;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::config::AuthInfo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::fault::{Fault, How};
use super::cluster::{Cluster, config};

/// A proxy between a client and the server of a cluster. It ends when it is dropped, and its connections with it.
pub struct Proxy {
    way: Arc<Way>,
    kubeconfig: PathBuf,
    task: JoinHandle<()>,
}

/// One request, as the server understands it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    /// `list`, `watch`, `get` or `other`.
    pub verb: &'static str,
    /// Empty for the core and for what is no resource.
    pub group: String,
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub path: String,
    pub query: String,
    pub at: Instant,
}

/// What all connections share.
struct Way {
    server: Client,
    seen: Mutex<Vec<Seen>>,
    faults: Mutex<Faults>,
    /// Counts what changed in the faults, so that who waits finds out.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Faults {
    active: Vec<Fault>,
    /// How often all was healed.
    heals: u64,
    /// How many connections there were until now.
    connections: u64,
    /// The connections before this one lead nowhere.
    lost: u64,
}

impl Proxy {
    /// For the administrator.
    pub async fn start(cluster: &Cluster) -> Self {
        Self::start_as(cluster, &cluster.admin_token()).await
    }

    pub async fn start_as(cluster: &Cluster, token: &str) -> Self {
        let mut config = config(cluster.kubeconfig()).await;
        // Who asks says who it is.
        config.auth_info = AuthInfo::default();
        let way = Arc::new(Way {
            server: Client::try_from(config).expect("a client"),
            seen: Mutex::default(),
            faults: Mutex::default(),
            changes: watch::Sender::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let kubeconfig = cluster.kubeconfig_with(&address, token);
        let task = tokio::spawn(accept(listener, way.clone()));
        Self { way, kubeconfig, task }
    }

    /// Leads through the proxy. It is kept as long as the cluster.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The requests until now, those included that were not passed on.
    pub fn requests(&self) -> Vec<Seen> {
        self.way.seen.lock().unwrap().clone()
    }

    pub fn forget(&self) {
        self.way.seen.lock().unwrap().clear();
    }

    /// From now on, until [`Self::heal`] or as often as the fault says. The first that matches acts.
    pub fn inject(&self, fault: Fault) {
        self.way.faults.lock().unwrap().active.push(fault);
        self.way.changed();
    }

    /// Ends all faults.
    pub fn heal(&self) {
        let mut faults = self.way.faults.lock().unwrap();
        if faults.active.iter().any(|it| it.is_for_all() && matches!(it.how, How::Hang { resume: false })) {
            faults.lost = faults.connections;
        }
        faults.active.clear();
        faults.heals += 1;
        drop(faults);
        self.way.changed();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Way {
    fn changed(&self) {
        self.changes.send_modify(|it| *it += 1);
    }

    /// Is everything refused? Counts as one refusal.
    fn refuses(&self) -> bool {
        let refuses = |it: &Fault| it.is_for_all() && matches!(it.how, How::Refuse);
        self.faults.lock().unwrap().take(refuses).is_some()
    }
}

impl Faults {
    /// The first fault of this kind, once.
    fn take(&mut self, is_meant: impl Fn(&Fault) -> bool) -> Option<How> {
        let place = self.active.iter().position(is_meant)?;
        let fault = &mut self.active[place];
        let how = fault.how.clone();
        if let Some(times) = &mut fault.times {
            *times -= 1;
            if *times == 0 {
                self.active.remove(place);
            }
        }
        Some(how)
    }
}

async fn accept(listener: TcpListener, way: Arc<Way>) {
    // Ends its connections with itself.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                if !way.refuses() {
                    connections.spawn(serve(stream, way.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, way: Arc<Way>) {
    let _ = stream.set_nodelay(true);
    let mut changes = way.changes.subscribe();
    let number = {
        let mut faults = way.faults.lock().unwrap();
        faults.connections += 1;
        faults.connections - 1
    };
    let service = service_fn(|request| exchange::answer(way.clone(), number, request));
    let mut connection = std::pin::pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    loop {
        tokio::select! {
            _ = &mut connection => return,
            _ = changes.changed() => if way.refuses() { return },
        }
    }
}
