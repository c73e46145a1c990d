//! What a look at the PSP proves, and what follows from one that failed (rule 6). A *look* is a read by id, or a
//! look-up by the attempt's reference.

use std::collections::BTreeSet;

use crate::base::config::Psp;
use crate::base::http_date;
use crate::base::limits::EFFECTS_PER_EVIDENCE_MAX;
use crate::base::time::UnixMillis;
use crate::contract::look::{Seen, Shown};
use crate::journal::entry::{Conclusion, Fact, Operation, Source};
use crate::journal::evidence::Evidence;
use crate::journal::record::RecordError;
use crate::journal::running::CurrentOperation;
use crate::journal::status::Status;
use crate::machine::builder::StepBuilder;
use crate::psp;
use crate::psp::call::{Asked, CallResult, Lookup};
use crate::psp::driver::Answer;
use crate::recovery::due;
use crate::recovery::ownership::{self, Sorted};
use crate::recovery::{self, ABANDONED, RecoveryAction};

/// A look that was answered.
#[derive(Clone, Copy)]
struct Look<'a> {
    asked: Asked,
    /// Whether the `Date` of an answer shows that the clock was wrong when the look was requested.
    is_contradicted: bool,
    by_lookup: bool,
    evidence: &'a Evidence,
}

impl StepBuilder<'_> {
    /// Applies what a read by id showed.
    pub(crate) fn apply_read(
        &mut self,
        psp: &Psp,
        asked: Asked,
        is_contradicted: bool,
        answer: &Answer,
    ) -> Result<(), RecordError> {
        if answer.is_failed_look {
            self.seen = Some(Seen::failed(&answer.evidence));
            return self.look_failed(psp);
        }
        self.seen = Some(Seen::Shown(Shown::of(&answer.evidence, BTreeSet::new())));
        self.apply_lookup(
            psp,
            Look {
                asked,
                is_contradicted,
                by_lookup: false,
                evidence: &answer.evidence,
            },
        )
    }

    /// Applies one page of a look-up. Evidence is taken from all pages together, once the last page is there. All pages
    /// count as requested when the first one was.
    pub(crate) fn apply_page(
        &mut self,
        psp: &Psp,
        page: &Lookup,
        answer: Answer,
        result: &CallResult,
    ) -> Result<(), RecordError> {
        let has_pages = psp::driver_capabilities(psp.connector).has_pages;
        if matches!(result, CallResult::TooLarge { .. }) && page.objects > 1 && has_pages {
            let smaller = Lookup {
                objects: (page.objects / 10).max(1),
                ..page.clone()
            };
            self.look_up(psp, smaller);
            return Ok(());
        }
        let is_stuck = page.goes_round(answer.next_page.as_deref());
        let mut found = page.found.clone();
        found.extend(answer.sightings);
        if answer.is_failed_look || is_stuck || found.len() > EFFECTS_PER_EVIDENCE_MAX {
            self.seen = Some(Seen::failed(&answer.evidence));
            return self.look_failed(psp);
        }
        let is_contradicted = page.is_contradicted || self.contradicts(psp, page.asked, result.date_ms());
        if answer.next_page.is_some() {
            let next = Lookup {
                is_contradicted,
                ..page.next(answer.next_page, found)
            };
            self.look_up(psp, next);
            return Ok(());
        }
        let mut sorted = ownership::sort(self.state(), psp, &found);
        let is_open = matches!(
            sorted.ours.signal,
            crate::journal::evidence::Signal::Unknown { .. }
        ) || sorted.ours.shows_open_action();
        // A list proves no absence if it shows anything that is not ours, or that is still open. Exception: if the
        // operation acts on the attempt's own object, and that is known, other objects do not prevent the proof
        // (rule 13).
        let is_of_own = self.is_done_to_own_object() && !sorted.is_unclear;
        let shows_all = sorted.is_all_ours() || is_of_own;
        sorted.ours.complete = shows_all && !is_open;
        self.note_foreign(&sorted.foreign)?;
        let not_ours = sorted.foreign.union(&sorted.disputed).cloned().collect();
        self.seen = Some(Seen::Shown(Shown::of(&sorted.ours, not_ours)));
        let look = Look {
            asked: page.asked,
            is_contradicted,
            by_lookup: true,
            evidence: &sorted.ours,
        };
        self.apply_lookup(psp, look)?;
        self.read_charge(psp);
        self.park_if_not_ours(psp, look, &sorted)
    }

    /// Whether the operation under way acts on a known object of the attempt's own: a capture, a release, a refund.
    fn is_done_to_own_object(&self) -> bool {
        let state = self.state();
        let acts_on_it = |running: &CurrentOperation| running.operation != Operation::Authorize;
        state.own_reference().is_some() && state.running.as_ref().is_some_and(acts_on_it)
    }

    /// Applies what a read or a look-up showed, absence included.
    fn apply_lookup(&mut self, psp: &Psp, look: Look<'_>) -> Result<(), RecordError> {
        let Look { evidence, .. } = look;
        if !evidence.is_informative() {
            return Ok(());
        }
        let name = |running: &CurrentOperation| (running.operation, running.since_ms, running.generation);
        let before = self.state().running.as_ref().map(name);
        let is_new = self.note(Source::Lookup, None, evidence)?;
        if self.state().running.as_ref().map(name) != before || before.is_none() {
            return self.advance();
        }
        if self.is_abandoned(psp, look) && self.is_clock_trusted(psp, look) {
            self.keep_ground(is_new, evidence)?;
            self.make(psp, ABANDONED)?;
            return self.advance();
        }
        if self.is_last_look(psp, look) {
            self.make(psp, recovery::give_up(self.state()))?;
            return Ok(());
        }
        if self.proves_no_effect(psp, look) && self.is_clock_trusted(psp, look) {
            self.keep_ground(is_new, evidence)?;
            let generation = self
                .state()
                .running
                .as_ref()
                .map_or(0, |running| running.generation);
            self.conclude(|operation| Conclusion::NoEffect {
                operation,
                generation,
            })?;
            return self.advance();
        }
        if let Some(running) = &self.state().running
            && recovery::releases_again(self.state(), running, self.now_ms(), psp)
        {
            let again = recovery::send_rejected_again(self.state(), running, psp);
            return self.make(psp, again);
        }
        // The same look, requested again at once, would show the same.
        match recovery::plan(self.state(), psp, self.now_ms()) {
            Some(plan)
                if !matches!(plan.what, RecoveryAction::Read { .. } | RecoveryAction::Lookup) && is_new =>
            {
                self.advance()
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Journals the evidence of a conclusion, even if it repeats earlier evidence.
    fn keep_ground(&mut self, is_new: bool, evidence: &Evidence) -> Result<(), RecordError> {
        if is_new {
            return Ok(());
        }
        let id = self.new_id();
        self.push(Fact::Observed {
            source: Source::Lookup,
            call: None,
            id,
            evidence: evidence.clone(),
        })
    }

    /// Whether the clock by which the look was requested is known to have been right (rule 6). It was not in doubt, and
    /// what was sent by a wrong clock has landed since. It was not found to be wrong while the answer was awaited. No
    /// `Date` of the look's answers contradicts it. This is only to be asked of a look that proves absence otherwise,
    /// because a denial is reported to operators.
    fn is_clock_trusted(&mut self, psp: &Psp, look: Look<'_>) -> bool {
        let is_sure = look.asked.sure_for_ms >= due::landed_and_listed_ms(psp, look.by_lookup);
        // If the clock was corrected meanwhile, the time of the answer is by the corrected clock, which its `Date` does
        // not contradict.
        let is_same_clock = self.clock.trust.sure_for_ms >= look.asked.sure_for_ms;
        let is_trusted = is_sure && is_same_clock && !look.is_contradicted;
        self.is_held_back |= !is_trusted;
        is_trusted
    }

    /// Whether the `Date` of an answer is more than the skew outside the time between `asked` and now. An answer
    /// without a `Date` contradicts nothing.
    pub(crate) fn contradicts(&self, psp: &Psp, asked: Asked, date_ms: Option<UnixMillis>) -> bool {
        let skew_ms = psp.timing.max_clock_skew_ms;
        date_ms.is_some_and(|date_ms| {
            let is_before = date_ms + http_date::GRANULARITY_MS + skew_ms < asked.at_ms;
            is_before || date_ms > self.now_ms() + skew_ms
        })
    }

    /// Whether the look proves that the effect of the current generation did not happen and no longer can.
    fn proves_no_effect(&self, psp: &Psp, look: Look<'_>) -> bool {
        let state = self.state();
        let Some(running) = &state.running else {
            return false;
        };
        // An action that the customer has not finished has no effect yet, and may have one at any time. For its
        // release, an open action shows that it did not happen.
        let waits_for_customer = running.operation == Operation::Authorize
            && (look.evidence.shows_open_action() || state.status == Status::RequiresAction);
        let shows_no_release = running.operation == Operation::Void
            && state.is_unfinished_action()
            && look.evidence.shows_open_action();
        let counts = look.asked.at_ms >= due::proof_counts_at_ms(state, running, psp, look.by_lookup);
        // A refused release is repeated for an action that is shown as open. If the look shows nothing, the PSP may be
        // one that does not list unfinished actions. The end of the action's time then ends it (`is_abandoned`).
        let waits_for_time =
            running.refused.is_some() && state.is_unfinished_action() && !look.evidence.shows_open_action();
        (look.evidence.complete || shows_no_release)
            && counts
            && !waits_for_customer
            && !waits_for_time
            && !running.proven_absent
            && running.parked.is_none()
    }

    /// Whether the look is the last one of a 3-D Secure whose time is over. The 3-D Secure is then released.
    fn is_last_look(&self, psp: &Psp, look: Look<'_>) -> bool {
        let state = self.state();
        let is_over = look.asked.at_ms >= due::action_last_look_ms(state, psp, self.now_ms(), look.by_lookup);
        state.status == Status::RequiresAction && is_over
    }

    /// Whether the look proves that nobody finished the 3-D Secure that is being released: its time was over when the
    /// look was requested, and the look shows neither an effect nor an open action.
    fn is_abandoned(&self, psp: &Psp, look: Look<'_>) -> bool {
        let state = self.state();
        let is_over =
            look.asked.at_ms >= due::action_proof_counts_ms(state, psp, self.now_ms(), look.by_lookup);
        let is_open = state
            .running
            .as_ref()
            .is_some_and(|running| running.parked.is_none());
        state.is_unfinished_action() && is_open && look.evidence.complete && is_over
    }

    /// Handles a look that failed. It shows nothing, and proves no absence.
    fn look_failed(&mut self, psp: &Psp) -> Result<(), RecordError> {
        match recovery::after_failed_look(self.state(), psp, self.now_ms()) {
            Some(what) => self.make(psp, what),
            None => Ok(()),
        }
    }

    /// Lists carry no charge details, so the object is read by id to learn when the authorization lapses.
    fn read_charge(&mut self, psp: &Psp) {
        let state = self.state();
        let is_wanted = psp::driver_capabilities(psp.connector).tells_lapse_by_id
            && psp.capabilities.addressable
            && state.status == Status::Authorized
            && !state.is_automatic()
            && state.knowledge.capture_before_ms.is_none();
        let Some(reference) = state.own_reference().filter(|_| is_wanted).map(str::to_owned) else {
            return;
        };
        self.read(psp, &reference, None);
    }

    /// Parks the operation if a look that counts still shows what is not ours. No look can end the operation then, now
    /// or later: an operator has to say whose the object is.
    fn park_if_not_ours(&mut self, psp: &Psp, look: Look<'_>, sorted: &Sorted) -> Result<(), RecordError> {
        if self.state().own_reference().is_some() {
            // The attempt's own object is known. Another object says nothing about it.
            return Ok(());
        }
        let Some(running) = self
            .state()
            .running
            .as_ref()
            .filter(|running| running.parked.is_none())
        else {
            return Ok(());
        };
        let counts = look.asked.at_ms >= due::proof_counts_at_ms(self.state(), running, psp, true);
        let is_unknown = !running.no_act_left() && !running.proven_absent;
        let mut others = sorted.disputed.iter().chain(&sorted.foreign);
        let Some(reference) = others.next().filter(|_| is_unknown && counts) else {
            return Ok(());
        };
        if !self.is_clock_trusted(psp, look) {
            return Ok(());
        }
        let reason = ownership::not_ours(reference);
        self.conclude(|operation| Conclusion::Parked { operation, reason })
    }
}
