//! An operator has the PSP asked now.

use super::{HELD, authorize, create};
use crate::case::{Case, get, ledger, post};
use crate::environment::Merchant::{Kiosk, Shop};

pub(super) fn cases() -> Vec<Case> {
    let look = || post("/attempts/{id}/look");
    vec![
        Case::new(
            "look",
            "A look shows what the PSP has, and moves nothing. Before anything was sent there is nothing to look at.",
            Shop,
            vec![
                create("pm_card_visa").into(),
                look().refused(409, "INVALID_STATE").into(),
                authorize().into(),
                look()
                    .is("/status", "AUTHORIZED")
                    .is("/look/state", "answered")
                    .is("/look/found", "authorized")
                    .into(),
                get("/attempts/{id}").is("/status", "AUTHORIZED").into(),
                ledger("{id}", HELD),
            ],
        ),
        Case::new(
            "look-at-a-blind-psp",
            "A PSP that cannot be asked cannot be looked at.",
            Kiosk,
            vec![
                create("pm_card_visa").into(),
                authorize().into(),
                look()
                    .refused(409, "INVALID_STATE")
                    .is("/error/attempt/status", "AUTHORIZED")
                    .into(),
                ledger("{id}", HELD),
            ],
        ),
    ]
}
