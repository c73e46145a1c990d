//! What an adapter without a metrics endpoint of its own reports: one data point for each thing that happened, under the names of
//! `docs/metrics.md`. A measure decides nothing.

use serde::Serialize;

use super::action::Note;
use crate::base::http::Response;
use crate::base::time::{Millis, UnixMillis};
use crate::contract::error::error_code;
use crate::machine::step::Write;
use crate::psp::call::{Call, CallResult};

/// One data point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Measure {
    /// What happened: one of [`Measure::NAMES`].
    pub measure: &'static str,
    /// The name of the PSP, the HTTP status, the attempt's status, or what it waits for. Empty if the name says everything.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// How often it happened, at least 1.
    pub count: u64,
    /// How long it took, or has taken so far, in milliseconds. 0 if it takes no time.
    pub duration_ms: Millis,
}

impl Measure {
    /// Every name. `docs/metrics.md` has what the label and the duration of each are.
    pub const NAMES: [&'static str; 13] = [
        "answer",
        "error",
        "psp_call",
        "psp_unknown",
        "psp_rejection",
        "psp_decline",
        "written",
        "waiting",
        "unwanted_effect",
        "foreign_object",
        "reversal",
        "refused_record",
        "proof_held_back",
    ];

    /// A request was answered.
    #[must_use]
    pub fn of_answer(status: u16, took_ms: Millis) -> Self {
        Self::new("answer", status.to_string(), took_ms)
    }

    /// A request was refused. `None`: it was not.
    #[must_use]
    pub fn of_error(response: &Response) -> Option<Self> {
        error_code(response).map(|code| Self::new("error", code.to_owned(), Millis::ZERO))
    }

    /// A call of a PSP ended.
    #[must_use]
    pub fn of_call(call: &Call, result: &CallResult, took_ms: Millis) -> Vec<Self> {
        let mut measures = vec![Self::new("psp_call", call.psp.clone(), took_ms)];
        if matches!(result, CallResult::Unknown { .. }) {
            measures.push(Self::new("psp_unknown", call.psp.clone(), Millis::ZERO));
        }
        measures
    }

    /// A write is durable at `now_ms`, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn of_write(write: &Write, now_ms: UnixMillis) -> Vec<Self> {
        let status = write.status().as_str().to_owned();
        // Told of every write, so that the last one is what holds.
        let waits = write.record.standing().waits;
        let (waits_for, waited_ms) = waits.map_or(("nothing", Millis::ZERO), |(waits_for, since_ms)| {
            (waits_for.as_str(), now_ms - since_ms)
        });
        let mut measures = vec![
            Self::new("written", status, Millis::ZERO),
            Self::new("waiting", waits_for.to_owned(), waited_ms),
        ];
        let counted = [
            ("psp_decline", write.psp(), write.declines()),
            ("unwanted_effect", "", write.unwanted_effects()),
            ("foreign_object", "", write.foreign_objects()),
            ("reversal", "", write.reversals()),
        ];
        for (name, label, count) in counted {
            if let Some(count) = u64::try_from(count).ok().filter(|count| *count > 0) {
                let measure = Self::new(name, label.to_owned(), Millis::ZERO);
                measures.push(Self { count, ..measure });
            }
        }
        measures
    }

    /// Something that operators are told. `None`: it is not counted.
    #[must_use]
    pub fn of_note(note: &Note) -> Option<Self> {
        match note {
            Note::Psp(report) => {
                report.rejection.as_ref()?;
                Some(Self::new("psp_rejection", report.psp.clone(), Millis::ZERO))
            }
            Note::RecordRefused(_) => Some(Self::new("refused_record", String::new(), Millis::ZERO)),
            Note::ProofHeldBack => Some(Self::new("proof_held_back", String::new(), Millis::ZERO)),
            Note::SwapUnknown | Note::StoreGivenUp(_) | Note::OutcomeLost => None,
        }
    }

    fn new(measure: &'static str, label: String, duration_ms: Millis) -> Self {
        debug_assert!(Self::NAMES.contains(&measure), "{measure} is listed");
        Self {
            measure,
            label,
            count: 1,
            duration_ms,
        }
    }
}
