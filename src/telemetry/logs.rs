//! Logs, on standard error.
//!
//! Lines are the same whether or not traces are on, but for the id of a trace. What is told while a request is worked on
//! bears the id of the request: whoever writes a line need not know of it.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::traces::{Traces, is_of_a_trace};
use crate::api::request::Ids;
use crate::config::{ConfigError, LogFormat};

/// Tells each failure of a request a second time, without saying what it was about. Of interest to those who ask for it.
const CLIENT: &str = "kube_client";

/// Sends logs to standard error, so that standard output is for results, and spans to where traces are made of them.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(filter: &str, format: LogFormat, traces: Option<&Traces>) -> Result<(), ConfigError> {
    let quiet = if filter.contains(CLIENT) { String::new() } else { format!(",{CLIENT}=off") };
    let filter = EnvFilter::try_new(format!("{filter}{quiet}")).map_err(|error| {
        ConfigError::new(format!("--log {filter}: {error}."), "Give a level such as `info`, or `target=level,…`.")
    })?;
    let is_colored = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(is_colored);
    let lines = match format {
        LogFormat::Text => lines
            .with_target(false)
            .map_event_format(|it| OfRequest { format, inner: it.with_ansi(is_colored) })
            .boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).map_event_format(|inner| OfRequest { format, inner }).boxed()
        }
    };
    // Without a hint of its own, it would let all that libraries say come here to be looked at.
    let of_the_log = filter_fn(|it| !is_of_a_trace(it)).with_max_level_hint(LevelFilter::TRACE);
    let lines = lines.with_filter(of_the_log.and(filter)).boxed();
    let layers: Vec<_> = traces.map(Traces::layer).into_iter().chain([lines]).collect();
    let started = tracing_subscriber::registry().with(layers).try_init();
    started.map_err(|error| ConfigError::new(format!("Logging cannot start: {error}."), "Start it once."))
}

/// Writes lines with the ids of the request that they are about.
struct OfRequest<F> {
    format: LogFormat,
    inner: F,
}

impl<S, N, F> FormatEvent<S, N> for OfRequest<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(ids) = Ids::with_current(Ids::clone) else { return self.inner.format_event(ctx, writer, event) };
        let mut line = String::new();
        self.inner.format_event(ctx, Writer::new(&mut line), event)?;
        writer.write_str(&with_ids(&line, self.format, &ids))
    }
}

/// A line with two more fields at its end.
fn with_ids(line: &str, format: LogFormat, ids: &Ids) -> String {
    let fields = [("request_id", Some(ids.request())), ("trace_id", ids.trace.as_deref())];
    let fields = fields.into_iter().filter_map(|(name, id)| Some((name, id?)));
    let end = match format {
        LogFormat::Text => "\n",
        LogFormat::Json => "}\n",
    };
    let mut told = line.strip_suffix(end).unwrap_or(line).to_owned();
    for (name, id) in fields {
        let _ = match format {
            LogFormat::Text => write!(told, " {name}={id:?}"),
            LogFormat::Json => write!(told, ",\"{name}\":{}", serde_json::Value::from(id)),
        };
    }
    told + end
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_line_bears_what_its_request_is_known_by() {
        let ids = |trace: Option<&str>| Ids {
            request: HeaderValue::from_static(r#"say-"hi"-\o"#),
            trace: trace.map(str::to_owned),
        };
        for (format, line, trace, expected) in [
            (
                LogFormat::Text,
                "INFO Granted list=\"a\"\n",
                None,
                r#"INFO Granted list="a" request_id="say-\"hi\"-\\o""#,
            ),
            (LogFormat::Text, "INFO A\n", Some("4bf9"), r#"INFO A request_id="say-\"hi\"-\\o" trace_id="4bf9""#),
            (LogFormat::Json, "{\"message\":\"{}\"}\n", None, r#"{"message":"{}","request_id":"say-\"hi\"-\\o"}"#),
            (
                LogFormat::Json,
                "{\"a\":{}}\n",
                Some("4bf9"),
                r#"{"a":{},"request_id":"say-\"hi\"-\\o","trace_id":"4bf9"}"#,
            ),
        ] {
            assert_eq!(with_ids(line, format, &ids(trace)), format!("{expected}\n"));
        }
    }
}
