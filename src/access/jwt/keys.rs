//! The keys of an issuer: which of a set can be used, and for what (RFC 7517). Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// The most keys that a set may have.
const MAX_KEYS: usize = 100;
/// How long the modulus of an RSA key may be, in bits (RFC 7518, 3.3, and what is fast enough).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why a set of keys is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("its keys are not a JWK set")]
    Garbled,
    #[error("it has more than {MAX_KEYS} keys")]
    TooMany,
    #[error(
        "none of its keys can be used: they take RSA of 2048 bits at least, P-256, P-384 or Ed25519, for signatures"
    )]
    NoneUsable,
    /// They may well be good for others.
    #[error("its keys are on a curve that is not implemented")]
    Unimplemented,
}

/// The keys of an issuer that can be used.
pub struct Keys(Vec<Key>);

/// A key.
pub struct Key {
    id: Option<String>,
    kind: Kind,
    /// The one algorithm that it is for, where it says so.
    only: Option<Algorithm>,
    pub decoding: DecodingKey,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Keys {
    /// Reads a JWK set. Keys that are not for us are passed over (RFC 7517, 5).
    ///
    /// # Errors
    /// When it is not one, or nothing in it is of use.
    pub fn read(json: &[u8]) -> Result<Self, KeysError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|_| KeysError::Garbled)?;
        if set.keys.len() > MAX_KEYS {
            return Err(KeysError::TooMany);
        }
        let keys: Vec<_> = set.keys.iter().filter_map(Key::read).collect();
        let is_unimplemented = |it: &Value| it.get("crv").and_then(Value::as_str) == Some("P-521");
        match keys.is_empty() {
            false => Ok(Self(keys)),
            true if set.keys.iter().any(is_unimplemented) => Err(KeysError::Unimplemented),
            true => Err(KeysError::NoneUsable),
        }
    }

    /// The keys of a name; all, where none is named.
    pub fn named(&self, id: Option<&str>) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |it| id.is_none() || it.id.as_deref() == id)
    }
}

impl Key {
    fn read(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).map(|it| it.as_str().unwrap_or_default());
        if text("use").is_some_and(|it| it != "sig") || !may_verify(jwk) {
            return None;
        }
        let only = text("alg").map(str::parse::<Algorithm>).transpose().ok()?;
        let (kind, decoding) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (Kind::Rsa, rsa(&bytes(text("n")?)?, &bytes(text("e")?)?)?),
            ("EC", Some("P-256")) => (Kind::P256, point(text("x")?, text("y")?, 32)?),
            ("EC", Some("P-384")) => (Kind::P384, point(text("x")?, text("y")?, 48)?),
            ("OKP", Some("Ed25519")) => {
                let x = bytes(text("x")?).filter(|it| it.len() == 32)?;
                (Kind::Ed25519, DecodingKey::from_ed_der(&x))
            }
            _ => return None,
        };
        let id = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
        let key = Self { id, kind, only, decoding };
        // One that says it is for an algorithm that it cannot have is for none.
        only.is_none_or(|it| key.fits(it)).then_some(key)
    }

    /// Whether signatures of an algorithm can be of this key (RFC 7518, 3.1; RFC 8037, 3.1).
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        let kind = match algorithm {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => Kind::Rsa,
            Algorithm::ES256 => Kind::P256,
            Algorithm::ES384 => Kind::P384,
            Algorithm::EdDSA => Kind::Ed25519,
            // A secret is never a key of an issuer, and what is new is not known.
            _ => return false,
        };
        kind == self.kind && self.only.is_none_or(|it| it == algorithm)
    }
}

/// RFC 7517, 4.3.
fn may_verify(jwk: &Value) -> bool {
    let Some(operations) = jwk.get("key_ops") else { return true };
    operations.as_array().is_some_and(|it| it.iter().any(|it| it == "verify"))
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<DecodingKey> {
    let zeros = modulus.iter().take_while(|it| **it == 0).count();
    let modulus = modulus.get(zeros..)?;
    let bits = 8 * modulus.len() - usize::try_from(modulus.first()?.leading_zeros()).ok()?;
    let is_one = exponent.iter().rev().skip(1).all(|it| *it == 0) && exponent.last() == Some(&1);
    let is_good = RSA_BITS.contains(&bits) && exponent.last().is_some_and(|it| it % 2 == 1) && !is_one;
    is_good.then(|| DecodingKey::from_rsa_raw_components(modulus, exponent))
}

/// A point, uncompressed; both coordinates have their full length (RFC 7518, 6.2.1.2).
fn point(x: &str, y: &str, length: usize) -> Option<DecodingKey> {
    let (x, y) = (bytes(x)?, bytes(y)?);
    let is_good = x.len() == length && y.len() == length;
    is_good.then(|| DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::*;
    use super::*;

    #[test]
    fn only_keys_for_signatures_that_are_good_enough_count() {
        let ones = |bytes: usize| json!({ "kty": "RSA", "n": base64(vec![0xff; bytes]), "e": "AQAB" });
        let cases = [
            (RSA.jwk(), true),
            (P256.jwk(), true),
            (P384.jwk(), true),
            (ED.jwk(), true),
            (RSA.jwk_with(&json!({ "use": "sig", "key_ops": ["sign", "verify"], "alg": "PS256", "x5c": [] })), true),
            (RSA.jwk_with(&json!({ "use": "enc" })), false),
            (RSA.jwk_with(&json!({ "use": 7 })), false),
            (RSA.jwk_with(&json!({ "key_ops": ["sign"] })), false),
            (RSA.jwk_with(&json!({ "key_ops": "verify" })), false),
            (RSA.jwk_with(&json!({ "alg": "RSA-OAEP" })), false),
            (RSA.jwk_with(&json!({ "alg": "ES256" })), false),
            (RSA.jwk_with(&json!({ "alg": "HS256" })), false),
            (RSA.jwk_with(&json!({ "e": "AQ" })), false),
            (RSA.jwk_with(&json!({ "e": "AAAC" })), false),
            (RSA.jwk_with(&json!({ "e": "" })), false),
            (RSA.jwk_with(&json!({ "n": "" })), false),
            (RSA.jwk_with(&json!({ "n": null })), false),
            (RSA.jwk_with(&json!({ "kty": "rsa" })), false),
            (ones(256), true),
            (ones(255), false),
            (ones(128), false),
            (ones(1024), true),
            (ones(1025), false),
            (with(ones(0), &json!({ "n": base64([vec![0; 200], vec![0xff; 128]].concat()) })), false),
            (P256.jwk_with(&json!({ "crv": "P-384" })), false),
            (P256.jwk_with(&json!({ "crv": "secp256k1" })), false),
            (P256.jwk_with(&json!({ "x": "AA" })), false),
            (P256.jwk_with(&json!({ "alg": "ES384" })), false),
            (ED.jwk_with(&json!({ "crv": "X25519" })), false),
            (json!({ "kty": "oct", "k": base64("secret") }), false),
            (json!({ "kty": "oct", "k": base64("secret"), "alg": "RS256" }), false),
            (json!("key"), false),
        ];
        for (jwk, expected) in cases {
            let read = Keys::read(set(std::slice::from_ref(&jwk)).to_string().as_bytes());
            assert_eq!(read.is_ok(), expected, "{jwk:#}");
            // What is beside it does not matter.
            let read = Keys::read(set(&[jwk, ED.jwk()]).to_string().as_bytes()).unwrap();
            assert_eq!(read.named(None).count(), 1 + usize::from(expected));
        }
    }

    #[test]
    fn a_key_fits_what_it_says_it_is_for() {
        let fits = |jwk: Value, algorithm: &str| Key::read(&jwk).unwrap().fits(algorithm.parse().unwrap());
        assert!(fits(RSA.jwk(), "RS512") && fits(RSA.jwk(), "PS256"));
        let only = RSA.jwk_with(&json!({ "alg": "RS256" }));
        assert!(fits(only.clone(), "RS256") && !fits(only.clone(), "RS384") && !fits(only, "PS256"));
        assert!(!fits(P256.jwk(), "ES384") && !fits(P384.jwk(), "ES256") && !fits(RSA.jwk(), "HS256"));
    }
}
