//! A watch: what changes after a list, event by event.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::list::{ResourceVersion, Scope};
use super::server::{Answer, Failure, Server, failure_in};

/// How long the API server is asked to go on, in seconds; a little different each time, so that watches that began
/// together do not all end together.
const DURATION: std::ops::Range<u64> = 240..360;
/// API servers send a bookmark about every minute; a connection that says nothing for longer is a dead one.
const MAX_SILENCE: Duration = Duration::from_secs(150);

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// An object is now like this.
    Changed(Value),
    /// An object is gone; it was like this.
    Deleted(Value),
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
struct Line {
    #[serde(rename = "type")]
    of_type: String,
    object: Value,
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
        let answer = server.get(&scope.path(&query), scope.form.accept()).await?;
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
        loop {
            let line = tokio::time::timeout(MAX_SILENCE, self.answer.line()).await;
            let silent = |_| Failure::Unreachable(format!("the watch said nothing for {} s", MAX_SILENCE.as_secs()));
            let Some(line) = line.map_err(silent)?? else { return Ok(None) };
            let Line { of_type, object } = serde_json::from_slice(&line)?;
            if of_type == "ERROR" {
                return Err(failure_in(&object));
            }
            let version =
                version_of(&object).ok_or_else(|| Failure::Garbled("an event without a resource version".into()))?;
            if version.is_before(&self.version) {
                // What else may be missing, nobody knows.
                return Err(Failure::Garbled("the events are out of order".into()));
            }
            let repeated = version == self.version;
            self.version = version;
            return Ok(Some(match &*of_type {
                "BOOKMARK" => Event::Bookmark,
                _ if repeated => continue,
                "ADDED" | "MODIFIED" => Event::Changed(object),
                "DELETED" => Event::Deleted(object),
                other => return Err(Failure::Garbled(format!("an event of the type `{other}`"))),
            }));
        }
    }
}

fn version_of(object: &Value) -> Option<ResourceVersion> {
    let version = object.get("metadata")?.get("resourceVersion")?.as_str()?;
    (!version.is_empty()).then(|| ResourceVersion(version.to_owned()))
}
