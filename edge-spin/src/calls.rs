//! What goes to PSPs, and what comes of it.

use std::rc::Rc;

use pay_once_core::id::AttemptId;
use pay_once_core::limits::{OUTCOME_PAUSE_FIRST_MS, OUTCOME_RETRY_MS};
use pay_once_core::machine::{Input, Outcome};
use pay_once_core::psp::report::PspReport;
use pay_once_core::psp::{Call, CallResult};
use pay_once_core::request::{EventRead, Routed, event_read};

use crate::ports::{Finals, Line, PspTransport, Store, World};
use crate::server::{News, Server, Stuck};

impl<W: World, S: Store, P: PspTransport, F: Finals> Server<W, S, P, F> {
    /// Notes what an answer said of its PSP as such.
    pub(crate) fn note_report(&self, id: Option<AttemptId>, report: Option<PspReport>) {
        let Some(report) = report else { return };
        let problem = self.reports.borrow_mut().note(&report, self.world.now_ms());
        if let Some(problem) = problem {
            let message = "a PSP rejected our credentials, our account or our request";
            self.world.log(&Line::error(id, message).with(&problem));
        }
    }

    /// Sends one PSP call, if it may still be sent, and waits for what comes of it.
    async fn send(&self, call: &Call) -> CallResult {
        let may_send = || call.may_send(self.world.now_ms());
        let result = self.psp.send(call, may_send).await;
        if let CallResult::Unknown { reason } = &result {
            let line = format!("a PSP call's outcome is unknown: {:?}: {reason}", call.http);
            self.world.log(&Line::warn(call.attempt, &line));
        }
        result
    }

    /// Performs one PSP call of an attempt and feeds back what came of it.
    pub(crate) async fn perform(self: Rc<Self>, id: AttemptId, call: Call, news: News) {
        let result = self.send(&call).await;
        let input = Input::Outcome(Box::new(Outcome { call, result }));
        let give_up_ms = self.world.now_ms().saturating_add(OUTCOME_RETRY_MS);
        let mut pause_ms = OUTCOME_PAUSE_FIRST_MS;
        while let Err(Stuck::Store(_)) = self.step(id, &input, &news).await {
            if self.world.now_ms() >= give_up_ms {
                let line = "a PSP's answer could not be stored; recovery will ask again";
                self.world.log(&Line::error(Some(id), line));
                return;
            }
            self.world.sleep_ms(pause_ms).await;
            pause_ms = pause_ms.saturating_mul(2);
        }
    }

    /// Reads the object of an event that does not name its attempt.
    pub(crate) async fn read_event(&self, read: EventRead) -> Routed {
        let result = self.send(&read.call).await;
        let (routed, report) = event_read(&self.config, read, &result, self.world.now_ms());
        self.note_report(None, report);
        routed
    }
}
