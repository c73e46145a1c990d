//! What a deployment has to know of its PSPs: calls that they reject, and which permission is missing. No attempt shows it, and
//! no client is told.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::time::UnixMillis;

/// Kinds of call that a PSP may allow or refuse apart from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallKind {
    /// An authorization, capture, void or refund, or the making of an object.
    Operation,
    /// A read of an object by its id.
    Read,
    /// A look-up by our reference.
    List,
}

/// A call that the PSP rejected: our credentials, our account or our request, not the payment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// HTTP status.
    pub status: u16,
    /// The PSP's code, or its type of error.
    pub code: String,
    /// The member of the request that it names, if any.
    pub param: Option<String>,
    /// The permission that it says is missing, if any.
    pub permission: Option<String>,
}

/// What one answer says of a PSP as such.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PspReport {
    /// Name of the PSP in the configuration.
    pub psp: String,
    /// What was called.
    pub call: CallKind,
    /// Why it was rejected; `None` if it was not.
    pub rejection: Option<Rejection>,
}

/// A kind of call that a PSP rejects at present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PspProblem {
    /// Name of the PSP in the configuration.
    pub psp: String,
    /// What is rejected.
    pub call: CallKind,
    /// HTTP status of the last rejection.
    pub status: u16,
    /// The PSP's code, or its type of error.
    pub code: String,
    /// The member of the request that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
    /// The permission that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: UnixMillis,
    /// How many in a row.
    pub count: u64,
}

/// What PSPs reject at present: a kind of call is in it from its first rejection until one of its kind is answered.
#[derive(Clone, Debug, Default)]
pub struct PspProblems {
    open: BTreeMap<(String, CallKind), PspProblem>,
}

impl PspProblems {
    /// Takes in what one answer says.
    pub fn note(&mut self, report: &PspReport, now_ms: UnixMillis) {
        let key = (report.psp.clone(), report.call);
        let Some(rejection) = &report.rejection else {
            self.open.remove(&key);
            return;
        };
        let before = self
            .open
            .get(&key)
            .map(|problem| (problem.since_ms, problem.count));
        let (since_ms, count) = before.unwrap_or((now_ms, 0));
        let problem = PspProblem {
            psp: report.psp.clone(),
            call: report.call,
            status: rejection.status,
            code: rejection.code.clone(),
            param: rejection.param.clone(),
            permission: rejection.permission.clone(),
            since_ms,
            count: count.saturating_add(1),
        };
        self.open.insert(key, problem);
    }

    /// The problems, by PSP and kind of call.
    pub fn open(&self) -> impl Iterator<Item = &PspProblem> {
        self.open.values()
    }
}
