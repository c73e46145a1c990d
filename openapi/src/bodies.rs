//! Bodies of requests: what core reads. What this forbids is refused; what it allows is not refused for its form, but for
//! two things that a schema cannot say: a whole number with a fraction (2599.0), and a card number.

use pay_once_core::journal::entry::Operation;
use pay_once_core::limits::{
    AMOUNT_MINOR_MAX, PAYMENT_METHOD_CHARS_MAX, RESOLVE_TEXT_CHARS_MAX, RETURN_URL_CHARS_MAX,
};
use serde_json::{Value, json};

use crate::answers::text;
use crate::schema;

pub(crate) fn schemas() -> impl Iterator<Item = (String, Value)> {
    [
        (
            "Create",
            terms(&["manual", "automatic"], &["order_id", "amount", "currency"]),
        ),
        ("Charge", terms(&["automatic"], &["amount", "currency"])),
        (
            "Authorize",
            closed(
                json!({"payment_method": schema("PaymentMethod"), "return_url": schema("ReturnUrl")}),
                &[],
            ),
        ),
        ("Capture", closed(json!({"amount": schema("Amount")}), &[])),
        ("Void", closed(json!({}), &[])),
        ("Resolve", resolve()),
        ("Look", closed(json!({}), &[])),
        ("PaymentMethod", payment_method()),
        ("ReturnUrl", return_url()),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
}

fn closed(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn terms(capture_methods: &[&str], required: &[&str]) -> Value {
    closed(
        json!({
            "order_id": schema("OrderId"),
            "amount": schema("Amount"),
            "currency": schema("Currency"),
            "capture_method": {"enum": capture_methods, "default": capture_methods.first()},
            "payment_method": schema("PaymentMethod"),
            "return_url": schema("ReturnUrl"),
            "metadata": schema("Metadata"),
        }),
        required,
    )
}

fn payment_method() -> Value {
    text(
        PAYMENT_METHOD_CHARS_MAX,
        "The PSP's token. A card number (12 to 19 digits that pass the Luhn check) is refused. May come with create or with authorize, and is needed by then unless the merchant has a default.",
    )
}

/// A name or an address in brackets, perhaps a port up to 65535, and the characters of RFC 3986. Some readers' `$` also matches
/// before a last line feed: hence what follows it.
fn return_url() -> Value {
    json!({
        "type": "string",
        "maxLength": RETURN_URL_CHARS_MAX,
        "pattern": "^https?://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[0-5]?[0-9]{1,4}))?([/?#][A-Za-z0-9._~:/?#\\[\\]@!$&'()*+,;=%-]*)?$(?!\\n)",
        "description": "Where the PSP sends the customer once a 3-D Secure is over. May come with create or with authorize. Stripe names no page to send the customer to without it: there is no `next_action` then. It is kept in the record, told to the PSP, and in no answer of Pay Once's own.",
    })
}

/// What happened has a name at the PSP; what did not has none.
fn resolve() -> Value {
    let operator = text(
        RESOLVE_TEXT_CHARS_MAX,
        "Ignored: the timeline has the name of the credential.",
    );
    let reason = text(RESOLVE_TEXT_CHARS_MAX, "How they know; the timeline keeps it.");
    let reference = text(PAYMENT_METHOD_CHARS_MAX, "What the PSP's books call it.");
    let outcome = |outcome: &str| json!({"const": outcome});
    let operation = json!({
        "enum": Operation::ALL.map(Operation::as_str),
        "description": "What is parked: `operation.name` of the attempt.",
    });
    let generation = json!({
        "type": "integer",
        "minimum": 1,
        "maximum": AMOUNT_MINOR_MAX,
        "description": "Which parking of it: `operation.generation` of the attempt.",
    });
    let word = |outcome_word: &str, reference: Option<Value>| {
        let mut members = json!({
            "operator": operator,
            "reason": reason,
            "operation": operation,
            "generation": generation,
            "outcome": outcome(outcome_word),
        });
        if let (Some(members), Some(reference)) = (members.as_object_mut(), reference) {
            members.insert("psp_reference".to_owned(), reference);
        }
        closed(members, &["reason", "operation", "generation", "outcome"])
    };
    json!({"oneOf": [word("happened", Some(reference)), word("did_not_happen", None)]})
}
