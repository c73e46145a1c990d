//! What the calls do to the ledger.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::base::face::Face;
use crate::base::outcome::{Outcome, written};
use crate::base::tokens::{self, Behaviour, Operation};
use crate::ledger::challenge::Challenge;
use crate::ledger::entry::Change;
use crate::ledger::money::Authorization;
use crate::ledger::work::{Entry, Work};

use super::call::Act;

/// A code and a message for people.
type Refusal = (&'static str, &'static str);

/// `POST /authorize`.
pub(crate) fn authorize(work: &mut Work<'_>, challenge: Challenge) -> Outcome {
    if work.is_declined() {
        return conclude(
            work,
            &told(Operation::Authorize, &challenge),
            Some(tokens::ISSUER_AWAY),
        );
    }
    match tokens::find(&challenge.token, Operation::Authorize).map(|row| row.behaviour) {
        Some(Behaviour::Decline { code, message }) => conclude(
            work,
            &told(Operation::Authorize, &challenge),
            Some((code, message)),
        ),
        Some(Behaviour::Authenticate) => {
            work.commit(Change::Challenge(Arc::new(challenge.clone())));
            let mut answer = answer(work, &told(Operation::Authorize, &challenge), "requires_action");
            if let Value::Object(members) = &mut answer {
                let url = format!("{}/3ds/{}", work.settings.public_url, challenge.id);
                members.insert("action_url".to_owned(), json!(url));
            }
            Outcome::kept(200, &answer)
        }
        Some(Behaviour::PartialApproval) => {
            let amount_minor = challenge.amount_minor.div_ceil(4);
            approved(
                work,
                &Challenge {
                    amount_minor,
                    ..challenge
                },
            )
        }
        _ => approved(work, &challenge),
    }
}

/// The buttons of the 3-D Secure page. `None`: nobody waits under this id.
pub(crate) fn authenticate(work: &mut Work<'_>, id: &str, success: bool) -> Option<Outcome> {
    let challenge = work.state.challenges.get(id).cloned()?;
    work.key = challenge.key.clone();
    work.cause = challenge.cause;
    work.commit(Change::ChallengeEnded {
        id: id.to_owned(),
        at_ms: work.now_ms,
    });
    if success {
        return Some(approved(work, &challenge));
    }
    let refusal = ("authentication_failed", "The cardholder did not authenticate.");
    Some(conclude(
        work,
        &told(Operation::Authorize, &challenge),
        Some(refusal),
    ))
}

/// `POST /capture`. A second capture captures again, unless the dial `refuse_second_capture` is on.
pub(crate) fn capture(work: &mut Work<'_>, act: &Act) -> Outcome {
    let id = work.new_id("cap");
    let found = work.state.ledger.authorizations.get(&act.psp_reference);
    let refusal = match found.filter(|found| ours(found, act)) {
        None => Some(("unknown_authorization", "There is no such authorization.")),
        Some(found) => refusal_to_capture(found, act, work.settings.dials.refuse_second_capture),
    };
    let captures_all = found.filter(|_| refusal.is_none()).filter(|found| {
        let token = found.token.as_deref().unwrap_or_default();
        tokens::find(token, Operation::Capture).is_some_and(|row| row.behaviour == Behaviour::CapturesAll)
    });
    let amount_minor = captures_all.map_or(act.amount_minor, |found| found.amount_minor);
    let told = Told {
        authorization: Some(&act.psp_reference),
        amount_minor,
        ..told_of(Operation::Capture, &id, act)
    };
    conclude(work, &told, refusal)
}

/// `POST /void`: releases an authorization, or gives back what was captured of it. Given the id of one
/// capture, it gives back that one; given one that waits for 3-D Secure, it ends the waiting.
pub(crate) fn void(work: &mut Work<'_>, act: &Act) -> Outcome {
    let ledger = &work.state.ledger;
    let capture = ledger
        .authorization_of_capture
        .get(&act.psp_reference)
        .map(|_| act.psp_reference.clone());
    let authorization_id = ledger
        .authorization_of_capture
        .get(&act.psp_reference)
        .unwrap_or(&act.psp_reference)
        .clone();
    let found = ledger
        .authorizations
        .get(&authorization_id)
        .filter(|found| ours(found, act))
        .cloned();
    let id = work.new_id("void");
    let mut told = Told {
        authorization: Some(&authorization_id),
        ..told_of(Operation::Void, &id, act)
    };
    let waits = |challenge: &Challenge| challenge.reference == act.reference;
    if work
        .state
        .challenges
        .get(&act.psp_reference)
        .is_some_and(|challenge| waits(challenge))
    {
        // 3-D Secure that is given up: nothing is held, and nothing can come of it any more.
        work.commit(Change::ChallengeEnded {
            at_ms: work.now_ms,
            id: act.psp_reference.clone(),
        });
        return conclude(work, &told, None);
    }
    let Some(found) = found else {
        return conclude(
            work,
            &told,
            Some(("unknown_authorization", "There is no such authorization.")),
        );
    };
    let captured = capture.as_ref().and_then(|id| found.captures.get(id));
    if found.reversed() || captured.is_some_and(|captured| captured.reversed) {
        return conclude(work, &told, Some(("already_voided", "It was voided before.")));
    }
    if found.lapsed {
        return conclude(
            work,
            &told,
            Some(("authorization_expired", "The authorization has lapsed.")),
        );
    }
    if !found.captures.is_empty() {
        told.refund = Some(Reversal {
            amount_minor: captured.map_or(
                found.captured_minor().saturating_sub(found.refunded_minor),
                |one| one.amount_minor,
            ),
            capture: capture.as_deref(),
        });
    }
    conclude(work, &told, None)
}

/// What to enter and to tell about one call.
struct Told<'a> {
    operation: Operation,
    id: &'a str,
    reference: &'a str,
    amount_minor: u64,
    currency: &'a str,
    authorization: Option<&'a str>,
    token: Option<&'a str>,
    /// The void is a refund in the ledger.
    refund: Option<Reversal<'a>>,
}

struct Reversal<'a> {
    amount_minor: u64,
    capture: Option<&'a str>,
}

fn approved(work: &mut Work<'_>, challenge: &Challenge) -> Outcome {
    conclude(work, &told(Operation::Authorize, challenge), None)
}

/// Enters the effect or its refusal into the ledger, queues the webhook, and makes the answer.
fn conclude(work: &mut Work<'_>, told: &Told<'_>, refusal: Option<Refusal>) -> Outcome {
    let refund = told.refund.as_ref();
    let entry = Entry {
        face: Face::Acquirer,
        operation: if refund.is_some() {
            Operation::Refund
        } else {
            told.operation
        },
        id: told.id,
        attempt_id: told.reference,
        authorization: told.authorization,
        amount_minor: refund.map_or(told.amount_minor, |refund| refund.amount_minor),
        currency: told.currency,
    };
    let lapses_at_ms = lapses_at_ms(work, told);
    work.enter_with(entry, |event| {
        event.token = told.token.map(str::to_owned);
        event.capture = refund.and_then(|refund| refund.capture).map(str::to_owned);
        event.declined = refusal.map(|(code, _)| code.to_owned());
        event.lapses_at_ms = lapses_at_ms;
    });
    let status = if refusal.is_some() { "declined" } else { "approved" };
    let mut answer = answer(work, told, status);
    if let (Value::Object(members), Some((code, message))) = (&mut answer, refusal) {
        members.insert("code".to_owned(), json!(code));
        members.insert("message".to_owned(), json!(message));
    }
    work.notify(Face::Acquirer, |_| {
        let mut body = answer.clone();
        if let Value::Object(members) = &mut body {
            members.insert("type".to_owned(), json!(told.operation));
            let capture = told.refund.as_ref().and_then(|refund| refund.capture);
            if let Some(of) = capture.or(told.authorization) {
                members.insert("of".to_owned(), json!(of));
            }
        }
        written(&body)
    });
    Outcome::kept(200, &answer)
}

fn lapses_at_ms(work: &Work<'_>, told: &Told<'_>) -> Option<u64> {
    let token = told.token?;
    let lifetime_ms = match tokens::find(token, Operation::Authorize).map(|row| row.behaviour) {
        Some(Behaviour::Lifetime(ms)) => ms,
        _ => work.settings.dials.authorization_lifetime_ms,
    };
    Some(work.now_ms.saturating_add(lifetime_ms))
}

fn refusal_to_capture(found: &Authorization, act: &Act, refuse_second: bool) -> Option<Refusal> {
    if found.reversed() {
        Some(("already_voided", "The authorization was voided."))
    } else if found.lapsed {
        Some(("authorization_expired", "The authorization has lapsed."))
    } else if act.amount_minor > found.amount_minor {
        Some(("amount_too_large", "More than was authorized."))
    } else if refuse_second && !found.captures.is_empty() {
        Some(("already_captured", "The authorization was captured before."))
    } else {
        let token = found.token.as_deref()?;
        match tokens::find(token, Operation::Capture)?.behaviour {
            Behaviour::Decline { code, message } => Some((code, message)),
            _ => None,
        }
    }
}

/// Whether the authorization is this face's and belongs to who asks.
fn ours(found: &Authorization, act: &Act) -> bool {
    found.face == Face::Acquirer
        && found.attempt_id == act.reference
        && found.currency.eq_ignore_ascii_case(&act.currency)
}

fn answer(work: &Work<'_>, told: &Told<'_>, status: &str) -> Value {
    json!({
        "status": status,
        "reference": told.reference,
        "psp_reference": told.id,
        "amount": told.amount_minor,
        "currency": told.currency,
        "created": work.now_ms / 1000,
    })
}

fn told(operation: Operation, challenge: &Challenge) -> Told<'_> {
    Told {
        operation,
        id: &challenge.id,
        reference: &challenge.reference,
        amount_minor: challenge.amount_minor,
        currency: &challenge.currency,
        authorization: None,
        token: Some(&challenge.token),
        refund: None,
    }
}

fn told_of<'a>(operation: Operation, id: &'a str, act: &'a Act) -> Told<'a> {
    Told {
        operation,
        id,
        reference: &act.reference,
        amount_minor: act.amount_minor,
        currency: &act.currency,
        authorization: None,
        token: None,
        refund: None,
    }
}

#[cfg(test)]
mod tests;
