//! A watch: what changes after a list, event by event.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::{Failure, failure_in};
use super::list::{ResourceVersion, Scope};
use super::server::{Answer, Server};

/// How long the API server is asked to go on, in seconds; a little different each time, so that watches that began
/// together do not all end together.
const DURATION: std::ops::Range<u64> = 240..360;
/// API servers send a bookmark about every minute; a connection that says nothing for longer is a dead one.
const MAX_SILENCE: Duration = Duration::from_secs(150);

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// An object is now like this.
    Changed(Box<RawValue>),
    /// An object is gone; it was like this.
    Deleted(Box<RawValue>),
    /// Nothing happened.
    Bookmark,
}

/// A watch under way.
pub struct Watch {
    answer: Answer,
    /// The state after the last event.
    version: ResourceVersion,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    of_type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// As much of an object as an event needs.
#[derive(Deserialize)]
struct Head {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: ResourceVersion,
}

impl Watch {
    /// Watches what happens after a state.
    ///
    /// # Errors
    /// When that is not possible; [`Failure::Expired`] when that state is too long ago.
    pub async fn open(server: &Server, scope: &Scope, after: &ResourceVersion, dice: u64) -> Result<Self, Failure> {
        let seconds = DURATION.start + dice % (DURATION.end - DURATION.start);
        let version = super::endpoint::segment(&after.0);
        let query = format!("watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={version}");
        let answer = server.get(&scope.path(&query), scope.form.of_one()).await?;
        Ok(Self { answer, version: after.clone() })
    }

    /// The state after the last event.
    pub fn version(&self) -> &ResourceVersion {
        &self.version
    }

    /// What happens next; `None` when the API server has ended the watch.
    ///
    /// # Errors
    /// When the watch breaks, or tells what cannot be.
    pub async fn next(&mut self) -> Result<Option<Event>, Failure> {
        let line = tokio::time::timeout(MAX_SILENCE, self.answer.line()).await;
        let silent = |_| Failure::Unreachable(format!("the watch said nothing for {} s", MAX_SILENCE.as_secs()));
        let line = line.map_err(silent)??;
        line.map(|line| event(&line, &mut self.version)).transpose()
    }
}

/// What a line tells after a state. What led to that state may be told again, which changes nothing.
fn event(line: &[u8], state: &mut ResourceVersion) -> Result<Event, Failure> {
    let Line { of_type, object } = serde_json::from_slice(line)?;
    if of_type == "ERROR" {
        return Err(failure_in(object));
    }
    let version = version_of(object).ok_or_else(|| garbled("an event without a resource version"))?;
    if version.is_before(state) {
        // What else may be missing, nobody knows.
        return Err(garbled("the events are out of order"));
    }
    *state = version;
    match of_type {
        "BOOKMARK" => Ok(Event::Bookmark),
        "ADDED" | "MODIFIED" => Ok(Event::Changed(object.to_owned())),
        "DELETED" => Ok(Event::Deleted(object.to_owned())),
        other => Err(garbled(&format!("an event of the type `{other}`"))),
    }
}

fn garbled(what: &str) -> Failure {
    Failure::Garbled(what.to_owned())
}

fn version_of(object: &RawValue) -> Option<ResourceVersion> {
    let head: Head = serde_json::from_str(object.get()).ok()?;
    Some(head.metadata.resource_version).filter(|it| !it.0.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_understood_after_the_state_before_it() {
        let line = |of_type: &str, version: &str| {
            format!(r#"{{"type":"{of_type}","object":{{"metadata":{{"name":"a","resourceVersion":"{version}"}}}}}}"#)
        };
        let status = |code| {
            format!(
                r#"{{"type":"ERROR","object":{{"kind":"Status","code":{code},"message":"no","details":{{"retryAfterSeconds":3}}}}}}"#
            )
        };
        let cases = [
            (line("ADDED", "11"), "changed, 11"),
            (line("MODIFIED", "12"), "changed, 12"),
            (line("DELETED", "100"), "deleted, 100"),
            (line("BOOKMARK", "10"), "bookmark, 10"),
            (line("BOOKMARK", "13"), "bookmark, 13"),
            (line("ADDED", "10"), "changed, 10"),
            (line("MODIFIED", "9"), "the answer cannot be read: the events are out of order, 10"),
            (line("MODIFIED", ""), "the answer cannot be read: an event without a resource version, 10"),
            (line("RENAMED", "14"), "the answer cannot be read: an event of the type `RENAMED`, 14"),
            (status(410), "the API server no longer knows the state that we have, 10"),
            (status(429), "the API server answers 429: no, 10"),
            (r#"{"type":"ERROR","object":7}"#.into(), "the API server answers 500: , 10"),
            (
                r#"{"type":"ADDED","object":7}"#.into(),
                "the answer cannot be read: an event without a resource version, 10",
            ),
        ];
        for (line, expected) in cases {
            let mut state = ResourceVersion("10".into());
            let found = match event(line.as_bytes(), &mut state) {
                Ok(Event::Changed(_)) => "changed".into(),
                Ok(Event::Deleted(_)) => "deleted".into(),
                Ok(Event::Bookmark) => "bookmark".into(),
                Err(failure) => failure.to_string(),
            };
            assert_eq!(format!("{found}, {}", state.0), expected, "{line}");
        }
        assert!(event(b"{\"type\":", &mut ResourceVersion::default()).is_err());
    }
}
