//! What an issuer's claims make somebody: the rules of Kubernetes for issuers that are configured. Pure.

use serde_json::Value;

use super::refusal::Refusal;
use super::token::{Members, texts};
use crate::access::user::User;

/// Names of Kubernetes' own, of its components and service accounts: nobody else says that somebody has one.
pub const SYSTEM: &str = "system:";
/// The group of everybody who is known, as API servers add it.
const AUTHENTICATED: &str = "system:authenticated";

/// A claim, and what is put before what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefixed {
    pub claim: String,
    pub prefix: String,
}

/// Which claims say who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub username: Prefixed,
    pub groups: Option<Prefixed>,
    pub uid: Option<String>,
}

impl Mapping {
    /// Who somebody is whose claims were verified.
    ///
    /// # Errors
    /// When a claim is missing or is not what it has to be.
    pub fn user(&self, claims: &Members) -> Result<User, Refusal> {
        let name = self.username(claims)?;
        let uid = self.uid.as_ref().map(|it| uid(claims, it)).transpose()?.unwrap_or_default();
        let mut groups = self.groups.as_ref().map(|it| groups(claims, it)).transpose()?.unwrap_or_default();
        groups.push(AUTHENTICATED.to_owned());
        groups.sort();
        groups.dedup();
        Ok(User { name, uid, groups, ..User::default() })
    }

    fn username(&self, claims: &Members) -> Result<String, Refusal> {
        let Prefixed { claim, prefix } = &self.username;
        let text = claims.get(claim).and_then(Value::as_str).filter(|it| is_name(it)).ok_or(Refusal::Username)?;
        let is_verified = || claims.get("email_verified").is_none_or(|it| it.as_bool() == Some(true));
        if claim == "email" && !is_verified() {
            return Err(Refusal::Email);
        }
        let name = format!("{prefix}{text}");
        if name.starts_with(SYSTEM) { Err(Refusal::SystemName) } else { Ok(name) }
    }
}

/// Those that cannot be meant are left out: a token with one of them is as good as one without.
fn groups(claims: &Members, of: &Prefixed) -> Result<Vec<String>, Refusal> {
    let Some(value) = claims.get(&of.claim) else { return Ok(vec![]) };
    let named = texts(value).ok_or(Refusal::Groups)?;
    let prefixed = named.iter().filter(|it| is_name(it)).map(|it| format!("{}{it}", of.prefix));
    Ok(prefixed.filter(|it| !it.starts_with(SYSTEM)).collect())
}

fn uid(claims: &Members, claim: &str) -> Result<String, Refusal> {
    let text = claims.get(claim).and_then(Value::as_str).filter(|it| is_name(it));
    text.map(str::to_owned).ok_or(Refusal::Uid)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}
