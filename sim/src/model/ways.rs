//! The ways from a server to its store and to the PSP, with everything that can happen on them.

use std::rc::Rc;
use std::sync::Arc;

use pay_once_core::{AttemptId, Call, CallResult, Record, Swapped, Turn};

use super::psp::named;
use super::server::Work;
use super::store::Swap;
use super::{Event, Sim};
use crate::met::Sometimes;
use crate::plan::{Host, StoreFault};
use crate::seen::{PspCall, is_unknown};
use crate::trace::Kind;

/// How long a server waits for its store, in milliseconds.
const STORE_TIMEOUT_MS: u64 = 300;
/// How much longer a slow store takes, in milliseconds.
const STORE_SLOW_MS: u64 = 500;
/// How late a swap applies whose end is unknown, in milliseconds.
const STORE_LATE_MS: u64 = 1_000;

impl Sim<'_> {
    /// A read: when its answer is there, and what it says.
    pub(super) fn read_store(
        &mut self,
        server: usize,
        id: AttemptId,
    ) -> (u64, Result<Option<Arc<Record>>, ()>) {
        let (latency_ms, fault) = self.store_fault();
        let there = self.travel(Host::Server(server), Host::Store);
        let back = self.travel(Host::Store, Host::Server(server));
        match (there, back) {
            (Some(_), Some(back_ms)) if fault != Some(StoreFault::Down) => {
                let at_ms = back_ms + latency_ms;
                if at_ms > self.now_ms + STORE_TIMEOUT_MS {
                    return (self.now_ms + STORE_TIMEOUT_MS, Err(()));
                }
                (at_ms, Ok(self.store.load(id)))
            }
            (Some(_), Some(back_ms)) => {
                self.met.meet(Sometimes::StoreDown);
                (back_ms, Err(()))
            }
            _ => (self.now_ms + STORE_TIMEOUT_MS, Err(())),
        }
    }

    /// The store's latency now, and one fault of those that are on.
    pub(super) fn store_fault(&mut self) -> (u64, Option<StoreFault>) {
        let (min, max) = self.plan.world.store_ms;
        let mut latency_ms = self.store_draw.between(min, max);
        let mut drawn = None;
        let on: Vec<_> = self.faults.store_now(self.now_ms).collect();
        for (fault, permille) in on {
            if self.store_draw.chance(permille) {
                if fault == StoreFault::Slow {
                    latency_ms += STORE_SLOW_MS;
                } else {
                    drawn = drawn.or(Some(fault));
                }
            }
        }
        (latency_ms, drawn)
    }

    /// A swap: when its server learns of its end, and what it learns.
    pub(super) fn offer(&mut self, server: usize, id: AttemptId, swap: &Swap) -> (u64, Swapped) {
        let (latency_ms, fault) = self.store_fault();
        let there = self.travel(Host::Server(server), Host::Store);
        let back = self.travel(Host::Store, Host::Server(server));
        let timeout_ms = self.now_ms + STORE_TIMEOUT_MS;
        match (there, fault) {
            (None, _) => (timeout_ms, Swapped::Unknown),
            (Some(at_ms), Some(StoreFault::Down)) => {
                self.met.meet(Sometimes::StoreDown);
                (at_ms, Swapped::Unknown)
            }
            (Some(at_ms), Some(StoreFault::NoWrites)) => {
                self.met.meet(Sometimes::StoreTakesNoWrites);
                (at_ms, Swapped::Unknown)
            }
            (Some(_), Some(StoreFault::LostUnknown)) => {
                self.met.meet(Sometimes::SwapLostUnknown);
                (timeout_ms, Swapped::Unknown)
            }
            (Some(_), Some(StoreFault::LateUnknown)) => {
                let (at_ms, swap) = (self.now_ms + STORE_LATE_MS, swap.clone());
                self.late_swaps += 1;
                self.at(at_ms, Event::LateSwap { id, swap });
                (timeout_ms, Swapped::Unknown)
            }
            (Some(_), _) => {
                let applied = self.apply(id, swap);
                let learnt_ms = back.map(|back_ms| back_ms + latency_ms);
                match learnt_ms.filter(|at_ms| fault.is_none() && *at_ms <= timeout_ms) {
                    Some(at_ms) if applied => (at_ms, Swapped::Applied),
                    Some(at_ms) => (at_ms, Swapped::Conflict),
                    None => {
                        if applied {
                            self.met.meet(Sometimes::SwapAppliedUnknown);
                        }
                        (timeout_ms, Swapped::Unknown)
                    }
                }
            }
        }
    }

    pub(super) fn apply(&mut self, id: AttemptId, swap: &Swap) -> bool {
        let applied = self.store.swap(id, swap);
        if applied {
            let status = swap.record.state().status;
            self.call_operator(id, &swap.record);
            self.note(Host::Store, Kind::Write, || {
                format!("{id}: version {} {status:?}", swap.record.version())
            });
        }
        applied
    }

    pub(super) fn late_swap(&mut self, id: AttemptId, swap: Swap) {
        self.late_swaps -= 1;
        if self.apply(id, &swap) {
            self.met.meet(Sometimes::SwapAppliedLate);
        }
    }

    /// Rule 1: whether the call may still be sent is looked at right before.
    pub(super) fn send(&mut self, server: usize, number: u64, call: Rc<Call>) {
        self.server(server).calls.insert(number, Rc::clone(&call));
        if call.moves_money {
            let key = psp_key(&call).to_owned();
            self.sends.push(PspCall {
                at_ms: self.now_ms,
                key,
            });
        }
        let sent = self.reading(server);
        let asked = self.asked_now(server);
        self.server(server).sent.entry(number).or_insert((sent, asked)).0 = sent;
        if !call.may_send(self.clock(server)) {
            self.met.meet(Sometimes::SendWindowMissed);
            let reason = "its time to be sent had passed".to_owned();
            return self.call_ended(server, number, CallResult::NotSent { reason });
        }
        if self.faults.is_cut(Host::Server(server), Host::Psp, self.now_ms) && self.net_draw.chance(700) {
            let reason = "no connection".to_owned();
            return self.call_ended(server, number, CallResult::NotSent { reason });
        }
        if call.moves_money {
            self.stand_still(server, true);
        }
        let timeout_ms = self.now_ms + call.timeout_ms.get();
        self.after(server, timeout_ms, Work::CallTimeout(number));
        let arrives = self.travel(Host::Server(server), Host::Psp);
        self.message(Host::Server(server), Host::Psp, arrives, || {
            format!("{}: {} {}", named(call.attempt), call.http.method, call.http.url)
        });
        if let Some(at_ms) = arrives {
            let epoch = self.server(server).epoch;
            self.at(
                at_ms,
                Event::PspArrives {
                    server,
                    epoch,
                    number,
                    call,
                },
            );
        }
    }

    /// A server comes to a sending, at which the plan may have its process stand still.
    pub(super) fn stand_still(&mut self, server: usize, is_sent: bool) {
        let nth = self.sendings.entry((server, is_sent)).or_default();
        *nth += 1;
        if let Some(for_ms) = self.plan.still_ms(server, *nth, is_sent) {
            let until_ms = (self.now_ms + for_ms).min(self.plan.world.heal_ms);
            self.faults.pause(server, until_ms);
            self.met.meet(Sometimes::PausedAtSending);
            self.note(Host::Server(server), Kind::Fault, || {
                format!("stands still at a sending for {for_ms} ms")
            });
        }
    }

    pub(super) fn psp_answers(&mut self, server: usize, epoch: u32, number: u64, result: CallResult) {
        if self.server(server).epoch != epoch {
            self.met.meet(Sometimes::CrashBetweenEffectAndPersist);
            return;
        }
        if let Some(until_ms) = self.faults.paused_until(server, self.now_ms) {
            return self.at(
                until_ms,
                Event::PspAnswers {
                    server,
                    epoch,
                    number,
                    result,
                },
            );
        }
        self.call_ended(server, number, result);
    }

    /// Whatever came first: the answer, or the end of waiting for it.
    pub(super) fn call_ended(&mut self, server: usize, number: u64, result: CallResult) {
        let Some(call) = self.server(server).calls.remove(&number) else {
            return;
        };
        let asked = self.told_time(server, number, &call, &result);
        if let Some(job) = self.server(server).reads.remove(&number) {
            return self.event_was_read(server, job, &result);
        }
        let call = Call::clone(&call);
        let Some(id) = call.attempt else { return };
        if call.moves_money && is_unknown(&result) {
            *self.unknown.entry(id.to_string()).or_default() += 1;
        }
        let is_look = call.http.method == "GET";
        let now_ms = self.clock_ms(server);
        if let Some(turn) = Turn::outcome(call, result, now_ms) {
            let mut job = self.woken(turn);
            job.asked = Some(asked).filter(|_| is_look);
            self.advance(server, job);
        }
    }
}

/// The idempotency key that a call carries.
pub(super) fn psp_key(call: &Call) -> &str {
    let mut headers = call.http.headers.iter();
    let found = headers.find(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
    found.map_or("", |(_, key)| key)
}
