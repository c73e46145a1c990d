//! The loop of core ([`Turn`]), as the explorer takes it apart: into a decision, what follows once it is durable, and what becomes
//! of it otherwise.

use std::sync::Arc;

use pay_once_core::{Action, Entropy, Input, Note, Questions, Record, Reply, Swapped, Turn, UnixMillis};

use super::apply::known_call;
use super::digest;
use super::lab::Thought;
use super::oracle::Violation;
use super::world::{Decision, Known, Scene, Then};
use crate::coverage::Shape;

/// What a turn that has loaded came to, as it is kept: with digests, and shared.
pub(super) fn think(turn: Turn, now_ms: UnixMillis, entropy: u128) -> Result<Thought, Violation> {
    let Some(write) = turn.write() else {
        let then = then(turn, now_ms)?;
        return Ok(Thought {
            decision: None,
            then: Some(then),
        });
    };
    let mut applied = turn.clone();
    applied.swapped(Swapped::Applied, now_ms);
    let decision = Decision {
        expected_version: write.expected_version,
        shape: Shape::of(&write.record),
        record: Arc::clone(&write.record),
        wake_at_ms: write.wake_at_ms,
        then: then(applied, now_ms)?,
        turn,
    };
    // Decided on this record, at this time, with this entropy: that says all of it.
    let digest = digest::of(&(entropy, decision.record.head()));
    Ok(Thought {
        decision: Some(Arc::new(Known { it: decision, digest })),
        then: None,
    })
}

/// Everything that a turn asks for to its end, or until it waits.
fn then(mut turn: Turn, now_ms: UnixMillis) -> Result<Then, Violation> {
    let mut then = Then {
        calls: Vec::new(),
        arm: None,
        reply: Reply::Nothing,
    };
    loop {
        match turn.next(now_ms, &mut Questions::default()) {
            Action::Perform(call) => then.calls.push(known_call(*call)),
            Action::Arm { at_ms, is_latest } => then.arm = Some((at_ms, is_latest)),
            Action::Reply(response) => then.reply = Reply::Now(response),
            Action::Wait { until_ms } => {
                if let Input::Request(pending) = turn.input() {
                    let pending = pending.clone();
                    then.reply = Reply::Wait { until_ms, pending };
                }
                return Ok(then);
            }
            Action::Done => return Ok(then),
            Action::Note(Note::RecordRefused(why)) => {
                return Err(Violation::new(
                    "store: evidence always finds room",
                    why.to_string(),
                ));
            }
            Action::Committed(_) | Action::Note(_) => {}
            other => return Err(Violation::new("explorer", format!("no reason for {other:?}"))),
        }
    }
}

/// A decision's swap found another version: its turn loads again.
pub(super) fn conflicts(decision: &Decision, now_ms: UnixMillis) -> Result<(), Violation> {
    let mut turn = decision.turn.clone();
    turn.swapped(Swapped::Conflict, now_ms);
    loads(turn, now_ms)
}

/// A decision's swap ended unknown: when its turn wants the attempt to be woken all the same.
pub(super) fn ends_unknown(decision: &Decision, now_ms: UnixMillis) -> Option<UnixMillis> {
    let mut turn = decision.turn.clone();
    turn.swapped(Swapped::Unknown, now_ms);
    loop {
        match turn.next(now_ms, &mut Questions::default()) {
            Action::Arm { at_ms, .. } => return Some(at_ms),
            Action::Note(_) => {}
            _ => return None,
        }
    }
}

/// Whether a turn whose swap ended unknown takes it for applied, now that it reads this record.
pub(super) fn is_applied(
    scene: &Scene,
    decision: &Decision,
    now: Option<&Record>,
    now_ms: UnixMillis,
) -> Result<bool, Violation> {
    let mut turn = decision.turn.clone();
    turn.swapped(Swapped::Unknown, now_ms);
    turn.loaded(&scene.config, now, now_ms, Entropy(0));
    let mut applied = turn.clone();
    loop {
        match applied.next(now_ms, &mut Questions::default()) {
            Action::Committed(_) => return Ok(true),
            Action::Note(_) => {}
            _ => return loads(turn, now_ms).map(|()| false),
        }
    }
}

fn loads(mut turn: Turn, now_ms: UnixMillis) -> Result<(), Violation> {
    loop {
        match turn.next(now_ms, &mut Questions::default()) {
            Action::Load => return Ok(()),
            Action::Note(_) => {}
            other => {
                return Err(Violation::new(
                    "explorer",
                    format!("a lost swap led to {other:?}"),
                ));
            }
        }
    }
}
