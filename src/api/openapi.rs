//! The API document, made from the code, and the page to read it.

use std::sync::LazyLock;

use axum::Json;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// The document of the whole API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "eventmesh-catalog",
        description = "Which events exist, who sends them, who consumes them.\n\nEvery answer shows what the holder of the bearer token may see, and nothing else. Errors are problems of RFC 9457.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(super::event_mesh::get_event_mesh, get_openapi, docs),
    modifiers(&Bearer),
    tags(
        (name = "event mesh", description = "The catalog."),
        (name = "document", description = "This document. Needs no token."),
    ),
)]
struct Base;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token that the service accepts."))
            .build();
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

static DOCUMENT: LazyLock<Document> = LazyLock::new(Base::openapi);

/// The API document (OpenAPI 3.1).
pub fn document() -> &'static Document {
    &DOCUMENT
}

/// The API document
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getOpenApi",
    tag = "document",
    responses((status = 200, description = "This document.", body = serde_json::Value, content_type = "application/json",
        headers(("X-Request-Id" = String, description = "The id of the request.")))),
    security(()),
)]
pub async fn get_openapi() -> Json<&'static Document> {
    Json(document())
}

/// The API document as a page
#[utoipa::path(
    get,
    path = "/docs/",
    operation_id = "getDocs",
    tag = "document",
    responses((status = 200, description = "A page to read and try the API; it loads nothing from elsewhere.", body = String, content_type = "text/html",
        headers(("X-Request-Id" = String, description = "The id of the request.")))),
    security(()),
)]
#[expect(dead_code, reason = "describes what the page's own router serves")]
fn docs() {}
