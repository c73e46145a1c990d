//! The `pay-once` binary: `cargo run --release`, and `--help` says the rest.

use std::io::Read;
use std::process::ExitCode;

use clap::Parser;
use pay_once::failure::Failure;
use pay_once::settings::Arguments;
use pay_once::{commands, start};
use zeroize::Zeroizing;

/// Shortest API key, in bytes: 16 random hexadecimal digits are 64 bits.
const KEY_BYTES_MIN: usize = 16;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.hash_key {
        return hash_key();
    }
    if let Some(command) = &arguments.command {
        let database = match arguments.database() {
            Ok(database) => database,
            Err(why) => return ended(Err(why.into())),
        };
        let done = commands::run(command, &arguments.data, database.as_ref());
        return ended(done.map_err(Failure::from));
    }
    let (lines, _flush_at_end) = tracing_appender::non_blocking(std::io::stderr());
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_max_level(arguments.log)
        .with_writer(lines)
        .init();
    ended(start::run(&arguments))
}

fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("pay-once: {why}");
            ExitCode::from(why.exit_status())
        }
    }
}

/// The key comes by standard input, so that it stays out of the shell's history.
fn hash_key() -> ExitCode {
    let mut key = Zeroizing::new(String::new());
    if let Err(error) = std::io::stdin().read_to_string(&mut key) {
        eprintln!("pay-once: standard input: {error}");
        return ExitCode::FAILURE;
    }
    let key = key.trim_end_matches(['\n', '\r']);
    if key.is_empty() {
        eprintln!("pay-once: no key came by standard input; try: printf %s KEY | pay-once --hash-key");
        return ExitCode::FAILURE;
    }
    if key.len() < KEY_BYTES_MIN {
        eprintln!(
            "pay-once: a key of {} characters can be guessed; it must have at least {KEY_BYTES_MIN}. Make one with: openssl rand -hex 32",
            key.len()
        );
        return ExitCode::FAILURE;
    }
    let digest = pay_once_core::key_digest(key);
    println!(
        "{}",
        digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    );
    ExitCode::SUCCESS
}
