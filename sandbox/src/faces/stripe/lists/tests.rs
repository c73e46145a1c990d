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

#[test]
fn a_list_has_what_is_old_enough() {
    let mut bench = Bench::new(json!({"list_lag_ms": 1_000}));
    let first = bench.pay("x", "").unwrap().body["id"].clone();
    bench.wait(999);
    bench.pay("x", "").unwrap();
    assert_eq!(bench.stripe_get("payment_intents").body["data"], json!([]));
    bench.wait(1);
    let data = bench.stripe_get("payment_intents?limit=1").body;
    assert_eq!(
        (&data["data"][0]["id"], &data["has_more"]),
        (&first, &json!(false))
    );
}

#[test]
fn the_dial_caps_a_page() {
    let mut bench = Bench::new(json!({"list_page_max": 2}));
    let ids: Vec<_> = (0..5)
        .map(|_| bench.pay("x", "").unwrap().body["id"].clone())
        .collect();
    let mut after = String::new();
    let mut found = Vec::new();
    for rows in [2, 2, 1] {
        let list = bench
            .stripe_get(&format!("payment_intents?limit=100{after}"))
            .body;
        let data = list["data"].as_array().unwrap();
        assert_eq!((data.len(), list["has_more"].as_bool()), (rows, Some(rows == 2)));
        assert!(data.iter().all(|row| row["latest_charge"].is_string()));
        found.extend(data.iter().map(|row| row["id"].clone()));
        after = format!("&starting_after={}", data[rows - 1]["id"].as_str().unwrap());
    }
    assert!(found.iter().eq(ids.iter().rev()));

    bench.stripe(
        &format!("payment_intents/{}/capture", ids[0].as_str().unwrap()),
        "",
        "",
    );
    let path = format!("payment_intent={}", ids[0].as_str().unwrap());
    for _ in 0..3 {
        bench.stripe("refunds", &format!("{path}&amount=1"), "").unwrap();
    }
    let list = bench.stripe_get(&format!("refunds?limit=3&{path}")).body;
    assert_eq!(
        (list["data"].as_array().unwrap().len(), &list["has_more"]),
        (2, &json!(true))
    );
}
