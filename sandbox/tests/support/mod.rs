//! A sandbox on a thread of its own, and a small blocking HTTP client.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)] // Each test file uses its own part of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use pay_once_sandbox::server::{Options, serve};
use pay_once_sandbox::{Dials, RangeMs, Settings};
use serde_json::Value;
use tokio::sync::oneshot;

pub struct Served {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Served {
    /// Serves at zero latency.
    pub fn start(data_dir: Option<&Path>, webhook_url: Option<String>) -> Self {
        Self::start_with(options(data_dir, webhook_url))
    }

    pub fn start_with(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(serve(listener, options, async {
                stopped.await.ok();
            }))
        });
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Stops it and says how it ended.
    pub fn stop(mut self) -> std::io::Result<()> {
        self.stop.take();
        self.thread.take().unwrap().join().unwrap()
    }

    pub fn authorize(&self, reference: &str, token: &str) -> std::io::Result<Answer> {
        let body = format!(
            "{{\"reference\":\"{reference}\",\"amount\":1000,\"currency\":\"GBP\",\"payment_method\":\"{token}\"}}"
        );
        call(self.address, "POST", "/authorize", &body)
    }

    pub fn get(&self, path: &str) -> Value {
        let answer = call(self.address, "GET", path, "").unwrap();
        assert_eq!(answer.status, 200, "{path}");
        serde_json::from_slice(&answer.body).unwrap()
    }
}

pub fn options(data_dir: Option<&Path>, webhook_url: Option<String>) -> Options {
    let dials = Dials {
        latency_ms: RangeMs { min: 0, max: 0 },
        webhook_delay_ms: 0,
        ..Dials::default()
    };
    Options {
        settings: Settings {
            dials,
            webhook_url,
            ..Settings::default()
        },
        data_dir: data_dir.map(Path::to_owned),
        seed: Some(1),
    }
}

/// A fresh directory that is this test's own.
pub fn fresh_dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::remove_dir_all(&dir).ok();
    dir
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// One request on a connection of its own; gives up after a second.
pub fn call(address: SocketAddr, method: &str, path: &str, body: &str) -> std::io::Result<Answer> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    exchange(&mut BufReader::new(stream), method, path, body)
}

/// One request on a connection that may live on.
pub fn exchange(
    stream: &mut BufReader<TcpStream>,
    method: &str,
    path: &str,
    body: &str,
) -> std::io::Result<Answer> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk_x\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.get_mut().write_all(format!("{head}{body}").as_bytes())?;
    let head = read_head(stream)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap();
    let mut body = vec![0; content_length(&head)];
    stream.read_exact(&mut body)?;
    Ok(Answer { status, head, body })
}

pub fn read_head(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head.to_lowercase())
}

pub fn content_length(head: &str) -> usize {
    head.lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}
