//! What a case is: a request, its name, and what has to come of it.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::issuer::{AUDIENCE, Issuers};
use super::keys::{Secret, message};
use super::wire;

/// What has to come of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 401 `invalid_token`, and the API server was not asked.
    Refused,
    /// 401: there is no bearer token. The API server was not asked.
    Missing,
    /// 401 `invalid_token`, and it was the API server that did not know the token.
    Unknown,
    /// 200, and the API server was not asked whose token it is.
    Good,
    /// 200, and it was the API server that knew the token.
    Vouched,
    /// Another status, for which nobody was asked: HTTP itself was not as it has to be.
    Status(u16),
    /// 431, or not read to its end.
    TooLarge,
    /// No answer: it is another protocol.
    Closed,
}

impl Outcome {
    pub fn asks(self) -> bool {
        matches!(self, Self::Unknown | Self::Vouched)
    }
}

pub struct Case {
    pub family: &'static str,
    pub name: String,
    pub request: Vec<u8>,
    pub outcome: Outcome,
    /// At which of the services.
    pub is_strict: bool,
}

/// The cases of a family.
pub struct Family {
    name: &'static str,
    pub cases: Vec<Case>,
}

impl Family {
    pub fn new(name: &'static str) -> Self {
        Self { name, cases: vec![] }
    }

    /// A request with this token.
    pub fn token(&mut self, name: impl Into<String>, token: impl AsRef<str>, outcome: Outcome) {
        self.fields(name, &[format!("Authorization: Bearer {}", token.as_ref())], outcome);
    }

    /// A request with these fields.
    pub fn fields(&mut self, name: impl Into<String>, fields: &[impl AsRef<[u8]>], outcome: Outcome) {
        self.request(name, wire::get(fields), outcome);
    }

    pub fn request(&mut self, name: impl Into<String>, request: Vec<u8>, outcome: Outcome) {
        let (family, name) = (self.name, name.into());
        self.cases.push(Case { family, name, request, outcome, is_strict: false });
    }

    /// A request with this token at the service that is strict.
    pub fn strict(&mut self, name: impl Into<String>, token: &str, outcome: Outcome) {
        self.token(name, token, outcome);
        self.cases.last_mut().unwrap().is_strict = true;
    }
}

/// All that tokens are made of.
pub struct Mint {
    /// Where the issuers are.
    pub url: String,
    pub rsa: Secret,
    /// A key that says it is for RS256 only.
    pub pinned: Secret,
    pub p256: Secret,
    pub p384: Secret,
    pub ed: Secret,
    /// Keys of issuer `narrow`; one has the name of one of issuer `main`.
    pub narrow: Secret,
    pub narrow_twin: Secret,
    pub narrow_p256: Secret,
    /// Not for signatures.
    pub encryption: Secret,
    /// Once of issuer `main`, but no more.
    pub retired: Secret,
    /// Of nobody.
    pub foreign: Secret,
    pub foreign_p256: Secret,
    /// That of the API server.
    pub cluster: Secret,
    pub cluster_id: String,
    pub cluster_issuer: String,
    pub now: u64,
}

/// What issuer `main` gives away as a secret.
pub const OCT: &[u8] = b"a secret that everybody can read";

impl Mint {
    /// `example` is a good token of the cluster.
    pub fn new(issuers: &Issuers, cluster_key: &Path, example: &str) -> Self {
        let part = |n: usize| -> Value {
            use base64::Engine as _;
            let part = example.split('.').nth(n).unwrap();
            serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        let mint = Self {
            url: issuers.url.clone(),
            rsa: Secret::rsa("rsa"),
            pinned: Secret::rsa("pinned"),
            p256: Secret::p256("p256"),
            p384: Secret::p384("p384"),
            ed: Secret::ed("ed"),
            narrow: Secret::rsa("narrow"),
            narrow_twin: Secret::rsa("rsa"),
            narrow_p256: Secret::p256("narrow-p256"),
            encryption: Secret::rsa("enc"),
            retired: Secret::rsa("retired"),
            foreign: Secret::rsa("foreign"),
            foreign_p256: Secret::p256("foreign-p256"),
            cluster: Secret::of_file("cluster", cluster_key),
            cluster_id: part(0)["kid"].as_str().unwrap().into(),
            cluster_issuer: part(1)["iss"].as_str().unwrap().into(),
            now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
        };
        let oct = json!({ "kty": "oct", "kid": "oct", "k": super::keys::base64(OCT) });
        let pinned = with(&mint.pinned.jwk(), json!({ "alg": "RS256" }));
        let encryption = with(&mint.encryption.jwk(), json!({ "use": "enc" }));
        let own = [mint.rsa.jwk(), pinned, mint.p256.jwk(), mint.p384.jwk(), mint.ed.jwk(), oct, encryption];
        for issuer in ["main", "plain", "sys", "mail", "backstage"] {
            issuers.publish(issuer, &own);
        }
        let narrow = [mint.narrow.jwk(), mint.narrow_twin.jwk(), mint.narrow_p256.jwk()];
        issuers.publish("narrow", &narrow);
        mint
    }

    pub fn issuer(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }

    /// The claims of a good token of issuer `main`, some of them replaced or added.
    pub fn claims(&self, more: Value) -> Value {
        let now = self.now;
        let claims = json!({
            "iss": self.issuer("main"), "aud": AUDIENCE, "sub": "ann", "iat": now, "nbf": now, "exp": now + 3600,
        });
        with(&claims, more)
    }

    /// A good token of issuer `main`, but for these claims.
    pub fn main(&self, more: Value) -> String {
        self.claimed(self.claims(more).to_string())
    }

    /// These claims, under a good header and signature of issuer `main`.
    pub fn claimed(&self, claims: impl AsRef<[u8]>) -> String {
        self.rsa.token("RS256", self.header("RS256", &self.rsa), claims)
    }

    /// This header, over good claims and under a good signature of issuer `main`.
    pub fn headed(&self, header: impl AsRef<[u8]>) -> String {
        self.rsa.token("RS256", header, self.claims(json!({})).to_string())
    }

    pub fn header(&self, algorithm: &str, key: &Secret) -> String {
        let id = if key.id == "cluster" { &self.cluster_id } else { key.id };
        json!({ "alg": algorithm, "typ": "JWT", "kid": id }).to_string()
    }

    /// What is to be signed of a good token, of issuer `main`.
    pub fn message(&self, algorithm: &str, key: &Secret) -> String {
        message(self.header(algorithm, key), self.claims(json!({})).to_string())
    }

    /// The claims of a token of the cluster, of a service account that is not there.
    pub fn cluster_claims(&self, more: Value) -> Value {
        let claims = json!({
            "iss": self.cluster_issuer, "aud": ["eventmesh-catalog"], "exp": self.now + 3600, "iat": self.now,
            "sub": "system:serviceaccount:callers:nobody",
            "kubernetes.io": { "namespace": "callers", "serviceaccount": { "name": "nobody", "uid": "1-2-3" } },
        });
        with(&claims, more)
    }

    /// A token that the API server could have made, but for these claims.
    pub fn of_cluster(&self, more: Value) -> String {
        let claims = self.cluster_claims(more).to_string();
        self.cluster.token("RS256", self.header("RS256", &self.cluster), claims)
    }
}

/// An object with some members replaced or added.
pub fn with(object: &Value, more: Value) -> Value {
    let mut object = object.clone();
    let Value::Object(more) = more else { panic!("members") };
    object.as_object_mut().unwrap().extend(more);
    object
}

/// An object without a member.
pub fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name).expect("a member to leave out");
    object
}

/// The text of an object with one more member at its end, whatever that is.
pub fn and(object: &Value, member: &str) -> String {
    let text = object.to_string();
    format!("{},{member}}}", text.strip_suffix('}').unwrap())
}
