//! What HTTP itself asks of an answer (RFC 9110), whatever the call is.

use pay_once_core::limits::{BODY_BYTES_MAX, PSP_ANSWER_BYTES_MAX};
use serde_json::json;

use crate::support::{CREATE, Kind, SECRET, World, closed, code, json as body, sign, text};

const REFUSED: (u16, &str) = (415, "UNSUPPORTED_CONTENT_ENCODING");

/// Posts a body with these values of `Content-Encoding`.
fn encoded(world: &mut World, target: &str, codings: &[&str], sent: &[u8]) -> (u16, String) {
    let mut headers = vec![("idempotency-key", "k2")];
    headers.extend(codings.iter().map(|coding| ("content-encoding", *coding)));
    let answer = world.send("POST", target, &headers, sent);
    if answer.status == 415 {
        assert_eq!(answer.header("Accept-Encoding"), Some("identity"));
        let error = &body(&answer)["error"];
        assert_eq!(
            (&error["retryable"], &error["safe_new_key"]),
            (&false.into(), &false.into())
        );
        assert!(
            error["message"].as_str().unwrap().contains("uncompressed"),
            "{error}"
        );
    }
    (answer.status, code(&answer))
}

#[test]
fn a_body_with_a_content_encoding_is_refused_and_binds_no_key() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    let operation = |name: &str| format!("/attempts/{id}/{name}");
    for codings in [
        &["gzip"][..],
        &["GZIP"],
        &["br"],
        &["deflate, gzip"],
        &["identity, gzip"],
        &["identity", "gzip"],
        &["gzip", "identity"],
        &["identity;q=1"],
        &["identity gzip"],
        &["\u{e9}"],
    ] {
        for target in [
            "/attempts".to_owned(),
            "/charge".to_owned(),
            operation("authorize"),
            operation("resolve"),
        ] {
            let answer = encoded(&mut world, &target, codings, CREATE.as_bytes());
            assert_eq!((answer.0, answer.1.as_str()), REFUSED, "{target} {codings:?}");
        }
    }
    assert_eq!((world.writes, world.calls.len()), (1, 0), "nothing is done");
    assert_eq!(
        encoded(&mut world, "/attempts", &[], CREATE.as_bytes()).0,
        201,
        "the key is free"
    );
}

#[test]
fn a_body_as_it_is_may_say_so_and_no_body_has_no_encoding() {
    for codings in [
        &[""][..],
        &["identity"],
        &["Identity"],
        &["identity", "identity"],
        &[" , identity ,\t"],
    ] {
        let mut world = World::new(Kind::Stripe);
        let answer = encoded(&mut world, "/attempts", codings, CREATE.as_bytes());
        assert_eq!(answer.0, 201, "{codings:?}");
    }
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    let authorize = format!("/attempts/{id}/authorize");
    assert_eq!(encoded(&mut world, &authorize, &["gzip"], b"").0, 200);
    let read = world.send(
        "GET",
        &format!("/attempts/{id}"),
        &[("content-encoding", "gzip")],
        b"",
    );
    assert_eq!(read.status, 200, "{}", text(&read));
}

#[test]
fn an_encoded_body_is_refused_after_its_sender_and_before_all_else_of_its_form() {
    let mut world = World::with(closed(Kind::Stripe), Kind::Stripe);
    let gzip = ("content-encoding", "gzip");
    let answer = world.send("POST", "/charge", &[gzip], CREATE.as_bytes());
    assert_eq!(code(&answer), "UNAUTHORIZED");
    let mut world = World::new(Kind::Stripe);
    let large = vec![b' '; BODY_BYTES_MAX + 1];
    for (target, sent) in [
        ("/charge", CREATE.as_bytes()),
        ("/attempts", &large),
        ("/attempts", b"\x1f\x8b"),
    ] {
        let answer = world.send("POST", target, &[gzip], sent);
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            REFUSED,
            "{target}: no key"
        );
    }
    let answer = world.send("PUT", "/charge", &[gzip], CREATE.as_bytes());
    assert_eq!(code(&answer), "METHOD_NOT_ALLOWED");
    let answer = world.send("POST", "/charges", &[gzip], CREATE.as_bytes());
    assert_eq!(code(&answer), "NOT_FOUND");
}

/// The signature is over the bytes that the PSP wrote. Whether they were compressed before or after that, the refusal names
/// the cause; and it is the same for whoever has no secret.
#[test]
fn an_encoded_webhook_is_refused_whether_or_not_its_signature_holds() {
    let mut world = World::new(Kind::Stripe);
    world.authorized();
    let writes = world.writes;
    let news = json!(world.ledger.notices()[0]).to_string();
    let holds = sign(SECRET, world.now_ms / 1000, news.as_bytes());
    let forged = sign("whsec_other", world.now_ms / 1000, news.as_bytes());
    let large = " ".repeat(PSP_ANSWER_BYTES_MAX + 1);
    for (signature, sent) in [
        (&holds, &news),
        (&forged, &news),
        (&String::new(), &news),
        (&holds, &large),
    ] {
        let headers = [
            ("stripe-signature", signature.as_str()),
            ("content-encoding", "gzip"),
        ];
        let answer = world.send("POST", "/webhooks/stripe", &headers, sent.as_bytes());
        assert_eq!((answer.status, code(&answer).as_str()), REFUSED, "{signature}");
        assert_eq!(answer.header("Accept-Encoding"), Some("identity"));
    }
    assert_eq!(world.writes, writes);
    let headers = [
        ("stripe-signature", holds.as_str()),
        ("content-encoding", "identity"),
    ];
    let answer = world.send("POST", "/webhooks/stripe", &headers, news.as_bytes());
    assert_eq!(answer.status, 200, "{}", text(&answer));
}

/// The body is as long as that of the GET: what leaves it out is the adapter's HTTP library.
#[test]
fn head_is_answered_as_get_is() {
    let mut world = World::with(closed(Kind::Stripe), Kind::Stripe);
    let bearer = ("authorization", "Bearer mk_demo");
    let problem = ("accept", "application/problem+json");
    let headers = [bearer, ("idempotency-key", "k1")];
    let made = world.send("POST", "/attempts", &headers, CREATE.as_bytes());
    let attempt = made.header("Location").unwrap().to_owned();
    let writes = world.writes;
    for (target, headers, status) in [
        (attempt.as_str(), &[bearer][..], 200),
        (&attempt, &[], 401),
        ("/attempts/pa_00000000000000000000000000", &[bearer], 404),
        ("/attempts/pa_x", &[bearer, problem], 404),
        ("/nothing", &[bearer], 404),
        ("/attempts/", &[bearer], 404),
        ("/charge", &[bearer], 405),
    ] {
        let got = world.send("GET", target, headers, b"");
        assert_eq!(got.status, status, "{target}");
        assert_eq!(world.send("HEAD", target, headers, b""), got, "{target}");
    }
    assert_eq!((world.writes, world.calls.len()), (writes, 0));
}
