//! The query of `GET /v1/getEventMesh`: past this there are no half-checked strings.

use std::collections::BTreeSet;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use super::error::ApiError;
use crate::mesh::Selection;
use crate::mesh::object::is_namespace_name;
use crate::mesh::selector::LabelSelector;

/// What a query selects. A parameter that is not known is refused: one misspelt would select everything.
#[derive(Debug)]
pub struct Selected(pub Selection);

impl<S: Sync> FromRequestParts<S> for Selected {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // Nearly all ask for everything; taking an empty query apart is not free.
        if parts.uri.query().is_none() {
            return Ok(Self(Selection::default()));
        }
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(pairs) = query.map_err(|error| ApiError::Query(format!("The query cannot be read: {error}.")))?;
        let mut labels: Option<LabelSelector> = None;
        let mut namespaces = BTreeSet::new();
        for (name, value) in pairs {
            match name.as_str() {
                "labelSelector" if labels.is_none() => {
                    let parsed = value.parse().map_err(|error| ApiError::Query(format!("{error}.")))?;
                    labels = Some(parsed);
                }
                "labelSelector" => {
                    return Err(ApiError::Query(
                        "labelSelector is given twice; join the requirements by a comma.".into(),
                    ));
                }
                "namespace" if is_namespace_name(&value) => {
                    namespaces.insert(value);
                }
                "namespace" => {
                    return Err(ApiError::Query(format!("namespace: `{value}` is not the name of a namespace.")));
                }
                other => {
                    let known = "known are `labelSelector` and `namespace`";
                    return Err(ApiError::Query(format!("`{other}` is not a parameter; {known}.")));
                }
            }
        }
        Ok(Self(Selection { labels: labels.unwrap_or_default(), namespaces }))
    }
}
