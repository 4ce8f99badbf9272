//! How traces get to a collector, and what is told when they do not.
//!
//! Spans wait in a queue of the SDK, which a thread of its own empties; what does not fit is dropped. So nobody waits for a
//! collector that is away, hangs or is slow.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;
use tracing::{info, warn};

/// Why the last attempt failed, in words that do not come from the collector.
type Failure = Arc<Mutex<String>>;

/// Carries batches to a collector.
#[derive(Debug)]
pub struct Carrier {
    client: HyperClient<HttpsConnector<HttpConnector>>,
    /// The thread that asks is none of the runtime.
    runtime: Handle,
    patience: Duration,
    failure: Failure,
}

impl Carrier {
    /// # Errors
    /// When nobody's certificate could be trusted.
    pub fn new(runtime: Handle, is_encrypted: bool, patience: Duration) -> std::io::Result<Self> {
        let connector = HttpsConnectorBuilder::new();
        let connector = if is_encrypted {
            connector.with_native_roots()?.https_only().enable_http1().build()
        } else {
            let nobody = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
            connector.with_tls_config(nobody).https_or_http().enable_http1().build()
        };
        let client = HyperClient::new(connector, patience, None);
        Ok(Self { client, runtime, patience, failure: Failure::default() })
    }

    /// Where it says why it failed.
    pub fn failure(&self) -> Failure {
        self.failure.clone()
    }

    fn failed(&self, reason: String) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

#[async_trait]
impl HttpClient for Carrier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { client.send_bytes(request).await }).await?;
        match &sent {
            Ok(response) if response.status().is_success() => (),
            Ok(response) => self.failed(format!("it answers {}", response.status())),
            Err(error) if error.is::<tokio::time::error::Elapsed>() => {
                self.failed(format!("it does not answer within {} s", self.patience.as_secs()));
            }
            Err(error) => self.failed(innermost(&**error)),
        }
        sent
    }
}

/// The cause of an error: what wraps it only says that there was one.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

/// Tells when traces are not delivered any more, and when they are again: once each, and not with every batch.
pub struct Told {
    endpoint: String,
    failure: Failure,
    is_failing: AtomicBool,
}

impl Told {
    pub fn new(endpoint: &str, failure: Failure) -> Self {
        Self { endpoint: endpoint.into(), failure, is_failing: AtomicBool::new(false) }
    }

    /// Of what an exporter does.
    pub fn of<E: SpanExporter>(self, exporter: E) -> impl SpanExporter {
        Watched { told: self, exporter }
    }

    fn delivered(&self) {
        if self.is_failing.swap(false, Ordering::Relaxed) {
            info!(endpoint = self.endpoint, "Traces are delivered again");
        }
    }

    fn not_delivered(&self, error: &dyn fmt::Display) {
        if self.is_failing.swap(true, Ordering::Relaxed) {
            return;
        }
        let failure = std::mem::take(&mut *self.failure.lock().unwrap_or_else(PoisonError::into_inner));
        let reason = if failure.is_empty() { error.to_string() } else { failure };
        let endpoint = &self.endpoint;
        warn!(endpoint, reason, "Traces are not delivered to {endpoint}, and are dropped: {reason}");
    }
}

struct Watched<E> {
    told: Told,
    exporter: E,
}

impl<E> fmt::Debug for Watched<E> {
    /// Not what is inside: there may be a token for the collector in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("endpoint", &self.told.endpoint).finish_non_exhaustive()
    }
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(batch).await;
        match &exported {
            Ok(()) => self.told.delivered(),
            Err(error) => self.told.not_delivered(error),
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
