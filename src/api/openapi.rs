//! The API document, made from the code, and the page to read it.

use std::sync::LazyLock;

use axum::Json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{HeaderBuilder, OpenApi as Document, RefOr};
use utoipa::{Modify, OpenApi, PartialSchema as _};

use super::edge::{MAX_BODY, MAX_HEADERS, MAX_URI};
use super::error::ApiError;

/// The document of the whole API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "eventmesh-catalog",
        description = "Which events exist, who sends them, who consumes them.\n\nEvery answer shows what the holder of the bearer token may see, and nothing else. Errors are problems of RFC 9457.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(super::event_mesh::get_event_mesh, get_openapi, docs),
    modifiers(&Bearer, &Common),
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

/// What the edge gives to every answer, and an example of each problem as it is really sent.
struct Common;

const REQUEST_ID: &str = "5f1c9b7e0a3d4c21-0000002a";

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        let operations = document.paths.paths.values_mut().filter_map(|it| it.get.as_mut());
        for (status, response) in operations.flat_map(|it| &mut it.responses.responses) {
            let RefOr::T(response) = response else { continue };
            let id = HeaderBuilder::new().schema(Some(String::schema())).description(Some("The id of the request."));
            response.headers.insert("X-Request-Id".into(), RefOr::T(id.build()));
            let problem = examples().into_iter().find(|it| it.status().as_str() == status);
            let content = response.content.get_mut("application/problem+json");
            if let (Some(problem), Some(RefOr::T(content))) = (problem, content) {
                content.example = serde_json::to_value(problem.problem(REQUEST_ID)).ok();
            }
        }
    }
}

fn examples() -> [ApiError; 9] {
    [
        ApiError::Query("label selector: expected a label key at character 1.".into()),
        ApiError::UnknownToken,
        ApiError::MethodNotAllowed,
        ApiError::NotAcceptable,
        ApiError::BodyTooLarge { limit: MAX_BODY },
        ApiError::UriTooLong { limit: MAX_URI },
        ApiError::HeadersTooLarge { limit: MAX_HEADERS },
        ApiError::Internal(String::new()),
        ApiError::Incomplete,
    ]
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
    responses((status = 200, description = "This document.", body = serde_json::Value, content_type = "application/json")),
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
    responses((status = 200, description = "A page to read and try the API; it loads nothing from elsewhere.", body = String, content_type = "text/html")),
    security(()),
)]
#[expect(dead_code, reason = "describes what the page's own router serves")]
fn docs() {}
