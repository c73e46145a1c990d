//! The history of an attempt is linearizable (`docs/promise.md`; `docs/store.md`, “Stores”): the operations that succeeded,
//! failed and were read can be put in one order, each at a moment between its sending and its answer, in which a single register
//! of statuses gives exactly those answers. Operations without a known end may have happened at any time later, or never.

use std::collections::BTreeSet;

use super::{Case, Oracle, Wrong};
use crate::seen::{Heard, Status};
use crate::shopper::Op;

/// Histories of more operations than this are judged by their first ones.
const OPS_MAX: usize = 24;

pub(super) const ORACLE: Oracle = Oracle {
    name: "linearizable",
    rule: "store: one record, one swap",
    judge,
};

/// A point in the life of an attempt, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    Absent,
    At(u8, Status),
}

struct Span {
    began_ms: u64,
    ended_ms: u64,
    /// What was read, at a moment of the span.
    saw: Point,
}

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let mut spans: Vec<Span> = case.heard.iter().filter_map(|heard| span(heard)).collect();
    spans.sort_by_key(|span| span.began_ms);
    spans.truncate(OPS_MAX);
    let mut dead: BTreeSet<(u32, Point)> = BTreeSet::new();
    let all = (1u32 << spans.len()) - 1;
    let may_return = case.run.plan.has_rejections();
    if can_go_on(&spans, all, Point::Absent, may_return, &mut dead) {
        return Ok(());
    }
    let at_ms = spans.last().map_or(0, |span| span.ended_ms);
    Err((at_ms, "no order of the answers fits one register".to_owned()))
}

/// Depth first over what may come next: an operation that began before every open one ended (Wing and Gong).
fn can_go_on(
    spans: &[Span],
    open: u32,
    point: Point,
    may_return: bool,
    dead: &mut BTreeSet<(u32, Point)>,
) -> bool {
    if open == 0 {
        return true;
    }
    if dead.contains(&(open, point)) {
        return false;
    }
    let is_open = |n: &usize| open & (1 << n) != 0;
    let first_end = (0..spans.len())
        .filter(is_open)
        .filter_map(|n| spans.get(n))
        .map(|span| span.ended_ms)
        .min();
    for n in (0..spans.len()).filter(is_open) {
        let Some(span) = spans.get(n) else { continue };
        if Some(span.began_ms) > first_end || !may_follow(point, span.saw, may_return) {
            continue;
        }
        if can_go_on(spans, open & !(1 << n), span.saw, may_return, dead) {
            return true;
        }
    }
    dead.insert((open, point));
    false
}

/// Whether the register can have moved from one to the other by then.
fn may_follow(before: Point, after: Point, may_return: bool) -> bool {
    match (before, after) {
        (Point::Absent, _) => true,
        (Point::At(..), Point::Absent) => false,
        (Point::At(rank, status), Point::At(next_rank, next)) => {
            if rank == 5 {
                next == status
            } else {
                next_rank > rank || next == status || may_return && status.may_return_to(next)
            }
        }
    }
}

/// What an answer shows of the register now. Replays show what was; they are the replay oracle's.
fn span(heard: &Heard) -> Option<Span> {
    let told = heard.told.as_ref()?;
    let is_read = heard.ask.op == Op::Look && matches!(told.status, 200 | 404);
    if !heard.ask.role.is_own() || !is_read && told.is_replay {
        return None;
    }
    let saw = match (&told.shown, told.status) {
        (Some(shown), _) => Point::At(shown.status.rank(), shown.status),
        (None, 404) if is_read => Point::Absent,
        _ => return None,
    };
    Some(Span {
        began_ms: heard.began_ms,
        ended_ms: heard.ended_ms,
        saw,
    })
}
