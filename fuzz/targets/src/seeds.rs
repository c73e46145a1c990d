//! What the committed corpora begin with: small inputs that get a fuzzer past the first checks. They are made from true
//! stories, golden records, wire examples and swarm plans, and `cargo run -p pay-once-fuzz -- seeds` writes them.

use pay_once_sim::rng::{Concern, Draw};
use pay_once_sim::swarm;
use pay_once_sim::tier::Tier;

use crate::machine::{Act, Opening, Story};
use crate::{acquirer, plan, stripe};

/// A file of a corpus: its name, and its bytes.
pub type Seed = (String, Vec<u8>);

/// The seeds of a target; none of an unknown one.
#[must_use]
pub fn seeds(target: &str) -> Vec<Seed> {
    let seeds = match target {
        "machine" => machine(),
        "plan" => (0..24)
            .map(|seed| plan::to_bytes(&swarm::plan(seed, Tier::Model)).0)
            .collect(),
        "http" => http(),
        "record" => record(),
        "stripe" => psp(&STRIPE, stripe::FACE.moments.len()),
        "acquirer" => psp(&ACQUIRER, acquirer::FACE.moments.len()),
        "fingerprint" => (0..24).map(random).collect(),
        _ => Vec::new(),
    };
    let named = seeds.into_iter().enumerate();
    named.map(|(n, bytes)| (format!("seed-{n:02}"), bytes)).collect()
}

fn machine() -> Vec<Vec<u8>> {
    use Act::{Advance, Answer, Crash, Doubt, Due, Finish, Forge, Land, Request, Send, Webhook};
    let opening = |kind, token, stage| Opening {
        automatic: stage % 5 == 2,
        lags: kind % 2 == 1,
        patient: stage % 2 == 0,
        ..Opening::at(kind, token, stage)
    };
    let mut stories = Vec::new();
    let mut tell = |kind, token, stage, acts: &[Act], is_ended| {
        let story = Story {
            opening: opening(kind, token, stage),
            acts: acts.to_vec(),
            is_ended,
        };
        stories.push(story.to_bytes());
    };
    for kind in 0..7 {
        // The usual payment; a lost answer that comes late; a declined card; 3-D Secure; a void.
        tell(
            kind,
            0,
            4,
            &[Request(2, 0), Send(0, 0), Request(2, 0), Request(9, 0)],
            true,
        );
        tell(
            kind,
            0,
            3,
            &[Due(0, 1), Send(0, 4), Land(0, 0), Answer(0, 1), Crash(0, 1)],
            true,
        );
        tell(
            kind,
            1,
            2,
            &[Send(0, 0), Send(0, 5), Request(0, 0), Doubt(6, 0)],
            true,
        );
        tell(
            kind,
            2,
            4,
            &[Finish(0, 0), Webhook(0, 1), Forge(0, 0), Request(5, 4)],
            true,
        );
        tell(
            kind,
            0,
            6,
            &[Due(0, 2), Send(0, 6), Due(0, 0), Request(13, 0), Advance(15, 200)],
            true,
        );
        // Another key, another body, another operation, too much; and what was answered before, after all of it.
        tell(
            kind,
            0,
            4,
            &[
                Request(0, 0),
                Request(14, 0),
                Send(0, 0),
                Request(2, 0),
                Send(0, 0),
                Request(0, 0),
            ],
            false,
        );
        tell(
            kind,
            0,
            4,
            &[
                Request(2, 0),
                Send(0, 0),
                Request(2, 0),
                Request(11, 0),
                Request(10, 0),
                Request(3, 0),
                Send(0, 0),
            ],
            false,
        );
        tell(
            kind,
            0,
            5,
            &[Request(3, 0), Request(5, 0), Send(1, 0), Send(0, 0)],
            true,
        );
        // A timer that comes early, and an absence that proves nothing yet.
        tell(
            kind,
            0,
            3,
            &[
                Due(0, 0),
                Send(0, 0),
                Due(0, 1),
                Send(0, 0),
                Due(0, 1),
                Send(0, 0),
                Due(0, 1),
                Send(0, 0),
            ],
            true,
        );
    }
    stories
}

fn random(seed: u64) -> Vec<u8> {
    let mut draw = Draw::new(seed, Concern::Workload);
    let length = usize::try_from(draw.between(24, 96)).unwrap_or(24);
    (0..length).map(|_| draw.word().to_be_bytes()[0]).collect()
}

fn http() -> Vec<Vec<u8>> {
    let name = crate::setup::name();
    let create = crate::setup::CREATE;
    let requests = [
        format!("POST /attempts HTTP/1.1\r\nIdempotency-Key: k1\r\n\r\n{create}"),
        format!(
            "POST /attempts HTTP/1.1\r\nIdempotency-Key: \"k9\"\r\nAuthorization: Bearer mk_demo\r\n\r\n{create}"
        ),
        format!(
            "POST /attempts/{name}/authorize HTTP/1.1\r\nIdempotency-Key: a-0\r\nAuthorization: Bearer mk_demo\r\n\r\n"
        ),
        format!(
            "POST /attempts/{name}/authorize HTTP/1.1\r\nIdempotency-Key: a-1\r\n\r\n{{\"return_url\":\"https://shop.example/back?order=1\"}}"
        ),
        format!("POST /attempts/{name}/capture HTTP/1.1\r\nIdempotency-Key: c-0\r\n\r\n{{\"amount\":1000}}"),
        format!(
            "POST /attempts/{name}/void HTTP/1.1\r\nIdempotency-Key: v-0\r\nAccept: application/problem+json\r\n\r\n"
        ),
        format!(
            "POST /attempts/{name}/resolve HTTP/1.1\r\nIdempotency-Key: r-0\r\n\r\n{{\"operator\":\"ada\",\"reason\":\"books\",\"operation\":\"capture\",\"generation\":9,\"outcome\":\"did_not_happen\"}}"
        ),
        format!("POST /charge HTTP/1.1\r\nIdempotency-Key: k1\r\nPrefer: wait=5\r\n\r\n{create}"),
        format!("GET /attempts/{name} HTTP/1.1\r\nAuthorization: Bearer mk_other\r\n\r\n"),
        "POST /webhooks/stripe HTTP/1.1\r\nStripe-Signature: t=1764160556,v1=00\r\n\r\n{}".to_owned(),
        "POST /webhooks/acquirer HTTP/1.1\r\nAcquirer-Signature: t=1,v1=\r\n\r\n{}".to_owned(),
        "DELETE /attempts HTTP/1.1\r\n\r\n".to_owned(),
    ];
    let deployments = crate::http::deployments_count();
    let mut inputs = Vec::new();
    for (n, request) in requests.iter().enumerate() {
        for deployment in [
            2 * n % deployments,
            (2 * n + 9) % deployments,
            (4 * n + 14) % deployments,
        ] {
            let mut bytes = vec![u8::try_from(deployment).unwrap_or(0)];
            bytes.extend(request.as_bytes());
            inputs.push(bytes);
        }
    }
    inputs
}

fn record() -> Vec<Vec<u8>> {
    let golden: [&[u8]; 6] = [
        include_bytes!("../../../core/tests/golden/manual_payment.bin"),
        include_bytes!("../../../core/tests/golden/charge_declined.bin"),
        include_bytes!("../../../core/tests/golden/parked_and_resolved.bin"),
        include_bytes!("../../../core/tests/golden/three_d_secure.bin"),
        include_bytes!("../../../core/tests/golden/compensation.bin"),
        include_bytes!("../../../core/tests/golden/return_url.bin"),
    ];
    let mut inputs: Vec<Vec<u8>> = golden.iter().map(|bytes| [&[0, 0], *bytes].concat()).collect();
    inputs.extend(
        golden
            .iter()
            .map(|bytes| [&[1, 0], bytes.get(24..).unwrap_or_default()].concat()),
    );
    for base in 0..8 {
        inputs.push(vec![2, base, 40, 0, base, 200, 0, 7]);
        inputs.push(vec![3, base]);
        inputs.push([&[3, base][..], &random(u64::from(base))].concat());
    }
    inputs
}

/// What a PSP says: way (answer, webhook, forged webhook), status choice, body. `@` stands for the attempt's name.
type Said = (u8, u8, &'static str);

fn psp(said: &[Said], moments: usize) -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for (n, (way, status, body)) in said.iter().enumerate() {
        for moment in [n % moments, (n + 3) % moments, (n * 5 + 1) % moments] {
            let moment = u8::try_from(moment).unwrap_or(0);
            inputs.push([&[moment, *way, *status], body.as_bytes()].concat());
        }
    }
    inputs
}

const STRIPE: [Said; 14] = [
    (
        0,
        9,
        r#"{"error":{"type":"card_error","code":"rate_limit","message":"Slow down."}}"#,
    ),
    (
        0,
        0,
        r#"{"id":"pi_3N00001","amount":2599,"amount_received":0,"currency":"gbp","status":"requires_capture","metadata":{"attempt_id":"@"},"latest_charge":{"payment_method_details":{"card":{"capture_before":1764760496}}}}"#,
    ),
    (
        0,
        0,
        r#"{"id":"pi_3N00001","amount":2599,"amount_received":2599,"currency":"gbp","status":"succeeded","metadata":{"attempt_id":"@"},"latest_charge":"ch_1"}"#,
    ),
    (
        0,
        0,
        r#"{"id":"pi_3N00001","amount":2599,"currency":"gbp","status":"requires_action","next_action":{"redirect_to_url":{"url":"http://psp.test/3ds"}}}"#,
    ),
    (
        0,
        0,
        r#"{"id":"pi_3N00001","amount":2599,"currency":"gbp","status":"canceled","cancellation_reason":"automatic"}"#,
    ),
    (
        0,
        0,
        r#"{"id":"pi_3N00001","amount":2599,"currency":"gbp","status":"requires_payment_method","last_payment_error":{"code":"card_declined","decline_code":"do_not_honor","message":"No."}}"#,
    ),
    (
        0,
        0,
        r#"{"object":"list","has_more":false,"data":[{"id":"pi_3N00001","amount":2599,"currency":"gbp","status":"requires_capture","metadata":{"attempt_id":"@"}},{"id":"pi_2","amount":2599,"amount_received":2599,"currency":"gbp","status":"succeeded","metadata":{}}]}"#,
    ),
    (
        0,
        0,
        r#"{"object":"list","has_more":true,"data":[{"id":"pi_9","amount":1,"currency":"gbp","status":"processing","metadata":{"attempt_id":"@"}}]}"#,
    ),
    (
        0,
        5,
        r#"{"error":{"type":"card_error","code":"card_declined","decline_code":"generic_decline","message":"No.","payment_intent":{"id":"pi_3N00001","amount":2599,"currency":"gbp","status":"requires_payment_method","last_payment_error":{"code":"card_declined"}}}}"#,
    ),
    (
        0,
        6,
        r#"{"error":{"type":"invalid_request_error","code":"payment_intent_unexpected_state","payment_intent":{"id":"pi_3N00001","amount":2599,"amount_received":2599,"currency":"gbp","status":"succeeded"}}}"#,
    ),
    (
        0,
        7,
        r#"{"error":{"type":"invalid_request_error","code":"resource_missing"}}"#,
    ),
    (0, 10, r#"{"error":{"type":"api_error","message":"Try again."}}"#),
    (
        2,
        0,
        r#"{"type":"payment_intent.succeeded","data":{"object":{"id":"pi_3N00001","amount":2599,"amount_received":2599,"currency":"gbp","status":"succeeded","metadata":{"attempt_id":"@"}}}}"#,
    ),
    (
        3,
        0,
        r#"{"type":"payment_intent.canceled","data":{"object":{"id":"pi_3N00001","amount":2599,"currency":"gbp","status":"canceled","metadata":{"attempt_id":"@"}}}}"#,
    ),
];

const ACQUIRER: [Said; 13] = [
    (0, 9, r#"{"error":{"code":"slow_down"}}"#),
    (
        0,
        0,
        r#"{"status":"approved","psp_reference":"auth_3N00001","amount":2599}"#,
    ),
    (
        0,
        0,
        r#"{"status":"approved","psp_reference":"cap_1","amount":2599,"currency":"GBP"}"#,
    ),
    (
        0,
        0,
        r#"{"status":"declined","code":"do_not_honor","message":"No."}"#,
    ),
    (0, 0, r#"{"status":"declined","code":"authorization_expired"}"#),
    (0, 0, r#"{"status":"declined","code":"already_voided"}"#),
    (
        0,
        0,
        r#"{"status":"requires_action","psp_reference":"auth_3N00001","action_url":"http://psp.test/3ds"}"#,
    ),
    (
        0,
        0,
        r#"{"authorize":[{"id":"auth_3N00001","amount":2599}],"capture":[{"id":"cap_1","amount":2599,"psp_reference":"auth_3N00001"}],"void":[]}"#,
    ),
    (
        0,
        0,
        r#"{"authorize":[],"capture":[],"void":[],"lapsed":[],"requires_action":[{"id":"auth_2"}]}"#,
    ),
    (0, 6, r#"{"error":{"code":"bad_request","message":"No."}}"#),
    (0, 10, r#"{"error":{"code":"internal"}}"#),
    (
        2,
        0,
        r#"{"type":"capture","reference":"@","of":"auth_3N00001","status":"approved","psp_reference":"cap_1","amount":2599,"currency":"GBP"}"#,
    ),
    (
        3,
        0,
        r#"{"type":"void","reference":"@","status":"approved","psp_reference":"void_1","amount":2599}"#,
    ),
];
