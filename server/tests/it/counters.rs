//! Performance is counted, not felt: durable writes and PSP calls of every kind of request (`docs/store.md`, “Writes”).

use serde_json::{Value, json};

use crate::server::Server;

/// Durable writes and PSP calls (those that move money, and others) since the last look.
struct Meter<'a> {
    server: &'a Server,
    last: Value,
}

impl<'a> Meter<'a> {
    fn new(server: &'a Server) -> Self {
        let last = server.counters();
        Self { server, last }
    }

    fn delta(&mut self) -> [u64; 3] {
        let now = self.server.counters();
        let delta = ["durable_writes", "psp_money_calls", "psp_other_calls"]
            .map(|name| now[name].as_u64().unwrap() - self.last[name].as_u64().unwrap());
        self.last = now;
        delta
    }
}

fn payment(payment_method: &str) -> Value {
    json!({"order_id": "create", "amount": 2599, "currency": "GBP", "payment_method": payment_method})
}

#[test]
fn a_manual_payment_is_five_writes_and_a_charge_is_two() {
    // Each class on its own; webhooks come as well, and must cost nothing.
    for class in ["stripe", "acquirer-keyed", "acquirer-queryable", "acquirer-blind"] {
        let server = Server::fast(class);
        let mut meter = Meter::new(&server);
        let id = server.create("create", "pm_card_visa");
        assert_eq!(meter.delta(), [1, 0, 0], "{class}: create");
        for operation in ["authorize", "capture"] {
            let target = format!("/attempts/{id}/{operation}");
            let answer = server.post_wait(&target, operation, &Value::Null);
            assert_eq!(answer.status, 200, "{class}: {answer:?}");
            assert_eq!(meter.delta(), [2, 1, 0], "{class}: {operation}");
        }
        for (target, key, body) in [
            ("/attempts".to_owned(), "create", payment("pm_card_visa")),
            (format!("/attempts/{id}/authorize"), "authorize", Value::Null),
            (format!("/attempts/{id}/capture"), "capture", Value::Null),
        ] {
            assert!(server.post(&target, key, &body).is_replayed());
            assert_eq!(meter.delta(), [0, 0, 0], "{class}: replay of {target}");
        }
        assert_eq!(server.attempt(&id)["status"], "CAPTURED");
        assert_eq!(meter.delta(), [0, 0, 0], "{class}: GET");
    }
}

#[test]
fn a_charge_is_two_writes_and_one_call() {
    // Where one PSP call authorizes and captures.
    let server = Server::fast("stripe");
    let mut meter = Meter::new(&server);
    for (key, payment_method, status) in [("c1", "pm_card_visa", 200), ("c2", "pm_card_chargeDeclined", 402)]
    {
        let body = payment(payment_method);
        assert_eq!(server.post_wait("/charge", key, &body).status, status);
        assert_eq!(meter.delta(), [2, 1, 0], "{payment_method}");
        assert!(server.post("/charge", key, &body).is_replayed());
        assert_eq!(meter.delta(), [0, 0, 0], "{payment_method}: replay");
    }
}

#[test]
fn a_refusal_by_state_or_key_costs_nothing() {
    let server = Server::fast("stripe");
    let id = server.create("create", "pm_card_visa");
    let mut meter = Meter::new(&server);
    for (target, key, status) in [
        ("capture", "k1", 409),
        ("void", "k2", 409),
        ("authorize", "create", 409),
        ("resolve", "k3", 400),
    ] {
        let answer = server.post(&format!("/attempts/{id}/{target}"), key, &Value::Null);
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(meter.delta(), [0, 0, 0], "{target}");
    }
    // A refused key is not used up: the same key may do what is allowed later.
    server.post_wait(&format!("/attempts/{id}/authorize"), "k0", &Value::Null);
    assert_eq!(
        server
            .post_wait(&format!("/attempts/{id}/capture"), "k1", &Value::Null)
            .status,
        200
    );
}
