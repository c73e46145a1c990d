//! `acquirer`: what the plain card-network face says ([`crate::psp`]).

use pay_once_core::journal::evidence::{Effect, EffectKind};
use serde_json::Value;

use crate::psp::{Asked, Face, Reading, is_text, objects, text};

/// Class, card, stage (index into the machine's openings): one for every purpose a call can have.
const MOMENTS: [(u8, u8, u8); 10] = [
    (4, 0, 2),
    (4, 0, 5),
    (4, 0, 9),
    (4, 0, 11),
    (4, 0, 7),
    (3, 0, 2),
    (5, 0, 11),
    (6, 0, 2),
    (6, 0, 5),
    (4, 2, 4),
];

/// What this face says, and how it is read here.
pub const FACE: Face = Face {
    moments: &MOMENTS,
    reading: Reading {
        may_refuse,
        names,
        is_complete,
    },
};

/// Makes every moment.
pub fn prepare() {
    FACE.prepare();
}

/// One execution.
pub fn run(bytes: &[u8]) {
    FACE.run(bytes);
}

/// A definite no is the acquirer's own error under a 4xx, or the word.
fn may_refuse(asked: Asked, status: u16, said: &Value) -> bool {
    let is_call = matches!(asked, Asked::Act | Asked::Prepare);
    let is_word =
        (200..=299).contains(&status) && said.get("status").and_then(Value::as_str) == Some("declined");
    let is_error = (400..=499).contains(&status) && said.get("error").is_some();
    is_call && (is_word || is_error)
}

fn names(asked: Asked, status: u16, said: &Value, effect: &Effect) -> bool {
    if !(200..=299).contains(&status) {
        return false;
    }
    if asked == Asked::Lookup {
        let list = match effect.kind {
            EffectKind::Authorize => "authorize",
            EffectKind::Capture => "capture",
            EffectKind::Void => "void",
            EffectKind::Lapse => "lapsed",
            EffectKind::Refund | EffectKind::Reversal | EffectKind::RefundFailure => return false,
        };
        let mut all = Vec::new();
        said.get(list)
            .into_iter()
            .for_each(|list| objects(list, &mut all));
        return all.iter().any(|item| {
            is_text(text(item, "id"), &effect.id)
                && item.get("amount").and_then(Value::as_u64) == Some(effect.amount_minor)
        });
    }
    let Some(said) = said.as_object() else {
        return false;
    };
    match (text(said, "status"), effect.kind) {
        ("approved", EffectKind::Authorize | EffectKind::Capture | EffectKind::Void | EffectKind::Refund) => {
            let amount = said.get("amount").and_then(Value::as_u64);
            is_text(text(said, "psp_reference"), &effect.id)
                && amount.is_none_or(|amount| amount == effect.amount_minor)
        }
        // It says why: what was aimed at is gone already.
        // An event of a capture's.
        ("approved", EffectKind::Reversal) => is_text(text(said, "psp_reference"), &effect.id),
        ("declined", EffectKind::Lapse) => text(said, "code") == "authorization_expired",
        ("declined", EffectKind::Void) => text(said, "code") == "already_voided",
        _ => false,
    }
}

/// A listing with all three lists.
fn is_complete(asked: Asked, status: u16, said: &Value) -> bool {
    let lists = ["authorize", "capture", "void"];
    asked == Asked::Lookup
        && (200..=299).contains(&status)
        && lists
            .iter()
            .all(|list| said.get(list).is_some_and(Value::is_array))
}
