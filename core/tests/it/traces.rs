//! The caller's trace: it is passed on with each call, and it decides nothing. What is counted of a payment at the edge.

use pay_once_core::{
    Action, Call, CallResult, Entropy, Measure, Millis, Questions, Record, Request, Response, Swapped,
    TraceParent, Turn, UnixMillis, Write,
};

use crate::support::{Kind, World};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CHARGE: &str = r#"{"amount":500,"currency":"GBP","payment_method":"pm_card_visa"}"#;

/// What came of one turn.
struct Ran {
    calls: Vec<Call>,
    writes: Vec<Write>,
    response: Option<Response>,
}

/// Carries a turn until nothing is left but to wait.
fn run(world: &World, turn: &mut Turn, record: &mut Option<Record>) -> Ran {
    let mut ran = Ran {
        calls: Vec::new(),
        writes: Vec::new(),
        response: None,
    };
    let mut questions = Questions::default();
    loop {
        match turn.next(world.now(), &mut questions) {
            Action::Load => turn.loaded(&world.config, record.as_ref(), world.now(), Entropy(7)),
            Action::Swap => {
                *record = turn.write().map(|write| Record::clone(&write.record));
                turn.swapped(Swapped::Applied, world.now());
            }
            Action::Committed(write) => ran.writes.push(write),
            Action::Perform(call) => ran.calls.push(*call),
            Action::Reply(response) => ran.response = Some(response),
            Action::Note(_) | Action::Arm { .. } => {}
            Action::Wait { .. } | Action::Done => return ran,
            other => panic!("{other:?}"),
        }
    }
}

fn charge(world: &World, more: &[(&str, &[u8])]) -> (Turn, Option<Record>, Ran) {
    let mut headers: Vec<(&str, &[u8])> =
        vec![("authorization", b"Bearer sk_shop"), ("idempotency-key", b"k1")];
    headers.extend(more);
    let request = Request {
        method: "POST",
        target: "/charge",
        headers: &headers,
        body: CHARGE.as_bytes(),
    };
    let mut turn = Turn::request(&world.config, &request, world.now());
    let mut record = None;
    let ran = run(world, &mut turn, &mut record);
    (turn, record, ran)
}

fn traceparent(call: &Call) -> Option<&str> {
    let named = |(name, _): &&(&'static str, String)| *name == "traceparent";
    call.http
        .headers
        .iter()
        .find(named)
        .map(|(_, value)| value.as_str())
}

#[test]
fn a_call_carries_the_trace_of_the_request_that_caused_it() {
    let world = World::new(Kind::Stripe);
    let (turn, mut record, ran) = charge(&world, &[("traceparent", TRACEPARENT.as_bytes())]);
    assert_eq!(turn.trace(), TraceParent::parse(TRACEPARENT));
    let [call] = &ran.calls[..] else {
        panic!("{:?}", ran.calls);
    };
    let sent = traceparent(call).unwrap();
    assert!(
        sent.starts_with(&format!("00-{TRACE_ID}-")) && sent.ends_with("-01"),
        "{sent}"
    );
    assert_ne!(sent, TRACEPARENT, "a call is a span of its own");
    // What comes of the call belongs to the trace as well.
    let mut outcome = Turn::outcome(call.clone(), CallResult::answered(500, ""), world.now()).unwrap();
    assert_eq!(
        outcome.trace().map(|trace| trace.trace_id()),
        Some(TRACE_ID.to_owned())
    );
    let ran = run(&world, &mut outcome, &mut record);
    assert_eq!(ran.writes.len(), 1);
}

#[test]
fn a_trace_changes_nothing_but_the_header() {
    let world = World::new(Kind::Stripe);
    let (_, plain_record, plain) = charge(&world, &[]);
    assert_eq!(traceparent(&plain.calls[0]), None);
    let (_, record, mut traced) = charge(&world, &[("traceparent", TRACEPARENT.as_bytes())]);
    assert_eq!(record.unwrap().encode(), plain_record.unwrap().encode());
    assert_eq!(traced.calls[0].http.headers.pop().unwrap().0, "traceparent");
    assert_eq!(traced.calls, plain.calls);
    assert_eq!(traced.response, plain.response);
}

#[test]
fn a_header_that_the_standard_says_to_ignore_is_ignored() {
    let world = World::new(Kind::Stripe);
    let twice: [(&str, &[u8]); 2] = [("traceparent", TRACEPARENT.as_bytes()); 2];
    let bad: [&[(&str, &[u8])]; 3] = [
        &twice,
        &[("traceparent", b"00-4bf9")],
        &[("traceparent", b"\xff\xfe")],
    ];
    for headers in bad {
        let (turn, _, ran) = charge(&world, headers);
        assert_eq!(turn.trace(), None);
        assert_eq!(traceparent(&ran.calls[0]), None);
    }
}

#[test]
fn what_happens_to_a_payment_is_counted() {
    let mut world = World::new(Kind::Stripe);
    let (_, mut record, ran) = charge(&world, &[]);
    let told = |measures: Vec<Measure>| -> Vec<(&'static str, String, u64, u64)> {
        let fields = |m: Measure| (m.measure, m.label, m.count, m.duration_ms.get());
        measures.into_iter().map(fields).collect()
    };
    let now = UnixMillis::new(world.now_ms + 30);
    assert_eq!(
        told(Measure::of_write(&ran.writes[0], now)),
        [
            ("written", "AUTHORIZING".to_owned(), 1, 0),
            ("waiting", "psp".to_owned(), 1, 30),
        ]
    );
    let lost = CallResult::Unknown {
        reason: "timeout".to_owned(),
    };
    assert_eq!(
        told(Measure::of_call(&ran.calls[0], &lost, Millis::new(250))),
        [
            ("psp_call", "stripe".to_owned(), 1, 250),
            ("psp_unknown", "stripe".to_owned(), 1, 0),
        ]
    );
    let declined = r#"{"error":{"type":"card_error","code":"card_declined","message":"No."}}"#;
    world.now_ms += 100;
    let result = CallResult::answered(402, declined);
    let mut turn = Turn::outcome(ran.calls[0].clone(), result, world.now()).unwrap();
    let ran = run(&world, &mut turn, &mut record);
    assert_eq!(
        told(Measure::of_write(&ran.writes[0], world.now())),
        [
            ("written", "DECLINED".to_owned(), 1, 0),
            ("waiting", "nothing".to_owned(), 1, 0),
            ("psp_decline", "stripe".to_owned(), 1, 0),
        ]
    );
}

#[test]
fn the_documented_measures_are_the_ones_that_are_reported() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (_, edge) = text.split_once("## At the edge").unwrap();
    let (section, _) = edge.split_once("## Traces").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: Vec<&str> = rows.map(|row| row.split('`').next().unwrap()).collect();
    assert_eq!(documented, Measure::NAMES);
}
