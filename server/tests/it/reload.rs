//! SIGHUP: the configuration file is read again, whole or not at all, and the server goes on.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::server::{Dir, Server};

const END: Duration = Duration::from_secs(20);

struct Place {
    server: Server,
    file: PathBuf,
    _dir: Dir,
}

fn digest(key: &str) -> String {
    pay_once_core::key_digest(key)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn text(installation: &str, keys: &[(&str, &str)]) -> String {
    let merchants: String = keys
        .iter()
        .map(|(name, key)| {
            format!(
                "[merchants.{name}]\npsp = \"cardnet\"\napi_key_sha256 = [\"{}\"]\n",
                digest(key)
            )
        })
        .collect();
    format!(
        "installation = \"{installation}\"\n{merchants}[psps.cardnet]\nface = \"acquirer\"\nbase_url = \"http://127.0.0.1:9\"\napi_key_env = \"IT_PSP_KEY\"\n"
    )
}

fn place() -> Place {
    let dir = Dir::new();
    let file = dir.path().join("pay-once.toml");
    fs::write(&file, text("it", &[("shop", "key-of-the-shop")])).unwrap();
    let arguments = ["--config", file.to_str().unwrap()];
    let server = Server::start_with(&arguments, &[("IT_PSP_KEY", "sk_it")]);
    Place {
        server,
        file,
        _dir: dir,
    }
}

impl Place {
    /// The status of a create under this merchant's key.
    fn create(&self, api_key: &str, key: &str) -> u16 {
        let body = json!({"order_id": "o", "amount": 1, "currency": "GBP"});
        let bearer = format!("Bearer {api_key}");
        let headers = [("Idempotency-Key", key), ("Authorization", &*bearer)];
        self.server.post_with("/attempts", &headers, &body).status
    }

    /// Puts this in the file, sends SIGHUP, and waits for what the log says.
    fn reload(&self, text: &str, expected: &[&str]) {
        fs::write(&self.file, text).unwrap();
        let before = self.server.output().len();
        self.server.signal("-HUP");
        let until = Instant::now() + END;
        while !expected
            .iter()
            .all(|expected| self.server.output()[before..].contains(expected))
        {
            assert!(Instant::now() < until, "{expected:?}: {}", self.server.output());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn merchants_and_keys_are_changed_without_a_restart() {
    let place = place();
    assert_eq!(place.create("key-of-the-shop", "k1"), 201);
    assert_eq!(place.create("key-of-the-other", "k1"), 401);
    place.reload(
        &text(
            "it",
            &[("shop", "new-key-of-the-shop"), ("other", "key-of-the-other")],
        ),
        &["is in force", "other"],
    );
    assert_eq!(place.create("key-of-the-other", "k1"), 201);
    assert_eq!(place.create("key-of-the-shop", "k1"), 401, "it was taken away");
    // The same merchant under its new key: the same payment.
    assert_eq!(place.create("new-key-of-the-shop", "k1"), 200);
    let log = place.server.output();
    for secret in ["key-of-the-shop", "sk_it"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn a_file_that_is_refused_changes_nothing() {
    let place = place();
    let with_other = [("shop", "key-of-the-shop"), ("other", "key-of-the-other")];
    let good = text("it", &with_other);
    for (bad, why) in [
        (
            good.replace("psp = \"cardnet\"", "psp = \"nowhere\""),
            "no psp named",
        ),
        (good.replace("face", "fase"), "unknown field"),
        (good.replace("IT_PSP_KEY", "IT_NO_KEY"), "IT_NO_KEY is not set"),
        (
            text("another", &with_other),
            "a store keeps its installation for life",
        ),
        (String::new(), "refused"),
    ] {
        place.reload(&bad, &["the one before stays in force", why]);
        assert_eq!(place.create("key-of-the-other", "k1"), 401, "{why}");
        let status = place.create("key-of-the-shop", "k1");
        assert!([200, 201].contains(&status), "{why}: {status}");
    }
    fs::remove_file(&place.file).unwrap();
    let before = place.server.output().len();
    place.server.signal("-HUP");
    let until = Instant::now() + END;
    while !place.server.output()[before..].contains("cannot be read") {
        assert!(Instant::now() < until, "{}", place.server.output());
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(place.create("key-of-the-shop", "k1"), 200);
}

#[test]
fn a_server_without_a_file_goes_on() {
    let server = Server::fast("stripe");
    server.signal("-HUP");
    let until = Instant::now() + END;
    while !server
        .output()
        .contains("there is no configuration file to read again")
    {
        assert!(Instant::now() < until, "{}", server.output());
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(server.get("/healthz").status, 200);
}
