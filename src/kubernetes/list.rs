//! A list, page by page: objects are converted one by one as they arrive, and nothing of a page stays.

use std::fmt::Write as _;

use serde::Deserialize;

use super::endpoint::{Endpoint, segment};
use super::failure::Failure;
use super::server::{Form, Server};
use super::split::Splitter;

/// How many objects a page has that no server takes for too many.
pub const PAGE: usize = 500;
/// After how many objects it is told how far a list has got.
const TOLD_EVERY: usize = 500;

/// Which objects of a kind are read, and what of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub endpoint: Endpoint,
    /// Only those of this namespace.
    pub namespace: Option<String>,
    pub form: Form,
    /// Only those that have this label.
    pub label: Option<String>,
}

impl Scope {
    /// All of the objects, whole.
    pub fn all(endpoint: Endpoint) -> Self {
        Self { endpoint, namespace: None, form: Form::Whole, label: None }
    }

    /// A path with a query; what is given comes first.
    pub fn path(&self, query: &str) -> String {
        let objects = self.namespace.as_ref().map_or_else(|| self.endpoint.path(), |it| self.endpoint.path_in(it));
        let mut path = format!("{objects}?{query}");
        if let Some(label) = &self.label {
            let _ = write!(path, "&labelSelector={}", segment(label));
        }
        path
    }
}

/// All objects at one moment.
#[derive(Debug)]
pub struct Listed<T> {
    pub objects: Vec<T>,
    /// The moment: a watch goes on from here.
    pub version: ResourceVersion,
}

/// A `metadata.resourceVersion`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ResourceVersion(pub String);

impl ResourceVersion {
    /// Whether this is a state before another one. Versions are decimal numbers of any size wherever they are
    /// comparable at all; of others nobody knows, so they are not before.
    pub fn is_before(&self, other: &Self) -> bool {
        let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
        let (a, b) = (self.0.trim_start_matches('0'), other.0.trim_start_matches('0'));
        is_number(&self.0) && is_number(&other.0) && (a.len(), a) < (b.len(), b)
    }

    /// As that of a list that is to be watched from here on.
    fn watchable(self) -> Result<Self, Failure> {
        let why = "it is listed without a resource version, so that it cannot be watched";
        if self.0.is_empty() { Err(Failure::Refused(why.into())) } else { Ok(self) }
    }
}

/// A page without its objects.
#[derive(Deserialize)]
struct Page {
    metadata: PageMetadata,
    /// An empty list may be `null`; a page without any is none.
    #[serde(rename = "items", deserialize_with = "Option::deserialize")]
    _items: Option<[(); 0]>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    /// Some servers behind the API server have none: what they list cannot be watched.
    #[serde(default)]
    resource_version: ResourceVersion,
    #[serde(default, rename = "continue")]
    rest: String,
    #[serde(default)]
    remaining_item_count: usize,
}

/// How far a list has got: so many objects have come, so many are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub seen: usize,
    pub remaining: usize,
}

/// Lists all objects in pages of so many. The answer is whole or it is a failure.
///
/// # Errors
/// When a page does not come, or an object in it is none.
pub async fn list<T>(
    server: &Server,
    scope: &Scope,
    page_size: usize,
    read: impl Fn(&str) -> Result<T, Failure>,
    on_progress: impl Fn(Progress),
) -> Result<Listed<T>, Failure> {
    let mut objects = Vec::new();
    let mut path = scope.path(&format!("limit={page_size}"));
    let mut told = Progress { seen: 0, remaining: 0 };
    loop {
        let mut answer = server.get(&path, scope.form.of_list()).await?;
        let mut page = Splitter::default();
        while let Some(bytes) = answer.piece().await? {
            page.feed(&bytes, |object| {
                let text = std::str::from_utf8(object).map_err(|error| Failure::Garbled(error.to_string()))?;
                objects.push(read(text)?);
                Ok(())
            })?;
            if objects.len() >= told.seen + TOLD_EVERY {
                let remaining = (told.seen + told.remaining).saturating_sub(objects.len());
                told = Progress { seen: objects.len(), remaining };
                on_progress(told);
            }
        }
        let Page { metadata, .. } = serde_json::from_slice(page.rest())?;
        let version = metadata.resource_version.watchable()?;
        if metadata.rest.is_empty() {
            objects.shrink_to_fit();
            return Ok(Listed { objects, version });
        }
        path = scope.path(&format!("limit={page_size}&continue={}", segment(&metadata.rest)));
        told = Progress { seen: objects.len(), remaining: metadata.remaining_item_count };
        on_progress(told);
    }
}

/// The state that the server is in now. Without the label, with which it might look through all objects for one.
///
/// # Errors
/// When it does not say, or says what cannot be watched from.
pub async fn current_version(server: &Server, scope: &Scope) -> Result<ResourceVersion, Failure> {
    #[derive(Deserialize)]
    struct Head {
        metadata: PageMetadata,
    }
    let path = format!("{}?limit=1", scope.endpoint.path());
    let head: Head = server.json(&path, scope.form.of_list()).await?;
    head.metadata.resource_version.watchable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers_where_they_are_numbers() {
        let cases = [
            ("9", "10", true),
            ("10", "9", false),
            ("10", "10", false),
            ("0", "1", true),
            ("007", "7", false),
            ("", "1", false),
            ("a", "b", false),
            ("1", "b", false),
        ];
        for (a, b, expected) in cases {
            assert_eq!(ResourceVersion(a.into()).is_before(&ResourceVersion(b.into())), expected, "{a} before {b}");
        }
    }
}
