//! The sandbox's own addresses: ledger, stats, dials, health, and the 3-D Secure page. Answered at once.

use serde_json::{Value, json};

use crate::base::draw::Draw;
use crate::faces::{acquirer, stripe};
use crate::ledger::intent::Status;
use crate::ledger::work::Work;
use crate::wire::reaction::{Answer, Reaction};
use crate::wire::request::{Method, Request};
use crate::wire::webhook;

use super::sandbox::Sandbox;
use super::{by_hand, page};

/// Answers a request to the sandbox itself.
pub(crate) fn receive(sandbox: &mut Sandbox, now_ms: u64, entropy: u64, request: &Request) -> Reaction {
    let path = request.path();
    if let Some(id) = path.strip_prefix("/3ds/") {
        return three_ds(sandbox, now_ms, entropy, request, id);
    }
    if let Some(rest) = path.strip_prefix("/dashboard/") {
        return by_hand::receive(sandbox, now_ms, entropy, request, rest);
    }
    let (status, body) = match (request.method, path) {
        (Method::Get, "/healthz") => (200, json!({"status": "ok"})),
        (Method::Get, "/stats") => (200, stats(sandbox)),
        (Method::Get, "/ledger") => (200, sandbox.state.ledger.summary()),
        (Method::Get, "/dials") => (200, json!(sandbox.settings.dials)),
        (Method::Put, "/dials") => turn(sandbox, &request.body),
        (_, "/healthz" | "/stats" | "/ledger" | "/dials") => (
            405,
            error("method_not_allowed", "This address does not know that method."),
        ),
        (Method::Get, _) => match path.strip_prefix("/ledger/") {
            Some(attempt_id) => match sandbox.state.ledger.story(attempt_id) {
                Some(story) => (200, story),
                None => (404, error("not_found", "The ledger does not know this attempt.")),
            },
            None => (404, error("not_found", "There is nothing at this address.")),
        },
        _ => (404, error("not_found", "There is nothing at this address.")),
    };
    answered(
        status,
        vec![("Content-Type", "application/json".to_owned())],
        body.to_string(),
    )
}

fn stats(sandbox: &Sandbox) -> Value {
    json!({
        "requests": sandbox.stats.requests,
        "money_calls": sandbox.stats.money_calls,
        "effects": sandbox.state.ledger.effects,
        "replays": sandbox.stats.replays,
        "webhooks_sent": sandbox.stats.webhooks_sent,
    })
}

fn turn(sandbox: &mut Sandbox, body: &[u8]) -> (u16, Value) {
    let turned = serde_json::from_slice::<Value>(body)
        .map_err(|error| error.to_string())
        .and_then(|patch| sandbox.settings.dials.patched(&patch));
    match turned {
        Ok(dials) => {
            sandbox.settings.dials = dials;
            (200, json!(sandbox.settings.dials))
        }
        Err(message) => (400, error("invalid_dials", &message)),
    }
}

/// The cardholder's page (`GET`) and what its buttons send (`POST success=true|false`).
fn three_ds(sandbox: &mut Sandbox, now_ms: u64, entropy: u64, request: &Request, id: &str) -> Reaction {
    let intent = sandbox
        .state
        .intents
        .get(id)
        .filter(|intent| intent.status == Status::RequiresAction);
    let challenge = sandbox.state.challenges.get(id);
    let (name, return_url) = match intent {
        Some(intent) => ("payment_intent", intent.return_url.clone()),
        None => (
            "psp_reference",
            challenge.and_then(|challenge| challenge.return_url.clone()),
        ),
    };
    let due = intent
        .map(|intent| (intent.amount_minor, intent.currency.clone()))
        .or_else(|| challenge.map(|challenge| (challenge.amount_minor, challenge.currency.clone())));
    let Some((amount_minor, currency)) = due else {
        return html(404, page::nothing_to_do());
    };
    if request.method == Method::Get {
        return html(200, page::question(id, amount_minor, &currency));
    }
    let answer = form_urlencoded::parse(&request.body).find(|(name, _)| name == "success");
    let success = match (request.method, answer.as_ref().map(|(_, value)| value.as_ref())) {
        (Method::Post, Some("true")) => true,
        (Method::Post, Some("false")) => false,
        _ => return html(400, page::bad_answer()),
    };

    let mut work = Work::new(&mut sandbox.state, &sandbox.settings, now_ms, Draw::new(entropy));
    if acquirer::authenticate(&mut work, id, success).is_none() {
        // Whether it worked shows in the intent; the page says only that the question is answered.
        drop(stripe::authenticate(&mut work, id, success));
    }
    let after_ms = sandbox.settings.dials.webhook_delay_ms;
    let done = webhook::close(work, &mut sandbox.stats, after_ms);
    let answer = match return_url {
        None => html(200, page::done(success)),
        Some(url) => {
            let (url, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
            let mark = if url.contains('?') { '&' } else { '?' };
            let status = if success { "succeeded" } else { "failed" };
            let location = format!("{url}{mark}{name}={id}&redirect_status={status}{fragment}");
            answered(303, vec![("Location", location)], String::new())
        }
    };
    Reaction {
        answer: answer.answer,
        ..done
    }
}

fn html(status: u16, body: String) -> Reaction {
    answered(status, page::headers(), body)
}

fn answered(status: u16, headers: Vec<(&'static str, String)>, body: String) -> Reaction {
    let answer = Answer {
        after_ms: 0,
        status,
        headers,
        body: body.into_bytes(),
        cut_at_bytes: None,
    };
    Reaction {
        answer: Some(answer),
        ..Reaction::default()
    }
}

fn error(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}})
}

#[cfg(test)]
mod tests;
