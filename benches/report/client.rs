//! The plainest HTTP client there can be: what it takes is what the server and the wire take.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use super::support::cluster::{Cluster, config};

/// How much is read at a time.
const BUFFER: usize = 256 << 10;

/// Where an API server is, and how to be trusted there.
#[derive(Clone)]
pub struct Api {
    tls: Arc<ClientConfig>,
    /// What to trust, in PEM.
    authority: String,
    host: String,
    port: u16,
    token: String,
}

impl Api {
    pub async fn of(cluster: &Cluster) -> Self {
        let config = config(cluster.kubeconfig()).await;
        let mut roots = RootCertStore::empty();
        let mut authority = String::new();
        for certificate in config.root_cert.expect("the kubeconfig has to carry the certificate to trust") {
            authority.push_str(&pem(&certificate));
            roots.add(CertificateDer::from(certificate)).expect("a certificate");
        }
        Self {
            tls: Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()),
            authority,
            host: config.cluster_url.host().expect("a host").to_owned(),
            port: config.cluster_url.port_u16().unwrap_or(443),
            token: cluster.admin_token(),
        }
    }

    pub fn connect(&self) -> Http<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from(self.host.clone()).expect("a name");
        let session = ClientConnection::new(self.tls.clone(), name).expect("a session");
        let stream = StreamOwned::new(session, tcp(&self.host, self.port));
        Http::new(stream, &self.host, &self.token)
    }

    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    pub fn server(&self) -> String {
        format!("https://{}:{}", self.host, self.port)
    }

    /// Asks once for JSON.
    pub fn json(&self, path: &str) -> Value {
        let mut http = self.connect();
        serde_json::from_slice(&http.get(path, "accept: application/json\r\n")).expect("JSON")
    }
}

fn pem(certificate: &[u8]) -> String {
    let encoded: Vec<_> = STANDARD.encode(certificate).into_bytes();
    let lines: Vec<_> = encoded.chunks(64).map(String::from_utf8_lossy).collect();
    let encoded = lines.join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n")
}

/// A connection to the service.
pub fn connect(address: &str, token: &str) -> Http<TcpStream> {
    let (host, port) = address.rsplit_once(':').expect("an address");
    Http::new(tcp(host, port.parse().expect("a port")), host, token)
}

fn tcp(host: &str, port: u16) -> TcpStream {
    let stream = TcpStream::connect((host, port)).expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// A connection that is kept.
pub struct Http<S> {
    stream: BufReader<S>,
    /// The headers of every request.
    common: String,
}

pub struct Head {
    pub status: u16,
    pub etag: String,
    length: Option<usize>,
}

impl<S: Read + Write> Http<S> {
    fn new(stream: S, host: &str, token: &str) -> Self {
        let common = format!("host: {host}\r\nauthorization: Bearer {token}\r\n");
        Self { stream: BufReader::with_capacity(BUFFER, stream), common }
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) {
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let head = format!("{method} {path} HTTP/1.1\r\n{}{headers}{length}\r\n", self.common);
        let stream = self.stream.get_mut();
        stream.write_all(&[head.as_bytes(), body].concat()).expect("the server reads");
        stream.flush().expect("the server reads");
    }

    /// Asks for all of an answer, which has to be good.
    pub fn get(&mut self, path: &str, headers: &str) -> Vec<u8> {
        let (status, body) = self.answer(path, headers);
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        body
    }

    /// The status and the body of an answer.
    pub fn answer(&mut self, path: &str, headers: &str) -> (u16, Vec<u8>) {
        self.send("GET", path, headers, &[]);
        let head = self.head();
        let body = self.body(&head);
        (head.status, body)
    }

    /// The beginning of an answer.
    pub fn head(&mut self) -> Head {
        let status = self.line();
        let status = status.get(9..12).and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("no answer: {status}"));
        let mut head = Head { status, etag: String::new(), length: None };
        loop {
            let line = self.line();
            if line.is_empty() {
                return head;
            }
            let (name, value) = line.split_once(": ").expect("a header");
            if name.eq_ignore_ascii_case("content-length") {
                head.length = Some(value.parse().expect("a length"));
            } else if name.eq_ignore_ascii_case("etag") {
                value.clone_into(&mut head.etag);
            }
        }
    }

    /// The status and the tag of an answer, of which the rest is thrown away.
    pub fn ask(&mut self, path: &str, headers: &str) -> (u16, String) {
        let (head, _) = self.skimmed(path, headers);
        (head.status, head.etag)
    }

    /// The status of an answer, and how many bytes it had, of which nothing is kept.
    pub fn skim(&mut self, path: &str, headers: &str) -> (u16, usize) {
        let (head, size) = self.skimmed(path, headers);
        (head.status, size)
    }

    fn skimmed(&mut self, path: &str, headers: &str) -> (Head, usize) {
        self.send("GET", path, headers, &[]);
        let head = self.head();
        let mut piece = vec![];
        let mut size = 0;
        match head.length {
            _ if head.status == 304 => (),
            Some(length) => {
                while size < length {
                    piece.clear();
                    self.read((length - size).min(BUFFER), &mut piece);
                    size += piece.len();
                }
            }
            None => {
                while self.chunk(&mut piece) {
                    size += piece.len();
                    piece.clear();
                }
            }
        }
        (head, size)
    }

    /// The rest of an answer.
    pub fn body(&mut self, head: &Head) -> Vec<u8> {
        if head.status == 304 {
            return vec![];
        }
        let mut body = vec![];
        match head.length {
            Some(length) => self.read(length, &mut body),
            None => while self.chunk(&mut body) {},
        }
        body
    }

    /// Adds the next piece of an answer that does not say how long it is; false at its end.
    pub fn chunk(&mut self, body: &mut Vec<u8>) -> bool {
        let size = usize::from_str_radix(&self.line(), 16).expect("a size");
        self.read(size, body);
        assert_eq!(self.line(), "");
        size > 0
    }

    fn read(&mut self, size: usize, body: &mut Vec<u8>) {
        let start = body.len();
        body.resize(start + size, 0);
        self.stream.read_exact(&mut body[start..]).expect("the whole answer");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        line.truncate(line.trim_end().len());
        line
    }
}
