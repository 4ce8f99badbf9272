//! Where kinds are served that no definition tells of: built-in ones, those of other API servers behind this one, and,
//! where definitions may not be read, all.
//!
//! That a kind is not served is only said where the server said so: a document that is missing is a failure.

use serde::Deserialize;

use super::kinds::preferred_versions;
use crate::kubernetes::endpoint::{Endpoint, group_version_path};
use crate::kubernetes::failure::Failure;
use crate::kubernetes::server::{Form, Server};
use crate::mesh::GroupKind;

#[derive(Deserialize)]
struct ApiGroups {
    groups: Vec<ApiGroup>,
}

#[derive(Deserialize)]
struct ApiGroup {
    name: String,
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
        let answer: ApiResources = server.json(&path, Form::Whole.of_one()).await?;
        // Names with a slash are parts of objects, such as `pods/status`.
        let is_it = |it: &ApiResource| {
            *it.kind == *of.kind && !it.name.contains('/') && it.verbs.iter().any(|verb| verb == "get")
        };
        if let Some(found) = answer.resources.into_iter().find(is_it) {
            let is_watchable = ["list", "watch"].iter().all(|verb| found.verbs.iter().any(|it| it == verb));
            let (plural, namespaced) = (found.name, found.namespaced);
            return Ok(Some(Endpoint { of: of.clone(), version, plural, namespaced, is_watchable }));
        }
    }
    Ok(None)
}

async fn versions(server: &Server, group: &str) -> Result<Vec<String>, Failure> {
    if group.is_empty() {
        return Ok(vec!["v1".into()]);
    }
    let groups: ApiGroups = server.json("/apis", Form::Whole.of_one()).await?;
    let group = groups.groups.into_iter().find(|it| it.name == group);
    Ok(group.map(|it| it.versions.into_iter().map(|it| it.version).collect()).unwrap_or_default())
}
