//! A step in the making: what a decision may use, what it appends, and what follows from it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::answer;
use crate::config::{Config, Psp};
use crate::due;
use crate::evidence::{Evidence, Signal};
use crate::http::Response;
use crate::id::{AttemptId, Entropy, LocalId};
use crate::invariant;
use crate::journal::{CallStep, Cause, Conclusion, Entry, Fact, Operation, Source};
use crate::limits::PSP_ABSENT_RETRY_MS;
use crate::machine::{Reply, Step, Write};
use crate::planted::{Bug, planted};
use crate::psp::{self, Call, Order, Purpose};
use crate::record::{Record, RecordError};
use crate::recovery::{self, Move};
use crate::running::Running;
use crate::state::State;
use crate::status::Status;

/// The arguments that every decision may use besides the record.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) config: &'a Config,
    pub(crate) now_ms: u64,
    pub(crate) entropy: Entropy,
}

/// A step in the making: the record as it will be, and the calls that follow.
pub(crate) struct Work<'a> {
    clock: Moment<'a>,
    pub(crate) record: Cow<'a, Record>,
    expected_version: Option<u64>,
    calls: Vec<Call>,
    ids_made: u8,
}

impl<'a> Work<'a> {
    pub(crate) fn on(clock: Moment<'a>, record: &'a Record) -> Self {
        let expected_version = Some(record.version());
        Self {
            clock,
            record: Cow::Borrowed(record),
            expected_version,
            calls: Vec::new(),
            ids_made: 0,
        }
    }

    pub(crate) fn on_new(clock: Moment<'a>, record: Record) -> Self {
        Self {
            clock,
            record: Cow::Owned(record),
            expected_version: None,
            calls: Vec::new(),
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

    fn new_id(&mut self) -> LocalId {
        self.ids_made += 1;
        LocalId::new(self.clock.now_ms, self.clock.entropy, self.ids_made)
    }

    /// Takes evidence in, if it says anything new, and whatever follows from it (rule 7).
    pub(crate) fn take_in(
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
    fn note(
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
        if after == *self.state() {
            return Ok(false);
        }
        self.record.to_mut().append_folded(entry, after)?;
        Ok(true)
    }

    /// Takes in what a read or a look-up showed, absence included (rule 6).
    pub(crate) fn take_in_look(
        &mut self,
        psp: &Psp,
        asked_at_ms: u64,
        by_lookup: bool,
        evidence: &Evidence,
    ) -> Result<(), RecordError> {
        if !evidence.is_informative() {
            return Ok(());
        }
        let name = |running: &Running| (running.operation, running.since_ms, running.effect);
        let before = self.state().running.as_ref().map(name);
        let is_news = self.note(Source::Lookup, None, evidence)?;
        let Some(running) = self.state().running.as_ref().filter(|r| Some(name(r)) == before) else {
            return self.advance();
        };
        // An action that the customer has not finished is no effect yet, and may become one at any time.
        let waits_for_customer = running.operation == Operation::Authorize
            && (matches!(evidence.signal, Signal::ActionRequired { .. })
                || self.state().status == Status::RequiresAction)
            || (running.refused.is_some() && self.state().is_unfinished_action());
        let counts = asked_at_ms >= due::proof_counts_at_ms(self.state(), running, psp, by_lookup)
            || planted(Bug::AbsenceAtOnce);
        let proves = evidence.complete
            && counts
            && !waits_for_customer
            && !running.proven_absent
            && running.parked.is_none();
        if proves {
            let (operation, effect) = (running.operation, running.effect);
            if !is_news {
                // What a conclusion rests on is in the journal, also when it is not new.
                let id = self.new_id();
                self.push(Fact::Observed {
                    source: Source::Lookup,
                    call: None,
                    id,
                    evidence: evidence.clone(),
                })?;
            }
            self.push(Fact::Inferred {
                conclusion: Conclusion::NoEffect { operation, effect },
            })?;
            return self.advance();
        }
        // The same look once more, at once, would show the same.
        match recovery::plan(self.state(), psp, self.clock.now_ms) {
            Some(plan) if !matches!(plan.what, Move::Read { .. } | Move::Lookup) && is_news => self.advance(),
            Some(_) | None => Ok(()),
        }
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

    fn make(&mut self, psp: &Psp, what: Move) -> Result<(), RecordError> {
        match what {
            Move::Begin {
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
            Move::Send { step, effect } => self.dispatch(psp, step, effect),
            Move::Read { reference } => {
                if let Some(http) = psp::write_read(psp, &reference) {
                    self.ask(
                        psp,
                        http,
                        Purpose::Read {
                            asked_at_ms: self.clock.now_ms,
                        },
                    );
                }
                Ok(())
            }
            Move::Lookup => {
                self.look_up(psp, self.clock.now_ms, 1, Evidence::default(), None);
                Ok(())
            }
            Move::Disprove => {
                let effect = self.state().running.as_ref().map_or(0, |running| running.effect);
                self.conclude(|operation| Conclusion::NoEffect { operation, effect })
            }
            Move::Park { reason } => self.conclude(|operation| Conclusion::Parked {
                operation,
                reason: reason.to_owned(),
            }),
            Move::End { code, message } => self.conclude(|operation| Conclusion::NotCarriedOut {
                operation,
                code: code.to_owned(),
                message: message.to_owned(),
            }),
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

    fn conclude(&mut self, make: impl FnOnce(Operation) -> Conclusion) -> Result<(), RecordError> {
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
        let effect = self.state().effects_used(operation).saturating_add(1);
        self.push(Fact::Intended {
            operation,
            cause,
            amount_minor,
            target,
        })?;
        let step = match &self.state().running {
            Some(running) => recovery::first_step(self.state(), psp, running),
            None => return Ok(()),
        };
        self.dispatch(psp, step, effect)
    }

    /// Tries what is proven absent once more, also where recovery's own tries are spent: an operator's word is worth one.
    pub(crate) fn try_once_more(&mut self) -> Result<(), RecordError> {
        let proven = |running: &&Running| running.proven_absent;
        let (Some(psp), Some(running)) = (self.psp(), self.state().running.as_ref().filter(proven)) else {
            return Ok(());
        };
        let step = recovery::first_step(self.state(), psp, running);
        let effect = running.effect.saturating_add(1);
        self.dispatch(psp, step, effect)
    }

    /// Rule 1: the dispatch entry, and the call that it names.
    fn dispatch(&mut self, psp: &Psp, step: CallStep, effect: u16) -> Result<(), RecordError> {
        let call = self.new_id();
        let state = self.state();
        let Some(running) = &state.running else {
            return Ok(());
        };
        let Running {
            operation,
            mut amount_minor,
            ..
        } = *running;
        if operation == Operation::Capture && effect > 1 && planted(Bug::RetryCapturesAll) {
            amount_minor = state.terms.amount_minor;
        }
        // One PSP key, one request (rule 3): what was learned since the first sending must not change it.
        let sent_before = running
            .calls
            .iter()
            .find(|call| call.effect == effect && call.step == step);
        let target = match (step, operation, sent_before) {
            (_, _, Some(call)) => call.target.clone(),
            (CallStep::Prepare, _, None) => None,
            (CallStep::Act, Operation::Authorize, None) => state.object.clone(),
            (CallStep::Act, _, None) => running
                .target
                .clone()
                .or_else(|| state.own_reference().map(str::to_owned)),
        };
        let psp_key = if planted(Bug::KeyPerCall) {
            call.with_prefix("call_")
        } else {
            psp_key(self.record.id(), operation, step, effect)
        };
        let now_ms = self.clock.now_ms;
        let send_by_ms = now_ms.saturating_add(psp.timing.send_window_ms);
        let order = Order {
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
            attempt: self.record.id(),
            psp: self.record.state().psp.to_string(),
            http,
            send_by_ms,
            timeout_ms: psp.timing.call_timeout_ms,
            moves_money: step == CallStep::Act,
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

    pub(crate) fn look_up(
        &mut self,
        psp: &Psp,
        asked_at_ms: u64,
        page: u32,
        found: Evidence,
        after: Option<&str>,
    ) {
        let Some(running) = &self.state().running else {
            return;
        };
        let skew_ms = psp.timing.max_clock_skew_ms;
        // An authorization is looked for from when it was asked for; anything else where the object was made.
        let since_ms = match running.operation {
            Operation::Authorize => running.since_ms,
            Operation::Capture | Operation::Void | Operation::Refund => self.state().created_at_ms,
        }
        .saturating_sub(if planted(Bug::LookupWindowWithoutSkew) {
            0
        } else {
            skew_ms
        });
        let http = psp::write_lookup(
            psp,
            self.record.id(),
            since_ms,
            asked_at_ms.saturating_add(skew_ms),
            after,
        );
        self.ask(
            psp,
            http,
            Purpose::Lookup {
                asked_at_ms,
                page,
                found,
            },
        );
    }

    /// A question moves nothing and carries no key, so it needs no entry.
    fn ask(&mut self, psp: &Psp, http: psp::HttpCall, purpose: Purpose) {
        self.calls.push(Call {
            attempt: self.record.id(),
            psp: self.record.state().psp.to_string(),
            http,
            send_by_ms: self.clock.now_ms.saturating_add(psp.timing.send_window_ms),
            timeout_ms: psp.timing.call_timeout_ms,
            moves_money: false,
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
                record,
                wake_at_ms,
            }
        });
        Step {
            wake_at_ms,
            write,
            calls: self.calls,
            reply,
        }
    }

    /// The 202 of this moment.
    pub(crate) fn under_way(&self, dress: &answer::Dress) -> Response {
        answer::under_way(self.record.id(), self.state(), &self.outlook(), dress)
    }

    /// What lies ahead.
    pub(crate) fn outlook(&self) -> recovery::Outlook {
        match self.psp() {
            Some(psp) => recovery::outlook(self.state(), psp, self.clock.now_ms),
            // A deployment without this PSP can do nothing; the next one may have it again, and a timer that was spent on
            // this one must not be the last.
            None => recovery::Outlook {
                doubt: recovery::Doubt::InDoubt,
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

    /// Whether nothing but the customer or an operator can bring the answer on: waiting for it is no use.
    pub(crate) fn waits_for_people(&self) -> bool {
        let parked = self
            .state()
            .running
            .as_ref()
            .is_some_and(|running| running.parked.is_some());
        parked || self.state().status == Status::RequiresAction
    }
}

/// Rule 3: one key per (attempt, operation, effect number). It names the attempt, so that a PSP's own log can be read.
fn psp_key(id: AttemptId, operation: Operation, step: CallStep, effect: u16) -> String {
    match step {
        CallStep::Prepare => format!("{id}-prepare-{effect}"),
        CallStep::Act => format!("{id}-{}-{effect}", operation.as_str()),
    }
}
