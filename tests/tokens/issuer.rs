//! Issuers of a test's own: one small server, which gives each of them its discovery document and its keys.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// For whom the tokens of most issuers are.
pub const AUDIENCE: &str = "catalog-api";

/// An issuer, and what is configured for it.
pub struct Entry {
    pub name: &'static str,
    pub audiences: &'static [&'static str],
    pub prefix: &'static str,
    pub groups: &'static str,
    pub username: &'static str,
    /// Further lines of the configuration.
    pub more: &'static str,
}

/// All that are configured. What each is for is told where it is used.
pub const ISSUERS: [Entry; 7] = [
    Entry {
        name: "main",
        audiences: &[AUDIENCE, "other-api"],
        more: "  algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA]\n  clockSkew: 5m\n",
        ..DEFAULT
    },
    Entry {
        name: "narrow",
        audiences: &["narrow-api"],
        prefix: "narrow:",
        more: "  claimValidationRules: [{claim: tenant, requiredValue: acme}]\n",
        ..DEFAULT
    },
    Entry {
        name: "backstage",
        audiences: &["backstage"],
        prefix: "backstage:",
        groups: "ent",
        more: "  algorithms: [ES256]\n",
        ..DEFAULT
    },
    // Without anything before a name, and with something that makes names of Kubernetes' own out of others.
    Entry { name: "plain", prefix: "", ..DEFAULT },
    Entry { name: "sys", prefix: "sys", ..DEFAULT },
    Entry { name: "mail", username: "email", prefix: "mail:", ..DEFAULT },
    // Whose keys change.
    Entry { name: "rotating", prefix: "rotating:", ..DEFAULT },
];

const DEFAULT: Entry =
    Entry { name: "", audiences: &[AUDIENCE], prefix: "oidc:", groups: "groups", username: "sub", more: "" };

/// The server of all issuers.
pub struct Issuers {
    /// Where it is, as `http://127.0.0.1:20000`.
    pub url: String,
    keys: Arc<Mutex<BTreeMap<String, Value>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Issuers {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (keys, asked) = <(Arc<Mutex<BTreeMap<_, _>>>, Arc<Mutex<Vec<_>>>)>::default();
        let issuers = Self { url: url.clone(), keys: keys.clone(), asked: asked.clone() };
        // It ends with the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = answer(stream, &url, &keys, &asked);
            }
        });
        issuers
    }

    /// From now on, these are the keys of an issuer.
    pub fn publish(&self, issuer: &str, keys: &[Value]) {
        self.keys.lock().unwrap().insert(issuer.into(), json!({ "keys": keys }));
    }

    /// The paths that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The configuration that names them.
    pub fn configuration(&self, folder: &Path) -> PathBuf {
        let mut text =
            String::from("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n");
        for Entry { name, audiences, prefix, groups, username, more } in &ISSUERS {
            let url = format!("{}/{name}", self.url);
            let audiences = audiences.join(", ");
            write!(
                text,
                "- issuer: {{url: {url:?}, audiences: [{audiences}]}}\n  claimMappings:\n    \
                 username: {{claim: {username}, prefix: {prefix:?}}}\n    \
                 groups: {{claim: {groups}, prefix: {prefix:?}}}\n{more}"
            )
            .unwrap();
        }
        let path = folder.join("authentication.yaml");
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn answer(
    mut stream: TcpStream,
    url: &str,
    keys: &Mutex<BTreeMap<String, Value>>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let path = lines.next().unwrap_or(Ok(String::new()))?.split(' ').nth(1).unwrap_or_default().to_owned();
    while lines.next().is_some_and(|it| it.is_ok_and(|it| !it.is_empty())) {}
    asked.lock().unwrap().push(path.clone());
    let issuer = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let body = match keys.lock().unwrap().get(issuer) {
        Some(_) if path.ends_with("/.well-known/openid-configuration") => {
            Some(json!({ "issuer": format!("{url}/{issuer}"), "jwks_uri": format!("{url}/{issuer}/keys") }))
        }
        Some(keys) if path.ends_with("/keys") => Some(keys.clone()),
        _ => None,
    };
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default().to_string();
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}
