//! Keys, and whatever can be signed with them, however wrong.

use std::path::Path;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The orders of the curves, and of the base point of Ed25519: signatures at their edges are tried.
pub const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
pub const P384_ORDER: &str =
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";
pub const ED_ORDER: &str = "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed";

pub struct Secret {
    /// The name of the key.
    pub id: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec { fixed: EcdsaKeyPair, der: EcdsaKeyPair, curve: &'static str },
    Ed(Box<Ed25519KeyPair>),
}

impl Secret {
    pub fn rsa(id: &'static str) -> Self {
        let generated = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        let pair = RsaKeyPair::from_pkcs8(generated.as_der().unwrap().as_ref()).unwrap();
        Self { id, pair: Pair::Rsa(Box::new(pair)) }
    }

    /// An RSA key as tools write it.
    pub fn of_file(id: &'static str, path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let body: String = text.lines().filter(|it| !it.starts_with("-----")).collect();
        let der = STANDARD.decode(body).unwrap();
        let pair = RsaKeyPair::from_der(&der).or_else(|_| RsaKeyPair::from_pkcs8(&der)).unwrap();
        Self { id, pair: Pair::Rsa(Box::new(pair)) }
    }

    pub fn p256(id: &'static str) -> Self {
        Self::ec(id, "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_ASN1_SIGNING)
    }

    pub fn p384(id: &'static str) -> Self {
        Self::ec(id, "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING)
    }

    fn ec(
        id: &'static str,
        curve: &'static str,
        fixed: &'static EcdsaSigningAlgorithm,
        der: &'static EcdsaSigningAlgorithm,
    ) -> Self {
        let generated = EcdsaKeyPair::generate_pkcs8(fixed, &SystemRandom::new()).unwrap();
        let of = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, generated.as_ref()).unwrap();
        Self { id, pair: Pair::Ec { fixed: of(fixed), der: of(der), curve } }
    }

    pub fn ed(id: &'static str) -> Self {
        Self { id, pair: Pair::Ed(Box::new(Ed25519KeyPair::generate().unwrap())) }
    }

    /// The public key, with its name.
    pub fn jwk(&self) -> Value {
        let id = self.id;
        match &self.pair {
            Pair::Rsa(key) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
                json!({ "kty": "RSA", "kid": id, "n": base64(n), "e": base64(e) })
            }
            Pair::Ec { fixed, curve, .. } => {
                let point = &fixed.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "kid": id, "crv": curve, "x": base64(x), "y": base64(y) })
            }
            Pair::Ed(key) => json!({ "kty": "OKP", "kid": id, "crv": "Ed25519", "x": base64(key.public_key()) }),
        }
    }

    /// The public key in all forms that somebody may have taken for a secret.
    pub fn forms(&self) -> Vec<(&'static str, Vec<u8>)> {
        let spki: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Rsa(key) => key.public_key().as_der().unwrap(),
            Pair::Ec { fixed, .. } => fixed.public_key().as_der().unwrap(),
            Pair::Ed(key) => key.public_key().as_der().unwrap(),
        };
        let jwk = self.jwk();
        let bytes = |name: &str| jwk[name].as_str().map(|it| URL_SAFE_NO_PAD.decode(it).unwrap()).unwrap_or_default();
        let pem = pem("PUBLIC KEY", spki.as_ref());
        let mut forms = vec![
            ("SPKI as PEM", pem.clone().into_bytes()),
            ("SPKI as PEM without the last line end", pem.trim_end().into()),
            ("SPKI as PEM with CRLF", pem.replace('\n', "\r\n").into()),
            ("SPKI as PEM on one line", pem.replace('\n', "").into()),
            ("SPKI as DER", spki.as_ref().into()),
            ("SPKI as base64", STANDARD.encode(spki.as_ref()).into()),
            ("JWK", jwk.to_string().into()),
            ("JWK set", json!({ "keys": [jwk] }).to_string().into()),
        ];
        match &self.pair {
            Pair::Rsa(key) => {
                let pkcs1 = key.public_key().as_ref().to_vec();
                let pem = self::pem("RSA PUBLIC KEY", &pkcs1);
                forms.extend([
                    ("PKCS1 as PEM", pem.clone().into_bytes()),
                    ("PKCS1 as PEM without the last line end", pem.trim_end().into()),
                    ("PKCS1 as DER", pkcs1),
                    ("modulus", bytes("n")),
                    ("modulus as text", jwk["n"].as_str().unwrap().into()),
                ]);
            }
            Pair::Ec { fixed, .. } => {
                forms.push(("point", fixed.public_key().as_ref().to_vec()));
                forms.push(("x and y", [bytes("x"), bytes("y")].concat()));
                forms.push(("x", bytes("x")));
            }
            Pair::Ed(_) => {
                forms.push(("point", bytes("x")));
                forms.push(("point as text", jwk["x"].as_str().unwrap().into()));
            }
        }
        forms
    }

    /// The signature of a message; for RSA as the algorithm says, else as the key does.
    pub fn sign(&self, algorithm: &str, message: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(key) => {
                let encoding: &dyn RsaEncoding = match algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Pair::Ec { fixed, .. } => fixed.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            Pair::Ed(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
        }
    }

    /// As ASN.1 has it, which a JWS does not (RFC 7518, 3.4).
    pub fn sign_der(&self, message: &str) -> Vec<u8> {
        let Pair::Ec { der, .. } = &self.pair else { panic!("only for ECDSA") };
        der.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
    }

    /// A token of just these texts.
    pub fn token(&self, algorithm: &str, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        self.finish(algorithm, &message(header, claims))
    }

    pub fn finish(&self, algorithm: &str, message: &str) -> String {
        format!("{message}.{}", base64(self.sign(algorithm, message)))
    }
}

/// What is signed of a token.
pub fn message(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    format!("{}.{}", base64(header), base64(claims))
}

/// A token that whoever knows the secret could make.
pub fn with_secret(algorithm: &str, secret: &[u8], message: &str) -> String {
    let digest = match algorithm {
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    format!("{message}.{}", base64(hmac::sign(&hmac::Key::new(digest, secret), message.as_bytes())))
}

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|it| std::str::from_utf8(it).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

pub fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|n| u8::from_str_radix(&text[n..n + 2], 16).unwrap()).collect()
}

/// `a - b`, of numbers of the same length with the highest byte first.
pub fn minus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrowed = 0;
    let digits = a.iter().zip(b).rev().map(|(a, b)| {
        let digit = i16::from(*a) - i16::from(*b) - borrowed;
        borrowed = i16::from(digit < 0);
        u8::try_from(digit.rem_euclid(256)).unwrap()
    });
    let mut digits: Vec<_> = digits.collect();
    digits.reverse();
    digits
}

/// `a + b`, likewise, as far as it fits.
pub fn plus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut carried = 0;
    let digits = a.iter().zip(b).rev().map(|(a, b)| {
        let digit = u16::from(*a) + u16::from(*b) + carried;
        carried = digit >> 8;
        u8::try_from(digit & 0xff).unwrap()
    });
    let mut digits: Vec<_> = digits.collect();
    digits.reverse();
    digits
}
