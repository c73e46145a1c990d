//! Faults: which one the dials draw, and what it does to an answer.

use crate::base::dials::Dials;
use crate::base::draw::Draw;
use crate::base::face::Face;
use crate::base::outcome::Outcome;
use crate::base::tokens::Behaviour;
use crate::faces::{acquirer, stripe};
use crate::wire::reaction::{Answer, Reaction, Scheduled, Timed};
use crate::wire::request::Arrival;

/// The random fault that the dials and the entropy give this request, if any.
pub(crate) fn draw_fault(dials: &Dials, draw: &mut Draw) -> Option<Behaviour> {
    let shares = [
        (dials.hang_before_permille, Behaviour::HangBefore),
        (dials.hang_after_permille, Behaviour::HangAfter),
        (dials.error_before_permille, Behaviour::ErrorBefore),
        (dials.error_after_permille, Behaviour::ErrorAfter),
        (dials.garbage_permille, Behaviour::Garbage),
        (dials.throttle_permille, Behaviour::Throttle),
        (dials.late_permille, Behaviour::Late),
    ];
    let mut drawn = None;
    for (permille, fault) in shares {
        // Every dial draws, whether or not an earlier one hit: see `Draw::chance`.
        let hit = draw.chance(permille);
        drawn = drawn.or(hit.then_some(fault));
    }
    drawn
}

/// What a fault that strikes before execution comes to; `None` for the others.
pub(crate) fn stopped(
    fault: Behaviour,
    face: Face,
    dials: &Dials,
    arrival: &Arrival<'_>,
    latency_ms: u64,
) -> Option<Reaction> {
    match fault {
        Behaviour::HangBefore => Some(Reaction::default()),
        Behaviour::ErrorBefore => Some(Reaction {
            answer: Some(plain(&error_500(face), latency_ms)),
            ..Reaction::default()
        }),
        Behaviour::Throttle => {
            let outcome = match face {
                Face::Stripe => stripe::throttled(),
                Face::Acquirer => acquirer::throttled(),
            };
            Some(Reaction {
                answer: Some(plain(&outcome, latency_ms)),
                ..Reaction::default()
            })
        }
        Behaviour::Late => {
            let event = Timed::Land {
                request: arrival.request.clone(),
                entropy: arrival.entropy,
            };
            let scheduled = vec![Scheduled {
                after_ms: dials.max_in_flight_ms,
                event,
            }];
            Some(Reaction {
                scheduled,
                ..Reaction::default()
            })
        }
        _ => None,
    }
}

/// The answer after execution, as the fault leaves it.
pub(crate) fn altered(
    fault: Option<Behaviour>,
    face: Face,
    outcome: &Outcome,
    after_ms: u64,
) -> Option<Answer> {
    match fault {
        Some(Behaviour::HangAfter | Behaviour::WebhookOnly) => None,
        Some(Behaviour::ErrorAfter) => Some(plain(&error_500(face), after_ms)),
        Some(Behaviour::Garbage) => {
            let outcome = Outcome {
                status: 200,
                body: "{\"status\": \"appr<html>".to_owned(),
                keep: false,
            };
            Some(plain(&outcome, after_ms))
        }
        Some(Behaviour::Truncated) => {
            let cut_at_bytes = Some(outcome.body.len() / 2);
            Some(Answer {
                cut_at_bytes,
                ..plain(outcome, after_ms)
            })
        }
        _ => Some(plain(outcome, after_ms)),
    }
}

pub(crate) fn error_500(face: Face) -> Outcome {
    match face {
        Face::Stripe => stripe::failed(),
        Face::Acquirer => acquirer::failed(),
    }
}

pub(crate) fn plain(outcome: &Outcome, after_ms: u64) -> Answer {
    Answer {
        after_ms,
        status: outcome.status,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: outcome.body.clone().into_bytes(),
        cut_at_bytes: None,
    }
}
