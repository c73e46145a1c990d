//! Declines are outcomes: 402, final, kept for replay, and a new key is safe.

use super::{authorize, create, order};
use crate::case::{Case, get, ledger, post};
use crate::environment::Merchant::{Kiosk, Market, Shop};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for merchant in [Shop, Market, Kiosk] {
        let name = |what: &str| format!("{}-{what}", merchant.psp());
        cases.extend([
            Case::new(
                name("declined"),
                "A declined authorization is final; its retry is a replay, not another try.",
                merchant,
                vec![
                    create("pm_card_chargeDeclinedInsufficientFunds").into(),
                    post("/attempts/{id}/authorize")
                        .key("authorize")
                        .wait()
                        .refused(402, "DECLINED")
                        .is("/error/decline_code", "insufficient_funds")
                        .is("/error/safe_new_key", true)
                        .is("/error/attempt/status", "DECLINED")
                        .save_body("declined")
                        .into(),
                    post("/attempts/{id}/authorize")
                        .key("authorize")
                        .status(402)
                        .replays("declined")
                        .into(),
                    post("/attempts/{id}/authorize")
                        .key("other")
                        .refused(409, "INVALID_STATE")
                        .into(),
                    get("/attempts/{id}")
                        .is("/status", "DECLINED")
                        .is("/charge_state", "failed")
                        .into(),
                    ledger("{id}", &[("declines", 1)]),
                ],
            ),
            Case::new(
                name("declined-charge"),
                "A declined charge has the charge_state failed.",
                merchant,
                vec![
                    post("/charge")
                        .key("{case}")
                        .wait()
                        .json(&order("pm_card_chargeDeclined"))
                        .refused(402, "DECLINED")
                        .is("/error/decline_code", "generic_decline")
                        .is("/error/attempt/charge_state", "failed")
                        .save("id", "/error/attempt/attempt_id")
                        .save_body("declined")
                        .into(),
                    post("/charge")
                        .key("{case}")
                        .json(&order("pm_card_chargeDeclined"))
                        .status(402)
                        .replays("declined")
                        .into(),
                    get("/attempts/{id}").is("/status", "DECLINED").into(),
                    ledger("{id}", &[("declines", 1)]),
                ],
            ),
            Case::new(
                name("declined-capture"),
                "A declined capture is final, and what was reserved is released.",
                merchant,
                vec![
                    create("pm_sandbox_capture_declined").into(),
                    authorize().into(),
                    post("/attempts/{id}/capture")
                        .key("capture")
                        .wait()
                        .refused(402, "DECLINED")
                        .is("/error/decline_code", "generic_decline")
                        .into(),
                    get("/attempts/{id}")
                        .until("/operation", serde_json::Value::Null)
                        .is("/status", "DECLINED")
                        .without_timeline()
                        .into(),
                    ledger("{id}", &[("authorizations", 1), ("voids", 1), ("declines", 1)]),
                ],
            ),
        ]);
    }
    cases
}
