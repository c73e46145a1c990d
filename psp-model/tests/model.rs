//! The model tells its callers' defects, and does what it is asked as often as it is asked.

use pay_once_psp_model::{Answer, Asked, Dials, Ledger, PSP_URL};

fn ask(ledger: &mut Ledger, path: &str, key: &str, body: &str, now_ms: u64) -> Result<Answer, String> {
    let (url, headers) = (format!("{PSP_URL}{path}"), [("idempotency-key", key.to_owned())]);
    ledger.act(&Asked::new("POST", &url, &headers, body.as_bytes()), now_ms)
}

fn order(amount: u64, psp_reference: &str) -> String {
    format!(
        r#"{{"reference":"r","amount":{amount},"currency":"GBP","payment_method":"pm_card_visa","psp_reference":"{psp_reference}"}}"#
    )
}

#[test]
fn a_key_is_one_request_within_its_horizon() {
    let mut ledger = Ledger::new(Dials {
        horizon_ms: Some(1_000),
        ..Dials::default()
    });
    let first = ask(&mut ledger, "/authorize", "k", &order(5, ""), 0);
    assert!(first.is_ok());
    assert_eq!(ask(&mut ledger, "/authorize", "k", &order(5, ""), 1_000), first);
    assert_eq!((ledger.live(), ledger.notices.len()), (1, 1));
    assert!(ask(&mut ledger, "/authorize", "k", &order(6, ""), 1_000).is_err());
    assert_ne!(ask(&mut ledger, "/authorize", "k", &order(5, ""), 1_001), first);
    assert_eq!(ledger.live(), 2);
}

#[test]
fn a_call_that_cannot_be_read_is_an_error() {
    let mut ledger = Ledger::new(Dials::default());
    for (path, body) in [
        ("/authorize", r#"{"amount":5}"#),
        ("/authorize", "{"),
        ("/refund", &order(5, "")),
        ("/v1/payment_intents", "amount=5"),
        ("/v1/charges", ""),
    ] {
        assert!(ask(&mut ledger, path, "k", body, 0).is_err(), "{path} {body}");
    }
    assert!(ledger.holds.is_empty());
}

#[test]
fn a_naive_network_takes_as_often_as_it_is_asked() {
    let mut ledger = Ledger::new(Dials::default());
    for path in ["/authorize", "/capture", "/capture"] {
        assert!(ask(&mut ledger, path, "k", &order(5, "auth_001"), 0).is_ok());
    }
    assert_eq!((ledger.captures(), ledger.taken(), ledger.live()), (2, 2, 1));
    assert!(ask(&mut ledger, "/void", "k", &order(5, "cap_002"), 0).is_ok());
    assert_eq!((ledger.captures(), ledger.taken(), ledger.live()), (2, 1, 1));
}
