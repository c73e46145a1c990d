//! `pay-once-suite`: the table of end-to-end cases, against a running adapter.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pay_once_suite::environment::{
    PSP_KEY, PSP_KEY_ENV, Secrets, WEBHOOK_SECRET, WEBHOOK_SECRET_ENV, config, toml,
};
use pay_once_suite::transport::{transport, transport_config};
use pay_once_suite::{Options, run, table};
use serde_json::Value;

/// Runs one table of end-to-end cases against an adapter of Pay Once and the sandbox PSP that it pays through.
///
/// Prints one line a case; ends 0 only if all passed (and, with --check, if the transcript is the very one).
#[derive(Parser)]
#[command(name = "pay-once-suite", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The adapter.
    #[arg(long, value_name = "URL", required_unless_present = "list")]
    base_url: Option<String>,
    /// The sandbox PSP, as the adapter's configuration names it: its ledger is the judge, its dials are turned.
    #[arg(long, value_name = "URL", required_unless_present = "list")]
    psp_url: Option<String>,
    #[command(flatten)]
    secrets: SecretArguments,
    /// Only cases whose name contains this.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Lists the cases and ends.
    #[arg(long)]
    list: bool,
    /// Writes the normalised transcript there.
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
    /// Compares the transcript with this one, byte for byte. (With --only: with its part of it.)
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Prints the configuration that an adapter must be started with.
    Config {
        /// The sandbox PSP.
        #[arg(long, value_name = "URL")]
        psp_url: String,
        /// As JSON instead of TOML: the same members.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        secrets: SecretArguments,
    },
    /// Breaks the way to the PSP in every manner, and judges what the adapter says became of its calls.
    Transport {
        /// The adapter, started with the configuration of `transport-config`.
        #[arg(long, value_name = "URL")]
        base_url: String,
        /// Where the broken PSP listens.
        #[arg(long, value_name = "ADDRESS")]
        listen: SocketAddr,
        #[command(flatten)]
        secrets: SecretArguments,
    },
    /// Prints the configuration that an adapter must be started with for `transport`.
    TransportConfig {
        /// Where the broken PSP will listen.
        #[arg(long, value_name = "ADDRESS")]
        listen: SocketAddr,
        /// As JSON instead of TOML: the same members.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        secrets: SecretArguments,
    },
}

#[derive(clap::Args)]
struct SecretArguments {
    /// Token of the merchant shop.
    #[arg(long, value_name = "TOKEN", default_value_t = Secrets::default().shop_token)]
    shop_token: String,
    /// Token of the merchant rival.
    #[arg(long, value_name = "TOKEN", default_value_t = Secrets::default().rival_token)]
    rival_token: String,
    /// Token of the merchant market.
    #[arg(long, value_name = "TOKEN", default_value_t = Secrets::default().market_token)]
    market_token: String,
    /// Token of the merchant kiosk.
    #[arg(long, value_name = "TOKEN", default_value_t = Secrets::default().kiosk_token)]
    kiosk_token: String,
    /// Token of the operator.
    #[arg(long, value_name = "TOKEN", default_value_t = Secrets::default().operator_token)]
    operator_token: String,
    /// What the PSP signs webhooks with.
    #[arg(long, value_name = "SECRET", default_value = WEBHOOK_SECRET)]
    webhook_secret: String,
}

const AFTER_HELP: &str = "\
Try it:
  pay-once-sandbox --listen 127.0.0.1:9090 --webhook-secret whsec_suite --webhook-url http://127.0.0.1:8080/webhooks &
  pay-once-suite config --psp-url http://127.0.0.1:9090 > suite.toml
  PAY_ONCE_PSP_KEY=sk_suite PAY_ONCE_WEBHOOK_SECRET=whsec_suite pay-once --config suite.toml --data /tmp/suite-data &
  pay-once-suite --base-url http://127.0.0.1:8080 --psp-url http://127.0.0.1:9090 --check suite/transcript.txt";

impl From<SecretArguments> for Secrets {
    fn from(given: SecretArguments) -> Self {
        Self {
            shop_token: given.shop_token,
            rival_token: given.rival_token,
            market_token: given.market_token,
            kiosk_token: given.kiosk_token,
            operator_token: given.operator_token,
            webhook_secret: given.webhook_secret,
        }
    }
}

fn main() -> ExitCode {
    match begin(Arguments::parse()) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("pay-once-suite: {why}");
            ExitCode::FAILURE
        }
    }
}

fn begin(arguments: Arguments) -> Result<ExitCode, String> {
    match arguments.command {
        Some(Command::Config {
            psp_url,
            json,
            secrets,
        }) => {
            let secrets = secrets.into();
            return print_config(&config(&psp_url, &secrets), json, &secrets);
        }
        Some(Command::TransportConfig {
            listen,
            json,
            secrets,
        }) => {
            let secrets = secrets.into();
            return print_config(&transport_config(&listen.to_string(), &secrets), json, &secrets);
        }
        Some(Command::Transport {
            base_url,
            listen,
            secrets,
        }) => {
            for line in runtime()?.block_on(transport(&base_url, listen, &secrets.into()))? {
                println!("ok     {line}");
            }
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    if arguments.list {
        for case in table::cases() {
            println!("{:<44} {}", case.name, case.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut options = Options::new(
        arguments.base_url.as_deref().unwrap_or_default(),
        arguments.psp_url.as_deref().unwrap_or_default(),
    );
    options.secrets = arguments.secrets.into();
    options.only = arguments.only;
    let report = runtime()?.block_on(run(&options))?;
    print!("{}", report.lines());
    if let Some(path) = &arguments.transcript {
        std::fs::write(path, report.transcript())
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    }
    if let Some(path) = &arguments.check
        && report.passed()
    {
        let golden = std::fs::read_to_string(path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        report.check(&golden)?;
    }
    let failed = report.outcomes.iter().filter(|o| o.failure.is_some()).count();
    println!("{} cases, {failed} failed", report.outcomes.len());
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot be started: {error}"))
}

fn print_config(document: &Value, json: bool, secrets: &Secrets) -> Result<ExitCode, String> {
    if json {
        println!("{document:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let text = toml(document)?;
    println!(
        "# {PSP_KEY_ENV}={PSP_KEY} {WEBHOOK_SECRET_ENV}={}",
        secrets.webhook_secret
    );
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}
