//! The file that names issuers, in the shape that Kubernetes has for it: `AuthenticationConfiguration`, without CEL.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde::{Deserialize, Deserializer, de};

use super::address::Address;
use super::mapping::{Mapping, Prefixed, SYSTEM};
use super::rules::Rules;
use crate::kubernetes::server::Server;

const VERSIONS: [&str; 2] = ["apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1"];
const KIND: &str = "AuthenticationConfiguration";
/// As many as Kubernetes allows.
const MAX_ISSUERS: usize = 64;
const DEFAULT_SKEW: Duration = Duration::from_secs(30);
const MAX_SKEW: Duration = Duration::from_mins(5);
const DEFAULT_ALGORITHMS: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES256];

/// An issuer that is trusted to say who somebody is.
#[derive(Debug, Clone)]
pub struct Configured {
    pub(super) rules: Rules,
    pub(super) discovery: Address,
    /// Certificates in PEM.
    pub(super) authority: Option<String>,
}

/// Why a configuration of issuers is not used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    #[error("authentication configuration {0} cannot be read: {1}; check the path and its permissions")]
    Unreadable(PathBuf, String),
    /// What is wrong where, and what to write instead.
    #[error("authentication configuration {0}: {1}")]
    Malformed(PathBuf, String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    api_version: String,
    kind: String,
    #[serde(default)]
    jwt: Vec<Entry>,
    #[serde(default, rename = "anonymous")]
    _anonymous: Option<Unsupported>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    issuer: IssuerEntry,
    #[serde(default)]
    claim_validation_rules: Vec<Requirement>,
    claim_mappings: Mappings,
    #[serde(default, rename = "userValidationRules")]
    _user_validation_rules: Option<Unsupported>,
    /// Our own.
    algorithms: Option<Vec<String>>,
    /// Our own.
    clock_skew: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IssuerEntry {
    url: String,
    #[serde(rename = "discoveryURL")]
    discovery_url: Option<String>,
    certificate_authority: Option<String>,
    audiences: Vec<String>,
    audience_match_policy: Option<String>,
    #[serde(default, rename = "egressSelectorType")]
    _egress_selector_type: Option<Unsupported>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Requirement {
    claim: String,
    required_value: String,
    #[serde(default, rename = "expression")]
    _expression: Option<Unsupported>,
    #[serde(default, rename = "message")]
    _message: Option<Unsupported>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mappings {
    username: Claim,
    groups: Option<Claim>,
    uid: Option<Claim>,
    #[serde(default, rename = "extra")]
    _extra: Option<Unsupported>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    #[serde(rename = "claim")]
    name: String,
    prefix: Option<String>,
    #[serde(default, rename = "expression")]
    _expression: Option<Unsupported>,
}

/// What Kubernetes has, and is not here.
struct Unsupported;

impl<'de> Deserialize<'de> for Unsupported {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(de::Error::custom(
            "this field of Kubernetes is not supported here, nor are CEL expressions: map and require claims by \
             `claim`, and take the field out",
        ))
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<Configured>, ConfigurationError> {
    let unreadable = |error: std::io::Error| ConfigurationError::Unreadable(path.into(), error.to_string());
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    parse(&text).map_err(|reason| ConfigurationError::Malformed(path.into(), reason))
}

pub(super) fn parse(text: &str) -> Result<Vec<Configured>, String> {
    let mut options = serde_saphyr::Options::default();
    options.with_snippet = false;
    options.strict_booleans = true;
    let file: File = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map(|it| format!("line {}, column {}: ", it.line(), it.column()));
        format!("{}{}", place.unwrap_or_default(), error.without_snippet())
    })?;
    if !VERSIONS.contains(&&*file.api_version) {
        return Err(format!("apiVersion: it is none of those that are known; write `{}`", VERSIONS[0]));
    }
    if file.kind != KIND {
        return Err(format!("kind: it is not that of this file; write `{KIND}`"));
    }
    if file.jwt.len() > MAX_ISSUERS {
        return Err(format!("jwt: there are more than {MAX_ISSUERS} issuers; take some out"));
    }
    let mut urls = BTreeSet::new();
    let mut configured = vec![];
    for (n, entry) in file.jwt.into_iter().enumerate() {
        if !urls.insert(entry.issuer.url.clone()) {
            return Err(format!("jwt[{n}].issuer.url: the issuer is already there; keep one of the two"));
        }
        configured.push(entry.check().map_err(|reason| format!("jwt[{n}].{reason}"))?);
    }
    Ok(configured)
}

impl Entry {
    fn check(self) -> Result<Configured, String> {
        let discovery = self.issuer.check()?;
        let algorithms = self.algorithms.as_deref().map_or_else(|| Ok(DEFAULT_ALGORITHMS.into()), algorithms)?;
        let skew = self.clock_skew.as_deref().map_or(Ok(DEFAULT_SKEW), skew)?;
        for (n, rule) in self.claim_validation_rules.iter().enumerate() {
            if rule.claim.is_empty() {
                return Err(format!("claimValidationRules[{n}].claim: it is empty; name the claim"));
            }
        }
        let required = self.claim_validation_rules.into_iter().map(|it| (it.claim, it.required_value)).collect();
        let mapping = Some(Mapping {
            username: self.claim_mappings.username.prefixed("username")?,
            groups: self.claim_mappings.groups.map(|it| it.prefixed("groups")).transpose()?,
            uid: self.claim_mappings.uid.map(Claim::alone).transpose()?,
        });
        let audiences = Some(self.issuer.audiences);
        let issuer = self.issuer.url.into();
        let rules = Rules { issuer, audiences, algorithms, skew, required, mapping };
        Ok(Configured { rules, discovery, authority: self.issuer.certificate_authority })
    }
}

impl IssuerEntry {
    /// Where its discovery document is.
    fn check(&self) -> Result<Address, String> {
        let own = Address::of_discovery(&self.url).map_err(|error| format!("issuer.url: {error}"))?;
        let discovery = match &self.discovery_url {
            Some(url) if *url == self.url => {
                return Err("issuer.discoveryURL: it is the issuer itself; leave it out".into());
            }
            Some(url) => Address::parse(url).map_err(|error| format!("issuer.discoveryURL: {error}"))?,
            None => own,
        };
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return Err("issuer.audiences: name at least one audience, and none that is empty: a token for anybody \
                        is not meant for this service"
                .into());
        }
        if self.audience_match_policy.as_ref().is_some_and(|it| !it.is_empty() && it != "MatchAny") {
            return Err("issuer.audienceMatchPolicy: there is only `MatchAny`; write that, or leave it out".into());
        }
        let authority = self.certificate_authority.as_deref();
        Server::can_be_at(&discovery.origin, authority).map_err(|error| match authority {
            Some(_) => format!("issuer.certificateAuthority: {error}"),
            None => {
                format!("issuer.certificateAuthority: it is missing, and so are authorities of the system: {error}")
            }
        })?;
        Ok(discovery)
    }
}

impl Claim {
    fn prefixed(self, of: &str) -> Result<Prefixed, String> {
        let Self { name: claim, prefix, .. } = self;
        if claim.is_empty() {
            return Err(format!("claimMappings.{of}.claim: it is empty; name the claim"));
        }
        let Some(prefix) = prefix else {
            return Err(format!("claimMappings.{of}.prefix: it is missing; write `\"\"` for none"));
        };
        if prefix.starts_with(SYSTEM) || prefix.chars().any(char::is_control) {
            return Err(format!(
                "claimMappings.{of}.prefix: it must not begin with `{SYSTEM}`, which is Kubernetes' own, nor have control \
                 characters; choose one such as `oidc:`"
            ));
        }
        Ok(Prefixed { claim, prefix })
    }

    fn alone(self) -> Result<String, String> {
        match self {
            Self { prefix: Some(_), .. } => Err("claimMappings.uid.prefix: there is none for uids; take it out".into()),
            Self { name, .. } if name.is_empty() => Err("claimMappings.uid.claim: it is empty; name the claim".into()),
            Self { name, .. } => Ok(name),
        }
    }
}

fn algorithms(names: &[String]) -> Result<Vec<Algorithm>, String> {
    if names.is_empty() {
        return Err("algorithms: there are none; name some, or leave the field out for RS256 and ES256".into());
    }
    let parse = |name: &String| match name.parse() {
        Ok(Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) => Err(format!(
            "algorithms: `{name}` takes a secret that the issuer shares, so that whoever checks tokens could make them; \
             use one of RS256, ES256 and the like"
        )),
        Ok(algorithm) => Ok(algorithm),
        Err(_) => Err(format!(
            "algorithms: `{name}` is not known; use RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA"
        )),
    };
    names.iter().map(parse).collect()
}

fn skew(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration =
        text.parse().map_err(|error| format!("clockSkew: {error}; give a time such as `30s`"))?;
    let skew = Duration::try_from(parsed).ok().filter(|it| *it <= MAX_SKEW);
    skew.ok_or_else(|| format!("clockSkew: it must be from 0s to {} s", MAX_SKEW.as_secs()))
}

#[cfg(test)]
mod tests;
