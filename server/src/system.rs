//! The real clocks and the real entropy.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use pay_once_core::{Entropy, Millis, Reading, UnixMillis};

use crate::ports::Clock;

/// The machine's clocks, tokio's timers, the operating system's randomness.
#[derive(Debug, Default)]
pub struct SystemClock {
    /// Randomness drawn in advance, each byte used once: one call to the system for many decisions.
    pool: RefCell<Vec<[u8; 16]>>,
}

/// Draws kept in advance.
const POOL: usize = 256;
/// Longest sleep without a look at the time. Tokio's timers stand still while the machine is suspended.
const SLEEP_MAX_MS: Millis = Millis::new(1_000);

/// The clock that nobody sets and that counts suspended time.
#[cfg(target_os = "linux")]
fn since_boot_ms() -> Option<Millis> {
    use rustix::time::{ClockId, clock_gettime};
    let since = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (
        u64::try_from(since.tv_sec).ok()?,
        u64::try_from(since.tv_nsec).ok()?,
    );
    Some(Millis::from_seconds(seconds) + Millis::new(nanos / 1_000_000))
}

/// Elsewhere there is none: the wall clock alone is compared with the `Date` of answers.
#[cfg(not(target_os = "linux"))]
fn since_boot_ms() -> Option<Millis> {
    None
}

impl Clock for SystemClock {
    fn reading(&self) -> Reading {
        // A clock before 1970 is a broken clock; 0 makes every signature and deadline look as wrong as it is.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Reading {
            wall_ms: UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            since_boot_ms: since_boot_ms(),
        }
    }

    async fn sleep(&self, for_ms: Millis) {
        tokio::time::sleep(for_ms.min(SLEEP_MAX_MS).into()).await;
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
