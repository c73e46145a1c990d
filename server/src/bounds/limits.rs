//! How much one process takes on: what the operator says, and what its limit of open files leaves room for.

use std::time::Duration;

use clap::Args;

/// Files that are kept for the store, its log and its checkpoints, standard streams, and connections that are being closed.
const FILES_RESERVED: usize = 64;
/// Fewest client connections that are worth a start.
const CONNECTIONS_MIN: usize = 16;
/// Fewest calls to each PSP that are worth a start.
const PSP_CALLS_MIN: usize = 4;
/// Client connections, if nothing is said and the limit of open files allows.
const CONNECTIONS_DEFAULT: usize = 10_000;
/// Calls under way to each PSP, if nothing is said and the limit of open files allows.
const PSP_CALLS_DEFAULT: usize = 512;

/// Limits as the operator gives them (`docs/operating.md`, “Limits”).
#[derive(Clone, Copy, Debug, Args)]
pub struct Limits {
    /// Most client connections at a time [default: 10000, or what the limit of open files allows].
    #[arg(long, env = "PAY_ONCE_CONNECTIONS", value_name = "N")]
    pub connections: Option<usize>,
    /// Most client connections of one address at a time [default: half of --connections]. Behind a proxy: as many as --connections.
    #[arg(long, env = "PAY_ONCE_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    pub connections_per_address: Option<usize>,
    /// Most calls under way to each PSP [default: 512, or what the limit of open files allows].
    #[arg(long, env = "PAY_ONCE_PSP_CALLS", value_name = "N")]
    pub psp_calls: Option<usize>,
    /// How long a connection to a PSP may take to come about, name and TLS included, in milliseconds.
    #[arg(
        long,
        env = "PAY_ONCE_PSP_CONNECT_TIMEOUT_MS",
        default_value = "3000",
        value_name = "MS"
    )]
    pub psp_connect_timeout_ms: u64,
    /// Most requests that wait for the store or the processor at a time; fewer while their writes are slow.
    #[arg(
        long,
        env = "PAY_ONCE_WORK",
        default_value = "1024",
        value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000)
    )]
    pub work: usize,
    /// How long a request may wait for the loop, or a durable write for the store beside two commits, before fewer requests are taken on, in
    /// milliseconds.
    #[arg(long, env = "PAY_ONCE_WORK_DELAY_MS", default_value = "2", value_name = "MS")]
    pub work_delay_ms: u64,
}

/// What a process may have open and under way. Its sum fits into the limit of open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Client connections.
    pub connections: usize,
    /// Client connections of one address.
    pub connections_per_address: usize,
    /// Calls under way to each PSP.
    pub psp_calls: usize,
    /// How long a connection to a PSP may take to come about.
    pub psp_connect: Duration,
    /// Requests that were taken in and not answered yet.
    pub requests: usize,
    /// Requests that wait for the store or the processor.
    pub work: usize,
    /// How long a request may wait for the loop, or a durable write for the store beside two commits, before fewer requests are taken on.
    pub work_delay: Duration,
}

impl Budget {
    /// Divides `open_files` between clients, PSPs and the store. `files_per_call` is 2 if the PSP is in this process.
    ///
    /// # Errors
    /// What does not fit, and what to change.
    pub fn of(
        limits: &Limits,
        open_files: usize,
        psps: usize,
        files_per_call: usize,
    ) -> Result<Self, String> {
        let free = open_files.saturating_sub(FILES_RESERVED);
        let per_call = psps.max(1).saturating_mul(files_per_call);
        let psp_calls = limits
            .psp_calls
            .unwrap_or_else(|| PSP_CALLS_DEFAULT.min(free / 2 / per_call));
        let rest = free.saturating_sub(psp_calls.saturating_mul(per_call));
        let connections = limits
            .connections
            .unwrap_or_else(|| CONNECTIONS_DEFAULT.min(rest));
        if connections < CONNECTIONS_MIN || psp_calls < PSP_CALLS_MIN || connections > rest {
            return Err(format!(
                "the limit of open files ({open_files}) does not hold {connections} client connections and {psp_calls} calls to each of {psps} PSPs beside {FILES_RESERVED} files of its own (at least {CONNECTIONS_MIN} connections and {PSP_CALLS_MIN} calls). Raise it (ulimit -Hn, LimitNOFILE), or lower --connections or --psp-calls"
            ));
        }
        let per_address = limits
            .connections_per_address
            .unwrap_or_else(|| connections.div_ceil(2));
        if per_address == 0 {
            return Err("--connections-per-address is 0, so nobody could connect".to_owned());
        }
        Ok(Self {
            connections,
            connections_per_address: per_address.min(connections),
            psp_calls,
            psp_connect: Duration::from_millis(limits.psp_connect_timeout_ms),
            requests: connections.div_ceil(2),
            work: limits.work,
            work_delay: Duration::from_millis(limits.work_delay_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNSAID: Limits = Limits {
        connections: None,
        connections_per_address: None,
        psp_calls: None,
        psp_connect_timeout_ms: 3_000,
        work: 1_024,
        work_delay_ms: 20,
    };

    #[test]
    fn what_is_open_fits_into_the_limit_of_open_files() {
        for open_files in [128, 256, 1_024, 65_536, 1_048_576] {
            for (psps, files_per_call) in [(1, 1), (1, 2), (5, 1)] {
                let Ok(budget) = Budget::of(&UNSAID, open_files, psps, files_per_call) else {
                    assert!(open_files <= 128 && psps == 5, "{open_files} files, {psps} PSPs");
                    continue;
                };
                let open = budget.connections + budget.psp_calls * psps * files_per_call;
                assert!(open + FILES_RESERVED <= open_files, "{budget:?}");
                assert!(budget.connections_per_address * 2 <= budget.connections + 1);
            }
        }
        let large = Budget::of(&UNSAID, 1_048_576, 1, 1).unwrap();
        assert_eq!((large.connections, large.psp_calls), (10_000, 512));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let too_many = Limits {
            connections: Some(1_000),
            ..UNSAID
        };
        let why = Budget::of(&too_many, 1_024, 1, 1).unwrap_err();
        assert!(
            why.contains("1000 client connections") && why.contains("LimitNOFILE"),
            "{why}"
        );
        assert!(Budget::of(&UNSAID, 70, 1, 1).is_err());
    }
}
