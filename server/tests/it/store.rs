//! The store: records that cannot be trusted are refused and left as they are; one process a directory; no service that
//! would be unsafe.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pay_once::store::schema::installation_of;
use pay_once::store::sqlite::SqliteStore;
use rusqlite::{Connection, params};
use serde_json::Value;

use crate::http;
use crate::server::{Dir, Server, command};

fn database(server: &Server) -> Connection {
    Connection::open(server.data().join("pay-once.sqlite3")).unwrap()
}

fn address(id: &str) -> [u8; 16] {
    pay_once_core::AttemptId::parse(id).unwrap().to_bytes()
}

fn stored(server: &Server, id: &str) -> Vec<u8> {
    database(server)
        .query_row(
            "SELECT bytes FROM records WHERE id = ?1",
            params![address(id)],
            |row| row.get(0),
        )
        .unwrap()
}

/// Damages a record while nobody serves it, and says what every call says of it then.
fn refused(damage: impl FnOnce(Vec<u8>) -> Vec<u8>, wake_at_ms: Option<i64>, why: &str) {
    let mut server = Server::fast("stripe");
    let (bad, good) = (
        server.create("bad", "pm_card_visa"),
        server.create("good", "pm_card_visa"),
    );
    server.kill();
    let damaged = damage(stored(&server, &bad));
    let changed = database(&server)
        .execute(
            "UPDATE records SET bytes = ?2, wake_at_ms = ?3 WHERE id = ?1",
            params![address(&bad), damaged, wake_at_ms],
        )
        .unwrap();
    assert_eq!(changed, 1);
    server.restart();
    for (method, target, key) in [
        ("GET", format!("/attempts/{bad}"), None),
        ("POST", format!("/attempts/{bad}/authorize"), Some("k2")),
        ("POST", format!("/attempts/{bad}/capture"), Some("k3")),
        ("POST", format!("/attempts/{bad}/void"), Some("k4")),
    ] {
        let headers: Vec<_> = key.map(|key| ("Idempotency-Key", key)).into_iter().collect();
        let answer = http::send(&server.address, method, &target, &headers, b"").unwrap();
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (500, "RECORD_REFUSED"),
            "{answer:?}"
        );
        let error = &answer.json()["error"];
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
        assert_eq!(
            (&error["retryable"], &error["safe_new_key"]),
            (&false.into(), &false.into())
        );
    }
    // The create key finds the same record, and does not begin another payment.
    let body = serde_json::json!({"order_id": "bad", "amount": 2599, "currency": "GBP", "payment_method": "pm_card_visa"});
    assert_eq!(server.post("/attempts", "bad", &body).code(), "RECORD_REFUSED");
    // Nobody else is troubled.
    let authorized = server.post_wait(&format!("/attempts/{good}/authorize"), "k2", &Value::Null);
    assert_eq!(authorized.status, 200, "{authorized:?}");
    let refused = server.counters()["refused_records"].as_u64().unwrap();
    assert!(refused >= 5, "{refused}");
    assert_eq!(server.ledger(&bad)["authorizations"], 0);
    server.kill();
    assert_eq!(stored(&server, &bad), damaged, "bytes were changed");
}

#[test]
fn a_flipped_byte() {
    refused(
        |mut bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            bytes
        },
        None,
        "record",
    );
}

#[test]
fn a_changed_hash() {
    refused(
        |mut bytes| {
            *bytes.last_mut().unwrap() ^= 0x80;
            bytes
        },
        None,
        "hash chain does not match its head",
    );
}

#[test]
fn an_unknown_version() {
    refused(
        |mut bytes| {
            assert_eq!(&bytes[..7], b"payonce");
            bytes[7] = 2;
            bytes
        },
        None,
        "record version 2 is not known here (this build reads 1)",
    );
}

/// Woken by a timer as well: it must not spin.
#[test]
fn an_over_size_record_that_is_due() {
    refused(
        |mut bytes| {
            bytes.resize(64 * 1024 + 1, 0);
            bytes
        },
        Some(1),
        "record of 65537 bytes is over the bound of 65536",
    );
}

#[test]
fn bytes_that_are_no_record() {
    refused(|_| b"{}".to_vec(), None, "not a record");
    refused(|_| Vec::new(), None, "record");
}

/// Runs the binary to its end, which must come soon.
pub(crate) fn run(arguments: &[&str]) -> Output {
    let mut child = command()
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            child.kill().unwrap();
            panic!("{arguments:?} does not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// Refused at start: exit status, and one sentence on standard error.
pub(crate) fn refusal(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// How a start of the quick start ends, on free ports and with these arguments more.
pub(crate) fn start(data: &str, more: &[&str]) -> Output {
    let ports = ["--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0"];
    run(&[&["--data", data], &ports[..], more].concat())
}

/// What a start that is refused says.
pub(crate) fn refused_start(data: &str, more: &[&str]) -> String {
    let output = start(data, more);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_second_process_on_the_same_directory() {
    let server = Server::fast("stripe");
    let data = server.data().to_str().unwrap();
    let said = refused_start(data, &["--lock-wait-ms", "0"]);
    assert!(
        said.contains("another process is serving from") && said.contains(data),
        "{said}"
    );
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn an_address_that_others_can_reach_needs_keys() {
    let dir = Dir::new();
    let data = dir.path().to_str().unwrap();
    let said = refusal(&[
        "--data",
        data,
        "--listen",
        "0.0.0.0:0",
        "--sandbox-listen",
        "127.0.0.1:0",
    ]);
    assert!(said.contains("0.0.0.0:0 is not a loopback address"), "{said}");
}

#[test]
fn an_address_that_is_taken() {
    let server = Server::fast("stripe");
    let dir = Dir::new();
    let data = dir.path().to_str().unwrap();
    let said = refusal(&[
        "--data",
        data,
        "--listen",
        &server.address,
        "--sandbox-listen",
        "127.0.0.1:0",
    ]);
    assert!(
        said.contains(&server.address) && said.contains("--listen"),
        "{said}"
    );
}

const GOOD: &str = r#"
[merchants.shop]
psp = "cardnet"
api_key_sha256 = ["6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090"]
[psps.cardnet]
face = "acquirer"
base_url = "http://127.0.0.1:9"
api_key_file = "KEY"
"#;

#[test]
fn errors_of_a_configuration_file_are_precise() {
    let dir = Dir::new();
    let path = |name: &str| -> PathBuf { dir.path().join(name) };
    std::fs::write(path("key"), "sk_1\n").unwrap();
    std::fs::write(path("empty"), " \n").unwrap();
    let good = GOOD.replace("KEY", path("key").to_str().unwrap());
    let config = path("pay-once.toml");
    let refused = |text: &str| {
        std::fs::write(&config, text).unwrap();
        let (config, data) = (config.to_str().unwrap(), path("data"));
        refusal(&[
            "--config",
            config,
            "--listen",
            "127.0.0.1:0",
            "--data",
            data.to_str().unwrap(),
        ])
    };
    let file = |from: &str, to: &str| good.replace(from, to);
    for (text, expected) in [
        (file("face", "fase"), "unknown field `fase`"),
        (file("\"acquirer\"", "\"visa\""), "unknown variant `visa`"),
        (file("6ca1", "zca1"), "is not 64 hexadecimal digits"),
        (
            file("http://127.0.0.1:9", "ftp://x"),
            "base_url must begin with https://",
        ),
        (
            file("http://127.0.0.1:9", "/x"),
            "base_url must begin with https://",
        ),
        (
            file("psp = \"cardnet\"", "psp = \"stripe\""),
            "no psp named \"stripe\" is configured",
        ),
        (file("api_key_file", "api_key_env"), "is not set"),
        (file("key\"", "nowhere\""), "cannot be read"),
        (file("key\"\n", "empty\"\n"), "api_key is empty"),
        (
            file("api_key_file", "# "),
            "name its key with api_key_env or api_key_file",
        ),
        (
            format!("{good}addressable = true\n"),
            "the acquirer face has no objects to address",
        ),
        (
            format!("{good}keyed_horizon_ms = 1000\n"),
            "keyed_horizon_ms must exceed",
        ),
        (
            format!("{good}[psps.cardnet.timing]\ncall_timeout_ms = 200000\n"),
            "max_in_flight_ms must be at least call_timeout_ms",
        ),
        (
            format!("open_merchant = \"x\"\n{good}"),
            "open_merchant \"x\" is not a configured merchant",
        ),
        (
            format!(
                "installation = \"x\"\n{}",
                file("http://127.0.0.1:9", "http://psp.example")
            ),
            "is http:// to another machine",
        ),
        (file("face", "fase"), "pay-once.toml, line 6: unknown field"),
        ("merchants = 1".to_owned(), "expected a map"),
        ("[".to_owned(), "pay-once.toml"),
    ] {
        let said = refused(&text);
        assert!(
            said.contains(expected) && said.starts_with("pay-once: "),
            "{expected}: {said}"
        );
    }
    let absent = refusal(&["--config", "/nowhere.toml", "--listen", "127.0.0.1:0"]);
    assert!(absent.contains("/nowhere.toml cannot be read"), "{absent}");
}

/// A store belongs to one installation for life: under another name none of its attempts would be found.
#[test]
fn a_store_of_another_installation_is_refused() {
    let dir = Dir::new();
    let open = |installation: &str| SqliteStore::open(dir.path(), installation, Arc::default());
    assert_eq!(installation_of(dir.path()), None, "there is no store yet");
    drop(open("shop").unwrap());
    drop(open("shop").unwrap());
    assert_eq!(installation_of(dir.path()).as_deref(), Some("shop"));
    for other in ["", "shop-2"] {
        let why = open(other).unwrap_err().to_string();
        assert!(
            why.contains("\"shop\"") && why.contains(&format!("\"{other}\"")),
            "{why}"
        );
    }
    drop(open("shop").unwrap());
}

/// A key that was written into the file by mistake is not repeated.
#[test]
fn an_error_of_a_configuration_file_shows_nothing_of_its_values() {
    let dir = Dir::new();
    let config = dir.path().join("pay-once.toml");
    for line in [
        "api_key = \"sk_live_secret\"",
        "api_key_sha256 = \"sk_live_secret\"",
        "psp = \"sk_live_secret\" x",
        "psp = sk_live_secret",
    ] {
        std::fs::write(&config, format!("[merchants.shop]\n{line}\n")).unwrap();
        let (config, data) = (config.to_str().unwrap(), dir.path().join("data"));
        let said = refusal(&["--config", config, "--data", data.to_str().unwrap()]);
        assert!(!said.contains("sk_live_secret"), "{line}: {said}");
        assert!(said.contains("pay-once.toml, line 2: "), "{line}: {said}");
    }
}

#[test]
fn a_key_that_can_be_guessed_gets_no_digest() {
    let hash = |key: &str| {
        let mut child = command()
            .arg("--hash-key")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), key.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let short = hash("k");
    assert_eq!(short.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&short.stderr).contains("at least 16"),
        "{short:?}"
    );
    let long = hash("0123456789abcdef\n");
    assert_eq!((long.status.code(), long.stdout.len()), (Some(0), 65));
}
