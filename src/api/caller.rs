//! The extractor that protects a route: no `Caller`, no handler.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use tracing::{info_span, trace};

use super::Api;
use super::error::ApiError;
use super::request::traced;
use crate::access::{AccessError, Identity, Token};
use crate::mesh::{Grant, Snapshot};

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// Where a request comes from: it comes with each request of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: IpAddr,
    pub known: Known,
}

/// Whether somebody with a good token has asked on a connection.
#[derive(Debug, Clone, Default)]
pub struct Known(Arc<AtomicBool>);

impl Known {
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self) {
        // Looked at first: those who share it mostly know.
        if !self.get() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Somebody with a good token.
#[derive(Debug)]
pub struct Caller {
    identity: Identity,
    from: IpAddr,
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<Peer>();
        let from = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |it| it.address);
        let token = bearer_token(&parts.headers)?;
        let identity = traced(|| info_span!("identify"), api.access.identify(&token, from)).await?;
        trace!(user = identity.name(), "Identified");
        if let Some(peer) = peer {
            peer.known.set();
        }
        Ok(Self { identity, from })
    }
}

impl Caller {
    /// What the caller may see of a snapshot.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn grant(&self, api: &Api, snapshot: &Snapshot) -> Result<Arc<Grant>, ApiError> {
        Ok(traced(|| info_span!("grant"), api.access.grant(&self.identity, self.from, snapshot)).await?)
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::UnknownToken => Self::UnknownToken,
            AccessError::TooManyTokens => Self::TooManyTokens,
            AccessError::Unavailable(cause) => Self::NoReview(cause.to_string()),
        }
    }
}

/// The one bearer token of a request (RFC 6750, section 2.1).
///
/// # Errors
/// When there is none, or more than one, or something else.
pub fn bearer_token(headers: &HeaderMap) -> Result<Token<'_>, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(ApiError::NoToken),
        (Some(value), None) => token_of(value),
        (Some(_), Some(_)) => Err(ApiError::MalformedToken),
    }
}

/// Another scheme and an empty token are no token (`semantics.md` 7.1).
fn token_of(value: &HeaderValue) -> Result<Token<'_>, ApiError> {
    let text = str::from_utf8(value.as_bytes()).ok().filter(|it| it.is_ascii()).ok_or(ApiError::MalformedToken)?;
    let (scheme, rest) = text.split_at_checked("bearer".len()).unwrap_or_default();
    let token = rest.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || !rest.starts_with(' ') || token.is_empty() {
        Err(ApiError::NoToken)
    } else if token.len() <= MAX_TOKEN && is_token68(token) {
        Ok(Token::new(token))
    } else {
        Err(ApiError::MalformedToken)
    }
}

/// RFC 9110, section 11.2: letters, digits and a few signs, then only `=`.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let is_sign = |it: u8| matches!(it, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    // Tokens are long. Where looking does not end at the first byte that is wrong, many are looked at at a time.
    !body.is_empty() && body.bytes().fold(true, |all, it| all & (it.is_ascii_alphanumeric() | is_sign(it)))
}
