use serde_json::json;

use crate::testing::{Bench, START_MS};

#[test]
fn lists_are_paged_newest_first() {
    let mut bench = Bench::new(json!({}));
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(
            bench.pay("x", "").unwrap().body["id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
        bench.wait(500);
    }
    let mut page = |query: String| {
        let got = bench.stripe_get(&format!("payment_intents?{query}"));
        assert_eq!(got.status, 200, "{query}");
        let data = got.body["data"].as_array().unwrap();
        let found = data
            .iter()
            .map(|row| ids.iter().position(|id| *id == row["id"]).unwrap())
            .collect::<Vec<_>>();
        (found, got.body["has_more"].as_bool().unwrap())
    };
    let start_s = START_MS / 1000;
    assert_eq!(page(String::new()), (vec![4, 3, 2, 1, 0], false));
    assert_eq!(page("limit=2".to_owned()), (vec![4, 3], true));
    assert_eq!(
        page(format!("limit=2&starting_after={}", ids[3])),
        (vec![2, 1], true)
    );
    assert_eq!(
        page(format!("limit=2&starting_after={}", ids[1])),
        (vec![0], false)
    );
    assert_eq!(
        page(format!("limit=2&ending_before={}", ids[1])),
        (vec![3, 2], true)
    );
    assert_eq!(
        page(format!("limit=9&ending_before={}", ids[2])),
        (vec![4, 3], false)
    );
    assert_eq!(
        page(format!("created[gte]={}", start_s + 1)),
        (vec![4, 3, 2], false)
    );
    assert_eq!(page(format!("created[lte]={start_s}")), (vec![1, 0], false));
    assert_eq!(
        page(format!("created[gte]={}&created[lte]={start_s}", start_s + 1)),
        (vec![], false)
    );
    assert_eq!(
        bench.stripe_get("payment_intents?starting_after=pi_none").status,
        404
    );
    assert_eq!(bench.stripe_get("payment_intents?limit=101").status, 400);
}
