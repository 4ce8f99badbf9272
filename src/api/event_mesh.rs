//! `GET /v1/getEventMesh`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::Api;
use super::caller::Caller;
use super::dto::EventMesh;
use super::error::{ApiError, Problem};
use super::negotiate::{Encoding, accepts_json, has_already};
use super::params::Selected;
use crate::index::Current;

/// How long the answer has not been up to date; only on answers that are not.
const STALE_SECONDS: HeaderName = HeaderName::from_static("eventmesh-stale-seconds");

/// The event mesh
///
/// Which event types, brokers, channels and sources there are, who provides and who consumes what, as far as the caller
/// may see it. Not being allowed to see something is no error: it is left out, with all relations that need it.
///
/// Poll with `If-None-Match`: as long as nothing changed for the caller, the answer is 304 and costs next to nothing.
///
/// The two parameters select items of the four lists. What a selected item says of others stays as it is, whether or
/// not those are selected.
#[utoipa::path(
    get,
    path = "/v1/getEventMesh",
    operation_id = "getEventMesh",
    tag = "event mesh",
    params(
        ("labelSelector" = Option<String>, Query, description = "A label selector in the grammar of Kubernetes: `team=orders,tier in (gold,silver),!legacy`.", example = "team=orders"),
        ("namespace" = Option<Vec<String>>, Query, description = "Only items of these namespaces; may be repeated.", style = Form, explode, example = json!(["shop"])),
        ("If-None-Match" = Option<String>, Header, description = "Entity tags of answers that the client has.", example = "\"6d7f0c2a91e4b3d58a6c1f0e2b4d7a93\""),
        ("Accept-Encoding" = Option<String>, Header, description = "`zstd`, `br`, `gzip` and `identity` are available.", example = "gzip"),
        ("X-Request-Id" = Option<String>, Header, description = "An id for the request, up to 128 visible ASCII characters. Made up when missing.", example = "poll-42"),
    ),
    responses(
        (status = 200, description = "The event mesh as far as the caller may see it.", body = EventMesh, content_type = "application/json",
            headers(
                ("ETag" = String, description = "Names the content. Equal content has equal tags on every replica and after a restart."),
                ("Cache-Control" = String, description = "`private, no-cache`"),
                ("Vary" = String, description = "`Authorization, Accept, Accept-Encoding`"),
                ("Content-Encoding" = String, description = "The encoding, unless identity."),
                ("EventMesh-Stale-Seconds" = Option<u64>, description = "How many seconds ago the mesh was last up to date, while the cluster cannot be reached; missing otherwise."),
            ),
            example = json!({
                "eventTypes": [{
                    "namespace": "shop", "name": "order-placed", "uid": "38297b02-fee8-5697-aa54-9bfb2f637c4e",
                    "labels": {"domain": "orders"}, "annotations": {}, "type": "com.example.shop.order.placed",
                    "description": "A customer placed an order.",
                    "reference": {"group": "eventing.knative.dev", "kind": "Broker", "namespace": "shop", "name": "orders"},
                    "consumedBy": ["invoicing"]
                }],
                "brokers": [{
                    "namespace": "shop", "name": "orders", "uid": "321af9b5-8111-535e-b44c-4d0500169216",
                    "labels": {}, "annotations": {}, "providedEventTypes": ["shop/order-placed"]
                }],
                "subscribables": [],
                "sources": []
            })),
        (status = 304, description = "Nothing changed since the answer that `If-None-Match` names.",
            headers(
                ("ETag" = String, description = "Names the content."),
                ("Cache-Control" = String, description = "`private, no-cache`"),
                ("Vary" = String, description = "`Authorization, Accept, Accept-Encoding`"),
                ("EventMesh-Stale-Seconds" = Option<u64>, description = "How many seconds ago the mesh was last up to date, while the cluster cannot be reached; missing otherwise."),
            )),
        (status = 400, description = "The query cannot be understood; the detail says what and where.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not accepted.", body = Problem, content_type = "application/problem+json",
            headers(("WWW-Authenticate" = String, description = "`Bearer`, with an error code of RFC 6750 when a token was sent."))),
        (status = 406, description = "No acceptable media type or encoding.", body = Problem, content_type = "application/problem+json",
            headers(("Vary" = String, description = "`Accept` or `Accept-Encoding`"))),
        (status = 429, description = "Too many tokens that nobody knows came from where this one comes from.", body = Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds after which to try again."))),
        (status = 503, description = "The catalog is not complete yet, or has not been up to date for too long, or nobody can say now who the caller is or what the caller may see, or too many selections are asked for at once, or too much is being sent, or the answer took too long. There is never a short answer.", body = Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds after which to try again."))),
    ),
    security(("bearer" = [])),
)]
pub async fn get_event_mesh(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Selected(selection): Selected,
    request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers();
    if !accepts_json(headers) {
        return Err(ApiError::NotAcceptable);
    }
    let encoding = Encoding::negotiate(headers).ok_or(ApiError::NoEncoding)?;
    let Current { snapshot, age } = api.reader.current()?;
    let grant = caller.grant(&api, &snapshot).await?;
    let body = api.bodies.get(&snapshot, grant, selection).await?;

    let mut response = if has_already(headers, body.tag()) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        // Boxed, so that those who have it already need not move about all that it takes to make it.
        let mut response = Response::new(Body::from(Box::pin(body.form(encoding)).await?));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if encoding != Encoding::Identity {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
        }
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, body.etag(encoding));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Authorization, Accept, Accept-Encoding"));
    if let Some(age) = age {
        headers.insert(STALE_SECONDS, age.as_secs().into());
    }
    Ok(response)
}
