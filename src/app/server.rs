//! Connections: accepted while there is room, served, and brought to an end.
//!
//! Whoever connects is not trusted. No connection may hold its place without getting on: there is a limit on how long
//! a handshake, the head of a request, the taking of an answer and a silence may last.

pub mod files;
pub mod tls;

mod answers;
mod connection;
mod impatient;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{debug, warn};

pub use self::connection::Answering;
use self::connection::Service;
use self::tls::Tls;
use crate::config::ConfigError;

/// How long to wait before accepting again when the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// What a connection may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many connections there may be at once; more wait until one ends.
    pub connections: u32,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long the header fields of a request may take to arrive, and the first request of a connection to begin.
    pub head: Duration,
    /// How long a client may leave an answer lying without taking anything of it, and how long it may take for all of it, beside
    /// a second for each `rate`.
    pub stall: Duration,
    /// How many bytes of an answer a client has to take in a second, at the least.
    pub rate: u32,
    /// How long an HTTP/2 connection without requests is kept once somebody with a good token has asked on it. Others are
    /// kept for as long as a head may take, as are those of HTTP/1.1.
    pub idle: Duration,
    /// After which time without a word a client of HTTP/2 is asked whether it is there, and how long it may take to say so.
    pub ping: Duration,
    pub pong: Duration,
    /// How long answers under way may take to finish once the service is told to end.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connections: 1024,
            handshake: seconds(10),
            head: seconds(10),
            stall: seconds(30),
            rate: 32 << 10,
            idle: seconds(90),
            ping: seconds(20),
            pong: seconds(10),
            drain: seconds(20),
        }
    }
}

/// Listens on an address.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    leaving: Arc<AtomicBool>,
    load: Load,
}

/// How many connections there are.
#[derive(Debug, Clone)]
pub struct Load {
    open: Arc<AtomicUsize>,
    limit: u32,
}

impl Load {
    fn of(limits: &Limits) -> Self {
        Self { open: Arc::default(), limit: limits.connections }
    }

    /// How many there may be.
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// How many there are.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Counts one for as long as it is held.
    fn count(&self) -> Counted {
        self.open.fetch_add(1, Ordering::Relaxed);
        Counted(self.open.clone())
    }
}

/// One of those that are open.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server {
    /// # Errors
    /// When nobody can listen there.
    pub async fn bind(flag: &str, address: SocketAddr) -> Result<Self, ConfigError> {
        let failed = |error: std::io::Error| {
            ConfigError::new(
                format!("{flag} {address}: {error}."),
                "Choose an address of this machine and a free port.",
            )
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let limits = Limits::default();
        Ok(Self { listener, address, load: Load::of(&limits), limits, tls: None, leaving: Arc::default() })
    }

    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { load: Load::of(&limits), limits, ..self }
    }

    /// Without, connections are not encrypted.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// When this turns true the service is about to end, and still answers everybody; but each answer of HTTP/1.1 is the
    /// last one of its connection. So a connection ends when its client knows, and not while a request is on its way.
    #[must_use]
    pub fn with_leaving(self, leaving: Arc<AtomicBool>) -> Self {
        Self { leaving, ..self }
    }

    /// What tells how many connections there are, for as long as it runs.
    pub fn load(&self) -> Load {
        self.load.clone()
    }

    /// Where it listens; the port is the real one when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Whether others than this machine reach it, and nothing is encrypted.
    pub fn is_overheard(&self) -> bool {
        self.tls.is_none() && !self.address.ip().to_canonical().is_loopback()
    }

    /// Serves until `stopped` turns true, then finishes what is under way.
    pub async fn run(self, router: impl Answering, mut stopped: watch::Receiver<bool>) {
        let Self { listener, limits, tls, load, leaving, .. } = self;
        let places = Arc::new(Semaphore::new(limits.connections as usize));
        let (all, drain) = (limits.connections, limits.drain);
        let service = Arc::new(Service { router, limits, tls, leaving });
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &places) => accepted,
                // An error means that whoever could stop us is gone, which is a reason to stop.
                _ = stopped.wait_for(|it| *it) => break,
            };
            match accepted {
                Ok((place, stream, peer)) => {
                    let served = service.clone().serve(stream, peer, stopped.clone());
                    let counted = load.count();
                    tokio::spawn(async move {
                        let _counted = counted;
                        if let Err(reason) = served.await {
                            debug!(from = %peer.ip(), %reason, "A connection ended early: {reason}");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(reason = %error, "A connection cannot be accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        drop(listener);
        // Who has all places is alone.
        if tokio::time::timeout(drain, places.acquire_many(all)).await.is_err() {
            warn!("Some answers took longer than {drain:?} to finish and were cut off");
        }
    }
}

/// The next connection, once there is a place for it: until then it waits in the queue of the system.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let place = places.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((place, stream, peer))
}
