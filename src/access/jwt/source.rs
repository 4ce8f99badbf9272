//! Asking an issuer for its keys: one fetch, from the beginning to the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use tokio::time::Instant;

use super::address::Address;
use super::clock::Measured;
use super::keys::{Keys, KeysError};
use crate::kubernetes::failure::Failure;
use crate::kubernetes::paths::{DISCOVERY as DISCOVERY_OF_CLUSTER, KEYS as KEYS_OF_CLUSTER};
use crate::kubernetes::server::{Answer, Server};

/// The largest document that is read, in bytes.
const MAX_DOCUMENT: usize = 1 << 20;
/// The most servers that connections are held to: that of discovery and that of the keys.
const MAX_SERVERS: usize = 2;

/// Where keys come from.
pub enum Source {
    /// The API server that we talk to anyway.
    Cluster(Box<Server>),
    Elsewhere {
        issuer: Arc<str>,
        discovery: Address,
        authority: Option<String>,
        servers: Servers,
    },
    /// Nobody is asked.
    #[cfg(test)]
    Scripted(Arc<super::testing::Script>),
}

/// Servers that were asked before, by their origin.
#[derive(Default)]
pub struct Servers(Mutex<HashMap<String, Server>>);

/// What an issuer is, as it says.
pub struct Fetched {
    pub issuer: Arc<str>,
    pub keys: Keys,
    pub clock: Option<Measured>,
}

/// Why there are no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// They are not for us to have, or of no use to us: others have to check the tokens.
    #[error("{0}")]
    NotForUs(String),
    /// Not now.
    #[error("{0}")]
    Failed(String),
}

/// `OpenID` Connect Discovery 1.0, 3, as far as it is of use.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    #[serde(default)]
    jwks_uri: String,
}

impl Source {
    /// Asks who the issuer is, and for its keys.
    ///
    /// # Errors
    /// When there is no good answer to both.
    pub async fn fetch(&self) -> Result<Fetched, FetchError> {
        match self {
            Self::Cluster(server) => of_cluster(server).await,
            #[cfg(test)]
            Self::Scripted(script) => script.fetch().await,
            Self::Elsewhere { issuer, discovery, authority, servers } => {
                let authority = authority.as_deref();
                let server = servers.at(&discovery.origin, authority)?;
                let found: Discovery = document(get(&server, &discovery.path).await?).await?;
                if found.issuer != **issuer {
                    return Err(FetchError::Failed("its discovery document is of another issuer".into()));
                }
                let keys = Address::parse(&found.jwks_uri)
                    .map_err(|error| FetchError::Failed(format!("its `jwks_uri` cannot be used: {error}")))?;
                // Nobody on the way to the issuer may send us to some service beside us.
                if discovery.origin.starts_with("https:") && !keys.origin.starts_with("https:") {
                    return Err(FetchError::Failed("its `jwks_uri` does not begin with `https://`".into()));
                }
                let server = servers.at(&keys.origin, authority)?;
                let (keys, clock) = keys_at(&server, &keys.path).await?;
                let keys = keys.map_err(|error| FetchError::Failed(error.to_string()))?;
                Ok(Fetched { issuer: issuer.clone(), keys, clock })
            }
        }
    }
}

async fn of_cluster(server: &Server) -> Result<Fetched, FetchError> {
    let refused = |failure: Failure| match failure {
        Failure::Refused(_) | Failure::Absent => {
            let why = words(&failure);
            FetchError::NotForUs(format!(
                "{why}; the role `system:service-account-issuer-discovery` allows to ask for it"
            ))
        }
        _ => failure.into(),
    };
    let found: Discovery = document(get(server, DISCOVERY_OF_CLUSTER).await.map_err(refused)?).await?;
    if found.issuer.is_empty() {
        return Err(FetchError::Failed("its discovery document names no issuer".into()));
    }
    let (keys, clock) = keys_at(server, KEYS_OF_CLUSTER).await.map_err(refused)?;
    let keys = keys.map_err(|error| match error {
        KeysError::Garbled => FetchError::Failed(error.to_string()),
        // The API server can check what is signed with keys that are of no use here.
        KeysError::Unimplemented | KeysError::NoneUsable | KeysError::TooMany => {
            FetchError::NotForUs(error.to_string())
        }
    })?;
    Ok(Fetched { issuer: found.issuer.into(), keys, clock })
}

async fn get(server: &Server, path: &str) -> Result<Answer, Failure> {
    let answer = server.get(path, "application/json, application/jwk-set+json").await?;
    Ok(answer.at_most(MAX_DOCUMENT))
}

async fn keys_at(server: &Server, path: &str) -> Result<(Result<Keys, KeysError>, Option<Measured>), Failure> {
    let asked = Instant::now();
    let mut answer = get(server, path).await?;
    let clock = Measured::of(answer.header("date"), answer.header("age"), asked, Instant::now());
    Ok((Keys::read(&answer.whole().await?), clock))
}

async fn document(mut answer: Answer) -> Result<Discovery, FetchError> {
    let json = answer.whole().await?;
    serde_json::from_slice(&json).map_err(|_| FetchError::Failed("its discovery document is not one".into()))
}

impl From<Failure> for FetchError {
    fn from(failure: Failure) -> Self {
        Self::Failed(words(&failure))
    }
}

/// What went wrong, without what the server says of it: whoever answers there need not be the one who was asked.
fn words(failure: &Failure) -> String {
    match failure {
        Failure::Unauthorized(_) => "it answers 401".into(),
        Failure::Refused(_) => "it refuses to answer".into(),
        Failure::Absent => "it answers 404".into(),
        Failure::Expired => "it answers 410".into(),
        Failure::Busy { status: status @ 300..=399, .. } => {
            format!("it answers {status}, which is not followed; configure the address that it leads to")
        }
        Failure::Busy { status, .. } => format!("it answers {status}"),
        Failure::Unreachable(reason) => format!("it cannot be reached: {reason}"),
        Failure::TooLarge => format!("its answer is larger than {MAX_DOCUMENT} bytes"),
        Failure::Garbled(_) => "its answer cannot be read".into(),
    }
}

impl Servers {
    fn at(&self, origin: &str, authority: Option<&str>) -> Result<Server, FetchError> {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = servers.get(origin) {
            return Ok(known.clone());
        }
        let server = Server::at(origin, authority).map_err(|error| FetchError::Failed(error.to_string()))?;
        if servers.len() >= MAX_SERVERS {
            servers.clear();
        }
        servers.insert(origin.to_owned(), server.clone());
        Ok(server)
    }
}

#[cfg(test)]
mod tests;
