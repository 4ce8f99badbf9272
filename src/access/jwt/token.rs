//! From the text of a token to what it says (RFC 7515, RFC 7519). Pure, and nothing that is read here is verified.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::refusal::Refusal;

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 16 << 10;
/// The longest name of a key, in characters.
const MAX_KEY_ID: usize = 256;
/// The end of the year 9999, in seconds: nobody means a date behind it.
const MAX_DATE: f64 = 253_402_300_800.0;
/// Members that change how the rest is to be read (RFC 7515, 4.1.11; RFC 7797, 3; RFC 7516, 4.1.2 and 4.1.3).
const EXTENSIONS: [&str; 4] = ["crit", "b64", "zip", "enc"];
/// Members that bring a key, or say where to get one (RFC 7515, 4.1.2, 4.1.3, 4.1.5 and 4.1.6). Keys come from issuers.
const KEY_MATERIAL: [&str; 4] = ["jwk", "jku", "x5u", "x5c"];
/// Also what others would take for base64url, once both alphabets are one: who a token is of is found out however it is
/// written.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The parts of a token, as it is written. Like it, they have no `Debug`, so that they cannot get into a log or an error.
pub struct Parts<'a> {
    /// What is signed.
    pub message: &'a str,
    /// In base64url, and that for certain.
    pub signature: &'a str,
    pub algorithm: String,
    pub key_id: Option<String>,
    pub claims: Members,
}

/// When a token counts, as times since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dates {
    pub expires: Duration,
    pub not_before: Option<Duration>,
    pub issued: Option<Duration>,
}

/// The members of an object, none of them twice.
pub struct Members(BTreeMap<String, Value>);

impl<'a> Parts<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// When it is not written as it has to be (RFC 7515, 7.1), or asks for what is not understood.
    pub fn read(text: &'a str) -> Result<Self, Refusal> {
        if text.len() > MAX_TOKEN {
            return Err(Refusal::Encoding);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(Refusal::Encoding)?;
        let (header, claims) = message.split_once('.').ok_or(Refusal::Encoding)?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Encoding);
        let (header, claims) = (decoded(header)?, decoded(claims)?);
        if decoded(signature)?.is_empty() {
            return Err(Refusal::Encoding);
        }
        let header = Members::read(&header, Refusal::Header)?;
        if EXTENSIONS.iter().any(|it| header.get(it).is_some()) {
            return Err(Refusal::Extension);
        }
        if KEY_MATERIAL.iter().any(|it| header.get(it).is_some()) {
            return Err(Refusal::KeyMaterial);
        }
        if !header.get("typ").is_none_or(is_type) {
            return Err(Refusal::Type);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(Refusal::Header)?.to_owned();
        let key_id = header.get("kid").map(key_id).transpose()?;
        Ok(Self { message, signature, algorithm, key_id, claims: Members::read(&claims, Refusal::Claims)? })
    }
}

/// RFC 7519, 5.1, and RFC 9068, 2.1. Backstage has a type of its own for the tokens of users, and others for tokens that do
/// not stand for one, or not alone.
fn is_type(value: &Value) -> bool {
    let types = ["JWT", "at+jwt", "application/at+jwt", "vnd.backstage.user"];
    value.as_str().is_some_and(|it| types.iter().any(|known| known.eq_ignore_ascii_case(it)))
}

fn key_id(value: &Value) -> Result<String, Refusal> {
    let id = value.as_str().filter(|it| it.chars().count() <= MAX_KEY_ID);
    id.map(str::to_owned).ok_or(Refusal::KeyId)
}

/// The issuers that a token names: none where it is no JWT, and several only where somebody tries something. Cheap, and
/// lenient: it only finds out whose rules count.
pub fn issuers_named(text: &str) -> Vec<String> {
    let mut parts = text.split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return vec![];
    };
    if text.len() > MAX_TOKEN {
        return vec![];
    }
    let claims = claims.trim_end_matches('=').replace('+', "-").replace('/', "_");
    let decoded = LENIENT.decode(claims).unwrap_or_default();
    serde_json::from_slice(&decoded).map(|IssuersNamed(it)| it).unwrap_or_default()
}

impl Members {
    pub(super) fn read(json: &[u8], unreadable: Refusal) -> Result<Self, Refusal> {
        let read: Read = serde_json::from_slice(json).map_err(|_| unreadable)?;
        if read.has_duplicate { Err(Refusal::Duplicate) } else { Ok(Self(read.members)) }
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Whom the token is for (RFC 7519, 4.1.3): one text or a list of them.
    ///
    /// # Errors
    /// When it is something else.
    pub fn audiences(&self) -> Result<Vec<String>, Refusal> {
        self.get("aud").map_or(Ok(vec![]), |it| texts(it).ok_or(Refusal::Audience))
    }

    /// RFC 7519, 4.1.4 to 4.1.6.
    ///
    /// # Errors
    /// When a date is not one, or the token never expires.
    pub fn dates(&self) -> Result<Dates, Refusal> {
        let of = |name| self.get(name).map(date).transpose();
        let expires = of("exp")?.ok_or(Refusal::NoExpiry)?;
        Ok(Dates { expires, not_before: of("nbf")?, issued: of("iat")? })
    }
}

/// One text, or a list of them.
pub fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items.iter().map(|it| it.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// RFC 7519, 2: seconds, maybe with a fraction.
fn date(value: &Value) -> Result<Duration, Refusal> {
    let seconds = value.as_f64().filter(|it| (0.0..MAX_DATE).contains(it)).ok_or(Refusal::Date)?;
    value.as_u64().map_or_else(
        || Duration::try_from_secs_f64(seconds).map_err(|_| Refusal::Date),
        |exact| Ok(Duration::from_secs(exact)),
    )
}

/// All members, and whether one of them is there twice: readers of JSON do not agree on which one counts (RFC 7519, 4).
#[derive(Default)]
struct Read {
    members: BTreeMap<String, Value>,
    has_duplicate: bool,
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Read;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
                let mut read = Read::default();
                while let Some((name, value)) = map.next_entry()? {
                    read.has_duplicate |= read.members.insert(name, value).is_some();
                }
                Ok(read)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

struct IssuersNamed(Vec<String>);

impl<'de> Deserialize<'de> for IssuersNamed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = IssuersNamed;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<IssuersNamed, A::Error> {
                let mut named = vec![];
                while let Some(name) = map.next_key::<String>()? {
                    if name == "iss" {
                        named.extend(map.next_value::<Value>()?.as_str().map(str::to_owned));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(IssuersNamed(named))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}
