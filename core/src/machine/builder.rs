//! Builds a step: what a decision may use, what it appends to the journal, and which calls follow from it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::clock::Trust;
use crate::base::config::{Config, Psp};
use crate::base::http::Response;
use crate::base::id::{Entropy, LocalId};
use crate::base::limits::{FOREIGN_OBJECTS_MAX, PSP_ABSENT_RETRY_MS};
use crate::base::loss::Loss;
use crate::base::time::UnixMillis;
use crate::base::version::RecordVersion;
use crate::contract::answer;
use crate::contract::look::Seen;
use crate::contract::view::AttemptView;
use crate::journal::entry::{Cause, Conclusion, Entry, Fact, Operation, Source};
use crate::journal::evidence::{Evidence, Signal};
use crate::journal::invariant;
use crate::journal::record::{Record, RecordError};
use crate::journal::state::State;
use crate::journal::status::Status;
use crate::journal::wire_form::WireForm;
use crate::machine::pending::PendingRequest;
use crate::machine::step::{Reply, Step, Write};
use crate::psp::amount::Units;
use crate::psp::call::Call;
use crate::psp::report::PspReport;
use crate::recovery::ownership;
use crate::recovery::{self, RecoveryAction};

/// The arguments that every decision may use besides the record.
#[derive(Clone, Copy)]
pub(crate) struct StepContext<'a> {
    pub(crate) config: &'a Config,
    pub(crate) now_ms: UnixMillis,
    /// How well the time is known.
    pub(crate) trust: Trust,
    pub(crate) entropy: Entropy,
}

/// A step that is being built: the record with the entries that were appended so far, and the calls that follow.
pub(crate) struct StepBuilder<'a> {
    pub(super) clock: StepContext<'a>,
    pub(crate) record: Cow<'a, Record>,
    expected_version: Option<RecordVersion>,
    pub(super) calls: Vec<Call>,
    /// What the answer that is being handled shows of its PSP, for operators.
    pub(crate) report: Option<PspReport>,
    /// Whether a read or look-up proves no absence only because its clock may have been wrong (rule 6).
    pub(crate) is_held_back: bool,
    /// What a read or a whole look-up showed, for an operator who asked for it.
    pub(crate) seen: Option<Seen>,
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
            is_held_back: false,
            seen: None,
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
            is_held_back: false,
            seen: None,
            ids_made: 0,
        }
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) fn state(&self) -> &State {
        self.record.state()
    }

    pub(crate) fn now_ms(&self) -> UnixMillis {
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
        self.suspect()?;
        self.append(fact)
    }

    /// Rule 16: the first write after a restore notes what the record may lack, before anything follows from the
    /// record. Returns whether that was noted now.
    pub(crate) fn suspect(&mut self) -> Result<bool, RecordError> {
        let Some(loss) = self.unnoted_loss() else {
            return Ok(false);
        };
        self.note_loss(loss)?;
        Ok(true)
    }

    fn note_loss(&mut self, loss: Loss) -> Result<(), RecordError> {
        self.append(Fact::Suspected {
            begins_ms: loss.begins_ms,
            restored_ms: loss.restored_ms,
        })?;
        let state = self.state();
        // An authorization that was sent in that time was written in the form in which a new authorization is written.
        let form = WireForm::CURRENT.number();
        let is_unsent = state.generation_of_call.is_empty() && state.wire_form != form;
        if is_unsent && is_expressible(state) {
            self.append(Fact::WireForm { form })?;
        }
        Ok(())
    }

    /// Whether something may have been done before a restore that the record does not show. An attempt that had ended
    /// stays as it was.
    pub(crate) fn may_lack_entries(&self) -> bool {
        !self.state().status.is_final() && (self.state().is_suspect || self.unnoted_loss().is_some())
    }

    /// The loss that is not noted in the record, if the record may be from before the restore. A record that is created
    /// in the restore mode notes the loss when it is created ([`StepBuilder::suspect_absent`]), so that no other
    /// comparison of clocks is needed.
    fn unnoted_loss(&self) -> Option<Loss> {
        let loss = self
            .clock
            .config
            .loss_of_absent(&self.state().psp, self.state().created_at_ms)?;
        let is_noted = |noted: Loss| noted.restored_ms >= loss.restored_ms;
        let is_stored = self.expected_version.is_some();
        (is_stored && !self.state().loss.is_some_and(is_noted)).then_some(loss)
    }

    /// Notes what may have been lost of an attempt that the store does not have (rule 16).
    pub(crate) fn suspect_absent(&mut self) -> Result<(), RecordError> {
        match self
            .clock
            .config
            .loss_of_absent(&self.state().psp, self.clock.now_ms)
        {
            Some(loss) => self.note_loss(loss),
            None => Ok(()),
        }
    }

    fn append(&mut self, fact: Fact) -> Result<(), RecordError> {
        self.record.to_mut().append(Entry {
            at_ms: self.clock.now_ms,
            fact,
        })
    }

    /// Notes the return address. The first address stays, because it is part of what is sent under the PSP's key
    /// (rule 3).
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

    /// Applies evidence, if it shows anything new, and does what follows from it (rule 7).
    pub(crate) fn apply_evidence(
        &mut self,
        source: Source,
        call: Option<LocalId>,
        evidence: &Evidence,
    ) -> Result<(), RecordError> {
        if self.note(source, call, evidence)? {
            self.advance()?;
        }
        Ok(())
    }

    /// Appends evidence, if it shows anything new. Returns whether it did.
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
        let is_new = after != *self.state();
        let mismatch = after.capture_mismatch(&evidence.effects);
        if !is_new && mismatch.is_none() {
            return Ok(false);
        }
        self.record.to_mut().append_folded(entry, after)?;
        if let Some(conclusion) = mismatch {
            self.push(Fact::Inferred { conclusion })?;
        }
        Ok(is_new)
    }

    /// Carries out every action that is due. An action that makes a call is the last: what comes next depends on the
    /// answer.
    pub(crate) fn advance(&mut self) -> Result<(), RecordError> {
        let Some(psp) = self.psp() else { return Ok(()) };
        // Every action either waits for an answer or brings the attempt nearer to its end. The bound only guards
        // against a mistake in the plan.
        for _ in 0..8 {
            let now_ms = self.clock.now_ms;
            let Some(plan) = recovery::plan(self.state(), psp, now_ms).filter(|plan| plan.due_ms <= now_ms)
            else {
                return Ok(());
            };
            if !self.calls.is_empty() {
                return Ok(());
            }
            if self.suspect()? {
                continue;
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
                // The release of the attempt's own authorization after a refused capture undoes no unwanted effect.
                let own = self
                    .state()
                    .authorization
                    .as_ref()
                    .map(|a| a.psp_reference.as_str());
                let is_foreign = target.as_deref() != own || operation == Operation::Refund;
                if let (Cause::Compensation, Some(reference), true) = (cause, &target, is_foreign) {
                    self.count_unwanted(operation, reference)?;
                }
                self.begin(psp, operation, cause, amount_minor, target)
            }
            RecoveryAction::Send { step, generation } => self.dispatch(psp, step, generation),
            RecoveryAction::Read { reference } => {
                self.read(psp, &reference, None);
                Ok(())
            }
            RecoveryAction::Lookup => {
                self.look_up(psp, recovery::first_page(self.state(), psp, self.asked_now()));
                Ok(())
            }
            RecoveryAction::Withdraw => {
                let (generation, code) = self
                    .state()
                    .running
                    .as_ref()
                    .map_or((0, String::new()), |running| {
                        (running.generation, self.last_rejection().unwrap_or_default())
                    });
                self.conclude(|operation| Conclusion::Withdrawn {
                    operation,
                    generation,
                    code,
                })
            }
            RecoveryAction::Disprove => {
                let generation = self
                    .state()
                    .running
                    .as_ref()
                    .map_or(0, |running| running.generation);
                self.conclude(|operation| Conclusion::NoEffect {
                    operation,
                    generation,
                })
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

    /// Notes objects that carry the attempt's reference and were not made by this installation (rule 13): each once,
    /// and [`FOREIGN_OBJECTS_MAX`] at most.
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

    /// Handles objects whose owner only an operator can determine. The authorization to which they may belong is
    /// parked. If no authorization is under way, they are left alone.
    pub(crate) fn dispute(&mut self, objects: &BTreeSet<String>) -> Result<(), RecordError> {
        let Some(reference) = objects.first() else {
            return Ok(());
        };
        if self.state().own_reference().is_some() {
            // The attempt's own object is known, so that these are not its own.
            return self.note_foreign(objects);
        }
        let running = self.state().running.as_ref();
        let Some(psp) = self.psp() else { return Ok(()) };
        match running.filter(|running| running.operation == Operation::Authorize) {
            // A request under the same key shows which object is ours.
            Some(running)
                if !running.is_suspect() && recovery::may_resend(running, psp, self.clock.now_ms) =>
            {
                Ok(())
            }
            Some(running) if running.parked.is_none() => {
                let reason = ownership::not_ours(reference);
                self.conclude(|operation| Conclusion::Parked { operation, reason })
            }
            Some(_) => Ok(()),
            None => self.note_foreign(objects),
        }
    }

    /// Counts an unwanted effect. Each is counted once, even if its compensation begins again (rule 8).
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

    /// Completes the step. `arm`: whether the timer is to be set even if the record has not changed.
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
            is_held_back: self.is_held_back,
            reply,
        }
    }

    /// The 202 for the present state.
    pub(crate) fn under_way(&self, context: &answer::ReplyContext) -> Response {
        answer::under_way(self.record.id(), self.state(), &self.outlook(), context)
    }

    /// The attempt as it is, with what is under way.
    pub(crate) fn view(&self) -> AttemptView {
        AttemptView::finalized(self.record.id(), self.state()).with_operation(self.state(), &self.outlook())
    }

    /// What is known of the operation under way, and when the machine has to act on it.
    pub(crate) fn outlook(&self) -> recovery::Outlook {
        match self.psp() {
            Some(psp) => recovery::outlook(self.state(), psp, self.clock.now_ms),
            // Without this PSP in its configuration, a deployment can do nothing. A later configuration may have the
            // PSP again. The timer is therefore set again, so that the attempt is not forgotten.
            None => recovery::Outlook {
                doubt: recovery::OperationState::InDoubt,
                wake_at_ms: self
                    .is_unfinished()
                    .then(|| self.clock.now_ms + PSP_ABSENT_RETRY_MS),
            },
        }
    }

    /// Whether there may be something to do that no request asks for.
    fn is_unfinished(&self) -> bool {
        let state = self.state();
        state.running.is_some() || !(state.status.is_final() || state.status == Status::Created)
    }

    /// Whether only the customer or an operator can bring the answer on, so that it is of no use to wait for it. A
    /// client that asks anew about an open 3-D Secure waits for the read that it causes, if there is one.
    pub(crate) fn waits_for_people(&self, pending: &PendingRequest) -> bool {
        let state = self.state();
        let parked = state
            .running
            .as_ref()
            .is_some_and(|running| running.parked.is_some());
        parked || (state.status == Status::RequiresAction && !self.expects_read(pending))
    }

    /// Whether the pending request waits for the read of an open 3-D Secure that it has caused, or causes now.
    pub(crate) fn expects_read(&self, pending: &PendingRequest) -> bool {
        let is_new = !pending.has_waited && pending.asked_at.is_none();
        let is_readable = self.psp().is_some_and(|psp| psp.capabilities.addressable);
        let is_open = self.state().status == Status::RequiresAction;
        is_open && (pending.expects_read || (is_new && is_readable))
    }
}

/// Whether the PSP can express the attempt's amount. An older build took amounts that a PSP cannot express, and sent
/// them unchanged.
pub(super) fn is_expressible(state: &State) -> bool {
    let units = Units::new(state.connector, WireForm::CURRENT);
    units.to_wire(&state.terms.money).is_ok()
}
