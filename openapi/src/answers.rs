//! What an attempt looks like in an answer ([`pay_once_core::contract::view::AttemptView`]).

use pay_once_core::journal::entry::{CaptureMethod, EntryKind, Operation};
use pay_once_core::limits::{
    AMOUNT_MINOR_MAX, ENTRIES_MAX, METADATA_MEMBERS_MAX, METADATA_NAME_CHARS_MAX, METADATA_VALUE_CHARS_MAX,
    ORDER_ID_CHARS_MAX, RESOLVE_TEXT_CHARS_MAX, SEARCH_LIMIT_MAX,
};
use pay_once_core::psp::amount::is_currency;
use pay_once_core::recovery::OperationState;
use pay_once_core::{LookState, SearchState, Status};
use serde_json::{Value, json};

use crate::{schema, word};

/// A 128-bit number in Crockford's alphabet, as ULIDs are written.
const ULID: &str = "[0-7][0-9A-HJKMNP-TV-Z]{25}";

pub(crate) fn schemas() -> impl Iterator<Item = (String, Value)> {
    [
        ("Attempt", attempt()),
        ("AttemptId", attempt_id()),
        (
            "SearchState",
            json!({"enum": SearchState::ALL.map(SearchState::as_str)}),
        ),
        ("Page", page()),
        ("Amount", amount()),
        ("Currency", currency()),
        (
            "OrderId",
            text(ORDER_ID_CHARS_MAX, "The merchant's own name of the order."),
        ),
        ("Metadata", metadata()),
        (
            "Status",
            json!({"enum": Status::ALL.map(word), "description": STATUS}),
        ),
        ("Operation", operation()),
        ("LookShown", look()),
        ("Line", line()),
        ("TimeS", time(r"Z$")),
        ("TimeMs", time(r"\.[0-9]{3}Z$")),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
}

const STATUS: &str = "CAPTURED, VOIDED, DECLINED and EXPIRED are final: they never change again.";

/// A text without control characters, of 1 to `chars_max` characters.
pub(crate) fn text(chars_max: usize, description: &str) -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": chars_max,
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$",
        "description": description,
    })
}

fn attempt() -> Value {
    let mut charge_states = Status::ALL.map(Status::charge_state).to_vec();
    charge_states.sort_unstable();
    charge_states.dedup();
    let holds = |status: Status, member: &str| {
        json!({
            "if": {"properties": {"status": {"const": word(status)}}, "required": ["status"]},
            "then": {"required": [member]},
        })
    };
    json!({
        "type": "object",
        "description": "An attempt to be paid once.",
        "properties": {
            "merchant": {"type": "string", "description": "The merchant that owns the attempt. Only in a search of an operator's."},
            "state": {"allOf": [schema("SearchState")], "description": "What the attempt waits for, or its status. Only in a search."},
            "state_since": {"allOf": [schema("TimeMs")], "description": "Since when it has its state. Only in a search."},
            "attempt_id": schema("AttemptId"),
            "order_id": schema("OrderId"),
            "amount": schema("Amount"),
            "currency": schema("Currency"),
            "status": schema("Status"),
            "capture_method": {"enum": CAPTURE_METHODS.map(word)},
            "created_at": schema("TimeS"),
            "authorization": {
                "type": "object",
                "properties": {
                    "authorization_id": {"type": "string", "pattern": format!("^auth_{ULID}$")},
                    "psp": {"type": "string", "description": "The PSP's name in the configuration."},
                    "psp_reference": {"type": "string", "description": "The PSP's own name of it."},
                    "authorized_at": schema("TimeS"),
                },
                "required": ["authorization_id", "psp", "psp_reference", "authorized_at"],
            },
            "capture": {
                "type": "object",
                "properties": {
                    "capture_id": {"type": "string", "pattern": format!("^cap_{ULID}$")},
                    "captured_at": schema("TimeS"),
                    "amount": schema("Amount"),
                    "requested_amount": {
                        "allOf": [schema("Amount")],
                        "description": "What was asked for. Only there if the PSP captured something else, which is an operator's to see to.",
                    },
                    "captured_currency": {
                        "type": "string",
                        "description": "Only there if the PSP captured another currency than was asked for; `amount` is in its minor units.",
                    },
                    "reversed_amount": {
                        "type": "integer",
                        "minimum": 1,
                        "description": "What the PSP or the issuer took back later. The status stays.",
                    },
                },
                "required": ["capture_id", "captured_at", "amount"],
            },
            "charge_state": {"enum": charge_states, "description": "The status in short."},
            "decline": {
                "type": "object",
                "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
                "required": ["code", "message"],
            },
            "next_action": {
                "type": "object",
                "description": "Send the customer there, then ask again. Not there if the PSP named no page, as Stripe does without a `return_url`.",
                "properties": {"type": {"const": "redirect_to_url"}, "url": {"type": "string"}},
                "required": ["type", "url"],
            },
            "operation": schema("Operation"),
            "metadata": schema("Metadata"),
            "look": schema("LookShown"),
            "timeline": {
                "type": "array",
                "items": schema("Line"),
                "minItems": 1,
                "maxItems": ENTRIES_MAX,
                "description": "What happened, in order, and how it is known. Only in the answers to GET and to a look.",
            },
        },
        "required": ["attempt_id", "amount", "currency", "status", "capture_method", "created_at", "charge_state"],
        "allOf": [
            holds(Status::Captured, "capture"),
            holds(Status::Declined, "decline"),
            holds(Status::RequiresAction, "next_action"),
        ],
    })
}

/// A page of a search ([`pay_once_core::contract::search::Page`]).
fn page() -> Value {
    json!({
        "type": "object",
        "properties": {
            "attempts": {
                "type": "array",
                "maxItems": SEARCH_LIMIT_MAX,
                "items": {"allOf": [schema("Attempt"), {"required": ["state", "state_since"]}]},
            },
            "next": {"type": "string", "description": "The `after` of the next page. Not there on the last page."},
        },
        "required": ["attempts"],
    })
}

fn attempt_id() -> Value {
    json!({
        "type": "string",
        "pattern": format!("^pa_{ULID}$"),
        "description": "Follows from the merchant and the key of its create: the same create always leads to the same attempt.",
    })
}

fn amount() -> Value {
    json!({
        "type": "integer",
        "minimum": 1,
        "maximum": AMOUNT_MINOR_MAX,
        "description": "In minor units as ISO 4217 counts them: 2599 is £25.99. An amount that the PSP cannot express, like a third decimal at Stripe, is refused with INVALID_AMOUNT.",
    })
}

/// Every code that core takes.
fn currency() -> Value {
    let letters = || 'A'..='Z';
    let codes: Vec<String> = letters()
        .flat_map(|a| letters().flat_map(move |b| letters().map(move |c| String::from_iter([a, b, c]))))
        .filter(|code| is_currency(code))
        .collect();
    json!({"enum": codes, "description": "ISO 4217, in upper case. Metals, funds, units of account and test codes are none."})
}

fn metadata() -> Value {
    json!({
        "type": "object",
        "maxProperties": METADATA_MEMBERS_MAX,
        "propertyNames": {"minLength": 1, "maxLength": METADATA_NAME_CHARS_MAX},
        "additionalProperties": {"type": "string", "maxLength": METADATA_VALUE_CHARS_MAX},
        "description": "The merchant's own; kept, shown, and never interpreted.",
    })
}

const CAPTURE_METHODS: [CaptureMethod; 2] = [CaptureMethod::Manual, CaptureMethod::Automatic];
fn operation() -> Value {
    json!({
        "type": "object",
        "description": "What is under way.",
        "properties": {
            "name": {"enum": Operation::ALL.map(Operation::as_str)},
            "state": {
                "enum": OperationState::ALL.map(word),
                "description": "in_doubt: its answer was lost, and what became of it is being found out. parked: only a webhook or an operator can end it.",
            },
            "since": schema("TimeMs"),
            "next_check_at": schema("TimeMs"),
            "generation": {
                "type": "integer",
                "minimum": 1,
                "description": "Only of what is parked: names this parking in a resolve.",
            },
            "reason": {"type": "string", "maxLength": RESOLVE_TEXT_CHARS_MAX, "description": "Why it is parked."},
            "proposal": {
                "type": "object",
                "description": "A resolution that another operator has to agree with.",
                "properties": {
                    "operator": {"type": "string"},
                    "outcome": {"enum": ["happened", "did_not_happen"]},
                    "psp_reference": {"type": "string"},
                },
                "required": ["operator", "outcome"],
            },
        },
        "required": ["name", "state", "since"],
    })
}

fn look() -> Value {
    json!({
        "type": "object",
        "description": "What the PSP showed. Only in the answer to a look.",
        "properties": {
            "state": {
                "enum": LookState::ALL.map(word),
                "description": "too_soon: this process asked the PSP about the attempt a moment ago, and has not asked again.",
            },
            "asked_at": schema("TimeMs"),
            "is_new": {"type": "boolean", "description": "Whether the look added an entry to the timeline."},
            "found": {"type": "string", "description": "In the words of the timeline."},
            "effects": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "kind": {"type": "string"},
                        "psp_reference": {"type": "string"},
                        "amount": {"type": "integer", "minimum": 0},
                    },
                    "required": ["kind", "psp_reference", "amount"],
                },
            },
            "not_ours": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Objects with the attempt's reference that are not known to be its own.",
            },
        },
        "required": ["state"],
    })
}

fn line() -> Value {
    json!({
        "type": "object",
        "description": "One entry of the journal.",
        "properties": {
            "seq": {"type": "integer", "minimum": 0},
            "at": schema("TimeMs"),
            "knowing": {"enum": EntryKind::ALL.map(word), "description": "What kind of knowledge it is."},
            "event": {"type": "string"},
            "details": {"type": "object"},
            "hash": {
                "type": "string",
                "pattern": "^[0-9a-f]{64}$",
                "description": "Chained: it covers this entry and all before it.",
            },
        },
        "required": ["seq", "at", "knowing", "event", "hash"],
    })
}

fn time(end: &str) -> Value {
    json!({"type": "string", "format": "date-time", "pattern": end, "description": "RFC 3339, UTC."})
}
