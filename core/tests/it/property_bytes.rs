//! No byte string makes core panic: records, requests, PSP answers, webhooks. Whatever it is, there is an answer.

use pay_once_core::journal::invariant;
use pay_once_core::{AttemptId, Entropy, Input, Record, Request, Routed, UnixMillis, handle, route};
use proptest::prelude::*;

use crate::support::{CREATE, Kind, SECRET, Told, World, answered, sign, timeout};

fn stored() -> (World, AttemptId) {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    world.script.push_back(Told::Lost(timeout()));
    world.op(id, "capture", "k3");
    (world, id)
}

/// Fragments that get past the first checks, so that what lies behind them is met.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(
        &[
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "null",
            "true",
            "-1",
            "1e999",
            "9007199254740993",
            "18446744073709551616",
            "\"amount\"",
            "\"currency\"",
            "\"GBP\"",
            "\"order_id\"",
            "\"payment_method\"",
            "\"metadata\"",
            "\"status\"",
            "\"id\"",
            "\"succeeded\"",
            "\"requires_capture\"",
            "\"requires_action\"",
            "\"canceled\"",
            "\"approved\"",
            "\"declined\"",
            "\"psp_reference\"",
            "\"authorize\"",
            "\"capture\"",
            "\"void\"",
            "\"error\"",
            "\"type\"",
            "\"payment_intent\"",
            "\"data\"",
            "\"object\"",
            "\"has_more\"",
            "\"next_action\"",
            "\"latest_charge\"",
            "2599",
            "\u{fffd}",
            "\\ud800",
            "\u{0}",
        ][..],
    );
    prop::collection::vec(words, 0..24).prop_map(|words| words.concat().into_bytes())
}

/// Valid answers with members changed at random.
fn twisted_answer() -> impl Strategy<Value = Vec<u8>> {
    let statuses = prop::sample::select(
        &[
            "succeeded",
            "requires_capture",
            "requires_action",
            "requires_payment_method",
            "canceled",
            "processing",
            "requires_confirmation",
            "approved",
            "declined",
            "",
        ][..],
    );
    (statuses, "[a-z_é]{0,40}", any::<u64>(), any::<u64>(), any::<bool>()).prop_map(
        |(status, id, amount, before, error)| {
            let mut intent = serde_json::json!({
                "id": id, "psp_reference": id, "amount": amount, "amount_received": amount, "currency": "gbp",
                "status": status, "latest_charge": {"payment_method_details": {"card": {"capture_before": before}}},
                "authorize": [{"id": id, "amount": amount}], "capture": [{"id": id, "amount": 1, "psp_reference": id}],
                "void": [], "data": [], "has_more": error,
            });
            if error {
                intent = serde_json::json!({"error": {"type": "x", "code": status, "payment_intent": intent}});
            }
            intent.to_string().into_bytes()
        },
    )
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        nearly_json(),
        twisted_answer()
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn records_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (_, id) = stored();
        prop_assert!(Record::decode(id, &bytes).is_err());
        let mut headed = b"payonce\x01".to_vec();
        headed.extend(id.to_bytes());
        headed.extend(bytes);
        prop_assert!(Record::decode(id, &headed).is_err());
    }

    #[test]
    fn records_with_any_bytes_changed(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
        let (world, id) = stored();
        let good = &world.store[&id];
        let mut bad = good.clone();
        for (at, byte) in &changes {
            let at = at.index(bad.len());
            bad[at] = *byte;
        }
        prop_assert_eq!(Record::decode(id, &bad).is_ok(), bad == *good);
        bad.truncate(cut.index(bad.len()));
        prop_assert!(Record::decode(id, &bad).is_err());
    }

    #[test]
    fn requests_of_any_shape(
        method in "[A-Z]{0,5}|POST|GET", target in "\\PC{0,40}|/attempts|/charge|/attempts/\\PC{0,30}|/webhooks/acquirer",
        headers in prop::collection::vec(("idempotency-key|prefer|accept|authorization|acquirer-signature|[a-z]{1,9}", prop::collection::vec(any::<u8>(), 0..40)), 0..5),
        body in bodies(), now_ms in any::<u64>(),
    ) {
        let (world, id) = stored();
        let lines: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
        let request = Request { method: &method, target: &target, headers: &lines, body: &body };
        match route(&world.config, &request, UnixMillis::new(now_ms)) {
            Routed::Reply(response) => {
                prop_assert!((200..600).contains(&response.status));
                prop_assert!(response.headers.iter().all(|(_, v)| v.bytes().all(|b| (b' '..=b'~').contains(&b))));
            }
            Routed::Read(read) => prop_assert!(!read.call.moves_money),
            Routed::Search(search) => {
                let found = search.search.among([world.record(id)]);
                let response = search.answer(&world.config, found, UnixMillis::new(now_ms));
                prop_assert!((200..600).contains(&response.status));
            }
            Routed::Attempt { input, .. } => {
                let record = world.record(id);
                let _ = handle(&world.config, id, Some(&record), &input, UnixMillis::new(now_ms), Entropy(1));
                let _ = handle(&world.config, id, None, &input, UnixMillis::new(now_ms), Entropy(1));
            }
        }
    }

    #[test]
    fn create_bodies_of_any_shape(body in bodies()) {
        let mut world = World::new(Kind::Stripe);
        let answer = world.send("POST", "/attempts", &[("idempotency-key", "k")], &body);
        prop_assert!((400..500).contains(&answer.status), "{}", answer.status);
        prop_assert_eq!(world.writes, 0);
    }

    #[test]
    fn psp_answers_of_any_bytes(
        which in 0..7_usize, status in prop_oneof![any::<u16>(), Just(200), Just(400), Just(402)],
        answers in prop::collection::vec(bodies(), 1..4), operation in 0..3_usize,
    ) {
        let mut world = World::new(Kind::ALL[which]);
        let id = world.create();
        if operation > 0 {
            world.op(id, "authorize", "k2");
        }
        world.script = answers.into_iter().map(|body| Told::Instead(answered(status, body))).collect();
        world.op(id, ["authorize", "capture", "void"][operation], "k3");
        world.settle(id, 3);
        invariant::check(&world.record(id)).unwrap();
        prop_assert_eq!(world.post("/attempts", "k1", CREATE).status, 200, "the attempt can still be served");
    }

    #[test]
    fn webhooks_of_any_bytes(body in bodies(), stripe in any::<bool>()) {
        let kind = if stripe { Kind::Stripe } else { Kind::AcquirerQueryable };
        let mut world = World::new(kind);
        world.authorized();
        let signature = sign(SECRET, world.now_ms / 1000, &body);
        let name = format!("{}-signature", kind.name());
        let answer = world.send("POST", &format!("/webhooks/{}", kind.name()), &[(&name, &signature)], &body);
        prop_assert!(matches!(answer.status, 200 | 400), "{}", answer.status);
    }

    #[test]
    fn moments_of_any_size(now_ms in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], which in 0..7_usize) {
        let mut world = World::new(Kind::ALL[which]);
        let id = world.create();
        world.script = std::iter::repeat_n(Told::Hold, 9).collect();
        world.op(id, "authorize", "k2");
        world.now_ms = now_ms;
        world.get(id);
        let record = world.record(id);
        handle(&world.config, id, Some(&record), &Input::Wake, UnixMillis::new(now_ms), Entropy(7)).unwrap();
        for call in world.held.clone() {
            world.outcome(call, timeout());
        }
        world.get(id);
    }
}
