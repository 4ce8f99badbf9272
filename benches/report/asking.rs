//! Asking the service as fast as it answers: a client that reads as little of the answers as it can, and single questions.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::PATIENCE;

pub const PATH: &str = "/v1/getEventMesh";

/// A connection that sends one request again and again and reads as little of the answers as it can.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, buffer: vec![0; 256 << 10] }
    }

    /// One that expects small answers.
    pub async fn connect_small(address: SocketAddr) -> Self {
        Self { buffer: vec![0; 4 << 10], ..Self::connect(address).await }
    }

    /// Asks until the time is over; returns how many answers came.
    pub async fn exchange_until(&mut self, end: Instant, request: &str) -> usize {
        let mut answers = 0;
        while Instant::now() < end {
            self.exchange(request).await;
            answers += 1;
        }
        answers
    }

    /// Asks once, and waits for all of the answer.
    pub async fn exchange(&mut self, request: &str) {
        self.stream.write_all(request.as_bytes()).await.expect("the server reads");
        let (mut received, mut head, mut last) = (0, None::<Head>, [0; CHUNKS_END.len()]);
        loop {
            let from = if head.is_none() { received } else { 0 };
            let read = self.stream.read(&mut self.buffer[from..]).await.ok().filter(|it| *it > 0).expect("an answer");
            received += read;
            let (known, new) = (&self.buffer[..from + read], &self.buffer[from..from + read]);
            head = head.or_else(|| Head::parse(known));
            keep_end(&mut last, new);
            match head.as_ref().map(|it| (it.size, it.length)) {
                Some((size, Some(length))) if received >= size + length => return,
                Some((_, None)) if last == *CHUNKS_END => return,
                _ => (),
            }
        }
    }
}

/// The end of a body that does not say how long it is.
const CHUNKS_END: &[u8; 7] = b"\r\n0\r\n\r\n";

/// Brings the end of what was received up to date.
fn keep_end<const N: usize>(end: &mut [u8; N], new: &[u8]) {
    let new = &new[new.len().saturating_sub(N)..];
    end.rotate_left(new.len() % N);
    end[N - new.len()..].copy_from_slice(new);
}

#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn etag(&self) -> &str {
        self.headers[header::ETAG].to_str().expect("text")
    }
}

/// Where an answer's head ends, and how long the body behind it is, if that is told.
struct Head {
    size: usize,
    length: Option<usize>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = b"\r\n\r\n";
        let size = bytes.windows(end.len()).position(|it| it == end)? + end.len();
        let head = &bytes[..size];
        assert!(head.starts_with(b"HTTP/1.1 200") || head.starts_with(b"HTTP/1.1 304"), "{}", head.escape_ascii());
        let fields = head.split(|it| *it == b'\n').filter_map(|line| line.split_at_checked(LENGTH.len()));
        let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case(LENGTH));
        let number = |digits: &[u8]| {
            let digits = digits.iter().take_while(|it| it.is_ascii_digit());
            digits.fold(0, |length, digit| 10 * length + usize::from(digit - b'0'))
        };
        let length = lengths.next().map(|(_, value)| number(value));
        let is_empty = head.starts_with(b"HTTP/1.1 304");
        Some(Self { size, length: if is_empty { Some(0) } else { length } })
    }
}

const LENGTH: &[u8] = b"content-length: ";

pub fn request(token: &str, headers: &str) -> String {
    format!(
        "GET {PATH} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\naccept: application/json\r\n{headers}\r\n"
    )
}

/// Asks once, on a connection of its own.
pub async fn ask(server: SocketAddr, token: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(server).await.expect("a connection");
    let request = request(token, &format!("{headers}connection: close\r\n"));
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut bytes = vec![];
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    read.expect("an answer in time").expect("an answer");
    let bytes = Bytes::from(bytes);
    let size = bytes.windows(4).position(|it| it == b"\r\n\r\n").expect("a head") + 4;
    let head = std::str::from_utf8(&bytes[..size]).expect("text");
    let status = head[9..12].parse().expect("a status");
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers: HeaderMap =
        fields.map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect();
    let body = bytes.slice(size..);
    let body = if headers.contains_key(header::TRANSFER_ENCODING) { joined(&body) } else { body };
    Answer { status, headers, body }
}

/// What was sent in chunks.
fn joined(mut chunks: &[u8]) -> Bytes {
    let mut body = vec![];
    loop {
        let end = chunks.windows(2).position(|it| it == b"\r\n").expect("a size");
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).expect("text"), 16).expect("a size");
        if size == 0 {
            return body.into();
        }
        body.extend_from_slice(&chunks[end + 2..][..size]);
        chunks = &chunks[end + 2 + size + 2..];
    }
}

/// Asks until the answer is as wanted.
pub async fn until(server: SocketAddr, token: &str, headers: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let answer = ask(server, token, headers).await;
        if wanted(&answer) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("no such answer came");
}
