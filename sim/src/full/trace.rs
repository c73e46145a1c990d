//! What happened, line by line, and its digest: two runs of one plan must agree on it.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::plan::Host;
use crate::seen::{Heard, Run};

/// One line: a message, a fault or an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLine {
    /// When, in milliseconds from the start.
    pub at_ms: u64,
    /// Where, or from where.
    pub from: Host,
    /// Where to, if it is a message.
    pub to: Option<Host>,
    /// What sort of thing it is.
    pub kind: &'static str,
    /// The thing.
    pub text: String,
}

/// A run and its trace.
#[derive(Clone, Debug)]
pub struct Traced {
    /// What oracles judge.
    pub run: Run,
    /// What happened, in order.
    pub trace: Vec<TraceLine>,
    /// Digest of trace, ledger and what clients heard.
    pub hash: String,
}

impl Traced {
    /// Puts a run and its trace together.
    pub(super) fn new(run: Run, trace: Vec<TraceLine>) -> Self {
        let hash = hash(&run, &trace);
        Self { run, trace, hash }
    }
}

fn hash(run: &Run, trace: &[TraceLine]) -> String {
    let mut hasher = Sha256::new();
    let mut text = String::with_capacity(256);
    // Writing to a string does not fail.
    for line in trace {
        text.clear();
        let _ = writeln!(text, "{} {:?} {:?} {}", line.at_ms, line.from, line.to, line.kind);
        hasher.update(text.as_bytes());
        hasher.update(line.text.as_bytes());
    }
    for event in &run.ledger {
        text.clear();
        let _ = writeln!(text, "{event:?}");
        hasher.update(text.as_bytes());
    }
    for Heard {
        ask,
        began_ms,
        ended_ms,
        told,
    } in &run.heard
    {
        text.clear();
        let status = told.as_ref().map(|told| (told.status, told.is_replay));
        let _ = writeln!(
            text,
            "{} {:?} {:?} {} {began_ms} {ended_ms} {status:?}",
            ask.payment, ask.op, ask.role, ask.tries_left
        );
        hasher.update(text.as_bytes());
        hasher.update(told.as_ref().map_or(&[][..], |told| &told.body));
    }
    for (id, record) in &run.records {
        hasher.update(id.as_bytes());
        hasher.update(record);
    }
    let digest = hasher.finalize();
    digest.iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
