//! The extractor that protects a route: no `Caller`, no handler.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};

use super::Api;
use super::error::ApiError;
use crate::access::{AccessError, Token};
use crate::mesh::Grant;

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// Somebody with a good token, and what they may see.
#[derive(Debug)]
pub struct Caller {
    pub grant: Arc<Grant>,
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let token = bearer_token(&parts.headers)?;
        let identity = api.access.identify(&token).await?;
        Ok(Self { grant: api.access.grant(&identity).await? })
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::UnknownToken => Self::UnknownToken,
        }
    }
}

/// The one bearer token of a request (RFC 6750, section 2.1).
fn bearer_token(headers: &HeaderMap) -> Result<Token<'_>, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(ApiError::NoToken),
        (Some(value), None) => token_of(value).ok_or(ApiError::MalformedToken),
        (Some(_), Some(_)) => Err(ApiError::MalformedToken),
    }
}

fn token_of(value: &HeaderValue) -> Option<Token<'_>> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    let good = scheme.eq_ignore_ascii_case("bearer") && token.len() <= MAX_TOKEN && is_token68(token);
    good.then(|| Token::new(token))
}

/// RFC 9110, section 11.2: letters, digits and a few signs, then only `=`.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let is_sign = |it: u8| matches!(it, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    !body.is_empty() && body.bytes().all(|it| it.is_ascii_alphanumeric() || is_sign(it))
}
