//! A step in the making: what a decision may use, what it appends, and what follows from it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::answer;
use crate::config::{Config, Psp};
use crate::due;
use crate::evidence::{Evidence, Signal};
use crate::http::Response;
use crate::id::{AttemptId, Entropy, LocalId};
use crate::invariant;
use crate::journal::{CallStep, Cause, Conclusion, Entry, Fact, Operation, Source};
use crate::limits::{
    ACTION_READ_EVERY_MS, EFFECTS_PER_OPERATION_MAX, FOREIGN_OBJECTS_MAX, PSP_ABSENT_RETRY_MS,
};
use crate::look;
use crate::machine::{Reply, Step, Write};
use crate::planted::{Bug, planted};
use crate::psp::amount::Units;
use crate::psp::report::PspReport;
use crate::psp::{self, Call, Lookup, PspRequest, Purpose, Window, WireForm};
use crate::record::{Record, RecordError};
use crate::recovery::{self, RecoveryAction};
use crate::request::PendingRequest;
use crate::running::{CurrentOperation, DispatchedCall};
use crate::state::State;
use crate::status::Status;

/// The arguments that every decision may use besides the record.
#[derive(Clone, Copy)]
pub(crate) struct StepContext<'a> {
    pub(crate) config: &'a Config,
    pub(crate) now_ms: u64,
    pub(crate) entropy: Entropy,
}

/// A step in the making: the record as it will be, and the calls that follow.
pub(crate) struct StepBuilder<'a> {
    clock: StepContext<'a>,
    pub(crate) record: Cow<'a, Record>,
    expected_version: Option<u64>,
    calls: Vec<Call>,
    /// What the answer that is handled says of its PSP.
    pub(crate) report: Option<PspReport>,
    ids_made: u8,
}

impl<'a> StepBuilder<'a> {
    pub(crate) fn on(clock: StepContext<'a>, record: &'a Record) -> Self {
        let expected_version = Some(record.version());
        Self {
            clock,
            record: Cow::Borrowed(record),
            expected_version,
            calls: Vec::new(),
            report: None,
            ids_made: 0,
        }
    }

    pub(crate) fn on_new(clock: StepContext<'a>, record: Record) -> Self {
        Self {
            clock,
            record: Cow::Owned(record),
            expected_version: None,
            calls: Vec::new(),
            report: None,
            ids_made: 0,
        }
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) fn state(&self) -> &State {
        self.record.state()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms
    }

    /// The PSP of this attempt, if it is still configured.
    pub(crate) fn psp(&self) -> Option<&'a Psp> {
        self.clock.config.psps.get(&*self.record.state().psp)
    }

    pub(crate) fn has_changed(&self) -> bool {
        Some(self.record.version()) != self.expected_version
    }

    pub(crate) fn push(&mut self, fact: Fact) -> Result<(), RecordError> {
        self.record.to_mut().append(Entry {
            at_ms: self.clock.now_ms,
            fact,
        })
    }

    /// The first address that is given stays: it is part of what is sent under the PSP's key (rule 3).
    pub(crate) fn remember_return(&mut self, url: Option<&str>) -> Result<(), RecordError> {
        match url {
            Some(url) if self.state().return_url.is_none() => {
                self.push(Fact::ReturnTo { url: url.to_owned() })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn new_id(&mut self) -> LocalId {
        self.ids_made += 1;
        LocalId::new(self.clock.now_ms, self.clock.entropy, self.ids_made)
    }

    /// Takes evidence in, if it says anything new, and whatever follows from it (rule 7).
    pub(crate) fn apply_evidence(
        &mut self,
        source: Source,
        call: Option<LocalId>,
        evidence: &Evidence,
    ) -> Result<(), RecordError> {
        if self.state().status.is_final() && planted(Bug::LateEvidenceDropped) {
            return Ok(());
        }
        if self.note(source, call, evidence)? {
            self.advance()?;
        }
        Ok(())
    }

    /// Appends evidence if it says anything new. Whether it did.
    pub(crate) fn note(
        &mut self,
        source: Source,
        call: Option<LocalId>,
        evidence: &Evidence,
    ) -> Result<bool, RecordError> {
        let entry = Entry {
            at_ms: self.clock.now_ms,
            fact: Fact::Observed {
                source,
                call,
                id: self.new_id(),
                evidence: evidence.clone(),
            },
        };
        let mut after = self.state().clone();
        after.apply(self.record.entries().len(), &entry);
        let is_webhook = matches!(
            entry.fact,
            Fact::Observed {
                source: Source::Webhook,
                ..
            }
        );
        let is_news = after != *self.state() || (is_webhook && planted(Bug::RepetitionIsNews));
        let mismatch = after.capture_mismatch(&evidence.effects);
        if !is_news && mismatch.is_none() {
            return Ok(false);
        }
        self.record.to_mut().append_folded(entry, after)?;
        if let Some(conclusion) = mismatch {
            self.push(Fact::Inferred { conclusion })?;
        }
        Ok(is_news)
    }

    /// Makes every move that is due. One that sends or asks ends it: what comes next depends on the answer.
    pub(crate) fn advance(&mut self) -> Result<(), RecordError> {
        let Some(psp) = self.psp() else { return Ok(()) };
        // A move either waits for an answer or brings the attempt nearer to its end; the bound only guards against
        // a mistake in the plan.
        for _ in 0..8 {
            let now_ms = self.clock.now_ms;
            let Some(plan) = recovery::plan(self.state(), psp, now_ms).filter(|plan| plan.due_ms <= now_ms)
            else {
                return Ok(());
            };
            if !self.calls.is_empty() {
                return Ok(());
            }
            self.make(psp, plan.what)?;
        }
        debug_assert!(false, "the plan did not come to rest");
        Ok(())
    }

    pub(crate) fn make(&mut self, psp: &Psp, what: RecoveryAction) -> Result<(), RecordError> {
        match what {
            RecoveryAction::Begin {
                operation,
                cause,
                target,
                amount_minor,
            } => {
                // Releasing the attempt's own authorization after a refused capture undoes nothing unwanted.
                let own = self
                    .state()
                    .authorization
                    .as_ref()
                    .map(|a| a.psp_reference.as_str());
                let is_foreign = (target.as_deref() != own || operation == Operation::Refund)
                    && !planted(Bug::DuplicateNotShown);
                if let (Cause::Compensation, Some(reference), true) = (cause, &target, is_foreign) {
                    self.count_unwanted(operation, reference)?;
                }
                self.begin(psp, operation, cause, amount_minor, target)
            }
            RecoveryAction::Send { step, effect } => self.dispatch(psp, step, effect),
            RecoveryAction::Read { reference } => {
                self.read(psp, &reference, None);
                Ok(())
            }
            RecoveryAction::Lookup => {
                self.look_up(psp, recovery::first_page(self.state(), psp, self.clock.now_ms));
                Ok(())
            }
            RecoveryAction::Withdraw => {
                let (effect, code) = self
                    .state()
                    .running
                    .as_ref()
                    .map_or((0, String::new()), |running| {
                        (running.effect, self.last_rejection().unwrap_or_default())
                    });
                self.conclude(|operation| Conclusion::Withdrawn {
                    operation,
                    effect,
                    code,
                })
            }
            RecoveryAction::Disprove => {
                let effect = self.state().running.as_ref().map_or(0, |running| running.effect);
                self.conclude(|operation| Conclusion::NoEffect { operation, effect })
            }
            RecoveryAction::Park { reason } => self.conclude(|operation| Conclusion::Parked {
                operation,
                reason: reason.to_owned(),
            }),
            RecoveryAction::End { code, message } => self.conclude(|operation| Conclusion::NotCarriedOut {
                operation,
                code: code.to_owned(),
                message: message.to_owned(),
            }),
        }
    }

    /// The code of the last rejection in the journal.
    fn last_rejection(&self) -> Option<String> {
        let entries = self.record.entries().iter().rev();
        entries.into_iter().find_map(|entry| match &entry.fact {
            Fact::Observed {
                evidence:
                    Evidence {
                        signal: Signal::Rejected { code, .. },
                        ..
                    },
                ..
            } => Some(code.clone()),
            _ => None,
        })
    }

    /// Notes that objects carry the attempt's reference which this installation did not make: each once, and a bounded number.
    pub(crate) fn note_foreign(&mut self, objects: &BTreeSet<String>) -> Result<(), RecordError> {
        for reference in objects {
            let known = &self.state().foreign;
            // A refusal may name no object at all.
            if reference.is_empty() || known.contains(reference) || known.len() >= FOREIGN_OBJECTS_MAX {
                continue;
            }
            let reference = reference.clone();
            self.push(Fact::Inferred {
                conclusion: Conclusion::Foreign { reference },
            })?;
        }
        Ok(())
    }

    /// Only an operator can say whose these objects are: the authorization that they may be is parked. Where none is under way,
    /// they are left alone.
    pub(crate) fn dispute(&mut self, objects: &BTreeSet<String>) -> Result<(), RecordError> {
        let Some(reference) = objects.first() else {
            return Ok(());
        };
        if self.state().own_reference().is_some() {
            // Its own is known, so that this one is not it.
            return self.note_foreign(objects);
        }
        let running = self.state().running.as_ref();
        let Some(psp) = self.psp() else { return Ok(()) };
        match running.filter(|running| running.operation == Operation::Authorize) {
            // The same key tells which one is ours.
            Some(running) if recovery::may_resend(running, psp, self.clock.now_ms) => Ok(()),
            Some(running) if running.parked.is_none() => {
                let reason = look::not_ours(reference);
                self.conclude(|operation| Conclusion::Parked { operation, reason })
            }
            Some(_) => Ok(()),
            None => self.note_foreign(objects),
        }
    }

    /// What must not stand is counted once, however often its undoing is taken up (rule 8).
    fn count_unwanted(&mut self, operation: Operation, reference: &str) -> Result<(), RecordError> {
        let is_same = |conclusion: &Conclusion| matches!(conclusion, Conclusion::Unwanted { reference: known, .. } if known == reference);
        let is_counted =
            |entry: &Arc<Entry>| matches!(&entry.fact, Fact::Inferred { conclusion } if is_same(conclusion));
        if self.record.entries().iter().any(is_counted) {
            return Ok(());
        }
        let reference = reference.to_owned();
        self.push(Fact::Inferred {
            conclusion: Conclusion::Unwanted { operation, reference },
        })
    }

    pub(crate) fn conclude(&mut self, make: impl FnOnce(Operation) -> Conclusion) -> Result<(), RecordError> {
        let Some(operation) = self.state().running.as_ref().map(|running| running.operation) else {
            return Ok(());
        };
        self.push(Fact::Inferred {
            conclusion: make(operation),
        })
    }

    /// Begins an operation and dispatches its first call, in one write.
    pub(crate) fn begin(
        &mut self,
        psp: &Psp,
        operation: Operation,
        cause: Cause,
        amount_minor: u64,
        target: Option<String>,
    ) -> Result<(), RecordError> {
        let effect = self.next_effect(psp, operation, amount_minor);
        self.push(Fact::Intended {
            operation,
            cause,
            amount_minor,
            target,
        })?;
        let Some(running) = &self.state().running else {
            return Ok(());
        };
        if operation == Operation::Refund && effect > EFFECTS_PER_OPERATION_MAX {
            // Its refunds fail again and again, each after it had gone through.
            let reason = "refunds of it have failed too often".to_owned();
            return self.conclude(|operation| Conclusion::Parked { operation, reason });
        }
        let again = running.calls.iter().find(|call| call.effect == effect);
        let step = match again {
            Some(call) => call.step,
            None => recovery::first_step(self.state(), psp, running),
        };
        self.dispatch(psp, step, effect)
    }

    /// The effect number of an operation that begins. What the PSP rejected goes out under the number that it had, where the PSP
    /// honours its key: should the rejection have been the answer to a second delivery, the first one is found and not repeated.
    fn next_effect(&self, psp: &Psp, operation: Operation, amount_minor: u64) -> u16 {
        let is_known = |call: &&DispatchedCall| due::is_key_known(psp, call.sent_at_ms, self.clock.now_ms);
        let rejected = self
            .state()
            .rejected_call(operation, amount_minor)
            .filter(|call| is_known(call) && !planted(Bug::RejectedGetsNewNumber));
        match rejected {
            Some(call) => call.effect,
            None => self.state().effects_used(operation).saturating_add(1),
        }
    }

    /// Tries what is proven absent once more, also where recovery's own tries are spent: an operator's word is worth one.
    pub(crate) fn try_once_more(&mut self) -> Result<(), RecordError> {
        let proven = |running: &&CurrentOperation| running.proven_absent;
        let (Some(psp), Some(running)) = (self.psp(), self.state().running.as_ref().filter(proven)) else {
            return Ok(());
        };
        let step = recovery::first_step(self.state(), psp, running);
        // What was parked before anything was sent has no number of its own yet; the numbers of the tries before it are spent.
        let used = self.state().effects_used(running.operation).max(running.effect);
        self.dispatch(psp, step, used.saturating_add(1))
    }

    /// Rule 1: the dispatch entry, and the call that it names.
    fn dispatch(&mut self, psp: &Psp, step: CallStep, effect: u16) -> Result<(), RecordError> {
        let call = self.new_id();
        let state = self.state();
        let Some(running) = &state.running else {
            return Ok(());
        };
        let operation = running.operation;
        let mut amount_minor = state.amount_to_ask_minor(effect);
        if operation == Operation::Capture && effect > 1 && planted(Bug::RetryCapturesAll) {
            amount_minor = state.terms.amount_minor;
        }
        // One PSP key, one request (rule 3): what was learned since the first sending must not change it.
        let sent_before = running
            .calls
            .iter()
            .find(|call| call.effect == effect && call.step == step && !planted(Bug::ResendReaddressed));
        let target = match (step, operation, sent_before) {
            (_, _, Some(call)) => call.target.clone(),
            (CallStep::Prepare, _, None) => None,
            (CallStep::Act, Operation::Authorize, None) => state.object.clone(),
            (CallStep::Act, _, None) => running
                .target
                .clone()
                .or_else(|| state.own_reference().map(str::to_owned)),
        };
        let form = wire_form(state, running, operation, effect);
        let psp_key = if planted(Bug::KeyPerCall) {
            call.with_prefix("call_")
        } else {
            psp_key(self.record.id(), operation, step, effect)
        };
        let now_ms = self.clock.now_ms;
        let send_by_ms = now_ms.saturating_add(psp.timing.send_window_ms);
        let order = PspRequest {
            form,
            id: self.record.id(),
            terms: &state.terms,
            return_url: state.return_url.as_deref(),
            operation,
            step,
            psp_key: &psp_key,
            amount_minor,
            target: target.as_deref(),
        };
        let http = psp::write(psp, &order);
        if form.number() != self.state().wire_form {
            self.push(Fact::WireForm { form: form.number() })?;
        }
        self.push(Fact::Dispatched {
            call,
            operation,
            step,
            effect,
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
            timeout_ms: psp.timing.call_timeout_ms,
            moves_money: step == CallStep::Act,
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

    /// Asks for one page of a look-up.
    pub(crate) fn look_up(&mut self, psp: &Psp, page: Lookup) {
        let skew_ms = psp.timing.max_clock_skew_ms;
        let margin_ms = if planted(Bug::LookupWindowWithoutSkew) {
            0
        } else {
            skew_ms
        };
        let state = self.state();
        // The object is looked for in the time in which the request that makes it can have landed, however long ago that is: a
        // window that grew towards now would hold ever more of a busy account's other objects.
        let window = match &state.creation {
            Some(_) if planted(Bug::LookupWindowToNow) => Window {
                since_ms: page.asked_at_ms.saturating_sub(psp.timing.max_in_flight_ms),
                until_ms: page.asked_at_ms.saturating_add(skew_ms),
            },
            Some(creation) => Window {
                since_ms: creation.first_sent_ms.saturating_sub(margin_ms),
                until_ms: due::creation_landed_ms(creation, psp),
            },
            None => Window {
                since_ms: state.created_at_ms.saturating_sub(margin_ms),
                until_ms: page.asked_at_ms.saturating_add(skew_ms),
            },
        };
        let http = psp::write_lookup(psp, self.record.id(), window, &page);
        self.ask(psp, http, Purpose::Lookup(page), None);
    }

    /// Reads the object of an open 3-D Secure for a client that asks, unless that was done a moment ago.
    pub(crate) fn read_open_action(&mut self) {
        let Some(psp) = self.psp().filter(|psp| psp.class.addressable) else {
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
    pub(crate) fn read(&mut self, psp: &Psp, reference: &str, skip_within_ms: Option<u64>) {
        let asked_at_ms = self.clock.now_ms;
        if let Some(http) = psp::write_read(psp, reference) {
            self.ask(psp, http, Purpose::Read { asked_at_ms }, skip_within_ms);
        }
    }

    /// A question moves nothing and carries no key, so it needs no entry.
    fn ask(&mut self, psp: &Psp, http: psp::HttpCall, purpose: Purpose, skip_within_ms: Option<u64>) {
        self.calls.push(Call {
            attempt: Some(self.record.id()),
            psp: self.record.state().psp.to_string(),
            http,
            send_by_ms: self.clock.now_ms.saturating_add(psp.timing.send_window_ms),
            timeout_ms: psp.timing.call_timeout_ms,
            moves_money: false,
            skip_within_ms,
            purpose,
        });
    }

    /// Closes the step. `arm` says whether the timer is to be set anew.
    pub(crate) fn finish(self, reply: Reply, arm: bool) -> Step {
        let changed = self.has_changed();
        let wake_at_ms = if arm || changed {
            self.outlook().wake_at_ms
        } else {
            None
        };
        let write = changed.then(|| {
            let record = self.record.into_owned();
            debug_assert_eq!(
                invariant::check(&record),
                Ok(()),
                "a step must keep every invariant"
            );
            Write {
                expected_version: self.expected_version,
                record: record.into(),
                wake_at_ms,
            }
        });
        Step {
            wake_at_ms,
            write,
            calls: self.calls,
            report: self.report,
            reply,
        }
    }

    /// The 202 of this moment.
    pub(crate) fn under_way(&self, context: &answer::ReplyContext) -> Response {
        answer::under_way(self.record.id(), self.state(), &self.outlook(), context)
    }

    /// What lies ahead.
    pub(crate) fn outlook(&self) -> recovery::Outlook {
        match self.psp() {
            Some(psp) => recovery::outlook(self.state(), psp, self.clock.now_ms),
            // A deployment without this PSP can do nothing; the next one may have it again, and a timer that was spent on
            // this one must not be the last.
            None => recovery::Outlook {
                doubt: recovery::OperationState::InDoubt,
                wake_at_ms: self
                    .is_unfinished()
                    .then(|| self.clock.now_ms.saturating_add(PSP_ABSENT_RETRY_MS)),
            },
        }
    }

    /// Whether there may be something to do without being asked.
    fn is_unfinished(&self) -> bool {
        let state = self.state();
        state.running.is_some() || !(state.status.is_final() || state.status == Status::Created)
    }

    /// Whether nothing but the customer or an operator can bring the answer on: waiting for it is no use. A client that asks anew
    /// about an open 3-D Secure waits for the read that it causes, where there is one.
    pub(crate) fn waits_for_people(&self, ticket: &PendingRequest) -> bool {
        let state = self.state();
        let parked = state
            .running
            .as_ref()
            .is_some_and(|running| running.parked.is_some());
        parked || (state.status == Status::RequiresAction && !self.expects_news(ticket))
    }

    /// Whether the ticket waits for the read of an open 3-D Secure: its question has caused one, or causes it now.
    pub(crate) fn expects_news(&self, ticket: &PendingRequest) -> bool {
        let is_new = !ticket.has_waited && ticket.asked_at.is_none();
        let is_readable = self.psp().is_some_and(|psp| psp.class.addressable);
        let is_open = self.state().status == Status::RequiresAction;
        is_open && (ticket.expects_news || (is_new && is_readable))
    }
}

/// The wire form of a dispatch. What was sent under the same key goes out in the same form; a new object is made in the newest;
/// what acts on an object is written as the object was.
fn wire_form(state: &State, running: &CurrentOperation, operation: Operation, effect: u16) -> WireForm {
    let sent_before = running.calls.iter().find(|call| call.effect == effect);
    match sent_before {
        Some(call) => WireForm::of(call.wire_form),
        None if operation == Operation::Authorize && state.object.is_none() && is_expressible(state) => {
            WireForm::CURRENT
        }
        None => WireForm::of(state.wire_form),
    }
}

/// Whether the PSP has the attempt's amount: an older build took some that it has not, and sent them as they were.
fn is_expressible(state: &State) -> bool {
    let units = Units::new(state.face, WireForm::CURRENT);
    units
        .to_wire(&state.terms.currency, state.terms.amount_minor)
        .is_ok()
}

/// Rule 3: one key per (attempt, operation, effect number). It names the attempt, so that a PSP's own log can be read.
fn psp_key(id: AttemptId, operation: Operation, step: CallStep, effect: u16) -> String {
    match step {
        CallStep::Prepare => format!("{id}-prepare-{effect}"),
        CallStep::Act => format!("{id}-{}-{effect}", operation.as_str()),
    }
}
