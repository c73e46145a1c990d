//! The `pay-once-sim` binary: `pay-once-sim --help`.

mod cli;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(why) => {
            eprintln!("pay-once-sim: {why}");
            ExitCode::FAILURE
        }
    }
}
