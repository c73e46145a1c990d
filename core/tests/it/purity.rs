//! `ARCHITECTURE.md`, “Invariants: what is absent”: core has no I/O, no clock, no randomness, no async, and no order that a hash
//! decides. The compiler does not check that; this does. (`core/clippy.toml` says the same to whoever writes the line.)

use std::path::Path;
use std::process::Command;

/// Crates that bring a clock, a network, randomness or a runtime.
const FORBIDDEN: [&str; 26] = [
    "async-std",
    "chrono",
    "crossbeam",
    "fastrand",
    "getrandom",
    "hyper",
    "mio",
    "rand",
    "rand_chacha",
    "rand_core",
    "rayon",
    "reqwest",
    "rusqlite",
    "smol",
    "socket2",
    "spin-sdk",
    "tempfile",
    "time",
    "tokio",
    "tracing",
    "turmoil",
    "ureq",
    "uuid",
    "wasi",
    "worker",
    "ahash",
];

fn dependencies(target: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "-p", "pay-once-core", "-e", "normal"])
        .args(["--prefix", "none", "--format", "{p}", "--target", target])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = listed.lines().filter_map(|line| line.split(' ').next());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn no_dependency_brings_a_clock_a_network_randomness_or_a_runtime() {
    for target in [
        "x86_64-unknown-linux-gnu",
        "wasm32-unknown-unknown",
        "wasm32-wasip2",
    ] {
        let names = dependencies(target);
        assert!(
            names.iter().any(|name| name == "serde_json"),
            "the tree was read: {names:?}"
        );
        for name in FORBIDDEN {
            assert!(!names.iter().any(|known| known == name), "{name}, for {target}");
        }
    }
}

/// Every line of code under `core/src`, without comments.
fn lines(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            lines(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default().to_owned();
                found.push((format!("{}:{}", path.display(), number + 1), code));
            }
        }
    }
}

#[test]
fn no_line_of_core_reaches_out() {
    let mut found = Vec::new();
    lines(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 3_000, "{} lines were read", found.len());
    for word in [
        "SystemTime",
        "Instant",
        "std::net",
        "std::fs",
        "std::io",
        "std::thread",
        "std::env",
        "std::process",
        "HashMap",
        "HashSet",
        "async fn",
        "async move",
        ".await",
        "thread_local",
        "static mut",
        "unsafe ",
        "rand::",
        "Ulid::new",
        "Timestamp::now",
        "println!",
        "eprintln!",
    ] {
        let hits: Vec<_> = found.iter().filter(|(_, code)| code.contains(word)).collect();
        assert!(hits.is_empty(), "{word}: {hits:?}");
    }
    // A search that cannot find what is there could not find what must not be.
    assert!(found.iter().any(|(_, code)| code.contains("BTreeMap")));
}
