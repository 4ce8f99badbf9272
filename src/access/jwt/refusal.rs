//! Why a token is refused.

/// Why a token is refused, in fixed words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the token's three parts are not base64url without padding")]
    Encoding,
}
