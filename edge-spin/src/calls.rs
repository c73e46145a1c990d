//! What goes to PSPs, and what comes of it.

use pay_once_core::{Call, CallResult, Measure};

use crate::ports::{Finals, Line, PspTransport, Store, World};
use crate::server::Server;

impl<W: World, S: Store, P: PspTransport, F: Finals> Server<W, S, P, F> {
    /// Sends one PSP call, if it may still be sent, and waits for what comes of it.
    pub(crate) async fn send(&self, call: &Call) -> CallResult {
        let may_send = || call.may_send(self.world.now_ms());
        let begun_ms = self.world.now_ms();
        let result = self.psp.send(call, may_send).await;
        self.measure(call.attempt, call.trace(), || {
            Measure::of_call(call, &result, self.world.now_ms() - begun_ms)
        });
        if let CallResult::Unknown { reason } = &result {
            let line = format!("a PSP call's outcome is unknown: {:?}: {reason}", call.http);
            self.world
                .log(&Line::warn(call.attempt, &line).in_trace(call.trace()));
        }
        result
    }
}
