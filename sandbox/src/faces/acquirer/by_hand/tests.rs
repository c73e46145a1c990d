use serde_json::{Value, json};

use crate::Method;
use crate::testing::{Bench, Got, START_MS};

fn by_hand(bench: &mut Bench, path: &str, body: &str) -> Got {
    let path = format!("/dashboard/{path}");
    bench.send(Method::Post, &path, &[], body.as_bytes()).unwrap()
}

#[test]
fn the_network_reverses_a_capture() {
    let mut bench = Bench::new(json!({}));
    let id = bench.authorize("x").unwrap().body["psp_reference"].clone();
    let capture = bench.act("/capture", &id, 700).unwrap().body["psp_reference"].clone();
    let path = format!("captures/{}/reverse", capture.as_str().unwrap());
    let reversed = by_hand(&mut bench, &path, "");
    assert_eq!(reversed.status, 200);
    let told: Value = serde_json::from_slice(&bench.webhooks.last().unwrap().body).unwrap();
    assert_eq!(
        told,
        json!({"type": "reversal", "status": "approved", "reference": "pa_1", "of": capture,
            "psp_reference": told["psp_reference"], "amount": 700, "currency": "GBP",
            "created": START_MS / 1000})
    );
    assert_eq!(reversed.body, told);
    assert!(told["psp_reference"].as_str().unwrap().starts_with("rev_"));
    let found = bench.get("/lookup?reference=pa_1").body;
    assert_eq!(
        found["reversal"],
        json!([{"id": told["psp_reference"], "amount": 700, "psp_reference": capture,
            "created": START_MS / 1000}])
    );
    assert_eq!(found["void"], json!([]), "nobody asked for it");
    let row = bench.row();
    assert_eq!(
        (&row["refunded_minor"], &row["live_authorizations"]),
        (&json!(700), &json!(0))
    );
    let story = bench.get("/ledger/pa_1").body;
    assert_eq!(story["events"][2]["cause"], "reversal");
    assert_eq!(by_hand(&mut bench, &path, "").status, 400, "only once");
    let void = bench.act("/void", &capture, 700).unwrap().body;
    assert_eq!(void["code"], "already_voided");
}

#[test]
fn another_installation_authorizes_under_our_reference() {
    let mut bench = Bench::new(json!({"lookup_lag_ms": 1_000}));
    let created = START_MS / 1000 - 60;
    let body = json!({"reference": "pa_1", "amount": 5, "currency": "GBP", "created": created});
    let made = by_hand(&mut bench, "authorizations", &body.to_string()).body;
    assert_eq!(made["status"], "approved");
    assert_eq!(bench.webhooks.len(), 0);
    let found = bench.get("/lookup?reference=pa_1").body;
    assert_eq!(
        found["authorize"],
        json!([{"id": made["psp_reference"], "amount": 5, "created": created}])
    );
    assert_eq!(bench.row()["authorizations"], 1);
    let void = bench.act("/void", &made["psp_reference"], 5).unwrap().body;
    assert_eq!(void["status"], "approved");

    let mut body = body;
    body["webhooks"] = json!(true);
    by_hand(&mut bench, "authorizations", &body.to_string());
    assert_eq!(bench.told(), ["void", "authorize"]);
    for bad in ["{}", "{\"reference\":\"\",\"amount\":1,\"currency\":\"GBP\"}"] {
        assert_eq!(by_hand(&mut bench, "authorizations", bad).status, 400);
    }
}

#[test]
fn a_person_captures_and_releases_at_the_dashboard() {
    let mut bench = Bench::new(json!({}));
    let taken = bench.authorize("x").unwrap().body["psp_reference"].clone();
    let freed = bench.authorize("y").unwrap().body["psp_reference"].clone();
    let path = |id: &Value, verb: &str| format!("authorizations/{}/{verb}", id.as_str().unwrap());
    let body = by_hand(&mut bench, &path(&taken, "capture"), r#"{"amount":300}"#).body;
    assert_eq!(
        (&body["status"], &body["amount"]),
        (&json!("approved"), &json!(300))
    );
    assert_eq!(
        by_hand(&mut bench, &path(&freed, "void"), "").body["status"],
        "approved"
    );
    let row = bench.row();
    assert_eq!(
        (&row["captured_minor"], &row["voids"], &row["live_authorizations"]),
        (&json!(300), &json!(1), &json!(1))
    );
    let story = bench.get("/ledger/pa_1").body;
    let causes: Vec<&Value> = (0..4).map(|n| &story["events"][n]["cause"]).collect();
    assert_eq!(
        causes,
        [
            &Value::Null,
            &Value::Null,
            &json!("dashboard"),
            &json!("dashboard")
        ]
    );
    assert_eq!(
        by_hand(&mut bench, "authorizations/auth_none/void", "").status,
        404
    );
    assert_eq!(by_hand(&mut bench, &path(&taken, "burn"), "").status, 404);
}
