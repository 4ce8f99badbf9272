//! Callers who keep their connection, and those who ask all the time.

use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::process::Answer;

const MESH: &str = "/v1/getEventMesh";

/// Somebody with a token and a connection.
pub struct Caller {
    address: String,
    token: String,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

impl Caller {
    pub fn new(address: &str, token: &str) -> Self {
        Self { address: address.into(), token: token.into(), connection: None }
    }

    /// Asks for the mesh.
    pub async fn mesh(&mut self) -> Answer {
        self.ask(MESH).await
    }

    pub async fn ask(&mut self, path: &str) -> Answer {
        let mut answer = self.try_ask(path).await;
        if answer.is_err() {
            // A connection at rest may have been closed.
            self.connection = None;
            answer = self.try_ask(path).await;
        }
        let answer = answer.expect("an answer");
        answer.keeps(&self.token);
        answer
    }

    async fn try_ask(&mut self, path: &str) -> Result<Answer, hyper::Error> {
        let (parts, body) = self.request(path, &[]).await?.into_parts();
        let mut head = String::new();
        for (name, value) in &parts.headers {
            let _ = writeln!(head, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
        Ok(Answer { status: parts.status.as_u16(), head, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Whether the connection of the last answer is still there.
    pub fn is_connected(&self) -> bool {
        self.connection.as_ref().is_some_and(|it| !it.is_closed())
    }

    /// Asks on the connection there is, and on a new one when there is none or it has ended before.
    pub async fn request(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<Response<Bytes>, hyper::Error> {
        if !self.is_connected() {
            self.connection = None;
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let stream = TcpStream::connect(&self.address).await.expect("a connection");
                let _ = stream.set_nodelay(true);
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                none.insert(sender)
            }
        };
        connection.ready().await?;
        let request = Request::get(path).header(HOST, &self.address);
        let mut request = request.header(AUTHORIZATION, format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, body) = connection.send_request(request.body(Empty::new()).unwrap()).await?.into_parts();
        Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
    }
}

/// What somebody is answered, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// There are brokers.
    Brokers,
    Nothing,
    /// The token is not accepted.
    Refused,
    /// Any other answer.
    Other(u16),
}

impl From<&Answer> for Sees {
    fn from(answer: &Answer) -> Self {
        match answer.status {
            200 => {
                let mesh: Value = serde_json::from_str(&answer.body).expect("JSON");
                if mesh["brokers"] == Value::Array(vec![]) { Self::Nothing } else { Self::Brokers }
            }
            401 => Self::Refused,
            other => Self::Other(other),
        }
    }
}

/// Asks for the mesh all the time, until it is dropped.
pub struct Poller {
    seen: Arc<Mutex<Vec<(Instant, Sees)>>>,
    task: JoinHandle<()>,
}

impl Poller {
    /// With so long a rest between an answer and the next question.
    pub fn start(mut caller: Caller, rest: Duration) -> Self {
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let told = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let answer = caller.mesh().await;
                told.lock().unwrap().push((Instant::now(), Sees::from(&answer)));
                tokio::time::sleep(rest).await;
            }
        });
        Self { seen, task }
    }

    /// What was answered last, and how often that came without a break.
    pub fn latest(&self) -> Option<(Sees, usize)> {
        assert!(!self.task.is_finished(), "the poller goes on");
        let seen = self.seen.lock().unwrap();
        let (_, latest) = *seen.last()?;
        Some((latest, seen.iter().rev().take_while(|(_, it)| *it == latest).count()))
    }

    /// All that was ever answered, each once.
    pub fn all(&self) -> Vec<Sees> {
        let mut all = vec![];
        for (_, sees) in self.seen.lock().unwrap().iter() {
            if !all.contains(sees) {
                all.push(*sees);
            }
        }
        all
    }

    /// How long after a moment the answer became this one, and stayed so; before, it was what it had been. That there
    /// is none at a time, on a busy machine, is neither.
    pub fn changed(&self, since: Instant, now: Sees) -> Duration {
        let mut seen = self.seen.lock().unwrap().clone();
        seen.retain(|(_, it)| *it != Sees::Other(503));
        let first = seen.iter().position(|(at, sees)| *at >= since && *sees == now).expect("a change");
        let (before, after) = seen.split_at(first);
        let after: Vec<_> = after.iter().filter(|(_, it)| *it != now).collect();
        assert!(after.is_empty(), "once it is {now:?}, it stays so: {after:?}");
        let was = before.last().map(|(_, it)| *it);
        let between: Vec<_> = before.iter().filter(|(at, it)| *at >= since && Some(*it) != was).collect();
        assert!(between.is_empty(), "it changes at once: {between:?}");
        seen[first].0 - since
    }

    /// How often there was no answer.
    pub fn unanswered(&self) -> usize {
        self.seen.lock().unwrap().iter().filter(|(_, it)| *it == Sees::Other(503)).count()
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All encodings that answers come in.
pub const ENCODINGS: [&str; 4] = ["identity", "gzip", "br", "zstd"];

/// The content of an answer, in whatever encoding it came.
pub fn decoded(answer: &Response<Bytes>) -> Vec<u8> {
    let (body, mut content) = (&answer.body()[..], vec![]);
    let read = match header(answer, "content-encoding") {
        "" | "identity" => return body.to_vec(),
        "gzip" => flate2::read::GzDecoder::new(body).read_to_end(&mut content),
        "br" => brotli::Decompressor::new(body, 4096).read_to_end(&mut content),
        "zstd" => return zstd::decode_all(body).expect("zstd"),
        other => panic!("nobody asked for {other}"),
    };
    read.expect("what the header says");
    content
}

/// A header field, empty where it is missing.
pub fn header<'a>(answer: &'a Response<Bytes>, name: &str) -> &'a str {
    answer.headers().get(name).and_then(|it| it.to_str().ok()).unwrap_or_default()
}

/// What a tag says of the content, whatever the encoding.
pub fn tag(answer: &Response<Bytes>) -> &str {
    header(answer, "etag").trim_matches('"').split('-').next().unwrap_or_default()
}
