//! The PSP calls of a server: each in its place, on a task of its own, and what comes of it as another turn.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use pay_once_core::{Call, CallResult, Millis, Turn};
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::Server;
use crate::bounds::psp_places::{Health, Place};
use crate::hold::Hold;
use crate::ports::{Clock, PspTransport, Store};

impl<C: Clock, S: Store, P: PspTransport> Server<C, S, P> {
    /// Performs a call on a task of its own.
    pub(super) fn start(self: &Rc<Self>, call: Call, place: Option<Place>) {
        self.calls_under_way.set(self.calls_under_way.get() + 1);
        let server = Rc::clone(self);
        spawn_local(async move {
            server.perform(call, place).await;
            server.calls_under_way.set(server.calls_under_way.get() - 1);
            server.call_ended.notify_waiters();
        });
    }

    /// Performs one PSP call, in its place or in one that it waits for.
    pub(super) async fn send(&self, call: &Call, place: Option<Place>) -> CallResult {
        let Some(place) = self.place(call, place).await else {
            let reason = "its PSP takes no calls at present".to_owned();
            return CallResult::NotSent { reason };
        };
        let may_send = || call.may_send(self.now());
        let was_late = Cell::new(false);
        let asked = || {
            let may = may_send();
            was_late.set(!may);
            may
        };
        self.report.call_began(call);
        let sent = self.clock.reading();
        let begun = Instant::now();
        let result = self.psp.send(call, asked).await;
        let took_all = begun.elapsed() >= Duration::from_millis(call.timeout_ms.get());
        place.told(Health::of(&result, was_late.get(), took_all));
        let took_ms = Millis::new(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.report.call_ended(call, &result, took_ms);
        if let Some(psp) = self.config().psps.get(&call.psp) {
            let ended = self.clock.reading();
            self.time.borrow_mut().answered(psp, &result, sent, ended);
        }
        self.tell_of_clock();
        result
    }

    /// Performs one PSP call and feeds back what came of it.
    async fn perform(self: &Rc<Self>, call: Call, place: Option<Place>) {
        let result = self.send(&call, place).await;
        if let Some(mut turn) = Turn::outcome(call, result, self.now_ms()) {
            let config = self.config();
            self.run(&config, &mut turn, &mut Hold::default(), false, |_| {})
                .await;
        }
    }

    /// The place of a call. What follows from a PSP's word has none yet: it waits for one, until it may no longer be sent.
    async fn place(&self, call: &Call, place: Option<Place>) -> Option<Place> {
        if place.is_some() {
            return place;
        }
        tokio::select! {
            biased;
            place = self.bounds.psps.wait(&call.psp) => place,
            () = self.sleep_until(call.send_by_ms) => None,
        }
    }

    /// Returns once no PSP call is under way, and no step whose writing has begun.
    pub async fn quiet(&self) {
        loop {
            self.steps.ended().await;
            if self.calls_under_way.get() == 0 {
                return;
            }
            self.call_ended.notified().await;
        }
    }
}
