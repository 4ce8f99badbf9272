//! The HTTP API: the router is the table of contents, and around it is the edge.
//!
//! There is no layer for access: a route is protected because its handler takes a [`caller::Caller`], and so are the
//! answers for what is not there.

pub mod caller;
pub mod dto;
pub mod edge;
pub mod error;
pub mod event_mesh;
pub mod negotiate;
pub mod openapi;
pub mod params;
pub mod render;
pub mod request;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use utoipa_swagger_ui::SwaggerUi;

use self::caller::Caller;
use self::edge::{Edge, Edged};
use self::error::ApiError;
use self::render::Bodies;
use crate::access::Access;
use crate::index::Reader;

/// What handlers work with. Behind one `Arc`, because axum clones it several times for each request.
pub struct Api {
    pub reader: Reader,
    pub access: Arc<Access>,
    pub bodies: Bodies,
}

const EVENT_MESH: &str = "/v1/getEventMesh";
const DOCUMENT: &str = "/openapi.json";
/// Where the document is read, in several files.
const PAGE: &str = "/docs";

/// All routes, behind the edge.
pub fn router(api: Api, edge: Edge) -> Edged {
    let routes = Router::new()
        .route(EVENT_MESH, get(event_mesh::get_event_mesh))
        .route(DOCUMENT, get(openapi::get_openapi))
        .merge(SwaggerUi::new(PAGE).config(utoipa_swagger_ui::Config::from(DOCUMENT)))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Arc::new(api));
    Edged::new(edge, routes)
}

/// The route that a path is for, by which answers are counted and traces are named: what callers make up is none.
fn route_of(path: &str) -> Option<&'static str> {
    let is_of_page = |path: &str| path.strip_prefix(PAGE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match path {
        EVENT_MESH => Some(EVENT_MESH),
        DOCUMENT => Some(DOCUMENT),
        path if is_of_page(path) => Some(PAGE),
        _ => None,
    }
}

/// What is not there is nobody's business without a token either.
async fn not_found(_: Caller) -> ApiError {
    ApiError::NotFound
}

async fn method_not_allowed(_: Caller) -> ApiError {
    ApiError::MethodNotAllowed
}
