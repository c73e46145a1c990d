//! The ledger survives its process.

// Helpers of a test are tests too, which `clippy.toml` cannot see.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use pay_once_sandbox::server::Options;
use serde_json::{Value, json};

use support::{Served, call, exchange, fresh_dir, options};

const LOG: &str = "sandbox-ledger.jsonl";

#[test]
fn a_restart_replays_ledger_keys_and_spent_tokens() {
    let dir = fresh_dir("restart");
    let served = Served::start(Some(&dir), None);
    served.authorize("pa_1", "x").unwrap();
    let form =
        "amount=1&currency=gbp&confirm=true&payment_method=pm_sandbox_500_before&metadata[attempt_id]=pa_2";
    assert_eq!(
        call(served.address, "POST", "/v1/payment_intents", form)
            .unwrap()
            .status,
        500
    );
    let before = served.get("/ledger");
    served.stop().unwrap();

    let served = Served::start(Some(&dir), None);
    assert_eq!(served.get("/ledger"), before);
    assert_eq!(
        call(served.address, "POST", "/v1/payment_intents", form)
            .unwrap()
            .status,
        200
    );
    let ids: Vec<_> = (0..2)
        .map(|_| served.authorize("pa_1", "x").unwrap().body)
        .collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(served.get("/ledger")["pa_1"]["authorizations"], 3);
    served.stop().unwrap();
}

#[test]
fn the_log_of_an_older_sandbox_is_read() {
    let dir = fresh_dir("older");
    std::fs::create_dir_all(&dir).unwrap();
    // Written before refunds had a status, and 3-D Secure a time.
    let older = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/older-ledger.jsonl");
    std::fs::copy(older, dir.join(LOG)).unwrap();
    let served = Served::start(Some(&dir), None);
    let ledger = served.get("/ledger");
    assert_eq!(
        (
            &ledger["pa_1"]["refunded_minor"],
            &ledger["pa_2"]["captured_minor"]
        ),
        (&json!(200), &json!(400))
    );
    assert_eq!(ledger["pa_3"]["declines"], 1);
    let refunds = served.get("/v1/refunds?payment_intent=pi_dcf66eafaa62265200000001");
    assert_eq!(
        (&refunds["data"][0]["status"], &refunds["data"][0]["metadata"]),
        (&json!("succeeded"), &json!({}))
    );
    let waiting = served.get("/lookup?reference=pa_2")["requires_action"][0].clone();
    assert!(waiting["id"].is_string() && waiting["created"].is_null());
    served.stop().unwrap();
}

#[test]
fn a_seed_draws_what_it_drew_in_older_sandboxes() {
    let served = Served::start_with(Options {
        seed: Some(7),
        ..options(None, None)
    });
    // The first three requests of `older-ledger.jsonl`, which has their ids.
    let form = "amount=1000&currency=gbp&capture_method=manual&confirm=true&payment_method=x";
    let mut ids = Vec::new();
    let mut post = |path: &str, form: &str| {
        let body = call(served.address, "POST", path, form).unwrap().body;
        let body: Value = serde_json::from_slice(&body).unwrap();
        ids.push(body["id"].as_str().unwrap().to_owned());
        ids.push(body["latest_charge"].as_str().unwrap_or_default().to_owned());
    };
    post("/v1/payment_intents", form);
    let id = "pi_dcf66eafaa62265200000001";
    post(
        &format!("/v1/payment_intents/{id}/capture"),
        "amount_to_capture=700",
    );
    post("/v1/refunds", &format!("payment_intent={id}&amount=200"));
    let charge = "ch_e9a05a4d6ef14d7000000002";
    assert_eq!(ids, [id, charge, id, charge, "re_8746b59d1accdd9a00000004", ""]);
    served.stop().unwrap();
}

#[test]
fn a_torn_last_line_is_cut_off() {
    let dir = fresh_dir("torn");
    let served = Served::start(Some(&dir), None);
    served.authorize("pa_1", "x").unwrap();
    let before = served.get("/ledger");
    served.stop().unwrap();
    let whole = std::fs::read(dir.join(LOG)).unwrap();
    for torn in ["{", "{\"at_ms\":1,\"ids\":9,\"changes\":[]}"] {
        OpenOptions::new()
            .append(true)
            .open(dir.join(LOG))
            .unwrap()
            .write_all(torn.as_bytes())
            .unwrap();
        let served = Served::start(Some(&dir), None);
        assert_eq!(served.get("/ledger"), before);
        served.stop().unwrap();
        assert_eq!(std::fs::read(dir.join(LOG)).unwrap(), whole);
    }
    // A header torn by a crash at the very first start is no ledger at all.
    std::fs::write(dir.join(LOG), &whole[..10]).unwrap();
    let served = Served::start(Some(&dir), None);
    assert_eq!(served.get("/ledger"), json!({}));
    served.stop().unwrap();
}

#[test]
fn corruption_elsewhere_is_refused_with_its_place() {
    let dir = fresh_dir("corrupt");
    let served = Served::start(Some(&dir), None);
    for _ in 0..3 {
        served.authorize("pa_1", "x").unwrap();
    }
    served.stop().unwrap();
    let whole = std::fs::read_to_string(dir.join(LOG)).unwrap();
    let mut lines: Vec<&str> = whole.lines().collect();
    lines[2] = "{\"at_ms\":oops}";
    std::fs::write(dir.join(LOG), lines.join("\n") + "\n").unwrap();
    let error = refused(&dir);
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(
        error.to_string().contains("sandbox-ledger.jsonl, line 3: "),
        "{error}"
    );
    std::fs::write(
        dir.join(LOG),
        "{\"format\":\"pay-once-sandbox-ledger\",\"version\":99}\n",
    )
    .unwrap();
    assert!(refused(&dir).to_string().contains("version 99"));
}

#[test]
fn one_process_at_a_time_has_the_log() {
    let dir = fresh_dir("locked");
    let served = Served::start(Some(&dir), None);
    served.authorize("pa_1", "x").unwrap();
    assert_eq!(refused(&dir).kind(), ErrorKind::WouldBlock);
    served.stop().unwrap();
}

#[test]
fn nothing_answered_is_lost_to_a_kill() {
    let dir = fresh_dir("killed");
    let mut answered = 0;
    for _ in 0..3 {
        let (mut child, address) = start_binary(&dir);
        let client = std::thread::spawn(move || {
            let mut stream = BufReader::new(std::net::TcpStream::connect(address).unwrap());
            let body = json!({"reference": "pa_1", "amount": 5, "currency": "GBP", "payment_method": "x"});
            let mut answered = 0_u64;
            while exchange(&mut stream, "POST", "/authorize", &body.to_string()).is_ok() {
                answered += 1;
            }
            answered
        });
        std::thread::sleep(std::time::Duration::from_millis(200));
        // On Unix this is SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        answered += client.join().unwrap();
    }
    let (mut child, address) = start_binary(&dir);
    let ledger = call(address, "GET", "/ledger", "").unwrap().body;
    child.kill().unwrap();
    child.wait().unwrap();
    let ledger: serde_json::Value = serde_json::from_slice(&ledger).unwrap();
    let kept = ledger["pa_1"]["authorizations"].as_u64().unwrap();
    assert!(answered > 0);
    // At most the one call in flight at each kill is in the ledger without an answer.
    assert!(
        (answered..=answered + 3).contains(&kept),
        "{answered} answered, {kept} kept"
    );
}

fn start_binary(dir: &Path) -> (std::process::Child, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pay-once-sandbox"))
        .args(["--latency-ms", "0..0", "--data"])
        .arg(dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line
        .trim()
        .strip_prefix("sandbox PSP on http://")
        .unwrap()
        .parse()
        .unwrap();
    (child, address)
}

fn refused(dir: &Path) -> std::io::Error {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(pay_once_sandbox::server::serve(
            listener,
            options(Some(dir), None),
            async {},
        ))
        .unwrap_err()
}
