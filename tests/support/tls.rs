//! Certificates made on the spot, and clients of TLS: of HTTP, and of single frames of HTTP/2.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub const HTTP1: &[u8] = b"http/1.1";
pub const HTTP2: &[u8] = b"h2";

/// Who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate and its key.
pub struct Issued {
    pub certificate: rcgen::Certificate,
    pub key: KeyPair,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// For 127.0.0.1, and just as good for a client.
    pub fn issue(&self) -> Issued {
        self.issue_for("127.0.0.1")
    }

    pub fn issue_for(&self, name: &str) -> Issued {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        Issued { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A client that trusts this authority, and speaks these protocols.
    pub fn client(&self, protocols: &[&[u8]]) -> ClientConfig {
        self.client_with(protocols, None)
    }

    /// The same, with a certificate to show.
    pub fn client_with(&self, protocols: &[&[u8]], identity: Option<&Issued>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(Issued { certificate, key }) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        config
    }
}

impl Issued {
    pub fn write(&self, folder: &Path) {
        std::fs::write(folder.join("tls.crt"), self.certificate.pem()).unwrap();
        std::fs::write(folder.join("tls.key"), self.key.serialize_pem()).unwrap();
    }
}

pub async fn connect(address: &str, config: &ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config.clone())).connect(Ipv4Addr::LOCALHOST.into(), stream).await
}

/// The certificate that the server has shown.
pub fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

/// A connection that asks one request after the other.
pub enum Connection {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Connection {
    /// With the protocol that the two have agreed on. The task ends with the connection.
    pub async fn start(stream: TlsStream<TcpStream>) -> hyper::Result<(Self, JoinHandle<hyper::Result<()>>)> {
        if stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            Ok((Self::Http2(sender), tokio::spawn(connection)))
        } else {
            Self::plain(stream).await
        }
    }

    /// With HTTP/1.1.
    pub async fn plain<T>(stream: T) -> hyper::Result<(Self, JoinHandle<hyper::Result<()>>)>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok((Self::Http1(sender), tokio::spawn(connection)))
    }

    pub async fn open(address: &str, config: &ClientConfig) -> Self {
        Self::start(connect(address, config).await.unwrap()).await.unwrap().0
    }

    /// Whether it takes no more requests.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Sends a request; the answer's body is still to come.
    pub async fn send(&mut self, path: &str, headers: &[(&str, &str)]) -> hyper::Result<Response<Incoming>> {
        let mut request = match self {
            Self::Http1(_) => Request::get(path).header("host", "127.0.0.1"),
            Self::Http2(_) => Request::get(format!("https://127.0.0.1{path}")),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new()).unwrap();
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Status and body of an answer.
    pub async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> hyper::Result<(u16, String)> {
        let answer = self.send(path, headers).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8(body.into()).unwrap()))
    }
}

/// Kinds of frames (RFC 9113, section 6), and of settings.
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;
pub const INITIAL_WINDOW_SIZE: u8 = 4;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
/// What a server says to clients that ask too much (RFC 9113, section 7).
pub const ENHANCE_YOUR_CALM: u8 = 11;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client of HTTP/2 says first, with one of the settings.
pub fn preface(setting: u8, value: u32) -> Vec<u8> {
    let settings = [&[0, setting], &value.to_be_bytes()[..]].concat();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &settings)[..]].concat()
}

/// The head of `GET path` (RFC 7541): method and scheme from the table, the others as they are.
pub fn get_head(path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    [&[0x82, 0x87, 0x01, 1, b'x', 0x04, length], path.as_bytes()].concat()
}

/// Kind and payload of the next frame; none when the connection has ended.
pub async fn next_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], payload))
}

/// Waits for the end of a connection, however it ends.
pub async fn ended(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = vec![];
    let _ = stream.read_to_end(&mut rest).await;
}

/// Asks a request of HTTP/1.1 on any stream.
pub async fn ask(stream: &mut (impl AsyncWrite + Unpin), path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
}
