//! On the way to the PSP and back: what becomes of a request, of its answer, and what people do at the PSP.

use std::sync::Arc;

use pay_once_core::journal::entry::{Conclusion, Fact};
use pay_once_core::{Call, CallResult, RecordVersion};
use pay_once_psp_model::{Answer, Deed, Hold, Ledger, Strange};
use serde_json::json;

use super::action::{Luck, Refusal};
use super::apply::{Turn, known_outcome, unknown};
use super::cell::PspClass;
use super::digest;
use super::oracle::Violation;
use super::world::{Decision, Flying, Held, IN_TIME_MS, Job, Origin, Phase, asked};

impl Turn<'_> {
    pub(super) fn send(&mut self, server: usize, job: usize, luck: Luck) -> Result<(), Violation> {
        let Phase::Given(call) = self.take(server, job)?.phase else {
            return Err(Violation::new("explorer", "only a call is sent"));
        };
        let clock_ms = self.world.clock(server);
        if !call.it.may_send(clock_ms) {
            self.lab.covered.window_closed += 1;
            let reason = "its window has closed".to_owned();
            self.outcome(server, &call.it, CallResult::NotSent { reason });
            return Ok(());
        }
        if call.it.moves_money {
            self.world.sends = self.world.sends.saturating_add(1);
        }
        match luck {
            Luck::Answered => {
                let result = self.at_psp(&call.it)?;
                self.outcome(server, &call.it, result);
            }
            Luck::AnswerLost => {
                self.spend(|left| &mut left.lost);
                self.at_psp(&call.it)?;
                self.outcome(server, &call.it, unknown("connection reset"));
            }
            Luck::RequestLost => {
                self.spend(|left| &mut left.lost);
                self.outcome(server, &call.it, unknown("connection reset"));
            }
            Luck::Late => {
                self.spend(|left| &mut left.late);
                self.world.flying.push(Flying {
                    call: Arc::clone(&call),
                    lands_by_ms: self.world.now_ms + self.scene.cell.really_in_flight_ms,
                    missed: false,
                });
                let origin = Origin::Outcome {
                    told: false,
                    moves_money: call.it.moves_money,
                };
                let until_ms = clock_ms + call.it.timeout_ms;
                let phase = Phase::Awaiting { call, until_ms };
                self.server(server).add(Job { origin, phase });
            }
            Luck::Rejected(refusal) => {
                self.world.left.rejected = self.world.left.rejected.saturating_sub(1);
                self.note_rejection(&call.it);
                let result = rejection(self.scene.cell.class, refusal);
                self.outcome(server, &call.it, result);
            }
            Luck::Twice => {
                self.world.left.twice = self.world.left.twice.saturating_sub(1);
                let (asked, now_ms) = (asked(&call.it), self.world.now_ms);
                let result = self.world.with_ledger(|ledger| ledger.act_twice(&asked, now_ms));
                let result = answered(result)?;
                self.outcome(server, &call.it, result);
            }
            Luck::AnswerHeld => {
                self.world.left.late_answers = self.world.left.late_answers.saturating_sub(1);
                let result = self.at_psp(&call.it)?;
                self.world.held.push(Held {
                    server: server as u8,
                    input: known_outcome(&call.it, result),
                    key: key_of(&call.it).map(str::to_owned),
                    moves_money: call.it.moves_money,
                });
            }
        }
        Ok(())
    }

    /// A request reaches the PSP.
    pub(super) fn at_psp(&mut self, call: &Call) -> Result<CallResult, Violation> {
        if call.http.method == "GET" {
            for flying in &mut self.world.flying {
                flying.missed = true;
            }
        }
        let (asked, now_ms) = (asked(call), self.world.now_ms);
        let strange = |ledger: &Ledger| ledger.foreign().cloned().collect::<Vec<Hold>>();
        let before = strange(&self.world.ledger.it);
        let result = self.world.with_ledger(|ledger| ledger.act(&asked, now_ms));
        let result = answered(result)?;
        if before != strange(&self.world.ledger.it) {
            let what = format!("{} {} changed one of {before:?}", call.http.method, call.http.url);
            return Err(Violation::new("rule 13: what is foreign is left alone", what));
        }
        Ok(result)
    }

    pub(super) fn land(&mut self, flying: usize) -> Result<(), Violation> {
        if flying >= self.world.flying.len() {
            return Err(Violation::new("explorer", "nothing is flying"));
        }
        let flying = self.world.flying.remove(flying);
        let result = self.at_psp(&flying.call.it)?;
        if flying.missed {
            self.lab.covered.late_landing_after_miss += 1;
        }
        // Whoever still waits for the answer gets it.
        for server in 0..self.world.servers.len() {
            let waits = |(_, job): &(digest::Digest, Job)| matches!(&job.phase, Phase::Awaiting { call, .. } if call.digest == flying.call.digest);
            if let Some(job) = self.server(server).jobs.iter().position(waits) {
                self.take(server, job)?;
                self.outcome(server, &flying.call.it, result.clone());
            }
        }
        Ok(())
    }

    /// An answer comes long after.
    pub(super) fn hear_late(&mut self, held: usize) -> Result<(), Violation> {
        if held >= self.world.held.len() {
            return Err(Violation::new("explorer", "no answer is held"));
        }
        let held = self.world.held.remove(held);
        let record = self.world.store.as_ref();
        let running = record.and_then(|record| record.state().running.as_ref());
        let is_current = running
            .and_then(|running| running.calls.last())
            .is_some_and(|call| Some(&*call.psp_key) == held.key.as_deref());
        if held.key.is_some() && !is_current {
            self.lab.covered.late_answer_to_what_is_over += 1;
        }
        let origin = Origin::Outcome {
            told: true,
            moves_money: held.moves_money,
        };
        self.ready(usize::from(held.server), origin, held.input);
        Ok(())
    }

    pub(super) fn by_hand(&mut self, deed: Deed) {
        self.world.left.by_hand = self.world.left.by_hand.saturating_sub(1);
        let now_ms = self.world.now_ms;
        self.world.with_ledger(|ledger| ledger.do_by_hand(deed, now_ms));
        let covered = &mut self.lab.covered;
        let count = match deed {
            Deed::Refund => &mut covered.refund_by_hand,
            Deed::Cancel => &mut covered.release_by_hand,
            Deed::CapturePart => &mut covered.capture_by_hand,
        };
        *count += 1;
    }

    pub(super) fn stranger(&mut self, what: Strange) {
        self.world.left.foreign = self.world.left.foreign.saturating_sub(1);
        let now_ms = self.world.now_ms;
        self.world.with_ledger(|ledger| ledger.do_strangely(what, now_ms));
    }

    /// The customer finishes 3-D Secure.
    pub(super) fn customer(&mut self) {
        let now_ms = self.world.now_ms;
        self.world.with_ledger(|ledger| ledger.finish_action(now_ms));
        if !self.world.has_deadline {
            return;
        }
        self.world.finished_ms = Some(now_ms);
        let is_late = |deadline_ms: u64| (deadline_ms - IN_TIME_MS..deadline_ms).contains(&now_ms);
        if self.world.deadline_ms().is_some_and(is_late) {
            self.lab.covered.customer_at_the_last_moment += 1;
        }
    }

    fn note_rejection(&mut self, call: &Call) {
        let url = &call.http.url;
        let covered = &mut self.lab.covered;
        if call.http.method == "GET" {
            covered.look_rejected += 1;
        } else if url.ends_with("/void") || url.ends_with("/cancel") {
            covered.release_rejected += 1;
        } else {
            covered.money_call_rejected += 1;
        }
    }

    /// What a swap shows that was just applied.
    pub(super) fn note_meeting(&mut self, decision: &Decision) {
        let from = decision.expected_version.map_or(0, RecordVersion::entries);
        let covered = &mut self.lab.covered;
        for entry in decision.record.entries().iter().skip(from) {
            let Fact::Inferred { conclusion } = &entry.fact else {
                continue;
            };
            match conclusion {
                Conclusion::Withdrawn { .. } => covered.withdrawn += 1,
                Conclusion::Unwanted { .. } => covered.unwanted_effect_seen += 1,
                Conclusion::Foreign { .. } => covered.foreign_object_seen += 1,
                Conclusion::CaptureMismatch { .. } => covered.other_amount_seen += 1,
                Conclusion::NoEffect { .. }
                | Conclusion::NotCarriedOut { .. }
                | Conclusion::Parked { .. } => {}
            }
        }
    }
}

fn key_of(call: &Call) -> Option<&str> {
    let key = call
        .http
        .headers
        .iter()
        .find(|(name, _)| *name == "idempotency-key");
    key.map(|(_, key)| key.as_str())
}

fn answered(result: Result<Answer, String>) -> Result<CallResult, Violation> {
    match result {
        Ok((status, body)) => Ok(CallResult::answered(status, body.to_vec())),
        Err(what) => Err(Violation::new(
            "rule 3: one PSP key, one request that can be read",
            what,
        )),
    }
}

/// A definite 4xx to any call.
fn rejection(class: PspClass, refusal: Refusal) -> CallResult {
    let (status, body) = match (refusal, class.has_intents()) {
        (Refusal::Unauthorized, true) => (
            401,
            json!({"error": {"type": "invalid_request_error", "message": "Invalid API Key."}}),
        ),
        (Refusal::Unauthorized, false) => (401, json!({"error": {"code": "unauthorized", "message": "No."}})),
        (Refusal::Gateway, _) => (403, json!("Forbidden")),
        (Refusal::Bare, true) => (400, json!({"error": {"type": "invalid_request_error"}})),
        (Refusal::Bare, false) => (400, json!({"error": {"message": "Bad request."}})),
    };
    CallResult::answered(status, body.to_string().into_bytes())
}
