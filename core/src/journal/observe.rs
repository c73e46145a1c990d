//! How evidence changes the state: the part of the fold that applies observations.

use crate::base::id::LocalId;
use crate::base::time::UnixMillis;
use crate::journal::entry::{CallStep, Cause, Operation, RequestKind, Source};
use crate::journal::evidence::{Answered, Effect, EffectKind, Evidence, Signal};
use crate::journal::running::{DeliveryState, Refused};
use crate::journal::state::{Action, Authorization, BoundKey, Capture, Decline, FormRefused, State};
use crate::journal::status::{Event, Status};

impl State {
    pub(super) fn observe(
        &mut self,
        at_ms: UnixMillis,
        source: &Source,
        call: Option<LocalId>,
        id: LocalId,
        evidence: &Evidence,
    ) {
        let answered = self
            .running
            .as_mut()
            .and_then(|running| running.answer(call, at_ms, &evidence.signal));
        // The answer to a call of an earlier operation says nothing about the operation that is parked.
        if answered.is_some_and(|answer| answer.is_new)
            && matches!(evidence.signal, Signal::NotSent { .. } | Signal::Rejected { .. })
        {
            self.unpark();
        }
        let before = self.status;
        self.note_rejections(answered.is_some(), source, &evidence.signal);
        if matches!(source, Source::Operator { .. }) && self.running.is_none() {
            self.mismatch = None;
        }
        let number = call.and_then(|call| self.generation_of_call.get(&call).copied());
        let aimed_at = match (&self.running, answered) {
            (Some(running), Some(_)) => running
                .target
                .clone()
                .or_else(|| self.own_reference().map(str::to_owned)),
            _ => None,
        };
        let answers = number.map(|generation| Answered {
            generation,
            of: aimed_at.as_deref(),
        });
        self.knowledge.merge(evidence, answers);
        // The effects of one observation are applied in a fixed order, whatever order the PSP lists them in.
        let mut effects: Vec<&Effect> = evidence.effects.iter().collect();
        // A capture of the amount that was asked for comes first, because the first capture is the one that stays
        // (rules 8 and 14).
        let asked_minor = self.asked_to_capture_minor();
        effects.sort_by_key(|effect| {
            let is_other = effect.kind == EffectKind::Capture
                && asked_minor.is_some_and(|asked_minor| asked_minor != effect.amount_minor);
            (effect.kind, is_other, *effect)
        });
        let is_taken = answered.is_some() && effects.iter().any(|effect| effect.kind == EffectKind::Capture);
        for effect in effects {
            self.see(at_ms, id, effect, is_taken);
        }
        self.go_on(before);
        let is_current = answered.is_some_and(|answer| answer.is_current);
        match &evidence.signal {
            Signal::None | Signal::Unknown { .. } | Signal::NotSent { .. } | Signal::Rejected { .. } => {}
            Signal::KeyUseless { .. } => {
                if let Some(running) = self.running.as_mut().filter(|_| is_current) {
                    running.key_is_useless = true;
                }
            }
            Signal::FormRefused { code, message, field } => {
                if let Some(operation) = self.running.as_ref().filter(|_| is_current).map(|r| r.operation) {
                    self.refuse_form(operation, code, message, field);
                }
            }
            // The object that is or was acted on stays the attempt's object. Evidence of its preparation may come late,
            // and twice.
            Signal::Prepared { .. } if self.authorization.is_some() || self.acts_on_object() => {}
            Signal::Prepared { reference } if is_current => {
                self.object = Some(reference.clone());
                self.object_is_answered = true;
            }
            Signal::Prepared { .. } if self.object_is_answered => {}
            Signal::Prepared { reference } => self.object = self.object.take().max(Some(reference.clone())),
            // The call's generation was proven to have had no effect. Its 3-D Secure is over, and another one may have
            // begun since.
            Signal::ActionRequired { .. } if answered.is_some_and(|answer| !answer.is_current) => {}
            Signal::ActionRequired { reference, url } => {
                self.status = self.status.next(Event::ActionRequired);
                if self.status == Status::RequiresAction {
                    // If reports name different objects, the answer to the current call decides which page is for this
                    // customer.
                    let is_other = |action: &Action| is_current && action.reference != *reference;
                    if self.action.as_ref().is_some_and(is_other) {
                        self.action = None;
                    }
                    let action = self.action.get_or_insert_with(|| Action {
                        reference: reference.clone(),
                        url: url.clone(),
                        since_ms: at_ms,
                    });
                    // The first report may have lacked the page (rule 7).
                    if action.url.is_empty() && action.reference == *reference {
                        action.url.clone_from(url);
                    }
                }
            }
            Signal::Refused { code, message } => {
                let whose = match (answered, source) {
                    (Some(answer), _) if answer.is_current => Some(answer.operation),
                    // The answer to an earlier call decides nothing: its generation was proven absent, or its operation
                    // has ended.
                    (Some(_), _) | (None, Source::Response | Source::NamedResponse { .. }) => None,
                    (None, Source::Webhook | Source::Lookup) => Some(Operation::Authorize),
                    (None, Source::Operator { .. }) => self.running.as_ref().map(|r| r.operation),
                };
                if let Some(operation) = whose {
                    self.refuse(operation, code, message);
                }
            }
        }
    }

    /// Ends the parking if it turns out that no call with an effect can have been executed. The outcome is then not
    /// unknown, and the operation goes on by itself (`docs/promise.md`, “Liveness”; found by `explore`).
    pub(super) fn unpark(&mut self) {
        let Some(running) = self.running.as_mut().filter(|running| running.parked.is_some()) else {
            return;
        };
        // A call that was refused was sent. A call whose dispatch is lost may have been sent.
        if running.is_suspect() || running.maybe_sent().any(|call| call.step == CallStep::Execute) {
            return;
        }
        running.parked = None;
    }

    /// Ends a row of rejections if the answer to a call is no rejection. A call that was not sent, or whose outcome is
    /// unknown, does not end the row.
    fn note_rejections(&mut self, is_answer: bool, source: &Source, signal: &Signal) {
        let goes_on = matches!(
            signal,
            Signal::Rejected { .. }
                | Signal::NotSent { .. }
                | Signal::Unknown { .. }
                | Signal::KeyUseless { .. }
        );
        if is_answer && source.is_response() && !goes_on {
            self.rejections = None;
        }
    }

    /// Applies a refusal of the client's terms. A client can capture another amount under another key. All other terms
    /// can never change, so that their refusal is a refusal of the operation.
    fn refuse_form(&mut self, operation: Operation, code: &str, message: &str, field: &str) {
        let cause = self.running.as_ref().map(|running| running.cause);
        let is_of_client = cause == Some(Cause::Client);
        if operation != Operation::Capture || !is_of_client {
            self.refuse(operation, code, message);
            return;
        }
        self.status = self.status.next(Event::WithdrewCapture);
        self.running = None;
        let waits = |bound: &&mut BoundKey| {
            bound.request == RequestKind::Capture && bound.finalized_at.is_none() && !bound.is_withdrawn
        };
        for bound in self.keys.iter_mut().filter(waits) {
            bound.form_refused = Some(FormRefused {
                code: code.to_owned(),
                message: message.to_owned(),
                field: field.to_owned(),
            });
        }
    }

    /// Applies one effect. `is_taken` says that the effect came together with a capture, in the answer to a call of the
    /// operation under way.
    fn see(&mut self, at_ms: UnixMillis, id: LocalId, effect: &Effect, is_taken: bool) {
        match effect.kind {
            EffectKind::Authorize => self.see_authorization(at_ms, id, effect, is_taken),
            EffectKind::Capture => {
                let asked_minor = self.asked_to_capture_minor();
                let before = self.status;
                self.status = self.status.next(Event::SeenCapture);
                if before != Status::Captured && self.status == Status::Captured {
                    let reference = effect.of.clone().unwrap_or_else(|| effect.id.clone());
                    let held_since_ms = self.first_asked_ms(at_ms);
                    self.authorization.get_or_insert(Authorization {
                        id,
                        psp_reference: reference,
                        authorized_at_ms: at_ms,
                        held_since_ms,
                    });
                    self.capture.get_or_insert(Capture {
                        id,
                        psp_reference: effect.id.clone(),
                        captured_at_ms: at_ms,
                        amount_minor: effect.amount_minor,
                        asked_minor,
                    });
                }
            }
            EffectKind::Void if self.is_own(effect) => self.status = self.status.next(self.seen_void()),
            EffectKind::Lapse if self.is_own(effect) => self.status = self.status.next(Event::SeenLapse),
            // These do not change the status: the release of another effect (a duplicate that was compensated), and
            // what happens to captured funds later.
            EffectKind::Void
            | EffectKind::Lapse
            | EffectKind::Refund
            | EffectKind::Reversal
            | EffectKind::RefundFailure => {}
        }
    }

    /// The amount that was asked for of a capture that is seen now, in minor units. `None`: no capture was asked for.
    fn asked_to_capture_minor(&self) -> Option<u64> {
        let Some(running) = &self.running else {
            // An operation that the PSP rejected was asked for as well.
            let rejected = self.rejections.as_ref()?;
            return match rejected.operation {
                Operation::Capture => Some(rejected.amount_minor),
                Operation::Authorize => self.is_automatic().then_some(self.terms.money.amount_minor),
                Operation::Void | Operation::Refund => None,
            };
        };
        match running.operation {
            Operation::Capture => Some(running.amount_minor),
            Operation::Authorize if self.is_automatic() => Some(self.terms.money.amount_minor),
            Operation::Authorize | Operation::Void | Operation::Refund => None,
        }
    }

    /// The event for a void that is seen. A void that was begun for expiry leads to EXPIRED, a client's void to VOIDED.
    pub(super) fn seen_void(&self) -> Event {
        if self.void_cause == Cause::Client {
            Event::SeenVoid
        } else {
            Event::SeenLapse
        }
    }

    /// Evidence after a rejection moved the status on: the rejected operation happened after all. Its keys wait for its
    /// end again.
    fn go_on(&mut self, before: Status) {
        let operation = match (before, self.status) {
            (Status::Created, status) if status != Status::Created => Operation::Authorize,
            (Status::Authorized, Status::Captured) => Operation::Capture,
            _ => return,
        };
        let goes_on = |bound: &&mut BoundKey| {
            bound.is_withdrawn && !bound.is_superseded && bound.request.asks_for(operation)
        };
        for bound in self.keys.iter_mut().filter(goes_on) {
            bound.is_withdrawn = false;
        }
    }

    fn see_authorization(&mut self, at_ms: UnixMillis, id: LocalId, effect: &Effect, is_taken: bool) {
        let asked = &self.terms.money;
        let as_asked = !asked.differs_from(effect.amount_minor, effect.currency.as_deref());
        // If funds were captured together with it, the captured amount is checked instead (rule 14).
        if !as_asked && self.authorization.is_none() && !is_taken {
            let message =
                "The PSP authorized another amount or currency than was asked for; it is being released.";
            self.refuse(Operation::Authorize, "amount_mismatch", message);
            return;
        }
        self.status = self.status.next(Event::SeenAuthorize);
        if !matches!(self.status, Status::Voided | Status::Declined | Status::Expired) {
            let held_since_ms = self.first_asked_ms(at_ms);
            self.authorization.get_or_insert(Authorization {
                id,
                psp_reference: effect.id.clone(),
                authorized_at_ms: at_ms,
                held_since_ms,
            });
        }
    }

    /// From when on an authorization that is seen now may have been held, in milliseconds since the Unix epoch. The PSP
    /// counts the life of an authorization from the effect, and an unknown outcome may hide the effect for long (found
    /// by the simulator: an authorization lapsed before it was to be released).
    fn first_asked_ms(&self, seen_ms: UnixMillis) -> UnixMillis {
        let authorize = self
            .running
            .as_ref()
            .filter(|r| r.operation == Operation::Authorize);
        let lost_ms = authorize
            .and_then(|running| running.lost)
            .map(|lost| lost.loss)
            // The dispatch of an authorize may be lost even if none was begun since.
            .or(self.loss.filter(|_| self.is_suspect))
            .map(|loss| loss.begins_ms);
        let sent = authorize.into_iter().flat_map(|running| running.calls.iter());
        let effective = sent.filter(|call| {
            call.step == CallStep::Execute && !matches!(call.delivery, DeliveryState::NotSent { .. })
        });
        effective
            .map(|call| call.sent_at_ms)
            .chain(lost_ms)
            .min()
            .unwrap_or(seen_ms)
            .min(seen_ms)
    }

    /// Whether a release is of the attempt's own authorization.
    fn is_own(&self, effect: &Effect) -> bool {
        // The answer to a compensation of another effect may not say of which effect it is.
        if self
            .running
            .as_ref()
            .is_some_and(|r| r.cause == Cause::Compensation)
            && effect.of.is_none()
        {
            return self.own_reference() == Some(effect.id.as_str());
        }
        // A repeated report may leave out what an earlier report said, so that the merged knowledge is used.
        let of = self
            .knowledge
            .of_kind(effect.kind)
            .find(|(id, _)| *id == effect.id)
            .and_then(|(_, seen)| seen.of.as_deref());
        match self.own_reference() {
            // No reference of the attempt is known. A release is then the attempt's own if it names no effect, its own
            // id, or an authorization that was seen.
            None => of.is_none_or(|of| of == effect.id || self.knowledge.is_authorization(of)),
            Some(own) => effect.id == own || of.is_none_or(|of| of == own),
        }
    }

    pub(super) fn refuse(&mut self, operation: Operation, code: &str, message: &str) {
        let before = self.status;
        if before == Status::Created && self.creation.is_none() {
            return;
        }
        let event = match operation {
            Operation::Authorize => Event::RefusedAuthorize,
            Operation::Capture => Event::RefusedCapture,
            Operation::Void | Operation::Refund => Event::RefusedVoid,
        };
        self.status = self.status.next(event);
        if before != Status::Declined && self.status == Status::Declined {
            self.decline = Some(Decline {
                code: code.to_owned(),
                message: message.to_owned(),
            });
        }
        let held = self.holds_something();
        if let Some(running) = self.running.as_mut().filter(|_| event == Event::RefusedVoid) {
            running.refused = Some(Refused {
                code: code.to_owned(),
                held,
            });
        }
    }
}
