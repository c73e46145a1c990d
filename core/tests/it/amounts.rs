//! Amounts in the units of the PSP: what is sent is what was asked for, or nothing is sent.

use iso_currency::Currency;
use pay_once_core::journal::wire_form::WireForm;
use pay_once_core::psp::amount::{Units, is_currency};
use pay_once_core::{Connector, Money};
use serde_json::json;

use crate::support::{CREATE, Kind, Told, World, answered, code, json as body};

const CONNECTORS: [Connector; 2] = [Connector::Stripe, Connector::Acquirer];

/// Stripe's list, written down once more from its documentation: decimals on the wire, by currency; two for all others.
fn stripe_decimals(code: &str) -> u32 {
    let zero = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF";
    let three = "BHD JOD KWD OMR TND";
    let is_in = |list: &str| list.split(' ').any(|known| known == code);
    match () {
        () if is_in(zero) => 0,
        () if is_in(three) => 3,
        () => 2,
    }
}

/// Every currency of ISO 4217 against both tables: a round trip, the value kept, or a refusal before anything is sent.
#[test]
fn every_currency_makes_a_round_trip_or_is_refused() {
    let (mut trips, mut refusals) = (0, 0);
    for letters in (0..26_u32.pow(3)).map(|n| [n / 676, n / 26 % 26, n % 26]) {
        let code: String = letters
            .iter()
            .filter_map(|n| char::from_u32('A' as u32 + n))
            .collect();
        let Some(currency) = Currency::from_code(&code) else {
            assert!(!is_currency(&code), "{code}");
            continue;
        };
        if !is_currency(&code) {
            assert!(
                currency.exponent().is_none() || currency.is_fund() || currency.is_special(),
                "{code}"
            );
            continue;
        }
        let iso = u32::from(currency.exponent().unwrap());
        for connector in CONNECTORS {
            let units = Units::new(connector, WireForm::CURRENT);
            for minor in [1, 5, 10, 99, 100, 1_000, 4_500, 5_123, 450_000, (1 << 53) - 1] {
                let Ok(wire) = units.to_wire(&Money::new(minor, code.as_str())) else {
                    refusals += 1;
                    continue;
                };
                trips += 1;
                assert_eq!(
                    units.from_wire(&code, wire),
                    Some(minor),
                    "{code} {minor} {connector:?}"
                );
                // The value in whole units of the currency is the same, in integers.
                let decimals = if connector == Connector::Stripe {
                    stripe_decimals(&code)
                } else {
                    iso
                };
                let (minor, wire) = (u128::from(minor), u128::from(wire));
                assert_eq!(
                    minor * 10_u128.pow(decimals),
                    wire * 10_u128.pow(iso),
                    "{code} {minor} {connector:?}"
                );
                if connector == Connector::Stripe && ["ISK", "UGX"].contains(&code.as_str()) {
                    assert_eq!(wire % 100, 0, "{code}: both decimals are zero");
                }
                if connector == Connector::Stripe && decimals == 3 {
                    assert_eq!(wire % 10, 0, "{code}: the last decimal is zero");
                }
            }
        }
    }
    assert!(
        trips > 2_500 && refusals > 20,
        "{trips} round trips, {refusals} refusals"
    );
}

#[test]
fn what_nobody_can_pay_in_is_no_currency() {
    for code in [
        "XXX", "XTS", "XAU", "XAG", "XPT", "XPD", "XDR", "XUA", "XBA", "CLF", "USN", "CHE", "MXV", "gbp",
        "GB", "",
    ] {
        assert!(!is_currency(code), "{code}");
    }
    for code in ["GBP", "JPY", "KWD", "XAF", "XOF", "XPF", "XCD", "ISK", "MGA"] {
        assert!(is_currency(code), "{code}");
    }
    let mut world = World::new(Kind::Stripe);
    let answer = world.post("/attempts", "k1", &CREATE.replace("GBP", "XAU"));
    assert_eq!((answer.status, code(&answer).as_str()), (400, "INVALID_CURRENCY"));
    assert_eq!(world.writes, 0);
}

/// 4,500 units of each: what goes out, and what comes back.
#[test]
fn what_is_sent_is_what_was_asked_for() {
    for (currency, minor, wire) in [
        ("GBP", 450_000, "450000"),
        ("JPY", 4_500, "4500"),
        ("ISK", 4_500, "450000"),
        ("UGX", 4_500, "450000"),
        ("MGA", 450_000, "4500"),
        ("KWD", 4_500_000, "4500000"),
    ] {
        let mut world = World::new(Kind::Stripe);
        let sent = json!({"order_id": "o", "amount": minor, "currency": currency, "payment_method": "pm_x"});
        let id = world.create_with("k1", &sent.to_string());
        let answer = world.op(id, "authorize", "k2");
        assert_eq!(
            (answer.status, &body(&answer)["amount"]),
            (200, &json!(minor)),
            "{currency}"
        );
        let form = String::from_utf8(world.calls[0].http.body.clone()).unwrap();
        assert!(form.starts_with(&format!("amount={wire}&")), "{currency}: {form}");
        let answer = world.op(id, "capture", "k3");
        assert_eq!(
            (answer.status, &body(&answer)["capture"]["amount"]),
            (200, &json!(minor)),
            "{currency}"
        );
        assert_eq!(
            body(&answer)["capture"].get("requested_amount"),
            None,
            "{currency}"
        );
        let form = String::from_utf8(world.calls[1].http.body.clone()).unwrap();
        assert!(
            form.starts_with(&format!("amount_to_capture={wire}&")),
            "{currency}: {form}"
        );
    }
}

#[test]
fn what_the_psp_cannot_express_is_refused_before_anything_is_sent() {
    for (currency, amount) in [("KWD", 5_123), ("MGA", 450), ("TND", 1)] {
        let mut world = World::new(Kind::Stripe);
        let sent = json!({"order_id": "o", "amount": amount, "currency": currency, "payment_method": "pm_x"})
            .to_string();
        for target in ["/attempts", "/charge"] {
            let answer = world.post(target, "k1", &sent);
            assert_eq!(
                (answer.status, code(&answer).as_str()),
                (400, "INVALID_AMOUNT"),
                "{currency}"
            );
            assert_eq!(body(&answer)["error"]["field"], "amount");
        }
        assert_eq!((world.writes, world.calls.len()), (0, 0), "{currency}");
        // The acquirer counts as ISO 4217 does.
        let mut world = World::new(Kind::AcquirerKeyed);
        assert_eq!(world.post("/attempts", "k1", &sent).status, 201, "{currency}");
    }
    let mut world = World::new(Kind::Stripe);
    let sent = json!({"order_id": "o", "amount": 5_120, "currency": "KWD", "payment_method": "pm_x"});
    let id = world.create_with("k1", &sent.to_string());
    world.op(id, "authorize", "k2");
    let answer = world.post(&format!("/attempts/{id}/capture"), "k3", r#"{"amount":123}"#);
    assert_eq!((answer.status, code(&answer).as_str()), (400, "INVALID_AMOUNT"));
    assert_eq!(world.money_calls, 1);
}

/// Amounts of a look and of a webhook are in the same units as those that were sent.
#[test]
fn what_comes_back_is_read_in_the_units_that_were_sent() {
    let mut world = World::new(Kind::StripeListed);
    world.psp_mut().capabilities.keyed_horizon_ms = None;
    let sent = json!({"order_id": "o", "amount": 4_500, "currency": "ISK", "payment_method": "pm_x"});
    let id = world.create_with("k1", &sent.to_string());
    world.script.push_back(Told::Lost(crate::support::timeout()));
    world.op(id, "authorize", "k2");
    world.settle(id, 1);
    assert_eq!(world.status(id), "AUTHORIZED", "{:#?}", world.story(id));
    let mut object = world.ledger.intent("pi_3N00001");
    object["status"] = "succeeded".into();
    object["amount_received"] = 450_000.into();
    world.webhook(&json!({"type": "payment_intent.succeeded", "data": {"object": object}}));
    assert_eq!(world.get(id)["capture"]["amount"], 4_500);
    // A part of a minor unit is nothing that anybody can have asked for.
    let mut world = World::new(Kind::Stripe);
    let id = world.create_with("k1", &sent.to_string());
    let odd = json!({"id": "pi_9", "object": "payment_intent", "status": "requires_capture", "amount": 450_050,
        "currency": "isk", "metadata": {"attempt_id": id.to_string()}});
    world
        .script
        .push_back(Told::Instead(answered(200, odd.to_string())));
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
}
