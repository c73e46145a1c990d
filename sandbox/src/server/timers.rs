//! Timed events of the sandbox, fired when they are due.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep_until};

use crate::wire::reaction::Timed;

/// How often authorizations are looked at for having lapsed.
const TICK: Duration = Duration::from_secs(1);

/// Where the host puts events.
pub(super) struct Sender(mpsc::UnboundedSender<(Instant, Timed)>);

/// Where [`run`] gets them.
pub(super) type Receiver = mpsc::UnboundedReceiver<(Instant, Timed)>;

/// A queue of events. It is unbounded, but each event stands for one request that came in and hangs.
pub(super) fn queue() -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Sender(sender), receiver)
}

impl Sender {
    /// Has `event` fired at `at`.
    pub(super) fn send(&self, at: Instant, event: Timed) {
        // Fails only once the server is shutting down.
        drop(self.0.send((at, event)));
    }
}

/// Has events fired by `fire`, and a tick every second, until dropped.
pub(super) async fn run(mut incoming: Receiver, fire: impl Fn(&Timed)) {
    let mut waiting = BTreeMap::new();
    let mut serial = 0_u64;
    let mut ticks = interval(TICK);
    loop {
        let next = waiting
            .first_key_value()
            .map(|((at, _), _): (&(Instant, u64), &Timed)| *at);
        tokio::select! {
            received = incoming.recv() => {
                let Some((at, event)) = received else { return };
                serial += 1;
                waiting.insert((at, serial), event);
            }
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                if let Some((_, event)) = waiting.pop_first() {
                    fire(&event);
                }
            }
            _ = ticks.tick() => fire(&Timed::Tick),
        }
    }
}
