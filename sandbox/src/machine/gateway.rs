//! The way of a request through a face: faults before, idempotency, execution, faults after.

use std::sync::Arc;

use crate::base::draw::{Draw, request_id};
use crate::base::face::Face;
use crate::base::outcome::Outcome;
use crate::base::tokens::Behaviour;
use crate::faces::call::Call;
use crate::faces::{acquirer, stripe};
use crate::faults::strike::{altered, draw_fault, error_500, plain, stopped};
use crate::faults::{reject, repeat, token};
use crate::ledger::entry::{Change, KeptAnswer};
use crate::ledger::work::Work;
use crate::wire::reaction::Reaction;
use crate::wire::request::{Arrival, Method};
use crate::wire::webhook::{self, Sending};

use super::sandbox::Sandbox;

/// How much later than its webhook an answer comes for [`Behaviour::WebhookFirst`], in milliseconds.
const WEBHOOK_LEAD_MS: u64 = 250;

/// Takes a request of `face` all the way.
pub(crate) fn receive(sandbox: &mut Sandbox, face: Face, arrival: &Arrival<'_>) -> Reaction {
    let mut reaction = answered(sandbox, face, arrival);
    let dials = &sandbox.settings.dials;
    match (face, reaction.answer.as_mut()) {
        (Face::Stripe, Some(answer)) => stripe::add_headers(arrival.request, arrival.entropy, dials, answer),
        (Face::Acquirer, Some(answer)) => {
            answer.headers.push(("Request-Id", request_id(arrival.entropy)));
        }
        (_, None) => {}
    }
    reaction
}

fn answered(sandbox: &mut Sandbox, face: Face, arrival: &Arrival<'_>) -> Reaction {
    let Sandbox {
        settings,
        state,
        stats,
    } = sandbox;
    let dials = &settings.dials;
    state.forget_keys(arrival.now_ms, dials.key_horizon_ms);
    let mut draw = Draw::new(arrival.entropy);
    let latency_ms = draw.between(dials.latency_ms.min, dials.latency_ms.max);
    let drawn = draw_fault(dials, &mut draw).filter(|_| !arrival.landing);

    let call = match Call::parse(face, dials, arrival.request) {
        Ok(call) => call,
        Err(outcome) => {
            return Reaction {
                answer: Some(plain(&outcome, latency_ms)),
                ..Reaction::default()
            };
        }
    };
    if !arrival.landing {
        stats.money_calls += u64::from(call.moves_money());
    }
    // Drawn only where it is turned up: what is drawn after it would be another draw in every run without it.
    let is_read_only = !arrival.landing && call.moves_money() && dials.read_only_permille > 0;
    if is_read_only && draw.chance(dials.read_only_permille) {
        let outcome = Outcome {
            status: 503,
            ..error_500(face)
        };
        return Reaction {
            answer: Some(plain(&outcome, latency_ms)),
            ..Reaction::default()
        };
    }
    if let Some(reaction) = drawn.and_then(|fault| stopped(fault, face, dials, arrival, latency_ms)) {
        return reaction;
    }

    let refused =
        reject::drawn(dials, &call, &mut draw).or_else(|| reject::drawn_missing(dials, &call, &mut draw));
    if let Some(outcome) = refused.filter(|_| !arrival.landing) {
        let mut answer = altered(drawn, face, &outcome, latency_ms);
        if let Some(answer) = answer.as_mut().filter(|answer| answer.status == outcome.status) {
            answer.headers.extend(reject::try_again(dials));
        }
        return Reaction {
            answer,
            ..Reaction::default()
        };
    }

    let mut work = Work::new(state, settings, arrival.now_ms, draw);
    work.late = arrival.landing;
    work.request_id = (face == Face::Stripe).then(|| request_id(arrival.entropy));
    work.key = arrival
        .request
        .header("idempotency-key")
        .filter(|key| !key.is_empty())
        .map(str::to_owned);
    let keyed = match face {
        Face::Stripe => true,
        Face::Acquirer => dials.acquirer_keyed,
    };
    let key = work
        .key
        .clone()
        .filter(|_| keyed && arrival.request.method == Method::Post);
    let fingerprint = key
        .as_ref()
        .map(|_| call.fingerprint(arrival.request))
        .unwrap_or_default();

    if let Some(kept) = key
        .as_ref()
        .and_then(|key| work.state.keys.get(&(face, key.clone())))
    {
        let wait_ms = kept.answered_at_ms.saturating_sub(arrival.now_ms);
        if kept.fingerprint != fingerprint {
            let refusal = match face {
                Face::Stripe => stripe::key_reused(&kept.key),
                Face::Acquirer => acquirer::key_reused(),
            };
            return Reaction {
                answer: Some(plain(&refusal, latency_ms)),
                ..Reaction::default()
            };
        }
        if wait_ms > 0 && face == Face::Stripe {
            let answer = plain(&stripe::key_in_use(&kept.key), latency_ms);
            return Reaction {
                answer: Some(answer),
                ..Reaction::default()
            };
        }
        stats.replays += 1;
        // The acquirer has no words for "in use": a twin is answered when the first one is.
        let after_ms = latency_ms.max(wait_ms);
        let outcome = Outcome {
            status: kept.status,
            body: kept.body.clone(),
            keep: true,
        };
        let mut answer = altered(drawn, face, &outcome, after_ms);
        if let Some(answer) = answer.as_mut().filter(|answer| answer.status == outcome.status) {
            answer.headers.push(("Idempotent-Replayed", "true".to_owned()));
        }
        return Reaction {
            answer,
            ..Reaction::default()
        };
    }

    let token_fault = if arrival.landing {
        None
    } else {
        token::behaviour(&mut work, &call, key.as_deref())
    };
    if let Some(mut reaction) = token_fault.and_then(|fault| stopped(fault, face, dials, arrival, latency_ms))
    {
        reaction.log = work.finish().0;
        return reaction;
    }
    let fault = token_fault.or(drawn);
    let after_ms = match fault {
        Some(Behaviour::Slow(ms)) => latency_ms.saturating_add(ms),
        Some(Behaviour::WebhookFirst) => latency_ms.max(WEBHOOK_LEAD_MS),
        _ => latency_ms,
    };

    let mut outcome = match fault {
        Some(Behaviour::ErrorBeforeCached) => error_500(face),
        _ => repeat::execute(&call, &mut work, !arrival.landing),
    };
    if fault == Some(Behaviour::ErrorAfterCached) && outcome.keep {
        outcome = error_500(face);
    }
    let is_kept = key.is_some() && outcome.keep && dials.key_horizon_ms > 0;
    if let Some(key) = key.filter(|_| outcome.keep && fault != Some(Behaviour::KeyForgotten)) {
        work.commit(Change::Key(Arc::new(KeptAnswer {
            face,
            key,
            fingerprint,
            at_ms: arrival.now_ms,
            answered_at_ms: if arrival.landing {
                arrival.now_ms
            } else {
                arrival.now_ms.saturating_add(after_ms)
            },
            status: outcome.status,
            body: outcome.body.clone(),
        })));
    }

    // What met another fault is not delivered a second time as well.
    if !arrival.landing && fault.is_none() {
        outcome = repeat::redelivered(&call, &mut work, is_kept).unwrap_or(outcome);
    }
    let mut draw = work.draw.clone();
    let (log, notices) = work.finish();
    let sending = Sending {
        now_ms: arrival.now_ms,
        after_ms: match fault {
            Some(Behaviour::WebhookFirst) => 0,
            _ if arrival.landing => dials.webhook_delay_ms,
            _ => after_ms.saturating_add(dials.webhook_delay_ms),
        },
        copies: if fault == Some(Behaviour::WebhookThrice) {
            3
        } else {
            1
        },
        certain: fault == Some(Behaviour::WebhookOnly),
    };
    Reaction {
        log,
        answer: if arrival.landing {
            None
        } else {
            altered(fault, face, &outcome, after_ms)
        },
        scheduled: Vec::new(),
        webhooks: webhook::send(settings, stats, notices, &sending, &mut draw),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_network;
