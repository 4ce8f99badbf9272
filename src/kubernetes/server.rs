//! The API server that is read: how to reach it, and what can go wrong when asking it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::BodyExt as _;
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::client::{Body, ConfigExt as _};
use kube::config::{AuthInfo, InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::{Instrument as _, Span, field, info_span};

use super::failure::{Failure, failure, words};

/// How long an answer may take to begin, unless somebody has more patience, or to go on once it has begun.
const PATIENCE: Duration = Duration::from_secs(15);
/// The largest answer that is held, in bytes: a document, or one event of a watch.
const MAX_ANSWER: usize = 64 << 20;
/// As much of an error is read, in bytes: it is words for people.
const MAX_ERROR: usize = 1 << 20;
/// The longest time that a server may ask to be left alone for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

/// Which cluster: that of a kubeconfig, or the one that the process runs in.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
}

/// Why no cluster is known.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("the kubeconfig cannot be used: {}", without_its_text(.0))]
    Kubeconfig(#[from] KubeconfigError),
    #[error("no cluster is configured: {}", without_text_of_a_kubeconfig(.0))]
    Infer(#[from] InferConfigError),
    #[error("the kubeconfig's token cannot be sent: it has characters that no token has, such as the end of a line")]
    Token,
    #[error("the cluster's configuration cannot be used: {0}")]
    Client(#[from] kube::Error),
    #[error("the address is not one")]
    Address,
    #[error(
        "the certificate authority cannot be used: it takes certificates in PEM, as in `-----BEGIN CERTIFICATE-----`"
    )]
    Authority,
}

/// In which form objects are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Whole,
    /// Only their metadata.
    Metadata,
}

impl Form {
    /// What to accept for one object, or an event with one.
    pub fn of_one(self) -> &'static str {
        match self {
            Self::Whole => "application/json",
            Self::Metadata => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
        }
    }

    /// What to accept for a list.
    pub fn of_list(self) -> &'static str {
        match self {
            Self::Whole => "application/json",
            Self::Metadata => "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
        }
    }
}

/// An API server.
#[derive(Clone)]
pub struct Server {
    config: Config,
    client: Client,
    pulse: Pulse,
    /// How long an answer may take to begin.
    patience: Duration,
}

/// Beats whenever something comes from the server.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Server {
    /// Configures the connection; nothing is asked yet.
    ///
    /// # Errors
    /// When no cluster is configured, or not so that it could be reached.
    pub async fn new(connection: &Connection) -> Result<Self, ConnectionError> {
        let config = configuration(connection).await?;
        if !has_usable_token(&config.auth_info) {
            return Err(ConnectionError::Token);
        }
        Self::of(config)
    }

    /// Another server than that of a cluster, to which nobody introduces us. Its certificate is one of the authority (in
    /// PEM) or, without one, of those that the system trusts. Nothing is asked yet. Needs a runtime of tokio.
    ///
    /// # Errors
    /// When the address or the authority is not one.
    pub fn at(url: &str, authority: Option<&str>) -> Result<Self, ConnectionError> {
        Self::of(configuration_at(url, authority)?)
    }

    /// Whether [`Server::at`] can be called like this. Needs no runtime.
    ///
    /// # Errors
    /// When the address or the authority is not one.
    pub fn can_be_at(url: &str, authority: Option<&str>) -> Result<(), ConnectionError> {
        let built = configuration_at(url, authority)?.rustls_https_connector();
        built.map(drop).map_err(|error| if authority.is_some() { ConnectionError::Authority } else { error.into() })
    }

    fn of(mut config: Config) -> Result<Self, ConnectionError> {
        // What is asked again, when, and for how long, is decided by those who know what for.
        config.default_retry = false;
        config.connect_timeout = Some(PATIENCE);
        config.headers.push((http::header::USER_AGENT, USER_AGENT));
        let client = Client::try_from(config.clone())?;
        Ok(Self { config, client, pulse: Pulse::default(), patience: PATIENCE })
    }

    /// The same server, through connections of its own.
    ///
    /// # Errors
    /// When the configuration cannot be used any more.
    pub fn with_own_connections(&self) -> Result<Self, ConnectionError> {
        Ok(Self { client: Client::try_from(self.config.clone())?, ..self.clone() })
    }

    /// The same server, with a pulse of what is asked through this one alone.
    #[must_use]
    pub fn with_own_pulse(&self) -> (Self, Pulse) {
        let pulse = Pulse::default();
        (Self { pulse: pulse.clone(), ..self.clone() }, pulse)
    }

    /// The same server, asked by somebody who waits so long for an answer to begin.
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self { patience, ..self.clone() }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.config.cluster_url.to_string()
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The version of the API server: the cheapest question that every client may ask.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn version(&self) -> Result<Info, Failure> {
        self.json("/version", Form::Whole.of_one()).await
    }

    /// Asks for a document.
    ///
    /// # Errors
    /// When there is none.
    pub async fn json<T: DeserializeOwned>(&self, path: &str, accept: &str) -> Result<T, Failure> {
        let mut answer = self.get(path, accept).await?;
        Ok(serde_json::from_slice(&answer.whole().await?)?)
    }

    /// Asks for something, and waits until an answer begins.
    ///
    /// # Errors
    /// When it does not begin, or is not the answer.
    pub async fn get(&self, path: &str, accept: &str) -> Result<Answer, Failure> {
        let request = http::Request::get(path).header(http::header::ACCEPT, accept);
        self.send(request.body(Body::empty())).await
    }

    /// Creates an object, and gives what the API server makes of it: a question, where the kind is a review.
    ///
    /// # Errors
    /// When it is not created.
    pub async fn create<T: Serialize + DeserializeOwned>(&self, path: &str, object: &T) -> Result<T, Failure> {
        let json = Form::Whole.of_one();
        let request =
            http::Request::post(path).header(http::header::CONTENT_TYPE, json).header(http::header::ACCEPT, json);
        let mut answer = self.send(request.body(Body::from(serde_json::to_vec(object)?))).await?;
        Ok(serde_json::from_slice(&answer.whole().await?)?)
    }

    async fn send(&self, request: http::Result<http::Request<Body>>) -> Result<Answer, Failure> {
        let request = request.map_err(|error| Failure::Garbled(error.to_string()))?;
        let span = self.span_of(&request);
        self.answer(request).instrument(span).await
    }

    /// The span of a question, in the words of OpenTelemetry. The query is not in it.
    fn span_of(&self, request: &http::Request<Body>) -> Span {
        let at = &self.config.cluster_url;
        info_span!(
            "ask",
            otel.name = request.method().as_str(),
            otel.kind = "client",
            otel.status_code = field::Empty,
            http.request.method = request.method().as_str(),
            url.path = request.uri().path(),
            server.address = at.host(),
            server.port = at.port_u16().map(i64::from),
            http.response.status_code = field::Empty,
            error.type = field::Empty,
        )
    }

    async fn answer(&self, request: http::Request<Body>) -> Result<Answer, Failure> {
        let sent = within(self.patience, self.client.send(request)).await;
        let sent = sent.and_then(|it| it.map_err(|error| unreachable(&error)));
        let response = sent.inspect_err(|_| failed("unreachable"))?;
        self.pulse.beat();
        let status = response.status();
        Span::current().record("http.response.status_code", i64::from(status.as_u16()));
        let retry_after = retry_after(response.headers());
        let (head, body) = response.into_parts();
        let pulse = self.pulse.clone();
        let answer = Answer { headers: head.headers, body, buffer: Vec::new(), limit: MAX_ANSWER, pulse };
        if status.is_success() {
            return Ok(answer);
        }
        failed(status.as_str());
        // The status says enough where the words cannot be read.
        let body = answer.at_most(MAX_ERROR).whole().await.unwrap_or_default();
        Err(failure(status.as_u16(), &words(&body), retry_after))
    }
}

/// Tells the span of a question that there is no answer.
fn failed(kind: &str) {
    Span::current().record("otel.status_code", "ERROR").record("error.type", kind);
}

const USER_AGENT: http::HeaderValue =
    http::HeaderValue::from_static(concat!("eventmesh-catalog/", env!("CARGO_PKG_VERSION")));

async fn configuration(connection: &Connection) -> Result<Config, ConnectionError> {
    let options = KubeConfigOptions { context: connection.context.clone(), ..KubeConfigOptions::default() };
    Ok(match &connection.kubeconfig {
        Some(file) => Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &options).await?,
        None if connection.context.is_some() => Config::from_kubeconfig(&options).await?,
        None => Config::infer().await?,
    })
}

fn configuration_at(url: &str, authority: Option<&str>) -> Result<Config, ConnectionError> {
    let mut config = Config::new(url.parse().map_err(|_| ConnectionError::Address)?);
    if let Some(authority) = authority {
        let certificates = CertificateDer::pem_slice_iter(authority.as_bytes()).map(|it| it.map(|it| it.to_vec()));
        let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(|_| ConnectionError::Authority)?;
        if certificates.is_empty() {
            return Err(ConnectionError::Authority);
        }
        config.root_cert = Some(certificates);
    }
    Ok(config)
}

/// What is wrong with a kubeconfig. Where it does not parse, the error cites it, and what it cites may be a secret.
fn without_its_text(error: &KubeconfigError) -> String {
    let KubeconfigError::Parse(error) = error else { return error.to_string() };
    let place = error.location().map(|it| format!(" at line {}, column {}", it.line(), it.column()));
    format!("it is not one, or not YAML{}", place.unwrap_or_default())
}

fn without_text_of_a_kubeconfig(error: &InferConfigError) -> String {
    let kubeconfig = std::error::Error::source(error).and_then(|it| it.downcast_ref());
    match kubeconfig {
        Some(error @ KubeconfigError::Parse(_)) => {
            format!("the kubeconfig cannot be used: {}", without_its_text(error))
        }
        _ => error.to_string(),
    }
}

/// With another one, `kube` panics.
fn has_usable_token(user: &AuthInfo) -> bool {
    // The type hides it, except where it is written.
    let written = serde_json::to_value(user).unwrap_or_default();
    written.get("token").and_then(Value::as_str).is_none_or(|it| http::HeaderValue::from_str(it).is_ok())
}

/// An answer, as it comes.
pub struct Answer {
    headers: http::HeaderMap,
    body: Body,
    buffer: Vec<u8>,
    /// The most that is held of it, in bytes.
    limit: usize,
    pulse: Pulse,
}

impl Answer {
    /// What a header says, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|it| it.to_str().ok())
    }

    /// The same answer, of which no more is held than this, in bytes.
    #[must_use]
    pub fn at_most(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// All of it.
    ///
    /// # Errors
    /// When it ends early, pauses for too long or is too large.
    pub async fn whole(&mut self) -> Result<Vec<u8>, Failure> {
        while within(PATIENCE, self.more()).await?? {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// What comes next; `None` at the end.
    ///
    /// # Errors
    /// When it ends early or pauses for too long.
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let came = within(PATIENCE, self.more()).await??;
        Ok(came.then(|| std::mem::take(&mut self.buffer)))
    }

    /// The next line, without a limit to how long it takes to come; `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks or the line is too long.
    pub async fn line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut searched = 0;
        loop {
            let unsearched = self.buffer.get(searched..).unwrap_or_default();
            if let Some(end) = unsearched.iter().position(|it| *it == b'\n') {
                let rest = self.buffer.split_off(searched + end + 1);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            searched = self.buffer.len();
            if !self.more().await? {
                // A last line that does not end is one that was cut.
                return if self.buffer.is_empty() { Ok(None) } else { Err(cut()) };
            }
        }
    }

    /// Reads on; false at the end.
    async fn more(&mut self) -> Result<bool, Failure> {
        let Some(frame) = self.body.frame().await else { return Ok(false) };
        self.pulse.beat();
        if let Ok(data) = frame.map_err(|error| Failure::Unreachable(innermost(&error)))?.into_data() {
            if self.buffer.len() + data.len() > self.limit {
                return Err(Failure::TooLarge);
            }
            self.buffer.extend_from_slice(&data);
        }
        Ok(true)
    }
}

/// RFC 9110, section 10.2.3, in seconds, as API servers write it.
fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let seconds = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

async fn within<T>(patience: Duration, work: impl Future<Output = T>) -> Result<T, Failure> {
    let waited = tokio::time::timeout(patience, work).await;
    waited.map_err(|_| Failure::Unreachable(format!("nothing came for {} s", patience.as_secs())))
}

fn cut() -> Failure {
    Failure::Unreachable("the connection was cut".into())
}

fn unreachable(error: &kube::Error) -> Failure {
    Failure::Unreachable(innermost(error))
}

/// The cause of an error: what wraps it only says that there was one.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
