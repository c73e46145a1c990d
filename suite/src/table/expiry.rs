//! An authorization that nobody captures is released before it lapses.
//!
//! The release is due a tenth of the life before its end. The life is long enough for that tenth (2 s) to outlast a
//! pause of a busy machine.

use super::{RELEASED, authorize, create};
use crate::case::{Case, get, ledger, post};
use crate::environment::Merchant::Shop;

pub(super) fn cases() -> Vec<Case> {
    vec![Case::new(
        "stripe-expiry",
        "The authorization lives 20 s, says the PSP: it is released before, by itself.",
        Shop,
        vec![
            create("pm_sandbox_expires_soon").into(),
            authorize().save_body("authorized").into(),
            get("/attempts/{id}")
                .until("/status", "EXPIRED")
                .without_timeline()
                .into(),
            post("/attempts/{id}/authorize")
                .key("authorize")
                .replays("authorized")
                .into(),
            post("/attempts/{id}/capture")
                .key("capture")
                .refused(409, "INVALID_STATE")
                .is("/error/safe_new_key", true)
                .into(),
            ledger("{id}", RELEASED),
        ],
    )]
}
