//! Connections: accepted, served, and brought to an end.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::config::ConfigError;

/// How long the header fields of a request may take to arrive.
const MAX_HEADER_TIME: Duration = Duration::from_secs(10);
/// How much of a request's head is read before it is refused, in bytes. More than the API's own limits, so that those
/// answer first.
const MAX_HEAD: usize = 128 * 1024;
/// How many header fields are read.
const MAX_FIELDS: usize = 256;
/// How long answers under way may take to finish once the service is told to end.
const MAX_DRAIN: Duration = Duration::from_secs(20);
/// How long to wait before accepting again when the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens on an address.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
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
        Ok(Self { listener, address })
    }

    /// Where it listens; the port is the real one when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stopped` turns true, then finishes what is under way.
    pub async fn run(self, router: Router, mut stopped: watch::Receiver<bool>) {
        let connections = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                // An error means that whoever could stop us is gone, which is a reason to stop.
                _ = stopped.wait_for(|it| *it) => break,
            };
            match accepted {
                Ok((stream, peer)) => serve(stream, peer, router.clone(), &connections),
                Err(error) => {
                    warn!(%error, "A connection cannot be accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        drop(self.listener);
        if tokio::time::timeout(MAX_DRAIN, connections.shutdown()).await.is_err() {
            warn!("Some answers took longer than {MAX_DRAIN:?} to finish and were cut off");
        }
    }
}

fn serve(stream: TcpStream, peer: SocketAddr, router: Router, connections: &GracefulShutdown) {
    // Answers are written at once; waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(MAX_HEADER_TIME)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%peer, %error, "A connection ended early: {error}");
        }
    });
}
