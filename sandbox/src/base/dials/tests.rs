use serde_json::json;

use super::{Dials, RangeMs};

#[test]
fn a_patch_turns_only_what_it_names() {
    let dials = Dials::default();
    let turned = dials
        .patched(&json!({"latency_ms": {"min": 0}, "acquirer_keyed": true}))
        .unwrap();
    assert_eq!(turned.latency_ms, RangeMs { min: 0, max: 800 });
    assert!(turned.acquirer_keyed);
    assert_eq!(
        Dials {
            latency_ms: dials.latency_ms,
            acquirer_keyed: false,
            ..turned
        },
        dials
    );
}

#[test]
fn a_bad_patch_is_refused() {
    for bad in [
        json!([]),
        json!({"latency": 3}),
        json!({"latency_ms": {"mean": 3}}),
        json!({"latency_ms": {"min": 801}}),
        json!({"late_permille": 1001}),
        json!({"late_permille": -1}),
        json!({"acquirer_keyed": "yes"}),
        json!({"stripe_default_version": "2020-08-27"}),
        json!({"reject_status": 402}),
        json!({"reject_permille": 1001}),
        json!({"reject_calls": "writes"}),
        json!({"refund_status": "canceled"}),
        json!({"lapse_reason": "abandoned"}),
        json!({"list_page_max": 0}),
        json!({"list_page_max": 101}),
    ] {
        assert!(Dials::default().patched(&bad).is_err(), "{bad}");
    }
}

#[test]
fn the_readme_lists_every_dial() {
    let readme = include_str!("../../../README.md");
    for name in serde_json::to_value(Dials::default())
        .unwrap()
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
}
