//! Requests of clients against a record: idempotency, the operations' own conditions, and who is told what
//! (DESIGN §2).

use crate::answer::{self, AttemptView, Dress};
use crate::error::{ApiError, Code};
use crate::evidence::{Effect, EffectKind, Evidence, Signal};
use crate::http::Response;
use crate::id::AttemptId;
use crate::journal::{Cause, Conclusion, Entry, Fact, Operation, RequestKind, Source, Terms};
use crate::json::{Fingerprint, missing};
use crate::limits::{ENTRIES_MAX, KEYS_PER_ATTEMPT_MAX, RECORD_BYTES_FOR_REQUESTS_MAX};
use crate::machine::{Reply, Step};
use crate::record::{Record, RecordError};
use crate::request::{Asked, Order, Ticket, attempt_not_found};
use crate::state::State;
use crate::status::Status;
use crate::timeline::timeline;
use crate::work::{Moment, Work};

/// Entries kept free for evidence.
const ENTRIES_FOR_REQUESTS_MAX: usize = ENTRIES_MAX / 2;

pub(crate) fn handle(
    clock: Moment<'_>,
    id: AttemptId,
    record: Option<&Record>,
    ticket: &Ticket,
) -> Result<Step, RecordError> {
    match (&*ticket.asked, record) {
        (_, Some(record)) if *record.state().merchant != *ticket.merchant => {
            Ok(refuse(&attempt_not_found(), ticket))
        }
        (Asked::Read, Some(record)) => Ok(Step::reply(show(&Work::on(clock, record), &ticket.dress))),
        (Asked::Read, None) => Ok(refuse(&attempt_not_found(), ticket)),
        (
            Asked::Do {
                key,
                fingerprint,
                order,
            },
            Some(record),
        ) => on_known(Work::on(clock, record), ticket, key, fingerprint, order),
        (
            Asked::Do {
                key,
                fingerprint,
                order: Order::Create { terms, psp },
            },
            None,
        ) => create(
            clock,
            id,
            ticket,
            RequestKind::Create,
            (key, fingerprint),
            terms,
            psp,
        ),
        (
            Asked::Do {
                key,
                fingerprint,
                order: Order::Charge { terms, psp },
            },
            None,
        ) => create(
            clock,
            id,
            ticket,
            RequestKind::Charge,
            (key, fingerprint),
            terms,
            psp,
        ),
        (
            Asked::Do {
                order: Order::Authorize { .. } | Order::Capture { .. } | Order::Void | Order::Resolve { .. },
                ..
            },
            None,
        ) => Ok(refuse(&attempt_not_found(), ticket)),
    }
}

/// The first write of an attempt: a swap of nothing for `Created`, with the dispatch of a charge beside it.
fn create(
    clock: Moment<'_>,
    id: AttemptId,
    ticket: &Ticket,
    request: RequestKind,
    (key, fingerprint): (&str, &Fingerprint),
    terms: &Terms,
    psp_name: &str,
) -> Result<Step, RecordError> {
    let Some(psp) = clock.config.psps.get(psp_name) else {
        return Ok(refuse(&psp_not_configured(psp_name), ticket));
    };
    let fact = Fact::Created {
        merchant: ticket.merchant.to_string(),
        key: key.to_owned(),
        fingerprint: *fingerprint,
        request,
        terms: terms.clone(),
        psp: psp_name.to_owned(),
        face: psp.face,
    };
    let mut work = Work::on_new(
        clock,
        Record::begin(
            id,
            Entry {
                at_ms: clock.now_ms,
                fact,
            },
        )?,
    );
    if request == RequestKind::Charge {
        work.begin(psp, Operation::Authorize, Cause::Client, terms.amount_minor, None)?;
    }
    Ok(answer_first(work, ticket))
}

fn on_known(
    work: Work<'_>,
    ticket: &Ticket,
    key: &str,
    fingerprint: &Fingerprint,
    order: &Order,
) -> Result<Step, RecordError> {
    if let Some(bound) = work.state().bound(key) {
        if bound.request != order.kind() || bound.fingerprint != *fingerprint {
            return Ok(refuse(&key_reuse(bound.request, order.kind()), ticket));
        }
        let reply = answer_bound(&work, ticket, key);
        return Ok(work.finish(reply, false));
    }
    if let Some(refusal) = no_room(work.record()) {
        return Ok(refuse(&refusal.with_attempt(view(&work)), ticket));
    }
    let Some(psp) = work.psp() else {
        return Ok(refuse(&psp_not_configured(&work.state().psp), ticket));
    };
    let begun = match condition(work.state(), order) {
        Ok(begun) => begun,
        Err(refusal) => return Ok(refuse(&refusal_with_view(refusal, order.kind(), &work), ticket)),
    };
    let mut work = work;
    let payment_method = match order {
        Order::Authorize {
            payment_method,
            default_payment_method,
        } => payment_method.clone().or_else(|| default_payment_method.clone()),
        Order::Create { .. }
        | Order::Charge { .. }
        | Order::Capture { .. }
        | Order::Void
        | Order::Resolve { .. } => None,
    };
    let (key, request) = (key.to_owned(), order.kind());
    work.push(Fact::Requested {
        key,
        fingerprint: *fingerprint,
        request,
        payment_method,
    })?;
    match begun {
        Begun::Operation {
            operation,
            amount_minor,
        } => work.begin(psp, operation, Cause::Client, amount_minor, None)?,
        Begun::Resolution {
            source,
            evidence,
            retries,
        } => {
            if let Some((operation, effect)) = retries {
                work.push(Fact::Inferred {
                    conclusion: Conclusion::NoEffect { operation, effect },
                })?;
            }
            work.take_in(source, None, &evidence)?;
            work.advance()?;
        }
    }
    Ok(answer_first(work, ticket))
}

/// What a request sets going.
enum Begun {
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

/// Why a request sets nothing going.
enum Refusal {
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
fn condition(state: &State, order: &Order) -> Result<Begun, Refusal> {
    use Status as S;
    let full_minor = state.terms.amount_minor;
    match (order, state.status) {
        (
            Order::Authorize {
                payment_method,
                default_payment_method,
            },
            S::Created,
        ) => match (&state.terms.payment_method, payment_method) {
            (Some(known), Some(given)) if known != given => {
                let message = "\"payment_method\" was given when the attempt was created; leave it out, or send the same.";
                Err(ApiError::new(Code::InvalidField, message)
                    .field("payment_method")
                    .into())
            }
            (None, None) if default_payment_method.is_none() => Err(missing("payment_method").into()),
            (Some(_) | None, Some(_) | None) => Ok(Begun::Operation {
                operation: Operation::Authorize,
                amount_minor: full_minor,
            }),
        },
        (Order::Capture { amount_minor }, S::Authorized) => match amount_minor.unwrap_or(full_minor) {
            amount_minor if amount_minor > full_minor => {
                let message = format!("\"amount\" is {amount_minor}, but only {full_minor} is authorized.");
                Err(ApiError::new(Code::InvalidAmount, message).field("amount").into())
            }
            amount_minor => Ok(Begun::Operation {
                operation: Operation::Capture,
                amount_minor,
            }),
        },
        (Order::Void, S::RequiresAction | S::Authorized) => Ok(Begun::Operation {
            operation: Operation::Void,
            amount_minor: full_minor,
        }),
        (
            Order::Resolve {
                operator,
                reason,
                happened,
                psp_reference,
            },
            _,
        ) => resolution(state, operator, reason, *happened, psp_reference.as_deref()),
        (
            Order::Authorize { .. },
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
            Order::Capture { .. },
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
            Order::Void,
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
        (Order::Create { .. } | Order::Charge { .. }, _) => Err(Refusal::State),
    }
}

/// A named operator ends a parked unknown with what the PSP's own books show.
fn resolution(
    state: &State,
    operator: &str,
    reason: &str,
    happened: bool,
    psp_reference: Option<&str>,
) -> Result<Begun, Refusal> {
    let Some(running) = state.running.as_ref().filter(|running| running.parked.is_some()) else {
        let message = "Nothing is parked here, so there is nothing to resolve. An operation that is in flight or in doubt ends by itself.";
        return Err(ApiError::new(Code::InvalidState, message).into());
    };
    let source = Source::Operator {
        operator: operator.to_owned(),
        reason: reason.to_owned(),
    };
    let undone = matches!(running.operation, Operation::Void | Operation::Refund);
    if !happened {
        let (evidence, retries) = if undone {
            // What is still held must be released: it is tried again under a new effect number.
            (
                Evidence {
                    complete: true,
                    ..Evidence::default()
                },
                Some((running.operation, running.effect)),
            )
        } else {
            let code = "resolved_by_operator".to_owned();
            (
                Evidence::signal(Signal::Refused {
                    code,
                    message: reason.to_owned(),
                }),
                None,
            )
        };
        return Ok(Begun::Resolution {
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
    let kinds: &[EffectKind] = match running.operation {
        Operation::Authorize if state.is_automatic() && state.face == crate::config::Face::Stripe => {
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
    Ok(Begun::Resolution {
        source,
        evidence,
        retries: None,
    })
}

/// The reply to the ticket that brought its key into the journal.
fn answer_first(work: Work<'_>, ticket: &Ticket) -> Step {
    let ticket = Ticket {
        is_first: true,
        ..ticket.clone()
    };
    let reply = match &*ticket.asked {
        Asked::Do { key, .. } => answer_bound(&work, &ticket, key),
        Asked::Read => Reply::Now(show(&work, &ticket.dress)),
    };
    work.finish(reply, true)
}

/// The reply to a ticket whose key is bound: final, or 202, or worth waiting for.
fn answer_bound(work: &Work<'_>, ticket: &Ticket, key: &str) -> Reply {
    let Some(bound) = work.state().bound(key) else {
        return Reply::Now(show(work, &ticket.dress));
    };
    match bound.settled_at {
        Some(index) => {
            let dress = Dress {
                replayed: !ticket.is_first,
                ..ticket.dress.clone()
            };
            let state = work.record().state_at(index);
            Reply::Now(answer::settled(work.record().id(), bound.request, &state, &dress))
        }
        None if work.waits_for_people() || work.now_ms() >= ticket.answer_by_ms => {
            Reply::Now(work.under_way(&ticket.dress))
        }
        None => Reply::Wait {
            until_ms: ticket.answer_by_ms,
            ticket: Box::new(ticket.clone()),
        },
    }
}

fn show(work: &Work<'_>, dress: &Dress) -> Response {
    answer::shown(&view(work).with_timeline(timeline(work.record())), dress)
}

fn view(work: &Work<'_>) -> AttemptView {
    AttemptView::settled(work.record().id(), work.state()).with_operation(work.state(), &work.outlook())
}

fn refuse(error: &ApiError, ticket: &Ticket) -> Step {
    Step::reply(answer::error(error, &ticket.dress))
}

fn refusal_with_view(refusal: Refusal, request: RequestKind, work: &Work<'_>) -> ApiError {
    match refusal {
        Refusal::State => answer::invalid_state(request, work.state().status, view(work)),
        Refusal::Error(error) if error.code == Code::InvalidState => error.with_attempt(view(work)),
        Refusal::Error(error) => error,
    }
}

fn no_room(record: &Record) -> Option<ApiError> {
    if record.state().keys.len() >= KEYS_PER_ATTEMPT_MAX {
        let message = format!(
            "This attempt has used all its {KEYS_PER_ATTEMPT_MAX} keys. Retry with a key that was used before."
        );
        return Some(ApiError::new(Code::TooManyKeys, message));
    }
    let full = record.size_bytes() > RECORD_BYTES_FOR_REQUESTS_MAX
        || record.entries().len() > ENTRIES_FOR_REQUESTS_MAX;
    full.then(|| {
        ApiError::new(
            Code::RecordFull,
            "This attempt's record has no room for another request; what is left is kept for evidence.",
        )
    })
}

fn key_reuse(bound: RequestKind, asked: RequestKind) -> ApiError {
    if bound == asked {
        // The seed's words.
        return ApiError::new(
            Code::IdempotencyKeyReuse,
            "Idempotency-Key was reused with a different request body.",
        );
    }
    let message = format!(
        "Idempotency-Key was reused with a different operation: it belongs to {}, not {}.",
        bound.as_str(),
        asked.as_str()
    );
    ApiError::new(Code::IdempotencyKeyReuse, message)
}

fn psp_not_configured(name: &str) -> ApiError {
    ApiError::new(
        Code::NotConfigured,
        format!("The PSP \"{name}\" of this attempt is not configured here."),
    )
}
