//! What HTTP itself asks, whatever the call is (RFC 9110).

use serde_json::json;

use super::{HELD, RELEASED, authorize, create, order, void};
use crate::case::{Ask, Case, Sign, Step, get, head, ledger, post, webhook};
use crate::environment::Merchant::{Rival, Shop};

pub(super) fn cases() -> Vec<Case> {
    vec![heads(), encodings(), encoded_webhooks()]
}

/// A GET, and a HEAD of the same, answered with this status.
fn both(path: &str, status: u16, ask: fn(Ask) -> Ask) -> [Step; 2] {
    [
        ask(get(path)).status(status).save_body("body").into(),
        ask(head(path)).status(status).length_of("body").into(),
    ]
}

fn heads() -> Case {
    let json: fn(Ask) -> Ask = |ask| ask.has("Content-Type", "application/json");
    let steps = [
        vec![create("pm_card_visa").into()],
        both("/attempts/{id}", 200, json).into(),
        both("/attempts/{id}", 401, |ask| {
            ask.anonymous().has("WWW-Authenticate", "Bearer")
        })
        .into(),
        both("/attempts/{id}", 404, |ask| ask.by(Rival)).into(),
        both("/attempts/pa_x", 404, |ask| {
            ask.header("Accept", "application/problem+json")
                .has("Content-Type", "application/problem+json")
        })
        .into(),
        both("/attempts/", 404, json).into(),
        both("/nothing", 404, json).into(),
        both("/charge", 405, |ask| ask.has("Allow", "POST")).into(),
        both("/attempts/{id}/void", 405, |ask| ask.has("Allow", "POST")).into(),
        // And of an attempt that has ended, which may be answered from a copy.
        vec![authorize().into(), void().into()],
        both("/attempts/{id}", 200, json).into(),
        vec![ledger("{id}", RELEASED)],
    ];
    Case::new(
        "head",
        "HEAD is answered as GET is, with the same headers and without the body.",
        Shop,
        steps.into_iter().flatten().collect(),
    )
}

/// Refused for its `Content-Encoding`.
fn refused(ask: Ask) -> Step {
    ask.refused(415, "UNSUPPORTED_CONTENT_ENCODING")
        .has("Accept-Encoding", "identity")
        .is("/error/safe_new_key", false)
        .into()
}

fn encodings() -> Case {
    let mut steps: Vec<Step> = Vec::new();
    for coding in ["gzip", "BR", "deflate, gzip", "identity, gzip"] {
        let ask = post("/attempts").key("{case}").header("Content-Encoding", coding);
        steps.push(refused(ask.json(&order("pm_card_visa"))));
    }
    let lines = post("/charge")
        .key("{case}")
        .header("Content-Encoding", "identity")
        .header("Content-Encoding", "gzip");
    steps.push(refused(lines.json(&order("pm_card_visa"))));
    let problem = post("/charge")
        .header("Content-Encoding", "gzip")
        .header("Accept", "application/problem+json")
        .body(&" ".repeat(16 * 1024 + 1))
        .status(415)
        .has("Accept-Encoding", "identity")
        .is("/code", "UNSUPPORTED_CONTENT_ENCODING");
    steps.extend([
        problem.into(),
        post("/charge")
            .anonymous()
            .header("Content-Encoding", "gzip")
            .json(&order("pm_card_visa"))
            .refused(401, "UNAUTHORIZED")
            .into(),
        // No key was bound, and a body that says that it is as it is, is read.
        create("pm_card_visa")
            .header("Content-Encoding", "Identity")
            .into(),
        refused(
            post("/attempts/{id}/authorize")
                .key("authorize")
                .header("Content-Encoding", "gzip")
                .body("{}"),
        ),
        get("/attempts/{id}").is("/status", "CREATED").into(),
        // There is no body here that could be encoded.
        authorize().header("Content-Encoding", "gzip").into(),
        ledger("{id}", HELD),
    ]);
    Case::new(
        "content-encoding",
        "A body that is compressed, or says so, is refused: nothing is done, and no key is bound.",
        Shop,
        steps,
    )
}

fn encoded_webhooks() -> Case {
    let body = json!({
        "id": "evt_1", "object": "event", "type": "customer.created", "data": {"object": {}},
    });
    let signed =
        |sign: Sign, coding: &str| webhook("/webhooks/{psp}", sign, &body).header("Content-Encoding", coding);
    Case::new(
        "content-encoding-webhook",
        "A webhook that is compressed is refused as such, whatever its signature is.",
        Shop,
        vec![
            refused(signed(Sign::Well, "gzip")),
            refused(signed(Sign::WithSecret("whsec_guess"), "gzip")),
            signed(Sign::Well, "identity").is("/received", true).into(),
        ],
    )
}
