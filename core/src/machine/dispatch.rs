//! Calls to the PSP: what is journaled before a call leaves, and how it is addressed (rules 1 and 3).

use super::builder::{StepBuilder, is_expressible};
use crate::base::config::Psp;
use crate::base::id::AttemptId;
use crate::base::limits::{ACTION_READ_EVERY_MS, GENERATIONS_PER_OPERATION_MAX};
use crate::base::time::Millis;
use crate::journal::entry::{CallStep, Cause, Conclusion, Fact, Operation};
use crate::journal::record::RecordError;
use crate::journal::running::CurrentOperation;
use crate::journal::state::State;
use crate::journal::status::Status;
use crate::journal::wire_form::WireForm;
use crate::psp;
use crate::psp::call::{Asked, Call, HttpCall, Lookup, Purpose};
use crate::psp::driver::{PspRequest, Window};
use crate::recovery;
use crate::recovery::{due, generation};

impl StepBuilder<'_> {
    /// Begins an operation and dispatches its first call, in one write. If it may have been sent before a restore, the
    /// PSP is asked first (rule 16).
    pub(crate) fn begin(
        &mut self,
        psp: &Psp,
        operation: Operation,
        cause: Cause,
        amount_minor: u64,
        target: Option<String>,
    ) -> Result<(), RecordError> {
        let generation = generation::first(self.state(), psp, operation, amount_minor, self.clock.now_ms);
        self.push(Fact::Intended {
            operation,
            cause,
            amount_minor,
            target,
        })?;
        let Some(running) = &self.state().running else {
            return Ok(());
        };
        if operation == Operation::Refund && generation > GENERATIONS_PER_OPERATION_MAX {
            // Refunds of this capture have failed again and again, each after it had gone through.
            let reason = "refunds of it have failed too often".to_owned();
            return self.conclude(|operation| Conclusion::Parked { operation, reason });
        }
        if running.is_suspect() {
            return self.advance();
        }
        let again = running.calls.iter().find(|call| call.generation == generation);
        let step = match again {
            Some(call) => call.step,
            None => recovery::first_step(self.state(), psp, running),
        };
        self.dispatch(psp, step, generation)
    }

    /// Tries once more what is proven absent, even if recovery has used all of its own tries. An operator's resolution
    /// permits one more try.
    pub(crate) fn try_once_more(&mut self) -> Result<(), RecordError> {
        let proven = |running: &&CurrentOperation| running.proven_absent;
        let (Some(psp), Some(running)) = (self.psp(), self.state().running.as_ref().filter(proven)) else {
            return Ok(());
        };
        let step = recovery::first_step(self.state(), psp, running);
        let generation = generation::following(self.state(), running);
        self.dispatch(psp, step, generation)
    }

    /// Rule 1: appends the dispatch entry, and adds the call that it names.
    pub(super) fn dispatch(&mut self, psp: &Psp, step: CallStep, generation: u16) -> Result<(), RecordError> {
        let call = self.new_id();
        let state = self.state();
        let Some(running) = &state.running else {
            return Ok(());
        };
        let operation = running.operation;
        let amount_minor = state.amount_to_ask_minor(generation);
        // All requests under one PSP key are the same request (rule 3). What became known since the first sending must
        // not change it.
        let sent_before = running
            .calls
            .iter()
            .find(|call| call.generation == generation && call.step == step);
        let target = match (step, operation, sent_before) {
            (_, _, Some(call)) => call.target.clone(),
            (CallStep::CreateObject, _, None) => None,
            (CallStep::Execute, Operation::Authorize, None) => state.object.clone(),
            (CallStep::Execute, _, None) => running
                .target
                .clone()
                .or_else(|| state.own_reference().map(str::to_owned)),
        };
        let form = wire_form(state, running, operation, generation);
        let psp_key = psp_key(self.record.id(), operation, step, generation);
        let now_ms = self.clock.now_ms;
        let send_by_ms = now_ms + psp.timing.send_window_ms;
        let request = PspRequest {
            form,
            id: self.record.id(),
            terms: &state.terms,
            return_url: state.return_url.as_deref(),
            operation,
            step,
            psp_key: &psp_key,
            money: &state.terms.money.with_amount(amount_minor),
            target: target.as_deref(),
        };
        let http = psp::write(psp, &request);
        if form.number() != self.state().wire_form {
            self.push(Fact::WireForm { form: form.number() })?;
        }
        self.push(Fact::Dispatched {
            call,
            operation,
            step,
            generation,
            psp_key,
            target: target.clone(),
            sent_at_ms: now_ms,
            send_by_ms,
        })?;
        self.calls.push(Call {
            attempt: Some(self.record.id()),
            psp: self.record.state().psp.to_string(),
            http,
            send_by_ms,
            send_by: Some(self.clock.trust.reading.after(psp.timing.send_window_ms)),
            timeout_ms: psp.timing.call_timeout_ms,
            moves_money: step == CallStep::Execute,
            skip_within_ms: None,
            purpose: Purpose::Dispatched {
                call,
                operation,
                step,
                target,
                amount_minor,
            },
        });
        Ok(())
    }

    /// Requests one page of a look-up.
    pub(crate) fn look_up(&mut self, psp: &Psp, page: Lookup) {
        let state = self.state();
        // The object is looked up in the time in which the request that makes it can have landed, however long ago that
        // is. A window that grew towards now would hold more and more of a busy account's other objects. The window is
        // wider if the times in the journal may come from a clock that was wrong.
        let first_ms = state
            .creation
            .as_ref()
            .map_or(state.created_at_ms, |creation| creation.first_sent_ms);
        let off_ms = self.clock.trust.may_be_off_by_ms(self.clock.now_ms, first_ms);
        let skew_ms = psp.timing.max_clock_skew_ms + off_ms;
        let window = match &state.creation {
            Some(creation) => Window {
                since_ms: creation.first_sent_ms - skew_ms,
                until_ms: due::creation_landed_ms(creation, psp) + off_ms,
            },
            None => Window {
                since_ms: state.created_at_ms - skew_ms,
                until_ms: page.asked.at_ms + skew_ms,
            },
        };
        let http = psp::write_lookup(psp, self.record.id(), window, &page);
        self.ask(psp, http, Purpose::Lookup(page), None);
    }

    /// Reads the object of an open 3-D Secure for a client that asks, unless its process did so within
    /// [`ACTION_READ_EVERY_MS`].
    pub(crate) fn read_open_action(&mut self) {
        let Some(psp) = self.psp().filter(|psp| psp.capabilities.addressable) else {
            return;
        };
        if self.state().status != Status::RequiresAction || !self.calls.is_empty() {
            return;
        }
        let Some(reference) = self.state().own_reference().map(str::to_owned) else {
            return;
        };
        self.read(psp, &reference, Some(ACTION_READ_EVERY_MS));
    }

    /// Reads an object by its id.
    pub(crate) fn read(&mut self, psp: &Psp, reference: &str, skip_within_ms: Option<Millis>) {
        let asked = self.asked_now();
        if let Some(http) = psp::write_read(psp, reference) {
            self.ask(psp, http, Purpose::Read { asked }, skip_within_ms);
        }
    }

    /// The time of what is requested in this step, and how well its clock is known.
    pub(crate) fn asked_now(&self) -> Asked {
        Asked {
            at_ms: self.clock.now_ms,
            sure_for_ms: self.clock.trust.sure_for_ms,
        }
    }

    /// Adds a read or look-up. It moves no money and has no PSP key, so that it needs no entry (rule 1).
    fn ask(&mut self, psp: &Psp, http: HttpCall, purpose: Purpose, skip_within_ms: Option<Millis>) {
        self.calls.push(Call {
            attempt: Some(self.record.id()),
            psp: self.record.state().psp.to_string(),
            http,
            send_by_ms: self.clock.now_ms + psp.timing.send_window_ms,
            send_by: Some(self.clock.trust.reading.after(psp.timing.send_window_ms)),
            timeout_ms: psp.timing.call_timeout_ms,
            moves_money: false,
            skip_within_ms,
            purpose,
        });
    }
}

/// The wire form of a dispatch (rule 15). What was sent under the same key is sent again in the same form. A new object
/// is made in the newest form. A call that acts on an object is written in the form of the object.
fn wire_form(state: &State, running: &CurrentOperation, operation: Operation, generation: u16) -> WireForm {
    let sent_before = running.calls.iter().find(|call| call.generation == generation);
    match sent_before {
        Some(call) => WireForm::of(call.wire_form),
        None if operation == Operation::Authorize && state.object.is_none() && is_expressible(state) => {
            WireForm::CURRENT
        }
        None => WireForm::of(state.wire_form),
    }
}

/// Rule 3: one key for each attempt, operation, call step and generation. The key contains the attempt's id, so that it
/// can be recognized in the PSP's log.
fn psp_key(id: AttemptId, operation: Operation, step: CallStep, generation: u16) -> String {
    match step {
        CallStep::CreateObject => format!("{id}-prepare-{generation}"),
        CallStep::Execute => format!("{id}-{}-{generation}", operation.as_str()),
    }
}
