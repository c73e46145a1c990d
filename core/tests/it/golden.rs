//! Golden records: bytes that earlier builds wrote must be read for ever (`golden/earlier/`, never written anew), and today's
//! build writes the bytes of `golden/` for the same stories. `PAY_ONCE_REGENERATE_GOLDEN=1 cargo test -p pay-once-core golden`
//! writes those anew: only ever together with a new kind of entry, once the old ones are kept among the earlier.

use std::path::PathBuf;

use pay_once_core::contract::timeline::timeline;
use pay_once_core::{AttemptId, Loss, Record, UnixMillis};
use serde_json::json;

use crate::support::{CREATE, Kind, START_MS, Told, World, timeout};

fn stories() -> Vec<(&'static str, World, AttemptId, &'static str)> {
    vec![
        manual(),
        charge_declined(),
        parked_and_resolved(),
        three_d_secure(),
        compensated(),
        returning(),
    ]
}

fn manual() -> (&'static str, World, AttemptId, &'static str) {
    let mut world = World::new(Kind::Stripe);
    let metadata = CREATE.replace('}', ",\"metadata\":{\"cart\":\"7\"}}");
    let id = world.create_with("k1", &metadata);
    world.now_ms += 14_000;
    world.op(id, "authorize", "k2");
    world.now_ms += 50_000;
    world.post(&format!("/attempts/{id}/capture"), "k3", r#"{"amount":1000}"#);
    ("manual_payment", world, id, "CAPTURED")
}

fn charge_declined() -> (&'static str, World, AttemptId, &'static str) {
    let mut world = World::new(Kind::Stripe);
    world.post("/charge", "k1", &CREATE.replace("visa", "declined"));
    (
        "charge_declined",
        world,
        AttemptId::derive("", "demo", "k1"),
        "DECLINED",
    )
}

fn parked_and_resolved() -> (&'static str, World, AttemptId, &'static str) {
    let mut world = World::new(Kind::Blind);
    let id = world.authorized();
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "capture", "k3");
    world.settle(id, 3);
    let sent = json!({"operator": "ada", "reason": "seen in the books", "outcome": "happened", "psp_reference": "cap_9"});
    let sent = world.word(id, sent);
    world.post(&format!("/attempts/{id}/resolve"), "r1", &sent);
    ("parked_and_resolved", world, id, "CAPTURED")
}

fn three_d_secure() -> (&'static str, World, AttemptId, &'static str) {
    let mut world = World::new(Kind::StripeNoKeys);
    let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
    world.op(id, "authorize", "k2");
    world.now_ms += 30_000;
    world.ledger.finish_action(world.now_ms);
    let notice = world.ledger.notices().last().unwrap().clone();
    world.webhook(&notice);
    world.op(id, "void", "k3");
    ("three_d_secure", world, id, "VOIDED")
}

fn compensated() -> (&'static str, World, AttemptId, &'static str) {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized_twice();
    world.settle(id, 1);
    ("compensation", world, id, "AUTHORIZED")
}

fn returning() -> (&'static str, World, AttemptId, &'static str) {
    let mut world = World::new(Kind::StripeNoKeys);
    let sent = CREATE.replace('}', ",\"return_url\":\"https://shop.example/back\"}");
    let id = world.create_with("k1", &sent);
    world.op(id, "authorize", "k2");
    ("return_url", world, id, "AUTHORIZED")
}

/// Of a kind of entry that no earlier build wrote.
fn restored() -> (&'static str, World, AttemptId, &'static str) {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.now_ms += 3_600_000;
    let loss = Loss {
        begins_ms: UnixMillis::new(START_MS + 1),
        restored_ms: world.now(),
    };
    world.config.losses.insert("stripe".to_owned(), loss);
    world.now_ms += 600_000;
    world.op(id, "authorize", "k2");
    ("restored", world, id, "AUTHORIZED")
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn told(record: &Record) -> String {
    let mut text = serde_json::to_string_pretty(&timeline(record)).unwrap();
    text.push('\n');
    text
}

#[test]
fn todays_build_writes_the_golden_bytes_and_reads_them() {
    let regenerate = std::env::var_os("PAY_ONCE_REGENERATE_GOLDEN").is_some();
    for (name, world, id, status) in stories().into_iter().chain([restored()]) {
        let (bytes, words) = (file(&format!("{name}.bin")), file(&format!("{name}.json")));
        if regenerate {
            std::fs::create_dir_all(bytes.parent().unwrap()).unwrap();
            std::fs::write(&bytes, &world.store[&id]).unwrap();
            std::fs::write(&words, told(&world.record(id))).unwrap();
        }
        let golden = std::fs::read(&bytes).unwrap_or_else(|_| panic!("{name}: there is no golden file"));
        let record = Record::decode(id, &golden).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            crate::support::word(record.state().status),
            status,
            "{name}: read as another status"
        );
        assert_eq!(
            told(&record),
            std::fs::read_to_string(&words).unwrap(),
            "{name}: read as another story"
        );
        assert!(
            golden == world.store[&id],
            "{name}: today's build writes other bytes for the same story"
        );
    }
}

/// Records from before installations had names and dispatches had wire forms: each keeps its id, its status and its story.
#[test]
fn records_of_earlier_builds_are_read() {
    for (name, _, id, status) in stories() {
        let bytes = std::fs::read(file(&format!("earlier/{name}.bin"))).unwrap();
        let record = Record::decode(id, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let state = record.state();
        assert_eq!(crate::support::word(state.status), status, "{name}");
        assert_eq!((&*state.installation, state.wire_form), ("", 0), "{name}");
        let words = std::fs::read_to_string(file(&format!("earlier/{name}.json"))).unwrap();
        assert_eq!(told(&record), words, "{name}: read as another story");
        assert!(record.encode() == bytes, "{name}: written back as other bytes");
    }
}
