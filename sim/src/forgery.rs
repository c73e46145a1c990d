//! Webhooks that must change nothing: one that nobody signed with our secret, and one that another PSP of the configuration
//! signed about an attempt which is not its own.

use pay_once_sandbox::signature;

use crate::plan::{Payment, World};
use crate::world::{EPOCH_MS, webhook_signature};

/// What a forger signs with.
const OTHER_SECRET: &[u8] = b"whsec_somebody_elses";

/// A webhook.
#[derive(Clone, Debug)]
pub struct Forgery {
    /// Path.
    pub target: String,
    /// Name of the header with the signature.
    pub header: &'static str,
    /// The signature.
    pub signature: String,
    /// JSON.
    pub body: String,
}

/// A webhook that says that a payment was captured. `attempt_id` is the attempt that it names.
#[must_use]
pub fn forgery(
    world: &World,
    payment: &Payment,
    attempt_id: &str,
    is_misdirected: bool,
    now_ms: u64,
) -> Forgery {
    let own = world.class_of(payment.merchant);
    // Without another PSP, it is the attempt's own that tells of what it did not do: nobody but a forger does.
    let class = world
        .classes()
        .find(|class| *class != own)
        .filter(|_| is_misdirected);
    let is_signed = class.is_some();
    let class = class.unwrap_or(own);
    let (amount, now_s) = (payment.amount_minor, (EPOCH_MS + now_ms) / 1_000);
    let (header, body) = match class.is_stripe() {
        true => (
            "stripe-signature",
            format!(
                r#"{{"id":"evt_forged","object":"event","type":"payment_intent.succeeded","data":{{"object":{{"id":"pi_forged","object":"payment_intent","status":"succeeded","created":{now_s},"amount":{amount},"amount_received":{amount},"currency":"eur","metadata":{{"attempt_id":"{attempt_id}"}}}}}}}}"#
            ),
        ),
        false => (
            "acquirer-signature",
            format!(
                r#"{{"type":"capture","reference":"{attempt_id}","operation":"capture","status":"approved","psp_reference":"forged","id":"forged","created":{now_s},"amount":{amount},"currency":"EUR"}}"#
            ),
        ),
    };
    Forgery {
        target: format!("/webhooks/{}", class.psp_name()),
        header,
        signature: match is_signed {
            true => webhook_signature(now_ms, body.as_bytes()),
            false => signature(OTHER_SECRET, now_s, body.as_bytes()),
        },
        body,
    }
}

/// Whether an answer to it is as it should be: a forgery is refused, and what another PSP says is acknowledged or refused, as the
/// oracles see that nothing came of it.
#[must_use]
pub fn is_answered_well(is_signed: bool, status: u16) -> bool {
    matches!(status, 400..=499 | 503) || is_signed && status == 200
}
