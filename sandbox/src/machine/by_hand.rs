//! What happens at the PSP without a call of ours: `POST /dashboard/…`. Answered at once, without faults and keys.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::base::draw::Draw;
use crate::base::outcome::Outcome;
use crate::faces::{acquirer, stripe};
use crate::ledger::event::Cause;
use crate::ledger::work::Work;
use crate::wire::reaction::{Answer, Reaction};
use crate::wire::request::{Method, Request};
use crate::wire::webhook;

use super::sandbox::Sandbox;

/// Does what `path`, the part after `/dashboard/`, says.
pub(crate) fn receive(
    sandbox: &mut Sandbox,
    now_ms: u64,
    entropy: u64,
    request: &Request,
    path: &str,
) -> Reaction {
    if request.method != Method::Post {
        return answered(&refused(405, "method_not_allowed", "Use POST."));
    }
    let mut work = Work::new(&mut sandbox.state, &sandbox.settings, now_ms, Draw::new(entropy));
    work.cause = Some(Cause::Dashboard);
    let outcome = match act(&mut work, path, &request.body) {
        Ok(outcome) | Err(outcome) => outcome,
    };
    let after_ms = sandbox.settings.dials.webhook_delay_ms;
    Reaction {
        answer: answered(&outcome).answer,
        ..webhook::close(work, &mut sandbox.stats, after_ms)
    }
}

fn act(work: &mut Work<'_>, path: &str, body: &[u8]) -> Result<Outcome, Outcome> {
    let mut steps = path.split('/');
    let place = (steps.next(), steps.next(), steps.next());
    let nothing = || refused(404, "not_found", "There is nothing at this address.");
    if steps.next().is_some() {
        return Err(nothing());
    }
    match place {
        (Some("payment_intents"), None, None) => {
            let asked: stripe::ForeignIntents = members(body)?;
            work.cause = Some(Cause::Foreign);
            Ok(stripe::make_foreign(work, &asked))
        }
        (Some("payment_intents"), Some(id), Some(verb)) => {
            let members: stripe::HandMembers = members(body)?;
            stripe::act_by_hand(work, id, verb, &members).ok_or_else(nothing)
        }
        (Some("refunds"), Some(id), Some(verb)) => stripe::end_refund(work, id, verb).ok_or_else(nothing),
        (Some("authorizations"), None, None) => {
            let asked: acquirer::ForeignAuthorization = members(body)?;
            work.cause = Some(Cause::Foreign);
            Ok(acquirer::make_foreign(work, &asked))
        }
        (Some("authorizations"), Some(id), Some(verb)) => {
            let members: acquirer::HandMembers = members(body)?;
            acquirer::act_by_hand(work, id, verb, &members).ok_or_else(nothing)
        }
        (Some("captures"), Some(id), Some("reverse")) => Ok(acquirer::reverse(work, id)),
        _ => Err(nothing()),
    }
}

/// The members of the JSON body; an empty body has none.
fn members<T: DeserializeOwned>(body: &[u8]) -> Result<T, Outcome> {
    let body = if body.is_empty() { b"{}" } else { body };
    // By way of an object: serde would take an array for the members in their order.
    serde_json::from_slice::<Map<String, Value>>(body)
        .and_then(|members| serde_json::from_value(Value::Object(members)))
        .map_err(|error| refused(400, "invalid_body", &error.to_string()))
}

fn refused(status: u16, code: &str, message: &str) -> Outcome {
    Outcome::refused(status, &json!({"error": {"code": code, "message": message}}))
}

fn answered(outcome: &Outcome) -> Reaction {
    let answer = Answer {
        after_ms: 0,
        status: outcome.status,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: outcome.body.clone().into_bytes(),
        cut_at_bytes: None,
    };
    Reaction {
        answer: Some(answer),
        ..Reaction::default()
    }
}
