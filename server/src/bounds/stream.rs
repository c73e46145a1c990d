//! A client's stream. It fails if a write makes no progress, and it is closed without losing the last answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Longest time without progress of a write.
pub const WRITE_PROGRESS: Duration = Duration::from_secs(10);
/// How long a client that is still sending may go on after its answer: closed at once, the connection would be reset, and the answer
/// lost with it.
const LINGER: Duration = Duration::from_secs(2);
/// Most bytes that are read and dropped in that time.
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A stream with a write-progress time-out and a lingering close.
#[derive(Debug)]
pub struct ClientStream<S> {
    stream: S,
    progress: Duration,
    /// When the current write stopped making progress.
    stalled: Option<Pin<Box<Sleep>>>,
    end: Option<End>,
}

#[derive(Debug)]
struct End {
    by: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<S> ClientStream<S> {
    /// Sets the longest time without progress of a write.
    pub fn new(stream: S, progress: Duration) -> Self {
        Self {
            stream,
            progress,
            stalled: None,
            end: None,
        }
    }

    /// Returns the result of a write, or an error if no write has made progress for too long.
    fn in_time<T>(&mut self, context: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.stalled = None;
            return done;
        }
        let progress = self.progress;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(progress)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read its answer",
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.in_time(context, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(context, done)
    }

    /// Ends the writing side, and then drops what still comes, until the client has ended its side or has had its time.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let end = match &mut this.end {
            Some(end) => end,
            None => {
                let done = Pin::new(&mut this.stream).poll_shutdown(context);
                ready!(this.in_time(context, done))?;
                this.end.insert(End {
                    by: Box::pin(sleep(LINGER)),
                    bytes: 0,
                })
            }
        };
        let mut bytes = [0; 4096];
        while end.bytes < LINGER_BYTES_MAX && end.by.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => end.bytes += buffer.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_ends_the_stream_and_one_that_reads_slowly_does_not() {
        let (mut peer, ours) = duplex(4);
        let mut ours = ClientStream::new(ours, WRITE_PROGRESS);
        let slow = tokio::spawn(async move {
            let mut read = Vec::new();
            for _ in 0..4 {
                tokio::time::sleep(WRITE_PROGRESS / 2).await;
                let mut bytes = [0; 4];
                peer.read_exact(&mut bytes).await.unwrap();
                read.extend(bytes);
            }
            (peer, read)
        });
        ours.write_all(&[7; 16]).await.unwrap();
        let (_peer, read) = slow.await.unwrap();
        assert_eq!(read, [7; 16]);
        let error = ours.write_all(&[7; 16]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_a_client_that_still_sends_but_not_for_ever() {
        let (mut peer, ours) = duplex(64);
        let mut ours = ClientStream::new(ours, WRITE_PROGRESS);
        let sends = tokio::spawn(async move {
            peer.write_all(&[7; 10_000]).await.unwrap();
            let mut end = [0; 1];
            assert_eq!(peer.read(&mut end).await.unwrap(), 0);
            peer
        });
        let begun = tokio::time::Instant::now();
        ours.shutdown().await.unwrap();
        // It holds its side open.
        let _peer = sends.await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), LINGER.as_secs());
    }
}
