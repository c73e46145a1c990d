//! What became of a call whose way to the PSP broke (`suite/src/transport.rs`).

use pay_once_suite::environment::{PSP_KEY, PSP_KEY_ENV, Secrets, WEBHOOK_SECRET, WEBHOOK_SECRET_ENV, toml};
use pay_once_suite::loopback::free_address;
use pay_once_suite::transport::{transport, transport_config};

use crate::server::{Dir, Server};

#[test]
fn a_call_that_reached_the_psp_is_never_told_as_not_sent() {
    let listen = free_address().unwrap();
    let dir = Dir::new();
    let file = dir.path().join("transport.toml");
    let document = transport_config(&listen.to_string(), &Secrets::default());
    std::fs::write(&file, toml(&document).unwrap()).unwrap();
    let server = Server::start_with(
        &["--config", file.to_str().unwrap(), "--log", "error"],
        &[(PSP_KEY_ENV, PSP_KEY), (WEBHOOK_SECRET_ENV, WEBHOOK_SECRET)],
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let url = format!("http://{}", server.address);
    let lines = runtime
        .block_on(transport(&url, listen, &Secrets::default()))
        .unwrap();
    let told: Vec<&str> = lines.iter().filter_map(|line| line.split(": ").nth(1)).collect();
    let [answers, refused, at_once, after, half, silence, tls, name] = told[..] else {
        panic!("{lines:?}");
    };
    assert_eq!((answers, refused), ("answered", "not sent"));
    // Whether the reset comes before the request is begun is chance.
    assert!(["not sent", "unknown"].contains(&at_once), "{lines:?}");
    assert_eq!((after, half, silence), ("unknown", "unknown", "unknown"));
    assert_eq!((tls, name), ("not sent", "not sent"));
}
