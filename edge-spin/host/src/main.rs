//! A host for the component, for tests: Spin's interfaces with Spin's real semantics, its faults included, on wasmtime.
//! It is no Spin: there is one component, no triggers, no manifest. See README.md.

mod bindings;
mod counters;
mod host;
mod key_value;
mod postgres;
mod postgres_values;
mod redis_kv;
mod serve;
mod sqlite;
mod sqlite_kv;
mod streams;
mod variables;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, ValueEnum};

use crate::counters::Counters;
use crate::key_value::Backend;

/// Serves one component until it is killed.
#[derive(Debug, Parser)]
struct Arguments {
    /// The component.
    #[arg(long)]
    component: PathBuf,
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File of `spin:sqlite`, database `default`.
    #[arg(long)]
    sqlite: PathBuf,
    /// How the key-value stores behave.
    #[arg(long, default_value = "sqlite-kv")]
    key_value: KeyValue,
    /// File of the key-value stores (sqlite-kv, correct).
    #[arg(long)]
    key_value_file: Option<PathBuf>,
    /// Port of a Redis server on loopback (redis). Each label has a database of its own.
    #[arg(long)]
    redis_port: Option<u16>,
    /// JSON file with the variables: an object of strings.
    #[arg(long)]
    variables: PathBuf,
    /// Where the component may reach, as `scheme://host:port`.
    #[arg(long)]
    allow: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KeyValue {
    /// Spin's default backend: a swap on an absent key is an upsert, and every such swap wins.
    SqliteKv,
    /// Spin's Redis backend on a real server: every swap is reported as failed.
    Redis,
    /// A backend whose swap is right.
    Correct,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pay-once-spin-host: {error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> wasmtime::Result<()> {
    let variables = serde_json::from_slice(&std::fs::read(&arguments.variables)?)?;
    let file = || {
        arguments
            .key_value_file
            .clone()
            .ok_or_else(|| wasmtime::format_err!("--key-value-file is missing"))
    };
    let counters = Arc::new(Counters::default());
    let backend = match arguments.key_value {
        KeyValue::SqliteKv => Backend::sqlite(&file()?, true)?,
        KeyValue::Correct => Backend::sqlite(&file()?, false)?,
        KeyValue::Redis => {
            let port = arguments
                .redis_port
                .ok_or_else(|| wasmtime::format_err!("--redis-port is missing"))?;
            Backend::redis(port)
        }
    };
    let shared = host::Shared {
        sqlite: arguments.sqlite,
        backend,
        variables,
        allow: arguments.allow,
        counters,
        postgres: postgres::Pools::default(),
    };
    serve::serve(&arguments.component, arguments.listen, Arc::new(shared)).await
}
