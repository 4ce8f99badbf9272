//! Traces, sent to an OpenTelemetry collector: what a request waited for. Without a collector, none are made.
//!
//! What must stay true: an answer never waits for a trace, whatever the collector does, and callers cannot make us trace
//! more than we are told to.

mod delivery;
mod sampling;

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};
use tracing::{Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::{Layer, Registry};

use self::delivery::{Carrier, Told};
use self::sampling::Sampling;
use crate::api::request::Tracing;
use crate::config::ConfigError;

/// Who we are, unless `OTEL_SERVICE_NAME` says otherwise.
const SERVICE: &str = "eventmesh-catalog";
/// Where a collector takes traces, below its address.
const PATH: &str = "/v1/traces";
/// How long the collector may take for a batch of spans.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where our spans come from: those of libraries are not ours to tell, and may have in them what is not to be told.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// Which traces are made, and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub endpoint: Endpoint,
    /// Of a hundred requests of callers without a trace, so many are traced.
    pub percent: u32,
    /// No more than so many are, whatever callers ask for.
    pub per_second: u32,
}

/// The address of a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    /// # Errors
    /// When it is none, with a reason that does not tell it: there may be a password in it.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "it is no URL")?;
        let authority = uri.authority().ok_or("it is no URL")?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err("it does not begin with http:// or https://");
        }
        if authority.as_str().contains('@') {
            return Err("it has a user in it, which everybody would read who sees the configuration");
        }
        if uri.query().is_some() {
            return Err("it has a query");
        }
        let path = uri.path().trim_end_matches('/');
        if path.ends_with(PATH) {
            return Err("it has the path /v1/traces, which is added to it");
        }
        Ok(Self(format!("{}://{authority}{path}", uri.scheme_str().unwrap_or("http"))))
    }

    fn is_encrypted(&self) -> bool {
        self.0.starts_with("https:")
    }
}

/// Makes traces, and sends them.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: Tracer,
}

impl Traces {
    /// Needs a runtime of tokio, on which traces are sent. Nothing is connected to yet.
    ///
    /// # Errors
    /// When the environment says what cannot be, or the system has no certificates to trust.
    pub fn new(settings: &Settings, runtime: tokio::runtime::Handle) -> Result<Self, ConfigError> {
        let refused = |error: &dyn std::fmt::Display| {
            ConfigError::new(
                format!("--otlp-endpoint {}: {error}.", settings.endpoint.0),
                "Mend what the variables of the environment that begin with `OTEL_EXPORTER_OTLP_` say; for https, the \
                 system needs certificates to trust, or `SSL_CERT_FILE` names a file of them.",
            )
        };
        let carrier = Carrier::new(runtime, settings.endpoint.is_encrypted(), PATIENCE).map_err(|it| refused(&it))?;
        let told = Told::new(&settings.endpoint.0, carrier.failure());
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(carrier)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}{PATH}", settings.endpoint.0))
            .with_timeout(PATIENCE)
            .build()
            .map_err(|it| refused(&it))?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_sampler(Sampling::new(settings.percent, settings.per_second))
            .with_batch_exporter(told.of(exporter))
            .build();
        let tracer = provider.tracer(SERVICE);
        Ok(Self { provider, tracer })
    }

    /// Makes traces of spans.
    pub fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        tracing_opentelemetry::layer()
            .with_tracer(self.tracer.clone())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_context_activation(false)
            .with_filter(filter_fn(is_of_a_trace).with_max_level_hint(LevelFilter::INFO))
            .boxed()
    }

    /// Continues the traces of callers, or begins some.
    pub fn of_requests() -> Tracing {
        let propagator = TraceContextPropagator::new();
        Arc::new(move |span, headers| continued(&propagator, span, headers))
    }

    /// Sends what is left, for no longer than this.
    pub fn end(&self, at_most: Duration) {
        // What goes wrong has been told.
        let _ = self.provider.shutdown_with_timeout(at_most);
    }
}

/// Whether something is told by a trace rather than by the log. What the log tells is in no trace: names of users are in
/// it.
pub fn is_of_a_trace(it: &Metadata<'_>) -> bool {
    it.is_span() && it.target().split("::").next() == Some(OURS)
}

fn continued(propagator: &TraceContextPropagator, span: &Span, headers: &http::HeaderMap) -> Option<String> {
    use opentelemetry::propagation::TextMapPropagator as _;
    // Without `traceparent`, or with one that is none, this is nobody's trace.
    let parent = propagator.extract_with_context(&Context::new(), &HeaderExtractor(headers));
    // It fails where the span is not one of a trace, which is no fault.
    let _ = span.set_parent(parent);
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_sampled().then(|| context.trace_id().to_string())
}

/// Who makes these traces. What the environment says of that counts for more.
fn resource() -> Resource {
    let ours = Resource::builder_empty()
        .with_service_name(SERVICE)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => ours.with_service_name(name).build(),
        _ => ours.build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_the_address_of_a_collector() {
        for (text, expected) in [
            ("http://collector:4318", Ok("http://collector:4318")),
            ("https://[::1]:4318/", Ok("https://[::1]:4318")),
            ("https://traces.example.com/otlp/", Ok("https://traces.example.com/otlp")),
            ("collector:4318", Err("it does not begin with http:// or https://")),
            ("grpc://collector:4317", Err("it does not begin with http:// or https://")),
            ("/v1/traces", Err("it is no URL")),
            ("", Err("it is no URL")),
            ("http://a b", Err("it is no URL")),
            (
                "http://jane:secret@collector:4318",
                Err("it has a user in it, which everybody would read who sees the configuration"),
            ),
            ("http://collector:4318?key=secret", Err("it has a query")),
            ("http://collector:4318/v1/traces", Err("it has the path /v1/traces, which is added to it")),
            ("http://collector:4318/x/v1/traces/", Err("it has the path /v1/traces, which is added to it")),
        ] {
            let endpoint = Endpoint::new(text);
            assert_eq!(endpoint.as_ref().map(|it| it.0.as_str()).map_err(|it| *it), expected, "{text}");
        }
    }
}
