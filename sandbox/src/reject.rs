//! Calls that are refused for what their caller is or has: the dials `reject_status`, `reject_calls` and
//! `reject_permille`.

use crate::dials::{Dials, RejectCalls};
use crate::draw::Draw;
use crate::gateway::{Call, Kind};
use crate::work::Outcome;

/// The refusal of this call, if the dials and the draw say so. No key keeps it.
pub(crate) fn drawn(dials: &Dials, call: &Call, draw: &mut Draw) -> Option<Outcome> {
    // Drawn only where it is turned up: what is drawn after it would be another draw in every run without it.
    let is_meant = dials.reject_status != 0 && is_meant(dials.reject_calls, kind(call));
    if !is_meant || !draw.chance(dials.reject_permille) {
        return None;
    }
    Some(match call {
        Call::Stripe(call) => call.rejected(dials.reject_status),
        Call::Acquirer(_) => crate::acquirer::rejected(dials.reject_status),
    })
}

fn kind(call: &Call) -> Kind {
    match call {
        Call::Stripe(call) => call.kind(),
        Call::Acquirer(call) => call.kind(),
    }
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
