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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::claims;
    use super::super::token::Members;
    use super::*;

    fn mapping(username: (&str, &str), groups: Option<(&str, &str)>, uid: Option<&str>) -> Mapping {
        let prefixed = |(claim, prefix): (&str, &str)| Prefixed { claim: claim.into(), prefix: prefix.into() };
        Mapping { username: prefixed(username), groups: groups.map(prefixed), uid: uid.map(str::to_owned) }
    }

    fn user(mapping: &Mapping, of: &Value) -> Result<User, Refusal> {
        mapping.user(&Members::read(of.to_string().as_bytes(), Refusal::Claims).unwrap())
    }

    #[test]
    fn a_claim_with_its_prefix_is_the_name() {
        let cases = [
            ("sub", "oidc:", json!({}), Ok("oidc:ann")),
            ("sub", "", json!({}), Ok("ann")),
            ("sub", "", json!({ "sub": "systems:ann" }), Ok("systems:ann")),
            ("sub", "", json!({ "sub": "system:admin" }), Err(Refusal::SystemName)),
            ("sub", "sys", json!({ "sub": "tem:admin" }), Err(Refusal::SystemName)),
            ("sub", "oidc:", json!({ "sub": "" }), Err(Refusal::Username)),
            ("sub", "oidc:", json!({ "sub": 7 }), Err(Refusal::Username)),
            ("sub", "oidc:", json!({ "sub": ["ann"] }), Err(Refusal::Username)),
            ("sub", "oidc:", json!({ "sub": "ann\n" }), Err(Refusal::Username)),
            ("sub", "oidc:", json!({ "sub": "an\u{0}n" }), Err(Refusal::Username)),
            ("sub", "oidc:", json!({ "sub": "an\u{85}n" }), Err(Refusal::Username)),
            ("name", "oidc:", json!({}), Err(Refusal::Username)),
            ("email", "", json!({ "email": "a@b" }), Ok("a@b")),
            ("email", "", json!({ "email": "a@b", "email_verified": true }), Ok("a@b")),
            ("email", "", json!({ "email": "a@b", "email_verified": false }), Err(Refusal::Email)),
            ("email", "", json!({ "email": "a@b", "email_verified": "true" }), Err(Refusal::Email)),
            ("sub", "", json!({ "email_verified": false }), Ok("ann")),
        ];
        for (claim, prefix, more, expected) in cases {
            let name = user(&mapping((claim, prefix), None, None), &claims(&more)).map(|it| it.name);
            assert_eq!(name, expected.map(str::to_owned), "{claim} {prefix} {more}");
        }
    }

    #[test]
    fn groups_are_sorted_prefixed_and_never_of_the_system() {
        let cases = [
            (json!({}), Ok(vec![])),
            (json!({ "g": "dev" }), Ok(vec!["x:dev"])),
            (json!({ "g": ["ops", "dev", "ops"] }), Ok(vec!["x:dev", "x:ops"])),
            (json!({ "g": ["", "a\tb", "dev"] }), Ok(vec!["x:dev"])),
            (json!({ "g": [] }), Ok(vec![])),
            (json!({ "g": 7 }), Err(Refusal::Groups)),
            (json!({ "g": ["dev", 7] }), Err(Refusal::Groups)),
            (json!({ "g": { "dev": true } }), Err(Refusal::Groups)),
        ];
        for (more, expected) in cases {
            let expected = expected.map(|it| [vec!["system:authenticated"], it].concat());
            let found = user(&mapping(("sub", ""), Some(("g", "x:")), None), &claims(&more)).map(|it| it.groups);
            assert_eq!(found, expected.map(|it| it.into_iter().map(str::to_owned).collect()), "{more}");
        }
        let of = claims(&json!({ "g": ["system:masters", "system:authenticated", "dev"] }));
        let found = user(&mapping(("sub", ""), Some(("g", "")), None), &of).unwrap().groups;
        assert_eq!(found, ["dev", "system:authenticated"]);
        let of = claims(&json!({ "g": ["m:masters"] }));
        let found = user(&mapping(("sub", ""), Some(("g", "syste")), None), &of).unwrap().groups;
        assert_eq!(found, ["system:authenticated"]);
    }

    #[test]
    fn a_uid_has_to_be_there_where_it_is_mapped() {
        let of = |more| user(&mapping(("sub", ""), None, Some("oid")), &claims(&more)).map(|it| it.uid);
        assert_eq!(of(json!({ "oid": "1-2" })), Ok("1-2".into()));
        for more in [json!({}), json!({ "oid": 12 }), json!({ "oid": "" }), json!({ "oid": "\r" })] {
            assert_eq!(of(more), Err(Refusal::Uid));
        }
    }
}
