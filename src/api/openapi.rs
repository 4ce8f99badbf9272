//! The API document, made from the code, and the page to read it.

use std::sync::LazyLock;

use axum::http::{HeaderName, header};
use bytes::Bytes;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi, PartialSchema as _};

use super::edge::{MAX_BODY, MAX_HEADERS, MAX_URI};
use super::error::ApiError;

/// The document of the whole API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "eventmesh-catalog",
        description = "Which events exist, who sends them, who consumes them.\n\nEvery answer shows what the holder of the bearer token may see, and nothing else. Errors are problems of RFC 9457. What is not a route is answered with 404, and without a good token with 401. HEAD is answered as GET is, without the body.",
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

/// What the edge gives to every route, and an example of each problem as it is really sent.
struct Common;

const REQUEST_ID: &str = "5f1c9b7e0a3d4c21-0000002a";
const PROBLEM: &str = "application/problem+json";

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        for operation in document.paths.paths.values_mut().filter_map(|it| it.get.as_mut()) {
            let responses = &mut operation.responses.responses;
            for (status, description) in EVERYWHERE {
                responses.entry(status.into()).or_insert_with(|| RefOr::T(problem_response(description)));
            }
            for (status, response) in responses {
                if let RefOr::T(response) = response {
                    complete(status, response);
                }
            }
        }
    }
}

/// What any route may answer.
const EVERYWHERE: [(&str, &str); 6] = [
    ("405", "Another method than GET and HEAD, with a good token; without one, 401."),
    ("413", "The request has a large body."),
    ("414", "The URI is too long."),
    ("431", "The header fields are too large."),
    ("500", "Something went wrong on our side."),
    ("503", "The answer took too long."),
];

fn problem_response(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content(PROBLEM, content).build()
}

/// Adds the headers that all answers have, those of all problems, and an example.
fn complete(status: &str, response: &mut Response) {
    let mut header = |name: &str, description: &str| {
        let header = HeaderBuilder::new().schema(Some(String::schema())).description(Some(description)).build();
        response.headers.entry(name.into()).or_insert(RefOr::T(header));
    };
    header("X-Request-Id", "The id of the request.");
    header("X-Content-Type-Options", "`nosniff`");
    let Some(RefOr::T(content)) = response.content.get_mut(PROBLEM) else { return };
    header("Cache-Control", "`no-store`");
    match status {
        "405" => header("Allow", "`GET, HEAD`"),
        "503" => header("Retry-After", "Seconds after which to try again."),
        _ => {}
    }
    let example = examples().into_iter().find(|it| it.status().as_str() == status);
    content.example = example.and_then(|it| serde_json::to_value(it.problem(REQUEST_ID)).ok());
}

fn examples() -> [ApiError; 11] {
    [
        ApiError::Query("label selector: expected a label key at character 1.".into()),
        ApiError::UnknownToken,
        ApiError::NotFound,
        ApiError::MethodNotAllowed,
        ApiError::NotAcceptable,
        ApiError::BodyTooLarge { limit: MAX_BODY },
        ApiError::UriTooLong { limit: MAX_URI },
        ApiError::TooManyTokens,
        ApiError::HeadersTooLarge { limit: MAX_HEADERS },
        ApiError::Internal(String::new()),
        ApiError::Incomplete { awaited: "6 of 7 kinds read, waiting for Trigger.eventing.knative.dev".into() },
    ]
}

static DOCUMENT: LazyLock<Document> = LazyLock::new(Base::openapi);

/// Written once: whoever asks needs no token, and however many do, it takes no more than once the memory.
static WRITTEN: LazyLock<Bytes> = LazyLock::new(|| serde_json::to_vec(document()).unwrap_or_default().into());

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
pub async fn get_openapi() -> ([(HeaderName, &'static str); 1], Bytes) {
    ([(header::CONTENT_TYPE, "application/json")], WRITTEN.clone())
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
