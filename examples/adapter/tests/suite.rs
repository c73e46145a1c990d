//! The adapter passes what every adapter must pass.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::thread;

use pay_once_core::{ConfigFile, SecretPlace};
use pay_once_example_adapter::serve;
use pay_once_sandbox::server::{Options as SandboxOptions, serve as serve_sandbox};
use pay_once_sandbox::{Dials, RangeMs, Settings};
use pay_once_suite::environment::{
    PSP_KEY, PSP_KEY_ENV, Secrets, WEBHOOK_SECRET, WEBHOOK_SECRET_ENV, config,
};
use pay_once_suite::{GOLDEN, Options, run};

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

#[test]
fn the_adapter_passes_the_suite() {
    let sandbox = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let adapter = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    adapter.set_nonblocking(true).unwrap();
    let urls = [&adapter, &sandbox].map(|listener| format!("http://{}", listener.local_addr().unwrap()));
    let [adapter_url, psp_url] = urls;
    let options = SandboxOptions {
        settings: Settings {
            dials: Dials {
                latency_ms: RangeMs { min: 0, max: 0 },
                ..Dials::default()
            },
            public_url: String::new(),
            webhook_url: Some(format!("{adapter_url}/webhooks")),
            webhook_secret: WEBHOOK_SECRET.to_owned(),
        },
        data_dir: None,
        seed: None,
    };
    // Both end with this process.
    thread::spawn(move || block_on(serve_sandbox(sandbox, options, std::future::pending())).unwrap());
    let document = config(&psp_url, &Secrets::default());
    let file: ConfigFile = serde_json::from_value(document).unwrap();
    let config = file.into_config(|place| match place {
        SecretPlace::Environment(PSP_KEY_ENV) => Ok(PSP_KEY.to_owned()),
        SecretPlace::Environment(WEBHOOK_SECRET_ENV) => Ok(WEBHOOK_SECRET.to_owned()),
        other => Err(format!("{other:?}")),
    });
    let config = config.unwrap();
    config.check().unwrap();
    thread::spawn(move || {
        block_on(async {
            let listener = tokio::net::TcpListener::from_std(adapter).unwrap();
            serve(listener, config).await.unwrap();
        });
    });
    let report = block_on(run(&Options::new(&adapter_url, &psp_url))).unwrap();
    println!("{}", report.lines());
    report.check(GOLDEN).unwrap_or_else(|why| panic!("{why}"));
}
