//! What can go wrong when asking an API server.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

/// How much of a server's own words is passed on, in characters.
const MAX_WORDS: usize = 300;

/// What went wrong when asking the API server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the API server does not accept our credentials: {0}")]
    Unauthorized(String),
    /// It will not be answered however often it is asked.
    #[error("refused: {0}")]
    Refused(String),
    #[error("the API server does not serve it")]
    Absent,
    /// The state that was asked for is no longer known there.
    #[error("the API server no longer knows the state that we have")]
    Expired,
    /// It cannot answer now.
    #[error("the API server answers {status}: {words}")]
    Busy { status: u16, words: String, retry_after: Option<Duration> },
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    #[error("the answer is too large")]
    TooLarge,
    /// What came was no answer to what was asked.
    #[error("the answer cannot be read: {0}")]
    Garbled(String),
}

impl Failure {
    /// How long the API server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Garbled(error.to_string())
    }
}

/// What an error of the API server's `Status` means, wherever it comes.
pub fn failure(status: u16, words: &str, retry_after: Option<Duration>) -> Failure {
    let words: String = words.chars().take(MAX_WORDS).map(|it| if it.is_control() { ' ' } else { it }).collect();
    match status {
        401 => Failure::Unauthorized(words),
        // Not every kind can be listed, or watched, or read as metadata.
        403 | 405 | 406 => Failure::Refused(words),
        404 => Failure::Absent,
        410 => Failure::Expired,
        _ => Failure::Busy { status, words, retry_after },
    }
}

/// An error that comes as an event of a watch.
pub fn failure_in(event: &RawValue) -> Failure {
    let status: Words = serde_json::from_str(event.get()).unwrap_or_default();
    failure(status.code.unwrap_or(500), &status.message.unwrap_or_default(), None)
}

/// What is of use in a `Status`.
#[derive(Default, Deserialize)]
struct Words {
    code: Option<u16>,
    message: Option<String>,
}

/// What the API server says of an error: the message of a `Status`, or a plain text.
pub fn words(body: &[u8]) -> String {
    let status: Words = serde_json::from_slice(body).unwrap_or_default();
    status.message.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned())
}
