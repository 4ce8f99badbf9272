//! Tokens, mutated: whatever is done to a good one, nothing but itself is accepted.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING as P256, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use eventmesh_catalog::access::jwt::keys::Keys;
use eventmesh_catalog::access::jwt::rules::Rules;
use jsonwebtoken::Algorithm;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

const ISSUER: &str = "https://issuer.example";
const NOW: u64 = 1_800_000_000;

/// An issuer with a key of each kind, and a good token of each key.
struct World {
    rules: Rules,
    keys: Keys,
    tokens: Vec<String>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let (rsa, p256, ed25519) = (rsa(), EcdsaKeyPair::generate(&P256).unwrap(), Ed25519KeyPair::generate().unwrap());
    let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(rsa.public_key());
    let (x, y) = p256.public_key().as_ref()[1..].split_at(32);
    let keys = json!({"keys": [
        {"kid": "RS256", "kty": "RSA", "n": base64(n), "e": base64(e)},
        {"kid": "ES256", "kty": "EC", "crv": "P-256", "x": base64(x), "y": base64(y)},
        {"kid": "EdDSA", "kty": "OKP", "crv": "Ed25519", "x": base64(ed25519.public_key())},
    ]});
    let claims = json!({"iss": ISSUER, "sub": "somebody", "aud": ["catalog"], "exp": NOW + 600, "iat": NOW});
    let token = |algorithm: &str, sign: &dyn Fn(&[u8]) -> Vec<u8>| {
        let header = json!({"alg": algorithm, "typ": "JWT", "kid": algorithm});
        let message = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
        format!("{message}.{}", base64(sign(message.as_bytes())))
    };
    let random = SystemRandom::new();
    let tokens = vec![
        token("RS256", &|message| {
            let mut signature = vec![0; rsa.public_modulus_len()];
            rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
            signature
        }),
        token("ES256", &|message| p256.sign(&random, message).unwrap().as_ref().to_vec()),
        token("EdDSA", &|message| ed25519.sign(message).as_ref().to_vec()),
    ];
    let rules = Rules {
        issuer: ISSUER.into(),
        audiences: Some(vec!["catalog".into()]),
        algorithms: vec![Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA],
        skew: Duration::ZERO,
        required: vec![],
        mapping: None,
    };
    let keys = Keys::read(keys.to_string().as_bytes()).unwrap();
    let world = World { rules, keys, tokens };
    assert!(world.tokens.iter().all(|it| world.accepts(it)), "what is good is accepted");
    world
});

fn rsa() -> RsaKeyPair {
    let generated = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    RsaKeyPair::from_pkcs8(AsDer::<Pkcs8V1Der<'_>>::as_der(&generated).unwrap().as_ref()).unwrap()
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
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
