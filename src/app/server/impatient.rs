//! A stream on which writing must get on: a client that takes nothing for a while is not waited for.
//!
//! This sees all that is written, heads of answers and what protocols say to each other included; but not what is held
//! back because a client of HTTP/2 is not ready for it (see `answers`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Writing fails after the limit without progress. Reading waits as long as it takes: silence is for others to judge.
#[derive(Debug)]
pub struct Impatient<T> {
    stream: T,
    limit: Duration,
    /// Runs from the first write that could not be done to the next that can.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<T> Impatient<T> {
    pub fn new(stream: T, limit: Duration) -> Self {
        Self { stream, limit, waiting: None }
    }

    fn judge<R>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        waiting.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Impatient<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Impatient<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, buf);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bufs);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // A socket has nothing to flush, so that doing it is no progress.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn writing_that_does_not_get_on_fails() {
        let (near, mut far) = duplex(10);
        let mut near = Impatient::new(near, LIMIT);
        let error = near.write_all(&[0; 11]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        far.read_exact(&mut [0; 10]).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn slow_is_not_stalled_and_silence_is_not_writing() {
        let (near, mut far) = duplex(1);
        let mut near = Impatient::new(near, LIMIT);
        let taking = tokio::spawn(async move {
            for _ in 0..10 {
                sleep(LIMIT / 2).await;
                far.read_exact(&mut [0]).await.unwrap();
            }
            sleep(2 * LIMIT).await;
            far.write_all(&[1]).await.unwrap();
            far
        });
        near.write_all(&[0; 10]).await.unwrap();
        assert_eq!(near.read_u8().await.unwrap(), 1);
        taking.await.unwrap();
    }
}
