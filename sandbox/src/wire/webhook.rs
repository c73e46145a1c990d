//! Webhooks: what is told, to whom, and the signature that proves it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::base::draw::Draw;
use crate::base::face::Face;
use crate::base::hex;
use crate::base::settings::{Settings, Stats};
use crate::ledger::work::{Notice, Work};

use super::reaction::{Reaction, Webhook};

/// How far apart the copies of one webhook are, in milliseconds.
const COPY_GAP_MS: u64 = 10;

/// When and how often to send.
pub(crate) struct Sending {
    pub(crate) now_ms: u64,
    pub(crate) after_ms: u64,
    /// Copies asked for by the token; the dial may add more.
    pub(crate) copies: u64,
    /// Whether the dial that loses webhooks must spare these.
    pub(crate) certain: bool,
}

/// Ends work that no call of ours asked for: its entry for the log, and its webhooks, sent once and `after_ms` from now.
pub(crate) fn close(work: Work<'_>, stats: &mut Stats, after_ms: u64) -> Reaction {
    let (settings, now_ms, mut draw) = (work.settings, work.now_ms, work.draw.clone());
    let (log, notices) = work.finish();
    let sending = Sending {
        now_ms,
        after_ms,
        copies: 1,
        certain: false,
    };
    Reaction {
        log,
        webhooks: send(settings, stats, notices, &sending, &mut draw),
        ..Reaction::default()
    }
}

/// Turns notices into signed webhooks.
pub(crate) fn send(
    settings: &Settings,
    stats: &mut Stats,
    notices: Vec<Notice>,
    sending: &Sending,
    draw: &mut Draw,
) -> Vec<Webhook> {
    let Some(base_url) = &settings.webhook_url else {
        return Vec::new();
    };
    let mut webhooks = Vec::new();
    for notice in notices {
        let lost = draw.chance(settings.dials.webhook_lost_permille);
        if lost && !sending.certain {
            continue;
        }
        for copy in 0..sending
            .copies
            .saturating_add(u64::from(settings.dials.webhook_duplicates))
        {
            let after_ms = sending.after_ms.saturating_add(copy * COPY_GAP_MS);
            let at_s = sending.now_ms.saturating_add(after_ms) / 1000;
            let signature = signature(settings.webhook_secret.as_bytes(), at_s, notice.body.as_bytes());
            let (path, header) = match notice.face {
                Face::Stripe => ("stripe", "Stripe-Signature"),
                Face::Acquirer => ("acquirer", "Acquirer-Signature"),
            };
            webhooks.push(Webhook {
                after_ms,
                url: format!("{}/{path}", base_url.trim_end_matches('/')),
                headers: vec![
                    ("Content-Type", "application/json".to_owned()),
                    (header, signature),
                ],
                body: notice.body.clone().into_bytes(),
            });
        }
    }
    stats.webhooks_sent += webhooks.len() as u64;
    webhooks
}

/// The value of a signature header: `t=<unix seconds>,v1=<hex HMAC-SHA256(secret, "t.body")>`.
pub fn signature(secret: &[u8], at_s: u64, body: &[u8]) -> String {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).map(|mut mac| {
        mac.update(format!("{at_s}.").as_bytes());
        mac.update(body);
        hex::of(&mac.finalize().into_bytes())
    });
    // HMAC takes a key of any length, so the error cannot be; an empty signature would verify nowhere.
    format!("t={at_s},v1={}", mac.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_hmac_sha256_of_time_and_body() {
        // From `printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test`.
        assert_eq!(
            signature(b"whsec_test", 1_700_000_000, b"{}"),
            include_str!("webhook_signature.txt").trim()
        );
    }
}
