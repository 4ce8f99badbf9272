//! An issuer of tokens that is reached by its name, over TLS.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::support::tls::Issued;

const KEY: &str = "first";

pub struct Issuer {
    /// With the name, as `https://issuer.example:20000`.
    pub url: String,
    key: KeyPair,
}

impl Issuer {
    /// Answers at an address, with a certificate for its name, until the test ends.
    pub fn start(address: Ipv4Addr, name: &str, tls: &Issued) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let url = format!("https://{name}:{}", listener.local_addr().unwrap().port());
        let key = KeyPair::generate().unwrap();
        let (x, y) = key.der_bytes()[1..].split_at(32);
        let [x, y] = [x, y].map(|it| URL_SAFE_NO_PAD.encode(it));
        let keys = json!({"keys": [{"kty": "EC", "kid": KEY, "crv": "P-256", "alg": "ES256", "x": x, "y": y}]});
        let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        let config = Arc::new(config(tls));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = answer(stream, config.clone(), &discovery, &keys);
            }
        });
        Self { url, key }
    }

    /// A token that it gives somebody, for somebody.
    pub fn token(&self, audience: &str, subject: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({"iss": self.url, "aud": audience, "sub": subject, "iat": now, "exp": now + 600});
        let header = Header { kid: Some(KEY.into()), ..Header::new(Algorithm::ES256) };
        encode(&header, &claims, &EncodingKey::from_ec_der(&self.key.serialize_der())).unwrap()
    }
}

fn config(tls: &Issued) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(tls.key.serialize_der()).unwrap();
    builder.with_no_client_auth().with_single_cert(vec![tls.certificate.der().clone()], key).unwrap()
}

fn answer(stream: TcpStream, config: Arc<ServerConfig>, discovery: &Value, keys: &Value) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut lines = BufReader::new(&mut stream).lines();
    let path = lines.next().unwrap_or(Ok(String::new()))?.split(' ').nth(1).unwrap_or_default().to_owned();
    while lines.next().is_some_and(|it| it.is_ok_and(|it| !it.is_empty())) {}
    let body = if path.ends_with("/openid-configuration") { discovery } else { keys }.to_string();
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())?;
    stream.conn.send_close_notify();
    stream.flush()
}
