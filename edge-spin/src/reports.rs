//! What PSPs reject, as far as this instance has seen it: for the log and `GET /healthz`.

use pay_once_core::{PspProblem, PspProblems, PspReport, UnixMillis};

/// The rejections since the instance began, and those that last.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    problems: PspProblems,
    rejected_requests: u64,
}

impl Reports {
    /// Takes in what one answer said of its PSP; gives what is to be logged of it.
    pub(crate) fn note(&mut self, report: &PspReport, now_ms: UnixMillis) -> Option<PspProblem> {
        self.problems.note(report, now_ms);
        report.rejection.as_ref()?;
        self.rejected_requests = self.rejected_requests.saturating_add(1);
        let mut open = self.problems.open();
        open.find(|problem| problem.psp == report.psp && problem.call == report.call)
            .cloned()
    }

    /// What is rejected at present.
    pub(crate) fn problems(&self) -> Vec<&PspProblem> {
        self.problems.open().collect()
    }

    /// Calls that PSPs rejected.
    pub(crate) fn rejected_requests(&self) -> u64 {
        self.rejected_requests
    }
}
