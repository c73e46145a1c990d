//! The cache of final attempts, in Workers KV: copies of their records. KV may be a minute behind and gives no
//! compare-and-swap, so it decides nothing: whether a copy answers a request for good is core's to say, and everything
//! else goes to the attempt's object.

use pay_once_core::http::Response;
use pay_once_core::id::AttemptId;
use pay_once_core::machine::{Input, settled};
use pay_once_core::record::Record;
use serde_json::json;
use worker::Env;

use crate::system;

/// Name of the binding. A deployment without it works, and wakes the object for every replay.
const BINDING: &str = "FINALS";
/// How long the cache is waited for, in milliseconds: it saves work, and must not cost an answer its time budget.
const WAIT_MS: u64 = 50;
/// How long a copy is kept, in seconds. Retries come soon; later ones wake the object.
const KEPT_S: u64 = 30 * 24 * 3600;

/// The answer to `input`, if the cache has one.
pub(crate) async fn answer(env: &Env, id: AttemptId, input: &Input) -> Option<Response> {
    if !matches!(input, Input::Request(_)) {
        return None;
    }
    let cache = env.kv(BINDING).ok()?;
    let copy = cache.get(&id.to_string()).bytes();
    let bytes = system::until(system::now_ms().saturating_add(WAIT_MS), copy)
        .await?
        .ok()??;
    let record = Record::decode(id, &bytes).ok()?;
    settled(id, &record, input)
}

/// Puts a copy into the cache. Nothing depends on whether it arrives.
pub(crate) async fn keep(env: Env, id: AttemptId, bytes: Vec<u8>) {
    let Ok(cache) = env.kv(BINDING) else { return };
    let put = match cache.put_bytes(&id.to_string(), &bytes) {
        Ok(put) => put.expiration_ttl(KEPT_S).execute().await,
        Err(error) => Err(error),
    };
    if let Err(error) = put {
        let message = "a final attempt could not be put into the cache";
        system::error(
            &json!({"level": "WARN", "message": message, "attempt": id.to_string(), "error": error.to_string()}),
        );
    }
}
