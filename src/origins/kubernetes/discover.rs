//! Where kinds are served that no definition tells of: built-in ones, those of other API servers behind this one, and,
//! where definitions may not be read, all.

use serde::Deserialize;

use super::endpoint::{Endpoint, group_version_path, segment};
use super::kinds::preferred_versions;
use super::server::{Failure, Form, Server};
use crate::mesh::GroupKind;

#[derive(Deserialize)]
struct ApiGroup {
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct ApiResources {
    resources: Vec<ApiResource>,
}

#[derive(Deserialize)]
struct ApiResource {
    name: String,
    kind: String,
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

/// Where a kind is served: in the version that is preferred for it, else in the first that the server names. `None`
/// when it is not served.
///
/// # Errors
/// When the server does not say.
pub async fn discover(server: &Server, of: &GroupKind) -> Result<Option<Endpoint>, Failure> {
    let mut versions = versions(server, &of.group).await?;
    let preferred = preferred_versions(of);
    // A stable sort: the rest stays in the order of the server.
    versions.sort_by_key(|it| preferred.iter().position(|preferred| preferred == it).unwrap_or(usize::MAX));
    for version in versions {
        let path = group_version_path(&of.group, &version);
        let Some(answer) = unless_absent(server.json::<ApiResources>(&path, Form::Whole.accept()).await)? else {
            continue;
        };
        // Names with a slash are parts of objects, such as `pods/status`.
        let is_it = |it: &ApiResource| {
            *it.kind == *of.kind && !it.name.contains('/') && it.verbs.iter().any(|verb| verb == "get")
        };
        if let Some(found) = answer.resources.into_iter().find(is_it) {
            let (plural, namespaced) = (found.name, found.namespaced);
            return Ok(Some(Endpoint { of: of.clone(), version, plural, namespaced }));
        }
    }
    Ok(None)
}

async fn versions(server: &Server, group: &str) -> Result<Vec<String>, Failure> {
    if group.is_empty() {
        return Ok(vec!["v1".into()]);
    }
    let answer = server.json::<ApiGroup>(&format!("/apis/{}", segment(group)), Form::Whole.accept()).await;
    let group = unless_absent(answer)?;
    Ok(group.map(|it| it.versions.into_iter().map(|it| it.version).collect()).unwrap_or_default())
}

fn unless_absent<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(it) => Ok(Some(it)),
        Err(Failure::Absent) => Ok(None),
        Err(failure) => Err(failure),
    }
}
