//! Bytes out, bytes in: what a request looks like is the business of its case.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

/// How long an answer may take that should take no time.
const PATIENCE: Duration = Duration::from_mins(1);

/// What came back.
#[derive(Debug, Default)]
pub struct Answer {
    /// 0 where the connection was closed without an answer.
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(it, _)| it.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

/// A request for the mesh with these fields, as they are.
pub fn get(fields: &[impl AsRef<[u8]>]) -> Vec<u8> {
    request("GET /v1/getEventMesh HTTP/1.1", fields)
}

pub fn request(line: &str, fields: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("{line}\r\nHost: catalog\r\nConnection: close\r\n").into_bytes();
    for field in fields {
        bytes.extend_from_slice(field.as_ref());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Sends these bytes from an address, on a connection of their own.
pub async fn send(to: &str, from: Ipv4Addr, bytes: &[u8]) -> Answer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let stream = socket.connect(to.parse().unwrap()).await.unwrap();
    let (mut input, mut output) = stream.into_split();
    let mut answer = vec![];
    // Whoever does not want to read on closes the connection, and has answered or not.
    let exchange = async { tokio::join!(output.write_all(bytes), read(&mut input, &mut answer)) };
    let _ = tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time");
    let text = String::from_utf8_lossy(&answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Answer::default() };
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or_default();
    Answer { status, head: head.replace('\r', ""), body: body.into() }
}

async fn read(input: &mut tokio::net::tcp::OwnedReadHalf, answer: &mut Vec<u8>) {
    let _ = input.read_to_end(answer).await;
}
