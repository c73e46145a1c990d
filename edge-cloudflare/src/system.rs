//! The platform's clock, timers, randomness and log.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use pay_once_core::{Entropy, UnixMillis};
use serde_json::Value;
use worker::{Date, Delay, console_error, console_log};

/// Milliseconds since the Unix epoch. The platform's clock stands still between two pieces of input or output.
pub(crate) fn now_ms() -> UnixMillis {
    UnixMillis::new(Date::now().as_millis())
}

/// Returns at `at_ms` or soon after.
pub(crate) async fn sleep_until(at_ms: UnixMillis) {
    Delay::from(Duration::from(at_ms - now_ms())).await;
}

/// What `work` comes to, unless it takes longer than until `at_ms`.
pub(crate) async fn until<T>(at_ms: UnixMillis, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(sleep_until(at_ms))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}

/// Fresh random bits.
///
/// # Errors
/// Identifiers that may repeat are worse than no service: without randomness there are none.
pub(crate) fn entropy() -> Result<Entropy, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(Entropy(u128::from_le_bytes(bytes)))
}

/// One structured line. No secrets.
pub(crate) fn info(line: &Value) {
    console_log!("{line}");
}

/// One structured line about what should not have happened.
pub(crate) fn error(line: &Value) {
    console_error!("{line}");
}
