//! The one border where errors become answers: RFC 9457 problems. A 4xx explains and says what to do; a 5xx is a fixed
//! sentence with the request id, and its cause is logged once, here.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::index::Unavailable;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    #[error("Send a bearer token: `Authorization: Bearer …`.")]
    NoToken,
    #[error("The `Authorization` header is not one bearer token: `Authorization: Bearer …`.")]
    MalformedToken,
    #[error("The token is not accepted.")]
    UnknownToken,
    #[error("Too many tokens that are not known come from your address; try again later, with one that is.")]
    TooManyTokens,
    #[error("Who you are, or what you may see, cannot be found out now; try again.")]
    NoReview(String),
    #[error("There is nothing here; the event mesh is at `/v1/getEventMesh`, the API document at `/openapi.json`.")]
    NotFound,
    #[error("Only GET and HEAD are understood here.")]
    MethodNotAllowed,
    #[error("Only `application/json` is available; accept it.")]
    NotAcceptable,
    #[error("None of the accepted encodings is available; accept identity, gzip, br or zstd.")]
    NoEncoding,
    #[error("{0}")]
    Query(String),
    #[error("The request has a body of more than {limit} bytes; none is needed.")]
    BodyTooLarge { limit: usize },
    #[error("The URI is longer than {limit} bytes.")]
    UriTooLong { limit: usize },
    #[error("The header fields are larger than {limit} bytes together.")]
    HeadersTooLarge { limit: usize },
    #[error("The catalog is still being read: {awaited}; try again soon.")]
    Incomplete { awaited: String },
    #[error("The catalog was last up to date {} s ago, longer than answers are given for; try again later.", age.as_secs())]
    Stale { age: Duration },
    #[error("Too many selections are asked for at once by those who may see the same; try again.")]
    TooManySelections,
    #[error("Too much is being sent at once; try again.")]
    NoRoom,
    #[error("The request took too long; try again.")]
    Timeout,
    #[error("Something went wrong on our side; the log has the cause under the request id.")]
    Internal(String),
}

/// After how long a caller is asked to try again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

impl ApiError {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::MalformedToken | Self::UnknownToken => StatusCode::UNAUTHORIZED,
            Self::TooManyTokens => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable | Self::NoEncoding => StatusCode::NOT_ACCEPTABLE,
            Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong { .. } => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Incomplete { .. }
            | Self::Stale { .. }
            | Self::NoReview(_)
            | Self::TooManySelections
            | Self::NoRoom
            | Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What a program needs to act on the error.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::NoToken => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            // RFC 6750, section 3.1.
            Self::MalformedToken | Self::UnknownToken => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\"")))
            }
            Self::MethodNotAllowed => Some((header::ALLOW, HeaderValue::from_static("GET, HEAD"))),
            Self::NotAcceptable => Some((header::VARY, HeaderValue::from_static("Accept"))),
            Self::NoEncoding => Some((header::VARY, HeaderValue::from_static("Accept-Encoding"))),
            Self::TooManyTokens
            | Self::Incomplete { .. }
            | Self::Stale { .. }
            | Self::NoReview(_)
            | Self::TooManySelections
            | Self::NoRoom
            | Self::Timeout => Some((header::RETRY_AFTER, RETRY_AFTER.as_secs().into())),
            _ => None,
        }
    }

    pub fn problem(&self, request_id: &str) -> Problem {
        let status = self.status();
        Problem {
            problem_type: "about:blank".into(),
            title: status.canonical_reason().unwrap_or_default().into(),
            status: status.as_u16(),
            detail: self.to_string(),
            request_id: request_id.into(),
        }
    }

    /// The whole answer to a request.
    pub fn answer(&self, request_id: &str) -> Response {
        let status = self.status();
        if let Self::Internal(reason) = self {
            tracing::error!(reason, "A request failed: {reason}");
        }
        let body = serde_json::to_vec(&self.problem(request_id)).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.header());
        response
    }
}

impl From<Unavailable> for ApiError {
    fn from(reason: Unavailable) -> Self {
        match reason {
            Unavailable::Incomplete(status) => Self::Incomplete { awaited: status.awaited() },
            Unavailable::Stale { age } => Self::Stale { age },
        }
    }
}

impl IntoResponse for ApiError {
    /// Leaves the error to the edge, which knows the id of the request.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A problem as RFC 9457 describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    pub problem_type: String,
    #[schema(example = "Unauthorized")]
    pub title: String,
    #[schema(example = 401)]
    pub status: u16,
    /// What is wrong and what to do about it.
    #[schema(example = "The token is not accepted.")]
    pub detail: String,
    /// The id of the request, as in the header `X-Request-Id` and in the log.
    #[serde(rename = "requestId")]
    #[schema(example = "5f1c9b7e0a3d4c21-0000002a")]
    pub request_id: String,
}
