//! A stream with a limit on the bytes that are read, so that a peer that sends without end is cut off.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

/// Most bytes that one read takes.
const STEP_BYTES: usize = 8 * 1024;

/// How many more bytes may be read from a stream.
#[derive(Clone, Debug)]
pub struct Meter(Rc<Cell<usize>>);

impl Default for Meter {
    fn default() -> Self {
        Self(Rc::new(Cell::new(usize::MAX)))
    }
}

impl Meter {
    /// Sets the number of bytes that may be read from now on.
    pub fn allow(&self, bytes: usize) {
        self.0.set(bytes);
    }
}

/// A stream with a meter.
#[derive(Debug)]
pub struct Metered<S> {
    stream: S,
    meter: Meter,
}

impl<S> Metered<S> {
    /// Reads what the meter allows.
    pub fn new(stream: S, meter: Meter) -> Self {
        Self { stream, meter }
    }
}

impl<S: Read + Unpin> Read for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let allowed = self.meter.0.get();
        if allowed == 0 {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "more came than is read of an answer's head",
            )));
        }
        let mut bytes = [0; STEP_BYTES];
        let step = STEP_BYTES.min(allowed).min(buffer.remaining());
        let mut part = ReadBuf::new(bytes.get_mut(..step).unwrap_or_default());
        ready!(Pin::new(&mut self.stream).poll_read(context, part.unfilled()))?;
        if allowed != usize::MAX {
            self.meter.allow(allowed.saturating_sub(part.filled().len()));
        }
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
