//! What can go wrong on the way, and for which requests.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Seen;

pub type Lines = dyn Fn(&str) -> Vec<String> + Send + Sync;
pub type Body = dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync;

/// A fault for the requests that it names.
#[derive(Clone)]
pub struct Fault {
    pub verb: Option<&'static str>,
    pub group: Option<String>,
    pub resource: Option<String>,
    /// The whole path, of what is no resource.
    pub path: Option<String>,
    /// How many requests it meets before it ends.
    pub times: Option<usize>,
    pub how: How,
}

#[derive(Clone)]
pub enum How {
    /// Connections are closed, new and old; only those of the requests that are meant, if some are.
    Refuse,
    /// Nothing moves, new or old. What hung goes on after the healing, or never.
    Hang { resume: bool },
    /// Each piece of an answer comes later.
    Slow(Duration),
    /// The connection breaks after so many bytes of an answer's body; that of a running watch in the middle of its next
    /// piece.
    Cut { after: usize },
    /// An answer of the server that it does not give.
    Status { code: u16, retry_after: Option<u64>, body: Option<Value> },
    /// The answer is elsewhere.
    Redirect(String),
    /// A watch is answered that its start is too long ago, as the server does that: in the stream.
    Gone,
    /// Each line of a watch, without its end, becomes these lines; running watches included.
    Lines(Arc<Lines>),
    /// Another body for a whole answer; not that of a watch.
    Body(Arc<Body>),
}

impl How {
    /// A status as the API server says it.
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None, body: None }
    }

    pub fn lines(rewrite: impl Fn(&str) -> Vec<String> + Send + Sync + 'static) -> Self {
        Self::Lines(Arc::new(rewrite))
    }

    pub fn body(rewrite: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::Body(Arc::new(rewrite))
    }

    /// Can it happen to an answer that has begun?
    pub(super) fn is_for_running(&self) -> bool {
        !matches!(self, Self::Status { .. } | Self::Redirect(_) | Self::Gone | Self::Body(_))
    }
}

impl Fault {
    /// For all requests, until it is healed.
    pub fn new(how: How) -> Self {
        Self { verb: None, group: None, resource: None, path: None, times: None, how }
    }

    pub fn verb(self, verb: &'static str) -> Self {
        Self { verb: Some(verb), ..self }
    }

    pub fn group(self, group: &str) -> Self {
        Self { group: Some(group.into()), ..self }
    }

    pub fn resource(self, resource: &str) -> Self {
        Self { resource: Some(resource.into()), ..self }
    }

    pub fn path(self, path: &str) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    pub fn times(self, times: usize) -> Self {
        assert!(times > 0, "a fault that never happens");
        Self { times: Some(times), ..self }
    }

    /// Does it mean everything, connections that ask nothing included?
    pub(super) fn is_for_all(&self) -> bool {
        self.verb.is_none() && self.group.is_none() && self.resource.is_none() && self.path.is_none()
    }

    pub(super) fn is_for(&self, seen: &Seen) -> bool {
        let watch = seen.verb == "watch";
        let fits = match self.how {
            How::Gone | How::Lines(_) => watch,
            How::Body(_) => !watch,
            _ => true,
        };
        fits && self.verb.is_none_or(|it| it == seen.verb)
            && self.group.as_ref().is_none_or(|it| *it == seen.group)
            && self.resource.as_ref().is_none_or(|it| *it == seen.resource)
            && self.path.as_ref().is_none_or(|it| *it == seen.path)
    }
}
