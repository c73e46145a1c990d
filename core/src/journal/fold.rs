//! The fold: how one more entry changes the state. A state changes only here and in `observe.rs`.

use std::sync::Arc;

use crate::base::loss::Loss;
use crate::base::time::UnixMillis;
use crate::base::version::RecordVersion;
use crate::journal::entry::{Cause, Conclusion, Entry, Fact, Operation, RequestKind, Source};
use crate::journal::running::{CurrentOperation, DeliveryState, DispatchedCall, LostSending, Parking};
use crate::journal::state::{BoundKey, Creation, Mismatch, Rejections, State};
use crate::journal::status::{Event, Status};

impl State {
    /// Applies one more entry, which is at `index` of the journal.
    pub fn apply(&mut self, index: usize, entry: &Entry) {
        let status_before = self.status;
        match &entry.fact {
            // A journal has one `Created`, which is its first entry. `Record` refuses a second one.
            Fact::Created { .. } => {}
            Fact::Requested {
                key,
                fingerprint,
                request,
                payment_method,
            } => {
                self.keys.push(BoundKey::new(key, *fingerprint, *request, index));
                if self.terms.payment_method.is_none() {
                    Arc::make_mut(&mut self.terms)
                        .payment_method
                        .clone_from(payment_method);
                }
            }
            Fact::Intended {
                operation,
                cause,
                amount_minor,
                target,
            } => {
                self.begin(*operation, *cause, *amount_minor, target.clone(), entry.at_ms);
            }
            Fact::Dispatched {
                call,
                operation,
                step,
                generation,
                psp_key,
                target,
                sent_at_ms,
                send_by_ms,
            } => {
                let used = self.generations_used.entry(*operation).or_default();
                *used = (*used).max(*generation);
                self.generation_of_call.insert(*call, *generation);
                if *operation == Operation::Authorize && target.is_none() {
                    self.expect_object(*sent_at_ms, *send_by_ms);
                }
                let wire_form = self.wire_form;
                let amount_minor = self.amount_to_ask_minor(*generation);
                let key_used_since_ms = self.rejected_number_since_ms(*operation, *generation);
                if let Some(running) = self.running.as_mut().filter(|r| r.operation == *operation) {
                    if running.generation != *generation {
                        running.key_is_useless = false;
                        running.was_rejected = false;
                        running.key_used_since_ms = key_used_since_ms;
                    }
                    running.generation = *generation;
                    running.proven_absent = false;
                    running.calls.push(DispatchedCall {
                        id: *call,
                        step: *step,
                        generation: *generation,
                        psp_key: psp_key.as_str().into(),
                        target: target.clone(),
                        sent_at_ms: *sent_at_ms,
                        send_by_ms: *send_by_ms,
                        wire_form,
                        amount_minor,
                        delivery: DeliveryState::Pending,
                    });
                }
            }
            Fact::Observed {
                source,
                call,
                id,
                evidence,
            } => self.observe(entry.at_ms, source, *call, *id, evidence),
            Fact::Inferred { conclusion } => self.conclude(
                entry.at_ms,
                RecordVersion::of_entries(index.saturating_add(1)),
                conclusion,
            ),
            Fact::ReturnTo { url } => {
                self.return_url.get_or_insert_with(|| url.as_str().into());
            }
            Fact::Installation { name } => self.installation = name.as_str().into(),
            Fact::WireForm { form } => self.wire_form = *form,
            Fact::Resumed { key } => {
                for bound in self.keys.iter_mut().filter(|bound| *bound.key == **key) {
                    bound.is_withdrawn = false;
                    bound.is_superseded = false;
                    bound.asked_at = index;
                }
            }
            Fact::Proposed { key, proposal } => {
                for bound in self.keys.iter_mut().filter(|bound| *bound.key == **key) {
                    bound.proposed_by = Some(proposal.operator.as_str().into());
                }
                self.proposal = Some(proposal.clone());
            }
            Fact::Suspected {
                begins_ms,
                restored_ms,
            } => self.suspect(
                entry.at_ms,
                Loss {
                    begins_ms: *begins_ms,
                    restored_ms: *restored_ms,
                },
            ),
        }
        self.end_if_done();
        self.finalize_keys(index, &entry.fact);
        if self.status != status_before {
            self.status_since_ms = entry.at_ms;
        }
    }

    /// Notes that a request that makes the attempt's object at the PSP may be sent in this window.
    fn expect_object(&mut self, sent_at_ms: UnixMillis, send_by_ms: UnixMillis) {
        let known = self.creation.get_or_insert(Creation {
            first_sent_ms: sent_at_ms,
            last_send_by_ms: send_by_ms,
        });
        known.first_sent_ms = known.first_sent_ms.min(sent_at_ms);
        known.last_send_by_ms = known.last_send_by_ms.max(send_by_ms);
    }

    /// Rule 16: the operation that is under way may have been sent in the time of the loss, and so may the one that
    /// begins next. An object that was made in that time is the attempt's own.
    fn suspect(&mut self, at_ms: UnixMillis, loss: Loss) {
        self.loss = Some(loss);
        self.had_object_at_loss = self.object.is_some() && (self.had_object_at_loss || !self.is_suspect);
        self.is_suspect = true;
        self.expect_object(loss.begins_ms, loss.restored_ms);
        if let Some(running) = &mut self.running {
            running.lost = Some(LostSending {
                loss,
                since_ms: at_ms,
            });
            // A proof of absence from before the restore does not hold any more: the next generation may have been sent
            // since.
            running.proven_absent = false;
        }
    }

    fn begin(
        &mut self,
        operation: Operation,
        cause: Cause,
        amount_minor: u64,
        target: Option<String>,
        at_ms: UnixMillis,
    ) {
        let event = match (operation, cause) {
            // A compensation does not change the status. The attempt has ended, or goes on independently of it.
            (_, Cause::Compensation) | (Operation::Refund, _) => None,
            (Operation::Authorize, _) => Some(Event::BeganAuthorize),
            (Operation::Capture, _) => Some(Event::BeganCapture),
            (Operation::Void, _) => Some(Event::BeganVoid),
        };
        if let Some(event) = event {
            self.status = self.status.next(event);
        }
        if cause == Cause::Client {
            let asked = |bound: &&mut BoundKey| bound.is_withdrawn && bound.request.asks_for(operation);
            for bound in self.keys.iter_mut().filter(asked) {
                bound.is_superseded = true;
            }
        }
        if operation == Operation::Void && cause != Cause::Compensation {
            self.void_cause = cause;
        }
        let again = self
            .rejected_call(operation, amount_minor)
            .filter(|_| cause == Cause::Client)
            .cloned();
        let mut running = CurrentOperation::new(operation, cause, amount_minor, target, at_ms);
        running.calls.extend(again);
        running.lost = self.loss.filter(|_| self.is_suspect).map(|loss| LostSending {
            loss,
            since_ms: at_ms,
        });
        self.running = Some(running);
    }

    fn conclude(&mut self, at_ms: UnixMillis, version: RecordVersion, conclusion: &Conclusion) {
        match conclusion {
            Conclusion::NoEffect {
                operation,
                generation,
            } => {
                let proven = |running: &&mut CurrentOperation| {
                    running.operation == *operation && running.generation == *generation
                };
                if let Some(running) = self.running.as_mut().filter(proven) {
                    running.proven_absent = true;
                    running.refused = None;
                    running.parked = None;
                    running.lost = None;
                    // The proof shows that everything that was sent in the time of the loss has landed and was seen.
                    // For a compensation, the read or look-up shows its target only, so that the record stays suspect.
                    self.is_suspect &= running.target.is_some();
                }
            }
            Conclusion::NotCarriedOut {
                operation,
                code,
                message,
            } => {
                // Nobody finished the 3-D Secure in time. Nothing was reserved, so that nothing had to be released.
                if self.is_unfinished_action() {
                    self.status = self.status.next(self.seen_void());
                } else {
                    self.refuse(*operation, code, message);
                }
            }
            Conclusion::Parked { operation, reason } => {
                if let Some(running) = self.running.as_mut().filter(|r| r.operation == *operation) {
                    running.parked = Some(Parking {
                        reason: reason.clone(),
                        version,
                    });
                }
            }
            // This conclusion is for the timeline and the count. What is to be undone follows from the knowledge.
            Conclusion::Unwanted { .. } => {}
            Conclusion::Withdrawn { operation, .. } => self.withdraw(at_ms, *operation),
            Conclusion::Foreign { reference } => {
                self.foreign.insert(reference.clone());
            }
            Conclusion::CaptureMismatch {
                reference,
                asked_minor,
                captured,
            } => {
                let mismatch = Mismatch {
                    reference: reference.clone(),
                    asked_minor: *asked_minor,
                    captured: captured.clone(),
                    since_ms: at_ms,
                    version,
                };
                self.mismatch_shown = Some(mismatch.clone());
                self.mismatch = Some(mismatch);
            }
        }
    }

    /// Ends a client's operation that had no effect. A client may ask for it again.
    fn withdraw(&mut self, at_ms: UnixMillis, operation: Operation) {
        let event = match operation {
            Operation::Authorize => Event::WithdrewAuthorize,
            Operation::Capture => Event::WithdrewCapture,
            Operation::Void | Operation::Refund => return,
        };
        self.status = self.status.next(event);
        let Some(rejected) = self.running.take() else {
            return;
        };
        let before = self.rejections.take().filter(|row| row.operation == operation);
        // If a client asks again, the first call of the current generation is sent again under its key. If a read or
        // look-up has proven that generation absent, the next generation is sent instead.
        let first = rejected.current().min_by_key(|call| call.sent_at_ms);
        // The age of the key counts from its first sending, however often it was rejected since (rule 5).
        let since_ms = rejected.first_send_ms();
        let first = first.map(|call| DispatchedCall {
            sent_at_ms: since_ms.unwrap_or(call.sent_at_ms),
            ..call.clone()
        });
        self.rejections = Some(Rejections {
            operation,
            count: before.map_or(0, |row| row.count).saturating_add(1),
            call: first.filter(|_| !rejected.proven_absent),
            amount_minor: rejected.amount_minor,
            had_return_url: self.return_url.is_some(),
            last_ms: at_ms,
        });
        let waits = |bound: &&mut BoundKey| bound.finalized_at.is_none() && bound.request.asks_for(operation);
        for bound in self.keys.iter_mut().filter(waits) {
            bound.is_withdrawn = true;
        }
    }

    /// Ends the operation under way if the status or the knowledge shows that it is over.
    fn end_if_done(&mut self) {
        let Some(running) = &self.running else { return };
        let done = match (running.operation, running.cause) {
            (Operation::Void | Operation::Refund, Cause::Compensation) => match running.target.as_deref() {
                None => true,
                Some(target) if running.operation == Operation::Refund => self.knowledge.is_refunded(target),
                Some(target) => self.knowledge.is_spent(target, None),
            },
            (Operation::Authorize, _) => !matches!(self.status, Status::Authorizing | Status::RequiresAction),
            (Operation::Capture, _) => self.status != Status::Capturing,
            (Operation::Void | Operation::Refund, _) => self.status != Status::Voiding,
        };
        if done {
            self.running = None;
        }
    }

    fn finalize_keys(&mut self, index: usize, fact: &Fact) {
        let resolved = matches!(
            fact,
            Fact::Observed {
                source: Source::Operator { .. },
                ..
            }
        );
        let (status, automatic) = (self.status, self.is_automatic());
        let is_parked = self.parking().is_some();
        for bound in self.keys.iter_mut().filter(|bound| bound.finalized_at.is_none()) {
            let finalized = match bound.request {
                _ if bound.form_refused.is_some() => true,
                RequestKind::Create => true,
                RequestKind::Authorize if !automatic => {
                    status.is_final() || matches!(status, Status::Authorized | Status::Capturing)
                }
                RequestKind::Authorize | RequestKind::Charge | RequestKind::Capture | RequestKind::Void => {
                    status.is_final()
                }
                // A proposal ends once nothing is parked any more, even if evidence ended the parking before a second
                // operator agreed.
                RequestKind::Resolve if bound.proposed_by.is_some() => !is_parked,
                RequestKind::Resolve => resolved,
            };
            if finalized {
                bound.finalized_at = Some(index);
            }
        }
    }
}
