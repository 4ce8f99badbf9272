//! Issuers for tests: keys, tokens, and answers as a test wants them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::clock::Measured;
use super::keys::Keys;
use super::mapping::{Mapping, Prefixed};
use super::rules::Rules;
use super::source::{FetchError, Fetched};

pub const ISSUER: &str = "https://issuer.example.com";
pub const NOW: u64 = 1_800_000_000;

pub static RSA: LazyLock<Secret> = LazyLock::new(Secret::rsa);
pub static OTHER_RSA: LazyLock<Secret> = LazyLock::new(Secret::rsa);
pub static P256: LazyLock<Secret> =
    LazyLock::new(|| Secret::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(), "P-256"));
pub static P384: LazyLock<Secret> =
    LazyLock::new(|| Secret::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(), "P-384"));
pub static ED: LazyLock<Secret> = LazyLock::new(|| Secret::Ed(Ed25519KeyPair::generate().unwrap()));

/// What an issuer signs with.
pub enum Secret {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
}

impl Secret {
    fn rsa() -> Self {
        let generated = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(generated.as_der().unwrap().as_ref()).unwrap()))
    }

    /// The public key, without a name.
    pub fn jwk(&self) -> Value {
        match self {
            Self::Rsa(key) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
                json!({ "kty": "RSA", "n": base64(n), "e": base64(e) })
            }
            Self::Ec(key, curve) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at((key.public_key().as_ref().len() - 1) / 2);
                json!({ "kty": "EC", "crv": curve, "x": base64(x), "y": base64(y) })
            }
            Self::Ed(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(key.public_key()) }),
        }
    }

    /// The same with more members.
    pub fn jwk_with(&self, more: &Value) -> Value {
        with(self.jwk(), more)
    }

    /// A token of just these texts.
    pub fn sign_text(&self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        self.sign_parts(algorithm, &format!("{}.{}", base64(header), base64(claims)))
    }

    pub fn sign_parts(&self, algorithm: Algorithm, message: &str) -> String {
        let random = SystemRandom::new();
        let signature = match self {
            Self::Rsa(key) => {
                let encoding: &dyn RsaEncoding = match algorithm {
                    Algorithm::RS384 => &RSA_PKCS1_SHA384,
                    Algorithm::RS512 => &RSA_PKCS1_SHA512,
                    Algorithm::PS256 => &RSA_PSS_SHA256,
                    Algorithm::PS384 => &RSA_PSS_SHA384,
                    Algorithm::PS512 => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Self::Ec(key, _) => key.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", base64(signature))
    }
}

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An object with some members replaced; `null` takes one away.
pub fn with(mut object: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

pub fn claims(more: &Value) -> Value {
    with(json!({ "iss": ISSUER, "aud": "catalog", "sub": "ann", "exp": NOW + 600 }), more)
}

/// A token of [`RSA`] under a name.
pub fn token(key_id: &str, more: &Value) -> String {
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": key_id });
    RSA.sign_text(Algorithm::RS256, &header.to_string(), &claims(more).to_string())
}

pub fn rules() -> Rules {
    Rules {
        issuer: ISSUER.into(),
        audiences: Some(vec!["catalog".into(), "other".into()]),
        algorithms: vec![Algorithm::RS256, Algorithm::ES256],
        skew: Duration::from_secs(30),
        required: vec![],
        mapping: Some(Mapping {
            username: Prefixed { claim: "sub".into(), prefix: "oidc:".into() },
            groups: None,
            uid: None,
        }),
    }
}

pub fn set(keys: &[Value]) -> Value {
    json!({ "keys": keys })
}

/// The RSA key under a name.
pub fn rsa_named(key_id: &str) -> Value {
    set(&[RSA.jwk_with(&json!({ "kid": key_id }))])
}

/// What a fetch gives, and how often there was one.
pub struct Script {
    pub answer: Mutex<Answered>,
    pub fetches: AtomicUsize,
}

#[derive(Clone)]
pub enum Answered {
    Keys(Value),
    /// And what the issuer's clock says.
    KeysAt(Value, String),
    Error(FetchError),
    Nothing,
}

impl Script {
    pub fn new(answer: Answered) -> Arc<Self> {
        Arc::new(Self { answer: Mutex::new(answer), fetches: AtomicUsize::new(0) })
    }

    pub fn set(&self, answer: Answered) {
        *self.answer.lock().unwrap() = answer;
    }

    pub fn fails(&self) {
        self.set(Answered::Error(FetchError::Failed("it is away".into())));
    }

    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    pub async fn fetch(&self) -> Result<Fetched, FetchError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let answer = self.answer.lock().unwrap().clone();
        let (keys, date) = match answer {
            Answered::Keys(keys) => (keys, None),
            Answered::KeysAt(keys, date) => (keys, Some(date)),
            Answered::Error(error) => return Err(error),
            Answered::Nothing => std::future::pending().await,
        };
        let now = tokio::time::Instant::now();
        let keys = Keys::read(keys.to_string().as_bytes()).map_err(|error| FetchError::Failed(error.to_string()))?;
        Ok(Fetched { issuer: ISSUER.into(), keys, clock: Measured::of(date.as_deref(), None, now, now) })
    }
}

/// A server of HTTP that answers each path with what a test says, word for word.
pub struct Web {
    pub url: String,
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// `answer` gets the address of the server and a path, and gives a whole answer, from the status line on.
    pub async fn new(answer: impl Fn(&str, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (of_server, seen, answer) = (url.clone(), asked.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (url, seen, answer) = (of_server.clone(), seen.clone(), answer.clone());
                tokio::spawn(async move {
                    let _ = serve(stream, |path| {
                        seen.lock().unwrap().push(path.to_owned());
                        answer(&url, path)
                    })
                    .await;
                });
            }
        });
        Self { url, asked }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// One question to a connection.
async fn serve(mut stream: TcpStream, answer: impl Fn(&str) -> Vec<u8>) -> std::io::Result<()> {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
    stream.write_all(&answer(&path)).await?;
    stream.shutdown().await
}

/// A whole answer.
pub fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
        .into_bytes()
}
