//! Why a token is refused.

/// Why a token is refused, in fixed words: nothing of the token is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the token is not made of three parts in base64url without padding")]
    Encoding,
    #[error("the token's header cannot be read")]
    Header,
    #[error("the token's claims cannot be read")]
    Claims,
    #[error("the token says something twice")]
    Duplicate,
    #[error("the token's header asks for an extension that is not understood")]
    Extension,
    #[error("the token brings a key of its own")]
    KeyMaterial,
    #[error("the token is of another type than `JWT`, `at+jwt` or `vnd.backstage.user`")]
    Type,
    #[error("the name of the token's key is not one")]
    KeyId,
    #[error("the token's algorithm is not allowed for its issuer")]
    Algorithm,
    #[error("the token's algorithm is not implemented")]
    Unimplemented,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token's audience cannot be read")]
    Audience,
    #[error("the token is for another audience")]
    OtherAudience,
    #[error("the token does not say when it expires")]
    NoExpiry,
    #[error("a date of the token is not one")]
    Date,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token was issued in the future")]
    IssuedInFuture,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token's key is not one of its issuer's")]
    UnknownKey,
    #[error("the token's key is not for its algorithm")]
    OtherKey,
    #[error("the token names no key, and its issuer has too many to try")]
    TooManyKeys,
    #[error("the token lacks a claim that its issuer's configuration requires")]
    RequiredClaim,
    #[error("the claim for the user's name is missing, empty or not text")]
    Username,
    #[error("the user's email address is not verified")]
    Email,
    #[error("the user's name begins with `system:`, which is Kubernetes' own")]
    SystemName,
    #[error("the claim for groups is neither text nor a list of texts")]
    Groups,
    #[error("the claim for the user's uid is missing or not text")]
    Uid,
}
