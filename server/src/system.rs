//! The real clock and the real entropy.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use pay_once_core::{Entropy, UnixMillis};

use crate::ports::Clock;

/// The machine's clock, tokio's timers, the operating system's randomness.
#[derive(Debug, Default)]
pub struct SystemClock {
    /// Randomness drawn in advance, each byte used once: one call to the system for many decisions.
    pool: RefCell<Vec<[u8; 16]>>,
}

/// Draws kept in advance.
const POOL: usize = 256;

impl Clock for SystemClock {
    fn now_ms(&self) -> UnixMillis {
        // A clock before 1970 is a broken clock; 0 makes every signature and deadline look as wrong as it is.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    async fn sleep_until(&self, at_ms: UnixMillis) {
        tokio::time::sleep((at_ms - self.now_ms()).into()).await;
    }

    fn entropy(&self) -> Entropy {
        let mut pool = self.pool.borrow_mut();
        if pool.is_empty() {
            pool.resize(POOL, [0; 16]);
            if let Err(error) = getrandom::fill(pool.as_flattened_mut()) {
                // Identifiers that may repeat are worse than no service.
                tracing::error!(%error, "the operating system gives no randomness");
                std::process::abort();
            }
        }
        Entropy(u128::from_le_bytes(pool.pop().unwrap_or_default()))
    }
}
