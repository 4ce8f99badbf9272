//! Tokens, mutated: whatever is done to a good one, nothing but itself is accepted.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use eventmesh_catalog::access::jwt::keys::Keys;
use eventmesh_catalog::access::jwt::rules::Rules;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const ISSUER: &str = "https://issuer.example";
const NOW: u64 = 1_800_000_000;

/// An issuer with a key of each kind, and a good token of each key.
struct World {
    rules: Rules,
    keys: Keys,
    tokens: Vec<String>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let encodings = [
        (Algorithm::RS256, EncodingKey::from_rsa_der(&rsa())),
        (Algorithm::ES256, EncodingKey::from_ec_der(&p256())),
        (Algorithm::EdDSA, EncodingKey::from_ed_der(&ed25519())),
    ];
    let mut keys: Vec<Value> = vec![];
    let mut tokens = vec![];
    for (algorithm, encoding) in encodings {
        let id = format!("{algorithm:?}");
        let mut key = serde_json::to_value(Jwk::from_encoding_key(&encoding, algorithm).unwrap()).unwrap();
        key["kid"] = json!(id);
        keys.push(key);
        let header = Header { kid: Some(id), ..Header::new(algorithm) };
        let claims = json!({"iss": ISSUER, "sub": "somebody", "aud": ["catalog"], "exp": NOW + 600, "iat": NOW});
        tokens.push(jsonwebtoken::encode(&header, &claims, &encoding).unwrap());
    }
    let rules = Rules {
        issuer: ISSUER.into(),
        audiences: Some(vec!["catalog".into()]),
        algorithms: vec![Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA],
        skew: Duration::ZERO,
        required: vec![],
        mapping: None,
    };
    let keys = Keys::read(json!({"keys": keys}).to_string().as_bytes()).unwrap();
    let world = World { rules, keys, tokens };
    assert!(world.tokens.iter().all(|it| world.accepts(it)), "what is good is accepted");
    world
});

fn rsa() -> Vec<u8> {
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = aws_lc_rs::encoding::AsDer::as_der(&pair).unwrap();
    der.as_ref().to_vec()
}

fn p256() -> Vec<u8> {
    EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap().as_ref().to_vec()
}

fn ed25519() -> Vec<u8> {
    Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref().to_vec()
}

impl World {
    fn accepts(&self, token: &str) -> bool {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let Ok(statement) = self.rules.read(token) else { return false };
        statement.signed(&self.keys).is_ok_and(|it| it.at(now).is_ok())
    }
}

/// Puts some bytes in other places, or into other ones.
fn edited(mut bytes: Vec<u8>, edits: &[(u16, u8)]) -> Vec<u8> {
    for (at, byte) in edits {
        let at = usize::from(*at);
        match at % 3 {
            0 if !bytes.is_empty() => {
                let at = at / 3 % bytes.len();
                bytes[at] = *byte;
            }
            1 => bytes.insert((at / 3).min(bytes.len()), *byte),
            2 if !bytes.is_empty() => {
                let at = at / 3 % bytes.len();
                bytes.remove(at);
            }
            _ => (),
        }
    }
    bytes
}

fuzz_target!(|input: (u8, [u8; 3], Vec<(u16, u8)>, &str)| {
    let (what, from, edits, text) = input;
    let tokens = &WORLD.tokens;
    // The parts of a token may come from several.
    let part = |n: usize| tokens[usize::from(from[n]) % tokens.len()].split('.').nth(n).unwrap().to_owned();
    let mut parts = [part(0), part(1), part(2)];
    let mutated = match what % 4 {
        // Anything.
        0 => text.to_owned(),
        // Characters of a token.
        1 => String::from_utf8_lossy(&edited(parts.join(".").into_bytes(), &edits)).into_owned(),
        // What is in the header, or in the claims, under the signature of something else.
        n => {
            let part = &mut parts[usize::from(n) - 2];
            *part = URL_SAFE_NO_PAD.encode(edited(URL_SAFE_NO_PAD.decode(&*part).unwrap(), &edits));
            parts.join(".")
        }
    };
    assert!(tokens.contains(&mutated) || !WORLD.accepts(&mutated), "{mutated}");
});
