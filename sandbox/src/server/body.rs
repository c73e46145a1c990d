//! Answer bodies: whole, or cut on purpose.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// How long the part that is sent gets to reach the wire before the connection closes.
const CUT_AFTER: Duration = Duration::from_millis(20);

/// The body of an answer.
pub(super) struct AnswerBody {
    data: Option<Bytes>,
    /// Whether it ends as announced.
    whole: bool,
    closing: Option<Pin<Box<Sleep>>>,
}

impl AnswerBody {
    /// All of `data`.
    pub(super) fn whole(data: Bytes) -> Self {
        Self {
            data: Some(data),
            whole: true,
            closing: None,
        }
    }

    /// The first `bytes` of `data`, then a failure that closes the connection.
    pub(super) fn cut(mut data: Bytes, bytes: usize) -> Self {
        data.truncate(bytes);
        Self {
            data: Some(data),
            whole: false,
            closing: None,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if self.whole {
            return Poll::Ready(None);
        }
        let closing = self.closing.get_or_insert_with(|| Box::pin(sleep(CUT_AFTER)));
        ready!(closing.as_mut().poll(context));
        Poll::Ready(Some(Err(io::Error::other("cut on purpose"))))
    }

    fn is_end_stream(&self) -> bool {
        self.whole && self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.data {
            Some(data) if self.whole => SizeHint::with_exact(data.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
