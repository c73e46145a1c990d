//! The calls: what is sent, what may come, and what can be done next (links).

use pay_once_core::limits::{
    CURSOR_BYTES_MAX, KEY_CHARS_MAX, PREFER_WAIT_S_MAX, SEARCH_LIMIT_MAX, SEARCH_LIMIT_USUAL,
    SEARCH_OLDER_THAN_S_MAX,
};
use serde_json::{Map, Value, json};

use crate::{errors, join, schema};

pub(crate) fn paths() -> Value {
    json!({
        "/attempts": {"post": create(), "get": search(), "head": search_head()},
        "/attempts/{attempt_id}": {"get": read(), "head": head()},
        "/attempts/{attempt_id}/authorize": {"post": operation(&AUTHORIZE)},
        "/attempts/{attempt_id}/capture": {"post": operation(&CAPTURE)},
        "/attempts/{attempt_id}/void": {"post": operation(&VOID)},
        "/attempts/{attempt_id}/resolve": {"post": operation(&RESOLVE)},
        "/attempts/{attempt_id}/look": {"post": look()},
        "/charge": {"post": charge()},
        "/webhooks/{psp}": {"post": webhook()},
    })
}

/// An operation on an attempt.
struct Operation {
    id: &'static str,
    summary: &'static str,
    tag: &'static str,
    body: &'static str,
    body_is_required: bool,
    example: fn() -> Value,
    refusals: &'static [u16],
}

const AUTHORIZE: Operation = Operation {
    id: "authorize",
    summary: "Reserves the funds.",
    tag: "payments",
    body: "Authorize",
    body_is_required: false,
    example: || json!({"payment_method": "pm_card_visa"}),
    refusals: &[400, 401, 402, 403, 404, 409, 413, 415, 500, 502, 503, 507],
};
const CAPTURE: Operation = Operation {
    id: "capture",
    summary: "Takes the reserved funds, whole or in part, once.",
    tag: "payments",
    body: "Capture",
    body_is_required: false,
    example: || json!({"amount": 2599}),
    refusals: &[400, 401, 402, 403, 404, 409, 413, 415, 500, 502, 503, 507],
};
const VOID: Operation = Operation {
    id: "void",
    summary: "Releases the reserved funds.",
    tag: "payments",
    body: "Void",
    body_is_required: false,
    example: || json!({}),
    refusals: &[400, 401, 403, 404, 409, 413, 415, 500, 503, 507],
};
const RESOLVE: Operation = Operation {
    id: "resolve",
    summary: "Ends a parked operation by what the PSP's own books show. Only an operator with the role `resolve` may.",
    tag: "operators",
    body: "Resolve",
    body_is_required: true,
    example: || {
        json!({
            "reason": "case 4711: the PSP's dashboard shows the charge",
            "operation": "authorize",
            "generation": 8,
            "outcome": "happened",
            "psp_reference": "pi_3Qx",
        })
    },
    refusals: &[400, 401, 403, 404, 409, 413, 415, 500, 503, 507],
};

fn create() -> Value {
    let example = json!({"order_id": "ord_123", "amount": 2599, "currency": "GBP"});
    let location = json!({"Location": header("The attempt's own path.", true)});
    json!({
        "operationId": "create",
        "tags": ["payments"],
        "summary": "Creates an attempt. No money moves.",
        "parameters": [key(), prefer()],
        "requestBody": body("Create", true, &example),
        "responses": responses(
            [
                (201, attempt("Created.", location.clone(), false)),
                (200, attempt("A replay: it was created before.", location, false)),
            ],
            &[400, 401, 403, 409, 413, 415, 500, 503, 507],
        ),
    })
}

fn charge() -> Value {
    let example =
        json!({"order_id": "ord_123", "amount": 2599, "currency": "GBP", "payment_method": "pm_card_visa"});
    json!({
        "operationId": "charge",
        "tags": ["payments"],
        "summary": "Creates an attempt, authorizes and captures it, all under one key.",
        "parameters": [key(), prefer()],
        "requestBody": body("Charge", true, &example),
        "responses": responses(
            [
                (200, attempt("Captured.", json!({}), false)),
                (202, under_way()),
            ],
            &[400, 401, 402, 403, 409, 413, 415, 500, 502, 503, 507],
        ),
    })
}

fn operation(it: &Operation) -> Value {
    let pending = match it.id == RESOLVE.id {
        true => attempt(
            "Proposed: another operator has to agree.",
            pending_headers(),
            false,
        ),
        false => under_way(),
    };
    let done = [(200, attempt("Done.", json!({}), false)), (202, pending)];
    let security = match it.id == RESOLVE.id {
        true => json!({"security": [{"operator": []}]}),
        false => json!({}),
    };
    join([
        json!({
            "operationId": it.id,
            "tags": [it.tag],
            "summary": it.summary,
            "parameters": [attempt_id(), key(), prefer()],
            "requestBody": body(it.body, it.body_is_required, &(it.example)()),
            "responses": responses(done, it.refusals),
        }),
        security,
    ])
}

const READ_REFUSALS: &[u16] = &[401, 403, 404, 413, 415, 500, 503];

fn read() -> Value {
    json!({
        "operationId": "read",
        "tags": ["payments"],
        "summary": "The attempt as it is, with its timeline.",
        "security": [{"merchant": []}, {"operator": []}],
        "parameters": [attempt_id()],
        "responses": responses(
            [(200, attempt("The attempt.", json!({}), true))],
            READ_REFUSALS,
        ),
    })
}

/// It has no key: a look moves no money, and a repeated one does no harm.
fn look() -> Value {
    json!({
        "operationId": "look",
        "tags": ["operators"],
        "summary": "Asks the PSP about the attempt now, and answers once it has. Only an operator with the role `read` may.",
        "security": [{"operator": []}],
        "parameters": [attempt_id()],
        "requestBody": body("Look", false, &json!({})),
        "responses": responses(
            [(200, attempt("The attempt, with what the PSP showed.", json!({}), true))],
            &[400, 401, 403, 404, 409, 413, 415, 500, 502, 503],
        ),
    })
}

/// The answer to reading without its body, and so without links, which take the id from there.
fn head() -> Value {
    let done = json!({"description": "The attempt is there."});
    let refused = READ_REFUSALS
        .iter()
        .map(|status| (status.to_string(), errors::without_body(*status)));
    let responses: Map<String, Value> = refused.chain([("200".to_owned(), done)]).collect();
    json!({
        "operationId": "head",
        "tags": ["payments"],
        "summary": "The status and headers of reading the attempt, without the body.",
        "security": [{"merchant": []}, {"operator": []}],
        "parameters": [attempt_id()],
        "responses": responses,
    })
}

const SEARCH_REFUSALS: &[u16] = &[400, 401, 403, 413, 415, 501, 503];

fn search() -> Value {
    json!({
        "operationId": "search",
        "tags": ["payments"],
        "summary": "Attempts of an order, or in a state, page by page.",
        "description": "A search has `order_id`, `state`, or both. Nothing is decided by what it finds. On Workers an attempt is found once it is parked or has ended, up to a minute late.",
        "security": [{"merchant": []}, {"operator": []}],
        "parameters": search_parameters(),
        "responses": responses(
            [(
                200,
                json!({
                    "description": "A page.",
                    "content": {"application/json": {"schema": schema("Page")}},
                }),
            )],
            SEARCH_REFUSALS,
        ),
    })
}

fn search_head() -> Value {
    let done = json!({"description": "The search can be answered."});
    let refused = SEARCH_REFUSALS
        .iter()
        .map(|status| (status.to_string(), errors::without_body(*status)));
    let responses: Map<String, Value> = refused.chain([("200".to_owned(), done)]).collect();
    json!({
        "operationId": "searchHead",
        "tags": ["payments"],
        "summary": "The status and headers of a search, without the body.",
        "security": [{"merchant": []}, {"operator": []}],
        "parameters": search_parameters(),
        "responses": responses,
    })
}

fn search_parameters() -> Value {
    let parameter = |name: &str, schema: Value, description: &str| json!({"name": name, "in": "query", "required": false, "schema": schema, "description": description});
    let whole = |least: u64, most: u64| json!({"type": "integer", "minimum": least, "maximum": most});
    json!([
        parameter("order_id", schema("OrderId"), "Attempts of this order."),
        parameter(
            "state",
            schema("SearchState"),
            "Attempts that wait for this, or have this status."
        ),
        parameter(
            "older_than_s",
            whole(0, SEARCH_OLDER_THAN_S_MAX),
            "Only those that have been so for this many seconds.",
        ),
        parameter(
            "limit",
            whole(1, SEARCH_LIMIT_MAX as u64),
            &format!("Most attempts of the page; {SEARCH_LIMIT_USUAL} by default."),
        ),
        parameter(
            "after",
            json!({"type": "string", "minLength": 1, "maxLength": CURSOR_BYTES_MAX}),
            "The `next` of the page before, unchanged.",
        ),
    ])
}

fn webhook() -> Value {
    json!({
        "operationId": "webhook",
        "tags": ["psp"],
        "summary": "Evidence from the PSP. Duplicates and any order are welcome.",
        "description": "Signed over the raw bytes, in Stripe's scheme, in `Stripe-Signature` or `Acquirer-Signature` as the PSP's face is.",
        "security": [],
        "parameters": [
            {
                "name": "psp",
                "in": "path",
                "required": true,
                "schema": {"type": "string", "minLength": 1, "pattern": "^[A-Za-z0-9_-]+$"},
                "description": "The PSP's name in the configuration.",
                "example": "stripe",
            },
            signature("Stripe-Signature"),
            signature("Acquirer-Signature"),
        ],
        "requestBody": {
            "required": true,
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        "responses": responses(
            [(
                200,
                json!({
                    "description": "Taken in, or no concern of ours.",
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {"received": {"const": true}},
                                "required": ["received"],
                            },
                        },
                    },
                }),
            )],
            &[400, 404, 413, 415, 500, 502, 503],
        ),
    })
}

fn responses(done: impl IntoIterator<Item = (u16, Value)>, refusals: &[u16]) -> Value {
    let refused = refusals.iter().map(|status| (*status, errors::response(*status)));
    let all: Map<String, Value> = done
        .into_iter()
        .chain(refused)
        .map(|(status, response)| (status.to_string(), response))
        .collect();
    Value::Object(all)
}

/// An answer with an attempt: where it stands decides what can be done next, so each link is a possibility.
fn attempt(description: &str, more_headers: Value, is_read: bool) -> Value {
    let of_keys = json!({
        "Idempotency-Key": header("The key of the request.", true),
        "Idempotency-Replayed": header("`true` if an earlier request already had this answer.", false),
        "Preference-Applied": header("The `Prefer: wait` that was honoured.", false),
    });
    let headers = if is_read {
        more_headers
    } else {
        join([of_keys, more_headers])
    };
    let next = |operation: &str| {
        json!({
            "operationId": operation,
            "parameters": {"path.attempt_id": "$response.body#/attempt_id"},
        })
    };
    json!({
        "description": description,
        "headers": headers,
        "content": {"application/json": {"schema": schema("Attempt")}},
        "links": {
            "read": next("read"),
            "authorize": next("authorize"),
            "capture": next("capture"),
            "void": next("void"),
            "resolve": next("resolve"),
        },
    })
}

fn under_way() -> Value {
    attempt(
        "Under way: ask again with the same key, or read the attempt.",
        pending_headers(),
        false,
    )
}

fn pending_headers() -> Value {
    json!({
        "Location": header("The attempt's own path.", true),
        "Retry-After": header("Seconds.", true),
    })
}

pub(crate) fn header(description: &str, is_required: bool) -> Value {
    json!({"description": description, "required": is_required, "schema": {"type": "string"}})
}

fn attempt_id() -> Value {
    json!({"name": "attempt_id", "in": "path", "required": true, "schema": schema("AttemptId")})
}

fn key() -> Value {
    // Bare: visible ASCII without what would make a list, parameters or a String of it. Or an RFC 8941 String.
    let bare = format!(r"[!#-+\--:<-~]{{1,{KEY_CHARS_MAX}}}");
    let quoted = format!(r#""([!#-\[\]-~]|\\["\\]){{1,{KEY_CHARS_MAX}}}""#);
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": true,
        "schema": {"type": "string", "pattern": format!("^({bare}|{quoted})$")},
        "description": "A new value for each thing to be done, and the same on every retry of it. `k1` and `\"k1\"` are the same key.",
    })
}

fn prefer() -> Value {
    json!({
        "name": "Prefer",
        "in": "header",
        "required": false,
        "schema": {"type": "string"},
        "description": format!("`wait=N` (RFC 7240): wait up to N seconds, {PREFER_WAIT_S_MAX} at most, for the outcome."),
        "example": "wait=5",
    })
}

fn signature(name: &str) -> Value {
    json!({
        "name": name,
        "in": "header",
        "required": false,
        "schema": {"type": "string"},
        "description": "`t=<seconds>,v1=<hex HMAC-SHA256 of \"t.body\">`",
    })
}

fn body(name: &str, is_required: bool, example: &Value) -> Value {
    json!({
        "required": is_required,
        "content": {"application/json": {"schema": schema(name), "example": example}},
    })
}
