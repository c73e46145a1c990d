//! Calls that are refused for what their caller is or has: the dials `reject_status`, `reject_calls` and
//! `reject_permille`.

use crate::base::dials::{Dials, RejectCalls};
use crate::base::draw::Draw;
use crate::base::outcome::Outcome;
use crate::faces::call::Call;
use crate::faces::kind::Kind;
use crate::faces::{acquirer, stripe};

/// The refusal of this call, if the dials and the draw say so. No key keeps it.
pub(crate) fn drawn(dials: &Dials, call: &Call, draw: &mut Draw) -> Option<Outcome> {
    // Drawn only where it is turned up: what is drawn after it would be another draw in every run without it.
    let is_meant = dials.reject_status != 0 && is_meant(dials.reject_calls, call.kind());
    if !is_meant || !draw.chance(dials.reject_permille) {
        return None;
    }
    let names_amount = dials.reject_names_amount && dials.reject_status == 400;
    Some(match call {
        Call::Stripe(call) if names_amount => call.form_refused(),
        Call::Acquirer(_) if names_amount => acquirer::form_refused(),
        _ => with_status(call, dials.reject_status),
    })
}

/// The refusal of this call with a status.
pub(crate) fn with_status(call: &Call, status: u16) -> Outcome {
    match call {
        Call::Stripe(call) => call.rejected(status),
        Call::Acquirer(_) => acquirer::rejected(status),
    }
}

/// The header by which a refusal says that the same request may succeed later (`reject_should_retry`).
pub(crate) fn try_again(dials: &Dials) -> Option<(&'static str, String)> {
    let is_meant = dials.reject_should_retry && dials.reject_status != 0;
    is_meant.then(|| ("Stripe-Should-Retry", "true".to_owned()))
}

/// The answer of a read that does not find an object which is there, if the dials and the draw say so.
pub(crate) fn drawn_missing(dials: &Dials, call: &Call, draw: &mut Draw) -> Option<Outcome> {
    let Call::Stripe(read) = call else { return None };
    let id = read.read_id().filter(|_| dials.read_missing_permille > 0)?;
    draw.chance(dials.read_missing_permille)
        .then(|| stripe::missing_intent(id))
}

fn is_meant(calls: RejectCalls, kind: Kind) -> bool {
    match (calls, kind) {
        (_, Kind::Own) => false,
        (RejectCalls::All, _)
        | (RejectCalls::Money, Kind::Change)
        | (RejectCalls::Reads, Kind::Read | Kind::List)
        | (RejectCalls::Lists, Kind::List) => true,
        (RejectCalls::Money | RejectCalls::Reads | RejectCalls::Lists, _) => false,
    }
}

#[cfg(test)]
mod tests;
