//! The clock, randomness, tasks and log lines by WASI. `std::time` and the standard library's randomness are not there on
//! every target that this is built for.

use std::cell::{Cell, RefCell};

use pay_once_core::{Entropy, Millis, UnixMillis};
use spin_sdk::wasip3::clocks::system_clock;
use spin_sdk::wasip3::random::random::get_random_bytes;
use spin_sdk::wasip3::{cli, wit_stream};

use crate::ports::{Line, World};

/// Draws asked for at once.
const DRAWS: usize = 16;
/// Bytes of one draw.
const DRAW_BYTES: usize = 16;

thread_local! {
    /// Whether a task was spawned that has not been polled yet.
    static SPAWNED: Cell<bool> = const { Cell::new(false) };
}

/// `task`, and whatever it spawns is polled soon. wit-bindgen 0.57 takes a spawned task in after the poll that spawned it
/// and then waits for the next event, which may be long in coming, unless somebody has woken the executor. Everything that
/// spawns must run in this.
pub async fn nudged<T>(task: impl Future<Output = T>) -> T {
    let mut task = std::pin::pin!(task);
    std::future::poll_fn(|cx| {
        let polled = task.as_mut().poll(cx);
        if SPAWNED.take() {
            cx.waker().wake_by_ref();
        }
        polled
    })
    .await
}

/// To be called in the poll in which a library spawns something: see [`nudged`].
pub fn nudge() {
    SPAWNED.set(true);
}

/// A [`World`] of WASI.
#[derive(Debug, Default)]
pub struct WasiWorld {
    /// Randomness drawn in advance, each byte used once.
    drawn: RefCell<Vec<u8>>,
}

impl World for WasiWorld {
    fn now_ms(&self) -> UnixMillis {
        let now = system_clock::now();
        // A clock before 1970 is a broken clock; 0 makes every signature and deadline look as wrong as it is.
        let seconds = u64::try_from(now.seconds).unwrap_or(0);
        let milliseconds = u64::from(now.nanoseconds / 1_000_000);
        UnixMillis::EPOCH + Millis::from_seconds(seconds) + Millis::new(milliseconds)
    }

    async fn sleep_ms(&self, ms: Millis) {
        spin_sdk::time::sleep(ms.into()).await;
    }

    fn entropy(&self) -> Entropy {
        let mut drawn = self.drawn.borrow_mut();
        loop {
            // WASI may give fewer bytes than were asked for, and at least one.
            if let Some((rest, draw)) = drawn.split_last_chunk::<DRAW_BYTES>() {
                let (rest, draw) = (rest.len(), u128::from_le_bytes(*draw));
                drawn.truncate(rest);
                return Entropy(draw);
            }
            drawn.extend(get_random_bytes((DRAWS * DRAW_BYTES) as u64));
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        nudge();
        spin_sdk::wit_bindgen::spawn(nudged(task));
    }

    /// A JSON line on standard error.
    fn log(&self, line: &Line<'_>) {
        let mut line = serde_json::to_vec(line).unwrap_or_default();
        line.push(b'\n');
        self.spawn(async move {
            let (mut writer, reader) = wit_stream::new();
            let taken = cli::stderr::write_via_stream(reader);
            writer.write_all(line).await;
            drop(writer);
            // A host without standard error has no log.
            let _ = taken.await;
        });
    }
}
