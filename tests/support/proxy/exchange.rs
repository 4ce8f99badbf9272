//! One request and its answer, with what goes wrong in between.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER, TRANSFER_ENCODING};
use hyper::{Method, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::fault::Lines;
use super::{How, Seen, Way};

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// An error breaks the connection.
pub async fn answer(way: Arc<Way>, connection: u64, request: Request<Incoming>) -> io::Result<Answer> {
    let seen = seen(&request);
    way.seen.lock().unwrap().push(seen.clone());
    let mut exchange =
        Exchange { changes: way.changes.subscribe(), way, connection, seen, own: None, healed: 0, is_late: false };
    exchange.look(false);
    exchange.hang().await;
    match exchange.own.clone() {
        Some(How::Refuse) => Err(broken()),
        Some(How::Status { code, retry_after, body }) => {
            let body = body.unwrap_or_else(|| status(code));
            let mut answer = Response::builder().status(code).header(CONTENT_TYPE, "application/json");
            if let Some(seconds) = retry_after {
                answer = answer.header(RETRY_AFTER, seconds);
            }
            Ok(answer.body(whole(body.to_string())).unwrap())
        }
        Some(How::Redirect(elsewhere)) => {
            Ok(Response::builder().status(302).header(LOCATION, elsewhere).body(whole("")).unwrap())
        }
        Some(How::Gone) => {
            let event = json!({ "type": "ERROR", "object": status(410) });
            let answer = Response::builder().header(CONTENT_TYPE, "application/json");
            Ok(answer.body(whole(format!("{event}\n"))).unwrap())
        }
        _ => exchange.pass(request).await,
    }
}

struct Exchange {
    way: Arc<Way>,
    connection: u64,
    seen: Seen,
    /// The fault that met this exchange, until all is healed.
    own: Option<How>,
    /// How often all had been healed when this was looked at last.
    healed: u64,
    /// Had the answer begun when the fault came?
    is_late: bool,
    changes: watch::Receiver<u64>,
}

impl Exchange {
    /// Finds out what is wrong by now.
    fn look(&mut self, running: bool) {
        self.changes.borrow_and_update();
        let mut faults = self.way.faults.lock().unwrap();
        if faults.heals > self.healed {
            self.healed = faults.heals;
            self.own = None;
        }
        if self.connection < faults.lost {
            self.own = Some(How::Hang { resume: false });
        } else if self.own.is_none() {
            self.own = faults.take(|it| it.is_for(&self.seen) && (!running || it.how.is_for_running()));
            self.is_late = running;
        }
    }

    /// As long as nothing moves.
    async fn hang(&mut self) {
        while let Some(How::Hang { resume }) = self.own {
            if !resume {
                pending::<()>().await;
            }
            // The way lives as long as this.
            let _ = self.changes.changed().await;
            self.look(true);
        }
    }

    async fn pass(self, request: Request<Incoming>) -> io::Result<Answer> {
        let (mut head, body) = request.into_parts();
        for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            head.headers.remove(name);
        }
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let answer = self.way.server.send(Request::from_parts(head, Body::from(body.to_vec()))).await;
        let (mut head, body) = answer.map_err(io::Error::other)?.into_parts();
        head.headers.remove(CONNECTION);
        head.headers.remove(TRANSFER_ENCODING);
        if let Some(How::Body(rewrite)) = &self.own {
            head.headers.remove(CONTENT_LENGTH);
            let content = body.collect().await.map_err(io::Error::other)?.to_bytes();
            return Ok(Response::from_parts(head, whole(rewrite(content.to_vec()))));
        }
        let running = Running { exchange: self, body, line: Vec::new(), within_line: false, sent: 0, is_broken: false };
        let pieces = stream::unfold(running, Running::next);
        Ok(Response::from_parts(head, StreamBody::new(pieces).boxed_unsync()))
    }
}

/// An answer on its way, piece by piece as it comes.
struct Running {
    exchange: Exchange,
    body: Body,
    /// What has come of a line, while lines are rewritten.
    line: Vec<u8>,
    /// Did the last piece end within a line?
    within_line: bool,
    sent: usize,
    is_broken: bool,
}

impl Running {
    async fn next(mut self) -> Option<(io::Result<Frame<Bytes>>, Self)> {
        loop {
            self.exchange.hang().await;
            if self.is_broken || matches!(self.exchange.own, Some(How::Refuse)) {
                // What came before goes out first.
                tokio::task::yield_now().await;
                return Some((Err(broken()), self));
            }
            let piece = tokio::select! {
                biased;
                Ok(()) = self.exchange.changes.changed() => {
                    self.exchange.look(true);
                    continue;
                }
                piece = self.body.frame() => piece,
            };
            let piece = match piece {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Some((Err(io::Error::other(error)), self)),
                None if self.line.is_empty() => return None,
                None => Bytes::new(),
            };
            let piece = self.changed(piece).await;
            if !piece.is_empty() {
                self.sent += piece.len();
                return Some((Ok(Frame::data(piece)), self));
            }
        }
    }

    /// What becomes of a piece; an empty one is the end.
    async fn changed(&mut self, piece: Bytes) -> Bytes {
        let end = piece.is_empty();
        let piece = match self.exchange.own.clone() {
            Some(How::Lines(rewrite)) if !end => return self.rewritten(&piece, &*rewrite),
            // What was kept back when the fault ended.
            _ if !self.line.is_empty() => [std::mem::take(&mut self.line), piece.to_vec()].concat().into(),
            _ => piece,
        };
        self.within_line = !piece.ends_with(b"\n");
        match self.exchange.own {
            Some(How::Slow(delay)) => tokio::time::sleep(delay).await,
            Some(How::Cut { .. }) if self.exchange.is_late => {
                self.is_broken = true;
                return piece.slice(..piece.len() / 2);
            }
            Some(How::Cut { after }) if self.sent + piece.len() > after => {
                self.is_broken = true;
                return piece.slice(..after - self.sent);
            }
            _ => {}
        }
        piece
    }

    fn rewritten(&mut self, piece: &[u8], rewrite: &Lines) -> Bytes {
        let mut out = Vec::new();
        for part in piece.split_inclusive(|it| *it == b'\n') {
            let ends = part.ends_with(b"\n");
            if self.within_line {
                // The fault came within it.
                out.extend_from_slice(part);
                self.within_line = !ends;
                continue;
            }
            self.line.extend_from_slice(part);
            if ends {
                let line = std::mem::take(&mut self.line);
                for line in rewrite(String::from_utf8_lossy(&line).trim_end_matches('\n')) {
                    out.extend_from_slice(line.as_bytes());
                    out.push(b'\n');
                }
            }
        }
        out.into()
    }
}

/// Reads a request as the API server does.
fn seen(request: &Request<Incoming>) -> Seen {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let segments: Vec<_> = path.trim_matches('/').split('/').collect();
    let (group, rest) = match *segments {
        ["api", _, ref rest @ ..] => ("", rest),
        ["apis", group, _, ref rest @ ..] => (group, rest),
        _ => ("", [].as_slice()),
    };
    let (namespace, rest) = match *rest {
        // These belong to the namespace itself.
        ["namespaces", _, "status" | "finalize"] => ("", rest),
        ["namespaces", namespace, ref rest @ ..] if !rest.is_empty() => (namespace, rest),
        _ => ("", rest),
    };
    let (resource, name) = match *rest {
        [resource, name, ..] => (resource, name),
        [resource] => (resource, ""),
        [] => ("", ""),
    };
    let verb = match (request.method(), resource, name) {
        (&Method::GET, "", _) => "other",
        (&Method::GET, _, "") if query.split('&').any(|it| it == "watch=true" || it == "watch=1") => "watch",
        (&Method::GET, _, "") => "list",
        (&Method::GET, ..) => "get",
        _ => "other",
    };
    Seen {
        method: request.method().clone(),
        verb,
        group: group.into(),
        resource: resource.into(),
        namespace: namespace.into(),
        name: name.into(),
        path: path.into(),
        query: query.into(),
        at: Instant::now(),
    }
}

/// What the API server says with this code.
fn status(code: u16) -> Value {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "",
    };
    let message = match code {
        410 => "too old resource version: 1 (2)",
        _ => "made up by the proxy of a test",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
        "code": code,
    })
}

fn whole(content: impl Into<Bytes>) -> UnsyncBoxBody<Bytes, io::Error> {
    Full::new(content.into()).map_err(|never| match never {}).boxed_unsync()
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "broken by the proxy of a test")
}
