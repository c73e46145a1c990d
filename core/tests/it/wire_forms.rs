//! Every wire form that has shipped, byte for byte: a PSP that honours keys refuses another request under a key that is in use, so
//! what an older build dispatched is sent again as it was written.
//!
//! `golden/wire/form_N.txt` has every request of a form. `PAY_ONCE_REGENERATE_GOLDEN=1 cargo test -p pay-once-core wire_forms` writes the
//! newest one anew, as long as it has not shipped; the others never change.

use std::path::PathBuf;

use pay_once_core::journal::entry::{Entry, Fact};
use pay_once_core::journal::wire_form::WireForm;
use pay_once_core::{AttemptId, Call, Millis, Record};

use crate::support::{CREATE, Kind, Told, World, answered, timeout};

/// A request as it leaves, without what an adapter adds.
fn written(call: &Call) -> String {
    let headers: String = call
        .http
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    let body = String::from_utf8(call.http.body.clone()).unwrap();
    format!("{} {}\n{headers}\n{body}\n", call.http.method, call.http.url)
}

/// Makes the record's dispatches ones of form 0, as builds before wire forms wrote them: the entry that names the form is gone.
fn of_form_0(world: &mut World, id: AttemptId) {
    let record = world.record(id);
    let mut entries = record.entries().iter().map(|entry| Entry::clone(entry));
    let mut old = Record::begin(id, entries.next().unwrap(), "").unwrap();
    for entry in entries.filter(|entry| !matches!(entry.fact, Fact::WireForm { .. })) {
        old.append(entry).unwrap();
    }
    assert_eq!(old.state().wire_form, 0);
    world.store.insert(id, old.encode());
}

/// The stories whose requests are kept: every call of every face, with and without what is optional.
fn requests(form: WireForm) -> String {
    let mut all = String::new();
    for kind in [Kind::Stripe, Kind::StripeNoKeys, Kind::AcquirerKeyedQueryable] {
        for with_return in [false, true] {
            for automatic in [false, true] {
                all += &story(kind, form, with_return, automatic);
            }
        }
    }
    all + &refund(form)
}

fn story(kind: Kind, form: WireForm, with_return: bool, automatic: bool) -> String {
    let mut world = World::new(kind);
    world.psp_mut().timing.authorize_retry_ms = Millis::new(1_000_000);
    let mut sent = CREATE.to_owned();
    if with_return {
        sent = sent.replace('}', ",\"return_url\":\"https://shop.example/back?a=1\"}");
    }
    if automatic {
        sent = sent.replace('}', ",\"capture_method\":\"automatic\"}");
    }
    let id = world.create_with("k1", &sent);
    // The first request is lost and sent again; from then on it is one of the form that is asked for.
    if kind == Kind::StripeNoKeys {
        world.script.push_back(Told::Truth);
    }
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "authorize", "k2");
    if form == WireForm::Unversioned {
        of_form_0(&mut world, id);
    }
    let before = world.calls.len();
    for _ in 0..20 {
        if world.record(id).state().running.is_none() {
            break;
        }
        world.settle(id, 1);
    }
    if automatic {
        // Captured already, or by itself.
    } else {
        world.post(&format!("/attempts/{id}/capture"), "k3", r#"{"amount":1000}"#);
        let mut other = World::new(kind);
        let id = other.authorized();
        if form == WireForm::Unversioned {
            of_form_0(&mut other, id);
        }
        other.op(id, "void", "k4");
        world.calls.extend(other.calls.pop());
    }
    let told: Vec<String> = world.calls[before..]
        .iter()
        .filter(|call| call.http.method == "POST")
        .map(written)
        .collect();
    format!(
        "### {kind:?}, return_url {with_return}, automatic {automatic}\n{}\n",
        told.join("\n")
    )
}

/// A second capture is given back.
fn refund(form: WireForm) -> String {
    let mut world = World::new(Kind::Stripe);
    world.config.installation = String::new();
    assert_eq!(world.post("/charge", "c1", CREATE).status, 200);
    let id = *world.store.keys().next().unwrap();
    if form == WireForm::Unversioned {
        of_form_0(&mut world, id);
    }
    let other = serde_json::json!({"id": "pi_9", "object": "payment_intent", "status": "succeeded", "amount": 2599,
        "amount_received": 2599, "currency": "gbp", "metadata": {"attempt_id": id.to_string()}});
    world.script.push_back(Told::Instead(answered(500, "")));
    world.webhook(&serde_json::json!({"type": "payment_intent.succeeded", "data": {"object": other}}));
    format!("### refund\n{}", written(world.calls.last().unwrap()))
}

#[test]
fn every_form_that_has_shipped_is_written_as_it_was() {
    for form in WireForm::ALL {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/golden/wire/form_{}.txt", form.number()));
        let now = requests(form);
        if std::env::var_os("PAY_ONCE_REGENERATE_GOLDEN").is_some() && form == WireForm::CURRENT {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &now).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            golden == now,
            "form {} is written otherwise now:\n{now}",
            form.number()
        );
    }
}

/// An unknown that an older build left is sent again byte for byte; what is new goes out in the newest form.
#[test]
fn an_older_dispatch_is_sent_again_in_its_own_form() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "authorize", "k2");
    of_form_0(&mut world, id);
    let has_version = |call: &Call| {
        call.http
            .headers
            .iter()
            .any(|(name, _)| *name == "stripe-version")
    };
    assert!(
        has_version(world.calls.last().unwrap()),
        "today's build wrote it with the version"
    );
    world.settle(id, 1);
    assert_eq!(world.status(id), "AUTHORIZED");
    let again = world.calls.last().unwrap();
    assert!(
        again.moves_money && !has_version(again),
        "sent again as the older build had"
    );
    // The object was made in form 0, and is acted on in form 0.
    world.op(id, "capture", "k3");
    assert!(!has_version(world.calls.last().unwrap()));
    // An attempt that an older build only created has sent nothing: it goes out in today's form.
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    assert_eq!(world.record(id).state().wire_form, 0);
    world.op(id, "authorize", "k2");
    assert!(has_version(world.calls.last().unwrap()));
}

/// A form that a newer build made cannot be written here: its record is refused, and left as it is.
#[test]
fn a_form_of_a_newer_build_is_refused() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    let mut record = world.record(id);
    let at_ms = record.entries()[0].at_ms;
    let fact = Fact::WireForm {
        form: WireForm::CURRENT.number() + 1,
    };
    record.append(Entry { at_ms, fact }).unwrap();
    let why = Record::decode(id, &record.encode()).unwrap_err().to_string();
    assert!(why.contains("newer build"), "{why}");
}
