//! What the service counts, in the text formats of OpenMetrics and of Prometheus.
//!
//! Requests are counted as they are answered; everything else is read where it is kept, when somebody asks. What must stay
//! true: no label has a value that a caller or the author of an object can make up without end.

mod classic;
mod content;
mod kinds;
mod process;
mod requests;
mod state;
mod table;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::content::Content;
use self::kinds::Kinds;
use self::requests::Requests;
use self::state::State;
use self::table::Table;
use crate::access::Access;
use crate::api::edge::Observer;
use crate::api::render::Bodies;
use crate::app::server::Load;
use crate::index::Reader;
use crate::telemetry::build;

/// What everything else is read from.
#[derive(Clone)]
pub struct Sources {
    /// Where the objects come from: `cluster` or `manifests`.
    pub origin: &'static str,
    pub reader: Reader,
    pub access: Arc<Access>,
    pub bodies: Bodies,
    /// The connections to each address, by what that is for.
    pub loads: Vec<(&'static str, Load)>,
}

impl Sources {
    /// Brings up to date what is counted late.
    pub async fn settle(&self) {
        self.access.settle().await;
    }
}

/// In which words metrics are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Version 0.0.4 of what Prometheus began with; everybody reads it.
    Classic,
}

impl Format {
    /// The one that is asked for: OpenMetrics by whoever knows it.
    pub fn accepted(accept: &str) -> Self {
        let is_open = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let is_named = parts.next().is_some_and(|it| it.eq_ignore_ascii_case("application/openmetrics-text"));
            is_named && !parts.any(|it| matches!(it.split_once('='), Some(("q", q)) if q.parse() == Ok(0.0)))
        };
        if accept.split(',').any(is_open) { Self::OpenMetrics } else { Self::Classic }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What the service counts.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: Arc<Requests>,
    began: SystemTime,
    /// What has to be remembered from one time to the next.
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    content: Content,
    kinds: Kinds,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("eventmesh");
        let requests = Arc::new(Requests::registered(&mut registry));
        let build = Info::new(vec![("version", build::VERSION), ("revision", build::REVISION)]);
        registry.register("build", "What runs here: its version, and the commit that it was built of", build);
        Self(Arc::new(Inner { registry, requests, began: SystemTime::now(), memory: Mutex::default() }))
    }
}

impl Metrics {
    /// Counts answers.
    pub fn observer(&self) -> Observer {
        let requests = self.0.requests.clone();
        Arc::new(move |method, route, status, elapsed| requests.note(method.as_str(), route, status.as_u16(), elapsed))
    }

    /// All metrics as they are now. It may take some time: objects are counted after each change.
    ///
    /// # Errors
    /// When they cannot be written as text.
    pub fn text(&self, sources: &Sources, format: Format) -> Result<String, std::fmt::Error> {
        let state = self.state(sources);
        let mut others = Registry::default();
        others.register_collector(Box::new(state));
        let mut text = String::new();
        encode_registry(&mut text, &self.0.registry)?;
        encode_registry(&mut text, &others)?;
        encode_eof(&mut text)?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Classic => classic::translated(&text),
        })
    }

    fn state(&self, sources: &Sources) -> Table {
        // Who asks meanwhile waits, instead of counting the same.
        let mut memory = self.0.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = sources.reader.latest();
        let Memory { content, kinds } = &mut *memory;
        content.follow(&snapshot);
        let mut table = State { sources, snapshot: &snapshot, content, kinds }.table();
        drop(memory);
        process::tell(&mut table, self.0.began);
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_know_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, expected) in [
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("text/plain, Application/OpenMetrics-Text; version=1.0.0", Format::OpenMetrics),
            ("application/openmetrics-text;q=0, */*", Format::Classic),
            ("", Format::Classic),
            ("*/*", Format::Classic),
            ("text/plain;version=0.0.4", Format::Classic),
        ] {
            assert_eq!(Format::accepted(accept), expected, "{accept}");
        }
    }
}
