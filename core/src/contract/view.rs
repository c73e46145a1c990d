//! The attempt in the words of the contract.

use std::collections::BTreeMap;

use serde::Serialize;

use super::look::LookView;
use super::timeline::Line;
use crate::base::id::AttemptId;
use crate::base::time::{rfc3339_ms, rfc3339_s};
use crate::base::version::RecordVersion;
use crate::journal::entry::{CaptureMethod, Operation};
use crate::journal::evidence::EffectKind;
use crate::journal::indexed::IndexEntry;
use crate::journal::state::{Capture, State};
use crate::journal::status::Status;
use crate::recovery::{OperationState, Outlook};

/// The attempt as an answer shows it. Member names and order are those of `docs/http.md`, “First examples”; further members stand
/// beside them.
#[derive(Clone, Debug, Serialize)]
pub struct AttemptView {
    /// Only in a search of an operator's: a merchant knows its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant: Option<String>,
    /// Only in a search.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_since: Option<String>,
    attempt_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<String>,
    amount: u64,
    currency: String,
    status: Status,
    capture_method: CaptureMethod,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<AuthorizationView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<CaptureView>,
    charge_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline: Option<DeclineView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_action: Option<NextActionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<OperationView>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    look: Option<LookView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<Line>>,
}

#[derive(Clone, Debug, Serialize)]
struct AuthorizationView {
    authorization_id: String,
    psp: String,
    psp_reference: String,
    authorized_at: String,
}

#[derive(Clone, Debug, Serialize)]
struct CaptureView {
    capture_id: String,
    captured_at: String,
    amount: u64,
    /// Only where the PSP took something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_amount: Option<u64>,
    /// Only where the PSP took another currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    captured_currency: Option<String>,
    /// What the PSP or the issuer took back, in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    reversed_amount: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
struct DeclineView {
    code: String,
    message: String,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct NextActionView {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

/// What is under way, in words (`docs/http.md`, “Statuses”).
#[derive(Clone, Debug, Serialize)]
pub struct OperationView {
    name: &'static str,
    state: OperationState,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_check_at: Option<String>,
    /// Only of what is parked: what a resolve has to name.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<RecordVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The resolution that another operator has to agree with.
    #[serde(skip_serializing_if = "Option::is_none")]
    proposal: Option<ProposalView>,
}

/// A resolution that one operator proposed.
#[derive(Clone, Debug, Serialize)]
struct ProposalView {
    operator: String,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    psp_reference: Option<String>,
}

impl AttemptView {
    /// The attempt without what is under way: a function of the journal's prefix alone, so the same bytes for ever.
    #[must_use]
    pub fn finalized(id: AttemptId, state: &State) -> Self {
        let psp = &state.psp;
        Self {
            merchant: None,
            state: None,
            state_since: None,
            attempt_id: id.to_string(),
            order_id: state.terms.order_id.clone(),
            amount: state.terms.money.amount_minor,
            currency: state.terms.money.currency.clone(),
            status: state.status,
            capture_method: state.terms.capture_method,
            created_at: rfc3339_s(state.created_at_ms),
            authorization: state.authorization.as_ref().map(|a| AuthorizationView {
                authorization_id: a.id.with_prefix("auth_"),
                psp: psp.to_string(),
                psp_reference: a.psp_reference.clone(),
                authorized_at: rfc3339_s(a.authorized_at_ms),
            }),
            capture: state.capture.as_ref().map(|c| capture(state, c)),
            charge_state: state.status.charge_state(),
            decline: state.decline.as_ref().map(|d| DeclineView {
                code: d.code.clone(),
                message: d.message.clone(),
            }),
            next_action: state
                .action
                .as_ref()
                .filter(|action| state.status == Status::RequiresAction && !action.url.is_empty())
                .map(|a| NextActionView {
                    kind: "redirect_to_url",
                    url: a.url.clone(),
                }),
            operation: None,
            metadata: state.terms.metadata.clone(),
            look: None,
            timeline: None,
        }
    }

    /// Adds what is under way.
    #[must_use]
    pub fn with_operation(mut self, state: &State, outlook: &Outlook) -> Self {
        let proposal = || {
            state.open_proposal().map(|open| ProposalView {
                operator: open.operator.clone(),
                outcome: if open.happened {
                    "happened"
                } else {
                    "did_not_happen"
                },
                psp_reference: open.psp_reference.clone(),
            })
        };
        let under_way = state.running.as_ref().map(|running| OperationView {
            name: running.operation.as_str(),
            state: outlook.doubt,
            since: rfc3339_ms(running.since_ms),
            next_check_at: outlook.wake_at_ms.map(rfc3339_ms),
            generation: running.parked.as_ref().map(|parked| parked.version),
            reason: running.parked.as_ref().map(|parked| parked.reason.clone()),
            proposal: proposal(),
        });
        let differs = state.mismatch.as_ref().map(|mismatch| OperationView {
            name: Operation::Capture.as_str(),
            state: OperationState::Parked,
            since: rfc3339_ms(mismatch.since_ms),
            next_check_at: None,
            generation: Some(mismatch.version),
            reason: Some(format!(
                "the PSP captured {} where {} were asked for: see to it at the PSP, then resolve this with what was done",
                mismatch.captured,
                state.terms.money.with_amount(mismatch.asked_minor)
            )),
            proposal: proposal(),
        });
        self.operation = under_way.or(differs);
        self
    }

    /// Adds what an operator's look showed.
    #[must_use]
    pub(crate) fn with_look(mut self, look: LookView) -> Self {
        self.look = Some(look);
        self
    }

    /// Adds by what a search found it. `shows_merchant`: to an operator.
    #[must_use]
    pub(crate) fn with_entry(mut self, entry: &IndexEntry, shows_merchant: bool) -> Self {
        self.merchant = shows_merchant.then(|| entry.merchant.to_string());
        self.state = Some(entry.state.as_str());
        self.state_since = Some(rfc3339_ms(entry.since_ms));
        self
    }

    /// Adds the timeline.
    #[must_use]
    pub fn with_timeline(mut self, lines: Vec<Line>) -> Self {
        self.timeline = Some(lines);
        self
    }
}

fn capture(state: &State, capture: &Capture) -> CaptureView {
    let reported = state.mismatch_shown.as_ref();
    let amount_minor = reported.map_or(capture.amount_minor, |seen| seen.captured.amount_minor);
    let known = &state.knowledge;
    let reversed_minor = known.reversed_minor(&capture.psp_reference);
    let currency = reported
        .map(|seen| seen.captured.currency.as_str())
        .or(known.currency_of(EffectKind::Capture, &capture.psp_reference))
        .filter(|currency| *currency != state.terms.money.currency);
    CaptureView {
        capture_id: capture.id.with_prefix("cap_"),
        captured_at: rfc3339_s(capture.captured_at_ms),
        amount: amount_minor,
        requested_amount: capture
            .asked_minor
            .filter(|asked_minor| *asked_minor != amount_minor || currency.is_some()),
        captured_currency: currency.map(str::to_owned),
        reversed_amount: (reversed_minor > 0).then_some(reversed_minor),
    }
}
