//! The trace of a run: one line for each message, fault and effect, in order of time. It is what the space-time diagram
//! draws, and its digest is what two runs of one plan are compared by.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::plan::Host;
use crate::seen::Run;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A message that arrives.
    Message,
    /// A message that does not.
    Lost,
    /// A fault begins, or ends.
    Fault,
    /// Something became durable.
    Write,
    /// Money moved at the PSP, or was refused to.
    Effect,
    /// Anything else worth a mark.
    Note,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceLine {
    /// When it left, in milliseconds from the start.
    pub at_ms: u64,
    /// When it arrived; the same where nothing travels, or where only one end is seen.
    pub until_ms: u64,
    /// Where.
    pub from: Host,
    /// Where to, if it is a message.
    pub to: Option<Host>,
    /// What it is about.
    pub kind: Kind,
    /// In words, with the payment's number in front where there is one.
    pub text: String,
}

/// A trace in the making. Nothing is put into words unless somebody asked for it: most runs are only judged.
#[derive(Debug)]
pub(crate) struct Trace(Option<Vec<TraceLine>>);

impl Trace {
    /// An empty one, which stays so unless it is asked for.
    pub(crate) fn new(is_asked_for: bool) -> Self {
        Self(is_asked_for.then(Vec::new))
    }

    /// Whether lines are kept.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.0.is_some()
    }

    /// Something happened at a host.
    pub(crate) fn mark(&mut self, at_ms: u64, host: Host, kind: Kind, text: impl FnOnce() -> String) {
        self.line(at_ms, at_ms, host, None, kind, text);
    }

    /// A message leaves, and arrives at its time or never.
    pub(crate) fn message(
        &mut self,
        at_ms: u64,
        arrives_ms: Option<u64>,
        (from, to): (Host, Host),
        text: impl FnOnce() -> String,
    ) {
        let kind = match arrives_ms {
            Some(_) => Kind::Message,
            None => Kind::Lost,
        };
        self.line(at_ms, arrives_ms.unwrap_or(at_ms), from, Some(to), kind, text);
    }

    fn line(
        &mut self,
        at_ms: u64,
        until_ms: u64,
        from: Host,
        to: Option<Host>,
        kind: Kind,
        text: impl FnOnce() -> String,
    ) {
        if let Some(lines) = &mut self.0 {
            lines.push(TraceLine {
                at_ms,
                until_ms,
                from,
                to,
                kind,
                text: text(),
            });
        }
    }

    /// What was kept.
    pub(crate) fn take(&mut self) -> Vec<TraceLine> {
        self.0.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// A run with what happened in it.
#[derive(Clone, Debug)]
pub struct Traced {
    /// What was seen.
    pub run: Run,
    /// Line by line; empty unless asked for.
    pub trace: Vec<TraceLine>,
}

impl Traced {
    /// Equal exactly if two runs did the same: trace, answers, ledger and records.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &[u8]| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        let Self { run, trace } = self;
        trace.iter().for_each(|line| add(format!("{line:?}").as_bytes()));
        run.heard
            .iter()
            .for_each(|heard| add(format!("{heard:?}").as_bytes()));
        run.ledger
            .iter()
            .for_each(|event| add(format!("{event:?}").as_bytes()));
        for (id, record) in &run.records {
            add(id.as_bytes());
            add(record);
        }
        hash.finalize()
            .iter()
            .take(8)
            .fold(String::new(), |mut hex, byte| {
                // Writing to a string does not fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    }
}
