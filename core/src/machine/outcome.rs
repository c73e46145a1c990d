//! What the result of a call shows, and what follows from it.

use super::builder::StepBuilder;
use crate::journal::entry::Source;
use crate::journal::evidence::{Evidence, Signal};
use crate::journal::record::RecordError;
use crate::journal::wire_form::WireForm;
use crate::psp;
use crate::psp::amount::Units;
use crate::psp::call::{Call, CallResult, Purpose};
use crate::psp::driver::Reading;
use crate::psp::report::PspReport;

/// Reads the result of a call, journals what it shows, and does what follows. `false`: the PSP of the attempt is not configured
/// here, so that the result cannot be read.
pub(crate) fn apply_outcome(
    work: &mut StepBuilder<'_>,
    call: &Call,
    result: &CallResult,
) -> Result<bool, RecordError> {
    let Some(psp) = work.psp() else {
        return Ok(false);
    };
    let purpose = &call.purpose;
    let form = match purpose {
        Purpose::Dispatched { call, .. } => work.state().wire_form_of(*call),
        Purpose::Read { .. } | Purpose::Lookup(_) | Purpose::Event => work.state().wire_form,
    };
    let terms = std::sync::Arc::clone(&work.state().terms);
    let reading = Reading {
        id: work.record.id(),
        terms: &terms,
        units: Units::new(psp.connector, WireForm::of(form)),
    };
    let answer = psp::read(psp, reading, purpose, result);
    if matches!(result, CallResult::Answered { .. }) {
        work.report = Some(PspReport {
            psp: call.psp.clone(),
            call: purpose.kind(),
            rejection: answer.rejection.clone(),
        });
    }
    work.suspect()?;
    match purpose {
        Purpose::Dispatched { call, .. } => {
            let evidence = if work.state().may_have_sent_besides(*call) {
                of_this_sending_only(answer.evidence)
            } else {
                answer.evidence
            };
            let source = match result.request_id() {
                Some(request_id) => Source::NamedResponse { request_id },
                None => Source::Response,
            };
            work.apply_evidence(source, Some(*call), &evidence)?;
        }
        Purpose::Read { asked } => {
            let is_contradicted = work.contradicts(psp, *asked, result.date_ms());
            work.apply_read(psp, *asked, is_contradicted, &answer)?;
        }
        Purpose::Lookup(page) => work.apply_page(psp, page, answer, result)?,
        // The result of such a read is handed to `event::event_read` (`Routed::Read`).
        Purpose::Event => {}
    }
    Ok(true)
}

/// Weakens a refusal that is about one sending only, for the case that another sending under the same key may have had
/// its effect. The outcome of the operation is not known from such a refusal (rule 9).
fn of_this_sending_only(mut evidence: Evidence) -> Evidence {
    match &mut evidence.signal {
        Signal::FormRefused { code, .. } => {
            let reason = format!("this sending was refused ({code}); another may have had its effect");
            Evidence::unknown(reason)
        }
        Signal::Rejected { is_conclusive, .. } => {
            *is_conclusive = false;
            evidence
        }
        Signal::None
        | Signal::Prepared { .. }
        | Signal::ActionRequired { .. }
        | Signal::Refused { .. }
        | Signal::Unknown { .. }
        | Signal::NotSent { .. }
        | Signal::KeyUseless { .. } => evidence,
    }
}
