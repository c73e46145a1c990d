//! The sandbox PSP as a program of its own.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use pay_once_sandbox::server::{Options, serve};
use pay_once_sandbox::{Dials, RangeMs, Settings, tokens};

/// A sandbox payment service provider: one ledger, two faces, faults on request.
///
/// The Stripe-shaped face is under /v1 (any non-empty bearer key); the acquirer face is POST /authorize, /capture,
/// /void and GET /lookup, and does everything twice that is asked twice. What really happened to the money is at
/// GET /ledger. No real money is involved anywhere.
#[derive(Parser)]
#[command(name = "pay-once-sandbox", version)]
struct Arguments {
    /// Loopback address to listen on; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Directory of the ledger, which then survives restarts and kill -9. Without it: in memory.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How long answers take, in milliseconds.
    #[arg(long, default_value = "100..800", value_name = "MIN..MAX", value_parser = latency)]
    latency_ms: RangeMs,
    /// Where webhooks go: /stripe and /acquirer are added. Without it: no webhooks.
    #[arg(long, value_name = "URL", value_parser = webhook_url)]
    webhook_url: Option<String>,
    /// Secret that signs webhooks.
    #[arg(long, default_value = "whsec_sandbox", value_name = "SECRET")]
    webhook_secret: String,
    /// Seed of latencies, faults and identifiers, for runs that resemble each other.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let matches = Arguments::command().after_help(after_help()).get_matches();
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pay-once-sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> io::Result<()> {
    if !arguments.listen.ip().is_loopback() {
        let message = format!(
            "{} is not a loopback address; the sandbox listens on no other",
            arguments.listen
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let listener = TcpListener::bind(arguments.listen)?;
    let address = listener.local_addr()?;
    let options = Options {
        settings: Settings {
            dials: Dials {
                latency_ms: arguments.latency_ms,
                ..Dials::default()
            },
            webhook_url: arguments.webhook_url,
            webhook_secret: arguments.webhook_secret,
            ..Settings::default()
        },
        data_dir: arguments.data,
        seed: arguments.seed,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // The port is bound, so whoever reads this line can connect; its requests wait until the log is replayed.
    writeln!(io::stdout(), "sandbox PSP on http://{address}")?;
    runtime.block_on(serve(listener, options, interrupted()))
}

/// Done on Ctrl-C. When that cannot be waited for, never: the default action then ends the process.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn after_help() -> String {
    format!(
        "{}\nTry it:\n  \
         pay-once-sandbox --listen 127.0.0.1:9090 --latency-ms 0..0 &\n  \
         curl -d '{{\"reference\":\"pa_1\",\"amount\":4599,\"currency\":\"GBP\",\"payment_method\":\"tok_visa\"}}' \
         http://127.0.0.1:9090/authorize\n  \
         curl http://127.0.0.1:9090/ledger\n\n\
         Every constant is a dial: curl http://127.0.0.1:9090/dials, and turn with\n  \
         curl -X PUT -d '{{\"late_permille\": 50}}' http://127.0.0.1:9090/dials\n\n\
         What happens at a PSP without a call (refunds by hand, disputes, reversals) is POST /dashboard/…: see the README.",
        tokens::help()
    )
}

fn latency(text: &str) -> Result<RangeMs, String> {
    let (min, max) = text
        .split_once("..")
        .ok_or("write it as MIN..MAX, for example 100..800")?;
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|_| format!("'{text}' is not a number of milliseconds"))
    };
    let range = RangeMs {
        min: number(min)?,
        max: number(max)?,
    };
    if range.min > range.max {
        Err("MIN is greater than MAX".to_owned())
    } else {
        Ok(range)
    }
}

fn webhook_url(text: &str) -> Result<String, String> {
    if text.starts_with("http://") {
        Ok(text.to_owned())
    } else {
        Err("webhooks go to http:// only".to_owned())
    }
}
