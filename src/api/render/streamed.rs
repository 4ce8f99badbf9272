//! JSON that is written while it is sent: of all of it, there never is more than a little.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::text::{Reading, Text};

/// How many bytes are written at a time, and the rest of a piece.
const CHUNK: usize = 64 << 10;

/// The JSON of a text, as the body of an answer.
#[derive(Debug)]
pub struct Streamed {
    reading: Reading,
    /// How many bytes are still to come.
    left: usize,
    /// Whether it is the turn of others.
    yields: bool,
    /// For what it holds: the text may be one that nobody else needs any more.
    _room: OwnedSemaphorePermit,
}

impl Streamed {
    pub fn new(text: Text, room: OwnedSemaphorePermit) -> Self {
        Self { left: text.len(), reading: text.read(), yields: false, _room: room }
    }

    /// Nothing after the end.
    fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        let mut json = Vec::with_capacity(2 * CHUNK);
        while json.len() < CHUNK && self.reading.next(&mut json)? {}
        self.left = self.left.saturating_sub(json.len());
        Ok((!json.is_empty()).then(|| json.into()))
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    /// Lets others have the thread after each chunk: whoever reads fast enough would keep it to the end.
    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.yields) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.yields = true;
        Poll::Ready(this.chunk().transpose().map(|it| it.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    /// Just so many, so that the answer tells its length.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}
