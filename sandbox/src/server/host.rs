//! The host: gives the pure sandbox its clock and entropy, and does what its reactions say.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::base::draw::Draw;
use crate::machine::sandbox::Sandbox;
use crate::wire::reaction::{Answer, Reaction, Timed};
use crate::wire::request::Request;

use super::log_file::LogFile;
use super::options::Options;
use super::{deliver, timers};

/// A sandbox that is being served.
pub(super) struct Host {
    inner: Mutex<Inner>,
    failed: Notify,
}

struct Inner {
    sandbox: Sandbox,
    log: Option<LogFile>,
    entropy: Draw,
    /// Time does not run backwards for the sandbox, whatever the system clock does.
    last_ms: u64,
    timers: timers::Sender,
    webhooks: deliver::Sender,
    failure: Option<io::Error>,
    /// After a failure to write nothing is answered any more.
    broken: bool,
}

impl Host {
    /// Opens the log and replays it.
    ///
    /// # Errors
    /// See [`super::serve`].
    pub(super) fn open(
        options: Options,
        timers: timers::Sender,
        webhooks: deliver::Sender,
    ) -> io::Result<Self> {
        let mut sandbox = Sandbox::new(options.settings);
        let log = match &options.data_dir {
            Some(dir) => Some(LogFile::open(dir, |entry| sandbox.take_in(entry))?),
            None => None,
        };
        // The standard library's hash keys are the one source of randomness that needs no dependency; they
        // only have to differ between runs.
        let seed = options
            .seed
            .unwrap_or_else(|| RandomState::new().build_hasher().finish());
        let inner = Inner {
            sandbox,
            log,
            entropy: Draw::new(seed),
            last_ms: 0,
            timers,
            webhooks,
            failure: None,
            broken: false,
        };
        Ok(Self {
            inner: Mutex::new(inner),
            failed: Notify::new(),
        })
    }

    /// Takes in a request; its effect is in the log when this returns. `None`: never answer.
    pub(super) fn receive(&self, request: &Request) -> Option<Answer> {
        let mut inner = self.lock();
        let (now_ms, entropy) = (inner.now_ms(), inner.entropy.word());
        let reaction = inner.sandbox.receive(now_ms, entropy, request);
        self.settle(&mut inner, reaction)
    }

    /// Takes in a timed event.
    pub(super) fn fire(&self, event: &Timed) {
        let mut inner = self.lock();
        let now_ms = inner.now_ms();
        let reaction = inner.sandbox.fire(now_ms, event);
        self.settle(&mut inner, reaction);
    }

    /// Waits until the log can no longer be written, and says why.
    pub(super) async fn failure(&self) -> io::Error {
        loop {
            let failed = self.failed.notified();
            if let Some(error) = self.lock().failure.take() {
                return error;
            }
            failed.await;
        }
    }

    /// Logs first; then schedules, sends and answers.
    fn settle(&self, inner: &mut Inner, reaction: Reaction) -> Option<Answer> {
        if inner.broken {
            return None;
        }
        if let (Some(entry), Some(log)) = (&reaction.log, inner.log.as_mut())
            && let Err(error) = log.append(entry)
        {
            inner.failure = Some(error);
            inner.broken = true;
            self.failed.notify_one();
            return None;
        }
        let now = Instant::now();
        for scheduled in reaction.scheduled {
            inner
                .timers
                .send(now + Duration::from_millis(scheduled.after_ms), scheduled.event);
        }
        for webhook in reaction.webhooks {
            inner
                .webhooks
                .send(now + Duration::from_millis(webhook.after_ms), webhook);
        }
        reaction.answer
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn now_ms(&mut self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_ms = self
            .last_ms
            .max(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX));
        self.last_ms
    }
}
