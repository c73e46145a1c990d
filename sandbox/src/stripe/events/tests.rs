use serde_json::{Value, json};

use crate::testing::Bench;

#[test]
fn events_are_written_in_the_accounts_default_version() {
    let mut bench = Bench::new(json!({"stripe_default_version": "2026-09-30.endive"}));
    bench.pay("x", "").unwrap();
    let event: Value = serde_json::from_slice(&bench.webhooks[0].body).unwrap();
    assert_eq!(event["api_version"], "2026-09-30.endive");
}
