//! A blunt load generator: `load ADDRESS CONNECTIONS SECONDS [acquirer|stripe]` against a running sandbox.
//! It measures the sandbox, so it does as little as it can itself.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, connections, seconds, rest @ ..] = arguments.as_slice() else {
        return Err(io::Error::other(
            "usage: load ADDRESS CONNECTIONS SECONDS [acquirer|stripe]",
        ));
    };
    let number = |text: &String| text.parse::<u64>().map_err(io::Error::other);
    let (connections, seconds) = (number(connections)?, number(seconds)?);
    let stripe = rest.first().is_some_and(|face| face == "stripe");
    let until = Instant::now() + Duration::from_secs(seconds);
    let clients: Vec<_> = (0..connections)
        .map(|client| {
            let address = address.clone();
            std::thread::spawn(move || run(&address, client, until, stripe))
        })
        .collect();
    let mut calls = 0;
    for client in clients {
        calls += client
            .join()
            .map_err(|_| io::Error::other("a client panicked"))??;
    }
    println!(
        "{calls} calls in {seconds} s: {} a second",
        calls / seconds.max(1)
    );
    Ok(())
}

fn run(address: &str, client: u64, until: Instant, stripe: bool) -> io::Result<u64> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answer = vec![0; 16 * 1024];
    let mut calls = 0;
    while Instant::now() < until {
        stream.write_all(request(client, calls, stripe).as_bytes())?;
        // An answer of this size arrives in one piece over loopback.
        if stream.read(&mut answer)? == 0 || !answer.starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other("not a 200"));
        }
        calls += 1;
    }
    Ok(calls)
}

fn request(client: u64, call: u64, stripe: bool) -> String {
    let (path, body) = if stripe {
        let form = format!(
            "amount=4599&currency=gbp&confirm=true&capture_method=manual&payment_method=pm_card_visa\
             &metadata[attempt_id]=pa_{client}_{call}"
        );
        ("/v1/payment_intents", form)
    } else {
        let json = format!(
            "{{\"reference\":\"pa_{client}_{call}\",\"amount\":4599,\"currency\":\"GBP\",\"payment_method\":\"tok_visa\"}}"
        );
        ("/authorize", json)
    };
    format!(
        "POST {path} HTTP/1.1\r\nhost: sandbox\r\nauthorization: Bearer sk_load\r\nidempotency-key: k_{client}_{call}\
         \r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
