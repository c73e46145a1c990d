//! The cache of final attempts, in Workers KV: copies of their records. KV may be a minute behind and gives no
//! compare-and-swap, so it decides nothing: whether a copy answers a request for good is core's to say, and everything
//! else goes to the attempt's object.

use std::cell::Cell;

use pay_once_core::{AttemptId, Input, Millis, Record, Response, UnixMillis, finalized, may_be_finalized};
use serde_json::json;
use worker::Env;

use crate::system;

/// Name of the binding. A deployment without it works, and wakes the object for every replay.
const BINDING: &str = "FINALS";
/// How long the cache is waited for, in milliseconds: it saves work, and must not cost an answer its time budget.
const WAIT_MS: Millis = Millis::new(50);
/// How long a copy is kept, in seconds; the object makes a new one when it is asked after that. So a copy that could not be
/// replaced when there was news is not believed for longer than this.
const KEPT_S: u64 = 3_600;
/// How long putting a copy may take, in milliseconds.
const PUT_TIMEOUT_MS: Millis = Millis::new(10_000);
/// How long until the next copy may be put: the cache takes one a second for each key, in milliseconds.
pub(crate) const PAUSE_MS: Millis = Millis::new(1_200);
/// Tries to put one copy.
const TRIES_MAX: u8 = 5;

/// What an object knows of its copy in the cache.
#[derive(Default)]
pub(crate) struct Copy {
    /// When the last one was put, in milliseconds since the Unix epoch.
    kept_at_ms: Cell<Option<UnixMillis>>,
    is_under_way: Cell<bool>,
    has_news: Cell<bool>,
    tries: Cell<u8>,
}

impl Copy {
    /// Takes note of news; whether somebody has to begin to put a copy now.
    pub(crate) fn is_due(&self, has_news: bool) -> bool {
        let is_under_way = self.is_under_way.get();
        if !has_news && (is_under_way || !self.is_old()) {
            return false;
        }
        self.has_news.set(true);
        self.tries.set(0);
        self.is_under_way.set(true);
        // Whoever is at it already will see the news.
        !is_under_way
    }

    /// Whether none was put, or the last one is no longer kept.
    fn is_old(&self) -> bool {
        let kept_at_ms = self.kept_at_ms.get();
        let until_ms = kept_at_ms.map(|at_ms| at_ms + Millis::from_seconds(KEPT_S));
        until_ms.is_none_or(|until_ms| until_ms <= system::now_ms())
    }

    /// A copy is read now: what comes after this is news again.
    pub(crate) fn begin(&self) {
        self.has_news.set(false);
    }

    /// It was put, or was not; whether another is to be put after a pause.
    pub(crate) fn end(&self, is_kept: bool) -> bool {
        if is_kept {
            self.kept_at_ms.set(Some(system::now_ms()));
        } else {
            self.tries.set(self.tries.get() + 1);
            self.has_news.set(true);
        }
        let goes_on = self.has_news.get() && self.tries.get() < TRIES_MAX;
        self.is_under_way.set(goes_on);
        goes_on
    }
}

/// The answer to `input`, if the cache has one.
pub(crate) async fn answer(env: &Env, id: AttemptId, input: &Input) -> Option<Response> {
    if !may_be_finalized(input) {
        return None;
    }
    let cache = env.kv(BINDING).ok()?;
    let copy = cache.get(&id.to_string()).bytes();
    let bytes = system::until(system::now_ms() + WAIT_MS, copy).await?.ok()??;
    let record = Record::decode(id, &bytes).ok()?;
    finalized(id, &record, input)
}

/// Puts a copy into the cache; whether it arrived. No answer depends on it.
pub(crate) async fn keep(env: &Env, id: AttemptId, bytes: &[u8]) -> bool {
    // Only the end is the same for ever.
    if !Record::decode(id, bytes).is_ok_and(|record| record.is_final()) {
        return true;
    }
    let Ok(cache) = env.kv(BINDING) else {
        // There is no cache, so there is nothing to be done about it.
        return true;
    };
    let put = async {
        let put = cache.put_bytes(&id.to_string(), bytes)?;
        put.expiration_ttl(KEPT_S).execute().await
    };
    let by_ms = system::now_ms() + PUT_TIMEOUT_MS;
    let why = match system::until(by_ms, put).await {
        Some(Ok(())) => return true,
        Some(Err(error)) => error.to_string(),
        None => "no answer in time".to_owned(),
    };
    let message = "a final attempt could not be put into the cache";
    system::error(&json!({"level": "WARN", "message": message, "attempt": id.to_string(), "error": why}));
    false
}
