//! The HTTP API: the router is the table of contents, the layers are all here.
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
use self::edge::{Edge, edge};
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

/// All routes.
pub fn router(api: Api, at_the_edge: Edge) -> Router {
    let routes = Router::new()
        .route("/v1/getEventMesh", get(event_mesh::get_event_mesh))
        .route("/openapi.json", get(openapi::get_openapi))
        .merge(SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json")))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Arc::new(api));
    layered(routes, at_the_edge)
}

/// The layers, around whatever routes.
pub fn layered(routes: Router, at_the_edge: Edge) -> Router {
    routes.layer(axum::middleware::from_fn_with_state(at_the_edge, edge))
}

/// What is not there is nobody's business without a token either.
async fn not_found(_: Caller) -> ApiError {
    ApiError::NotFound
}

async fn method_not_allowed(_: Caller) -> ApiError {
    ApiError::MethodNotAllowed
}
