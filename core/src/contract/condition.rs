//! The conditions of each operation: what may be started in which status, and what an operator may resolve.

use crate::base::version::RecordVersion;
use crate::contract::command::{Command, expressible};
use crate::contract::error::{ApiError, Code};
use crate::contract::json::missing;
use crate::journal::entry::{Operation, Proposal, RequestKind, Source};
use crate::journal::evidence::{Effect, EffectKind, Evidence, Signal};
use crate::journal::state::State;
use crate::journal::status::Status;
use crate::journal::wire_form::WireForm;
use crate::psp;
use crate::psp::amount::Units;

/// What a request starts.
pub(crate) enum Accepted {
    Operation {
        operation: Operation,
        amount_minor: u64,
    },
    Resolution {
        source: Source,
        evidence: Evidence,
        retries: Option<(Operation, u16)>,
    },
}

/// Why a request starts nothing.
pub(crate) enum Refusal {
    /// The status does not allow it.
    State,
    /// Something else.
    Error(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

/// The conditions of each operation: the status first, then the members.
pub(crate) fn condition(state: &State, command: &Command) -> Result<Accepted, Refusal> {
    use Status as S;
    let full_minor = state.terms.money.amount_minor;
    match (command, state.status) {
        (
            Command::Authorize {
                payment_method,
                default_payment_method,
                return_url,
            },
            S::Created,
        ) => match (&state.terms.payment_method, payment_method) {
            (known, given) if is_other(known.as_deref(), given.as_deref()) => {
                Err(given_before("payment_method").into())
            }
            _ if is_other(state.return_url.as_deref(), return_url.as_deref()) => {
                Err(given_before("return_url").into())
            }
            (None, None) if default_payment_method.is_none() => Err(missing("payment_method").into()),
            (Some(_) | None, Some(_) | None) => {
                // An older build took amounts that its PSP does not have.
                expressible(Units::new(state.connector, WireForm::CURRENT), &state.terms.money)?;
                Ok(Accepted::Operation {
                    operation: Operation::Authorize,
                    amount_minor: full_minor,
                })
            }
        },
        (Command::Capture { amount_minor }, S::Authorized) => match amount_minor.unwrap_or(full_minor) {
            amount_minor if amount_minor > full_minor => {
                let message = format!("\"amount\" is {amount_minor}, but only {full_minor} is authorized.");
                Err(ApiError::new(Code::InvalidAmount, message).field("amount").into())
            }
            amount_minor => {
                let units = Units::new(state.connector, WireForm::of(state.wire_form));
                expressible(units, &state.terms.money.with_amount(amount_minor))?;
                Ok(Accepted::Operation {
                    operation: Operation::Capture,
                    amount_minor,
                })
            }
        },
        (Command::Void, S::RequiresAction | S::Authorized) => Ok(Accepted::Operation {
            operation: Operation::Void,
            amount_minor: full_minor,
        }),
        (Command::Resolve(word), _) => resolution(state, word),
        (
            Command::Authorize { .. },
            S::Authorizing
            | S::RequiresAction
            | S::Authorized
            | S::Capturing
            | S::Captured
            | S::Voiding
            | S::Voided
            | S::Declined
            | S::Expired,
        )
        | (
            Command::Capture { .. },
            S::Created
            | S::Authorizing
            | S::RequiresAction
            | S::Capturing
            | S::Captured
            | S::Voiding
            | S::Voided
            | S::Declined
            | S::Expired,
        )
        | (
            Command::Void,
            S::Created
            | S::Authorizing
            | S::Capturing
            | S::Captured
            | S::Voiding
            | S::Voided
            | S::Declined
            | S::Expired,
        ) => Err(Refusal::State),
        // A create key's record is found by the key itself: it is always bound.
        (Command::Create(_) | Command::Charge(_), _) => Err(Refusal::State),
    }
}

/// Whether the request asks for what was done before a restore, under a key that the restore has lost (rule 16): the attempt stands where
/// the request leads, and no key that is known led it there.
pub(crate) fn is_done_already(state: &State, command: &Command) -> bool {
    let is_asked = |kind: RequestKind| state.keys.iter().any(|bound| bound.request == kind);
    let is_unasked = !is_asked(command.kind()) && !is_asked(RequestKind::Charge);
    let is_there = match command {
        Command::Authorize { .. } => matches!(
            state.status,
            Status::Authorized | Status::Capturing | Status::Captured
        ),
        Command::Capture { amount_minor } => {
            let asked_minor = amount_minor.unwrap_or(state.terms.money.amount_minor);
            let capture = state.capture.as_ref();
            capture.is_some_and(|capture| capture.amount_minor == asked_minor)
        }
        Command::Void => state.status == Status::Voided,
        Command::Create(_) | Command::Charge(_) | Command::Resolve(_) => false,
    };
    state.loss.is_some() && is_unasked && is_there
}

fn is_other(known: Option<&str>, given: Option<&str>) -> bool {
    matches!((known, given), (Some(known), Some(given)) if known != given)
}

fn given_before(name: &str) -> ApiError {
    let message =
        format!("\"{name}\" was given when the attempt was created; leave it out, or send the same.");
    ApiError::new(Code::InvalidField, message).field(name)
}

/// A named operator ends a parked unknown with what the PSP's own books show.
fn resolution(state: &State, word: &Proposal) -> Result<Accepted, Refusal> {
    let source = Source::Operator {
        operator: word.operator.clone(),
        reason: word.reason.clone(),
    };
    let (happened, psp_reference) = (word.happened, word.psp_reference.as_deref());
    let Some(running) = &state.running else {
        let Some(mismatch) = &state.mismatch else {
            return Err(nothing_parked());
        };
        is_about(word, Operation::Capture, mismatch.version)?;
        // What was done about the difference is in the operator's reason; the money itself is at the PSP.
        return Ok(Accepted::Resolution {
            source,
            evidence: Evidence::default(),
            retries: None,
        });
    };
    // Whoever looks for a release that may have been sent before a restore may find a capture of that time instead.
    let is_capture = happened
        && running.is_suspect()
        && (running.operation, word.operation) == (Operation::Void, Operation::Capture);
    let operation = if is_capture {
        Operation::Capture
    } else {
        running.operation
    };
    match &running.parked {
        Some(parked) => is_about(word, operation, parked.version)?,
        None => return Err(nothing_parked()),
    }
    let undone = matches!(running.operation, Operation::Void | Operation::Refund);
    if !happened {
        let (evidence, retries) = if undone {
            // What is still held must be released: it is tried again under a new generation.
            (Evidence::default(), Some((running.operation, running.generation)))
        } else {
            let code = "resolved_by_operator".to_owned();
            (
                Evidence::signal(Signal::Refused {
                    code,
                    message: word.reason.clone(),
                }),
                None,
            )
        };
        return Ok(Accepted::Resolution {
            source,
            evidence,
            retries,
        });
    }
    let target = running.target.as_deref().or(state.own_reference());
    let Some(id) = psp_reference.or(target) else {
        return Err(missing("psp_reference").into());
    };
    let effect = |kind: EffectKind| Effect {
        kind,
        id: id.to_owned(),
        of: target
            .filter(|_| kind != EffectKind::Authorize)
            .map(str::to_owned),
        amount_minor: running.amount_minor,
        currency: None,
        listed: false,
    };
    let kinds: &[EffectKind] = match operation {
        Operation::Authorize
            if state.is_automatic() && psp::driver_capabilities(state.connector).captures_with_authorize =>
        {
            &[EffectKind::Authorize, EffectKind::Capture]
        }
        Operation::Authorize => &[EffectKind::Authorize],
        Operation::Capture => &[EffectKind::Capture],
        Operation::Void => &[EffectKind::Void],
        Operation::Refund => &[EffectKind::Refund],
    };
    let evidence = Evidence {
        effects: kinds.iter().map(|kind| effect(*kind)).collect(),
        ..Evidence::default()
    };
    Ok(Accepted::Resolution {
        source,
        evidence,
        retries: None,
    })
}

/// Whether a resolution is recorded as a proposal only. With `resolve_needs = 2` it takes effect when a second operator agrees.
pub(crate) fn is_first_of_two(needs: u8, state: &State, word: &Proposal) -> Result<bool, Refusal> {
    match state.open_proposal().filter(|open| open.agrees_with(word)) {
        _ if needs < 2 => Ok(false),
        None => Ok(true),
        Some(open) if open.operator != word.operator => Ok(false),
        Some(_) => {
            let message = "You have proposed this already. Another operator has to resolve it with the same operation, generation, outcome and psp_reference.";
            Err(ApiError::new(Code::InvalidState, message).into())
        }
    }
}

fn nothing_parked() -> Refusal {
    let message = "Nothing is parked here, so there is nothing to resolve. An operation that is in flight or in doubt ends by itself.";
    ApiError::new(Code::InvalidState, message).into()
}

/// A resolution may arrive after its operation has ended and another one has been parked.
fn is_about(word: &Proposal, operation: Operation, version: RecordVersion) -> Result<(), Refusal> {
    if (word.operation, word.version) == (operation, version) {
        return Ok(());
    }
    let message = format!(
        "What is parked here is {}, generation {version}; this is about {}, generation {}. GET the attempt, check the PSP's books for the operation that it shows, and resolve that one under a new key.",
        operation.as_str(),
        word.operation.as_str(),
        word.version
    );
    Err(ApiError::new(Code::InvalidState, message).into())
}
