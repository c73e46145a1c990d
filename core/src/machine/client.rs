//! Requests of clients against a record: idempotency, the conditions of each operation, and the answer to each client
//! (`docs/http.md`).

use crate::base::fingerprint::Fingerprint;
use crate::base::http::Response;
use crate::base::id::AttemptId;
use crate::base::limits::{
    ENTRIES_FOR_VOID, ENTRIES_MAX, KEYS_PER_ATTEMPT_MAX, RECORD_BYTES_FOR_REQUESTS_MAX,
};
use crate::base::time::UnixMillis;
use crate::contract::answer;
use crate::contract::answer::ReplyContext;
use crate::contract::command::{Command, Payment};
use crate::contract::condition::{Accepted, Refusal, condition, is_done_already, is_first_of_two};
use crate::contract::error::{ApiError, Code};
use crate::contract::timeline::timeline;
use crate::contract::view::AttemptView;
use crate::journal::entry::{Cause, Conclusion, Entry, Fact, Operation, RequestKind};
use crate::journal::record::{Record, RecordError};
use crate::journal::state::{BoundKey, State};
use crate::journal::status::Status;
use crate::machine::builder::{StepBuilder, StepContext};
use crate::machine::look_now;
use crate::machine::pending::{Asked, Caller, PendingRequest};
use crate::machine::route::attempt_not_found;
use crate::machine::step::{Reply, Step};
use crate::recovery::due;

/// Most entries of a record with which it takes another request. The rest is kept for evidence.
const ENTRIES_FOR_REQUESTS_MAX: usize = ENTRIES_MAX / 2;

pub(crate) fn handle(
    clock: StepContext<'_>,
    id: AttemptId,
    record: Option<&Record>,
    pending: &PendingRequest,
) -> Result<Step, RecordError> {
    match (&*pending.asked, record) {
        (_, Some(record)) if !pending.caller.sees(&record.state().merchant) => {
            Ok(refuse(&not_there(clock, pending), pending))
        }
        (Asked::Read, Some(record)) => {
            let mut work = StepBuilder::on(clock, record);
            let reply = Reply::Now(show(&work, &pending.context));
            work.read_open_action();
            Ok(work.finish(reply, false))
        }
        (Asked::Look(look), Some(record)) => look_now::handle(clock, record, pending, look),
        (Asked::Read | Asked::Look(_), None) => Ok(refuse(&attempt_not_found(), pending)),
        (
            Asked::Command {
                key,
                fingerprint,
                command,
            },
            Some(record),
        ) => on_known(StepBuilder::on(clock, record), pending, key, fingerprint, command),
        (
            Asked::Command {
                key,
                fingerprint,
                command: command @ (Command::Create(payment) | Command::Charge(payment)),
            },
            None,
        ) => create(clock, id, pending, command.kind(), (key, fingerprint), payment),
        (
            Asked::Command {
                command:
                    Command::Authorize { .. } | Command::Capture { .. } | Command::Void | Command::Resolve(_),
                ..
            },
            None,
        ) => Ok(refuse(&not_there(clock, pending), pending)),
    }
}

/// The refusal of a command on an attempt that is absent or another merchant's. A restore may have lost it (rule 16).
fn not_there(clock: StepContext<'_>, pending: &PendingRequest) -> ApiError {
    let merchant = match (&*pending.asked, &pending.caller) {
        (Asked::Command { .. }, Caller::Merchant(merchant)) => clock.config.merchants.get(&**merchant),
        _ => None,
    };
    let loss = merchant.and_then(|merchant| clock.config.loss_of_absent(&merchant.psp, clock.now_ms));
    match loss {
        Some(_) => answer::lost(),
        None => attempt_not_found(),
    }
}

/// The first write of an attempt: a swap that expects no record. A charge begins its authorization in it as well.
fn create(
    clock: StepContext<'_>,
    id: AttemptId,
    pending: &PendingRequest,
    request: RequestKind,
    (key, fingerprint): (&str, &Fingerprint),
    payment: &Payment,
) -> Result<Step, RecordError> {
    let Caller::Merchant(merchant) = &pending.caller else {
        return Ok(refuse(&attempt_not_found(), pending));
    };
    let Some(psp) = clock.config.psps.get(&payment.psp) else {
        return Ok(refuse(&answer::psp_not_configured(&payment.psp), pending));
    };
    let amount_minor = payment.terms.money.amount_minor;
    let fact = Fact::Created {
        merchant: merchant.to_string(),
        key: key.to_owned(),
        fingerprint: *fingerprint,
        request,
        terms: payment.terms.clone(),
        psp: payment.psp.clone(),
        connector: psp.connector,
    };
    let mut work = StepBuilder::on_new(
        clock,
        Record::begin(
            id,
            Entry {
                at_ms: clock.now_ms,
                fact,
            },
            &clock.config.installation,
        )?,
    );
    work.suspect_absent()?;
    work.remember_return(payment.return_url.as_deref())?;
    if request == RequestKind::Charge {
        work.begin(psp, Operation::Authorize, Cause::Client, amount_minor, None)?;
    }
    Ok(answer_first(work, pending))
}

fn on_known(
    work: StepBuilder<'_>,
    pending: &PendingRequest,
    key: &str,
    fingerprint: &Fingerprint,
    command: &Command,
) -> Result<Step, RecordError> {
    if let Some(bound) = work.state().bound(key) {
        if bound.request != command.kind() || bound.fingerprint != *fingerprint {
            return Ok(refuse(&key_reuse(bound.request, command.kind()), pending));
        }
        if is_of_another_operator(bound, command) {
            return Ok(refuse(&key_reuse(bound.request, command.kind()), pending));
        }
        if bound.is_withdrawn && bound.finalized_at.is_none() {
            return on_withdrawn(work, pending, key, command);
        }
        let reply = answer_bound(&work, pending, key);
        // A request for what is under way arms the timer for it: the server that began it may be gone (rule 11).
        let is_open = work.state().running.is_some();
        let mut work = work;
        if !pending.has_waited {
            work.read_open_action();
        }
        return Ok(work.finish(reply, is_open));
    }
    if let Some(refusal) = no_room(work.record(), 1, matches!(command, Command::Void)) {
        return Ok(refuse(&refusal.with_attempt(work.view()), pending));
    }
    let Some(psp) = work.psp() else {
        return Ok(refuse(&answer::psp_not_configured(&work.state().psp), pending));
    };
    let begun = match condition(work.state(), command) {
        Ok(begun) => begun,
        Err(Refusal::State) if is_done_already(work.state(), command) => {
            return answer_lost(work, pending, key, fingerprint, command.kind());
        }
        Err(refusal) => {
            return Ok(refuse(
                &refusal_with_view(refusal, command.kind(), &work),
                pending,
            ));
        }
    };
    let is_proposed = match command {
        Command::Resolve(word) => {
            match is_first_of_two(work.clock.config.resolve_needs, work.state(), word) {
                Ok(is_first) => is_first,
                Err(refusal) => {
                    return Ok(refuse(
                        &refusal_with_view(refusal, command.kind(), &work),
                        pending,
                    ));
                }
            }
        }
        _ => false,
    };
    if let Some(again_ms) = too_soon(&work, &begun) {
        let pause_s = (again_ms - work.now_ms()).seconds_rounded_up().max(1);
        return Ok(Step::reply(answer::psp_rejected(
            work.view(),
            pause_s,
            &pending.early(),
        )));
    }
    let mut work = work;
    let (payment_method, return_url) = match command {
        Command::Authorize {
            payment_method,
            default_payment_method,
            return_url,
        } => (
            payment_method.clone().or_else(|| default_payment_method.clone()),
            return_url.as_deref(),
        ),
        Command::Create(_)
        | Command::Charge(_)
        | Command::Capture { .. }
        | Command::Void
        | Command::Resolve(_) => (None, None),
    };
    let request = command.kind();
    work.push(Fact::Requested {
        key: key.to_owned(),
        fingerprint: *fingerprint,
        request,
        payment_method,
    })?;
    work.remember_return(return_url)?;
    if let (true, Command::Resolve(word)) = (is_proposed, command) {
        work.push(Fact::Proposed {
            key: key.to_owned(),
            proposal: (**word).clone(),
        })?;
        return Ok(answer_first(work, pending));
    }
    match begun {
        Accepted::Operation {
            operation,
            amount_minor,
        } => work.begin(psp, operation, Cause::Client, amount_minor, None)?,
        Accepted::Resolution {
            source,
            evidence,
            retries,
        } => {
            if let Some((operation, generation)) = retries {
                work.push(Fact::Inferred {
                    conclusion: Conclusion::NoEffect {
                        operation,
                        generation,
                    },
                })?;
                work.try_once_more()?;
            }
            work.apply_evidence(source, None, &evidence)?;
            work.advance()?;
        }
    }
    Ok(answer_first(work, pending))
}

/// Binds a key that a restore has lost to what was done under it (rule 16).
fn answer_lost(
    mut work: StepBuilder<'_>,
    pending: &PendingRequest,
    key: &str,
    fingerprint: &Fingerprint,
    request: RequestKind,
) -> Result<Step, RecordError> {
    work.push(Fact::Requested {
        key: key.to_owned(),
        fingerprint: *fingerprint,
        request,
        payment_method: None,
    })?;
    Ok(answer_first(work, pending))
}

/// Whether the key belongs to another operator's proposal. A second operator has to agree under a key of its own.
fn is_of_another_operator(bound: &BoundKey, command: &Command) -> bool {
    match (&bound.proposed_by, command) {
        (Some(by), Command::Resolve(word)) => **by != *word.operator,
        _ => false,
    }
}

/// Handles a key whose request the PSP rejected. Nothing is under way for it. A retry of its client sends the request
/// again, with growing pauses between such retries.
fn on_withdrawn(
    mut work: StepBuilder<'_>,
    pending: &PendingRequest,
    key: &str,
    command: &Command,
) -> Result<Step, RecordError> {
    let Some((operation, amount_minor)) = asked_again(work.state(), command) else {
        // The operation of another key is under way. Its end decides the final answer of this key.
        let refusal = refusal_with_view(Refusal::State, command.kind(), &work);
        return Ok(refuse(&refusal, pending));
    };
    let now_ms = work.now_ms();
    let again_ms = work
        .state()
        .rejections
        .as_ref()
        .map_or(UnixMillis::EPOCH, due::ask_again_ms);
    if pending.has_waited || now_ms < again_ms {
        let pause_s = (again_ms - now_ms).seconds_rounded_up().max(1);
        let response = answer::psp_rejected(work.view(), pause_s, &pending.early());
        return Ok(Step::reply(response));
    }
    if let Some(refusal) = no_room(work.record(), 0, false) {
        return Ok(refuse(&refusal.with_attempt(work.view()), pending));
    }
    let Some(psp) = work.psp() else {
        return Ok(refuse(&answer::psp_not_configured(&work.state().psp), pending));
    };
    work.push(Fact::Resumed { key: key.to_owned() })?;
    work.begin(psp, operation, Cause::Client, amount_minor, None)?;
    // The answer is no replay: no request had it before.
    Ok(answer_first(work, pending))
}

/// When a rejected operation may be asked for again, if that is later than now. Another key does not shorten the pause.
fn too_soon(work: &StepBuilder<'_>, begun: &Accepted) -> Option<UnixMillis> {
    let Accepted::Operation { operation, .. } = begun else {
        return None;
    };
    let rejections = work
        .state()
        .rejections
        .as_ref()
        .filter(|row| row.operation == *operation)?;
    Some(due::ask_again_ms(rejections)).filter(|again_ms| work.now_ms() < *again_ms)
}

/// The operation of a withdrawn request and its amount in minor units, if the attempt is in the same status as then.
fn asked_again(state: &State, command: &Command) -> Option<(Operation, u64)> {
    let full_minor = state.terms.money.amount_minor;
    match (command, state.status) {
        (Command::Charge(_) | Command::Authorize { .. }, Status::Created) => {
            Some((Operation::Authorize, full_minor))
        }
        (Command::Capture { amount_minor }, Status::Authorized) => {
            Some((Operation::Capture, amount_minor.unwrap_or(full_minor)))
        }
        _ => None,
    }
}

/// The reply to the pending request that added its key to the journal.
fn answer_first(work: StepBuilder<'_>, pending: &PendingRequest) -> Step {
    let reply = match &*pending.asked {
        Asked::Command { key, .. } => {
            let bound = work.state().bound(key);
            let pending = PendingRequest {
                asked_at: bound.map(|bound| bound.asked_at),
                ..pending.clone()
            };
            answer_bound(&work, &pending, key)
        }
        Asked::Read | Asked::Look(_) => Reply::Now(show(&work, &pending.context)),
    };
    work.finish(reply, true)
}

/// The reply to a pending request whose key is bound: the final answer, a rejection, a 202, or to wait.
fn answer_bound(work: &StepBuilder<'_>, pending: &PendingRequest, key: &str) -> Reply {
    let Some(bound) = work.state().bound(key) else {
        return Reply::Now(show(work, &pending.context));
    };
    match bound.finalized_at {
        Some(index) => Reply::Now(finalized_at(work.record(), index, bound, pending)),
        None if bound.is_withdrawn => {
            let again_ms = work
                .state()
                .rejections
                .as_ref()
                .map_or(UnixMillis::EPOCH, due::ask_again_ms);
            let pause_s = (again_ms - work.now_ms()).seconds_rounded_up().max(1);
            Reply::Now(answer::psp_rejected(work.view(), pause_s, &pending.early()))
        }
        None if work.now_ms() >= pending.answer_by_ms => Reply::Now(work.under_way(&pending.context)),
        None if work.waits_for_people(pending) => Reply::Now(work.under_way(&pending.early())),
        None => Reply::Wait {
            until_ms: pending.answer_by_ms,
            pending: Box::new(PendingRequest {
                expects_read: work.expects_read(pending),
                ..pending.waiting()
            }),
        },
    }
}

/// The answer of a key that was finalized by the entry at `index`.
fn finalized_at(record: &Record, index: usize, bound: &BoundKey, pending: &PendingRequest) -> Response {
    let context = ReplyContext {
        replayed: pending.asked_at != Some(bound.asked_at),
        ..pending.context.clone()
    };
    answer::finalized(record.id(), bound, &record.state_at(index), &context)
}

/// See [`crate::machine::handle::finalized`].
pub(crate) fn finalized(id: AttemptId, record: &Record, pending: &PendingRequest) -> Option<Response> {
    let state = record.state();
    if !pending.caller.sees(&state.merchant) {
        return None;
    }
    match &*pending.asked {
        Asked::Read => {
            (state.status.is_final() && state.running.is_none() && state.mismatch.is_none()).then(|| {
                let view = AttemptView::finalized(id, state).with_timeline(timeline(record));
                answer::shown(&view, &pending.context)
            })
        }
        Asked::Look(_) => None,
        Asked::Command {
            key,
            fingerprint,
            command,
        } => {
            let bound = state.bound(key)?;
            let is_same = bound.request == command.kind() && bound.fingerprint == *fingerprint;
            let index = bound.finalized_at.filter(|_| is_same)?;
            Some(finalized_at(record, index, bound, pending))
        }
    }
}

/// See [`crate::machine::handle::may_be_finalized`].
pub(crate) fn may_be_finalized(pending: &PendingRequest) -> bool {
    match &*pending.asked {
        Asked::Read => true,
        Asked::Look(_) => false,
        Asked::Command { command, .. } => command.kind() != RequestKind::Create,
    }
}

fn show(work: &StepBuilder<'_>, context: &ReplyContext) -> Response {
    answer::shown(&work.view().with_timeline(timeline(work.record())), context)
}

fn refuse(error: &ApiError, pending: &PendingRequest) -> Step {
    Step::reply(answer::error(error, &pending.context))
}

fn refusal_with_view(refusal: Refusal, request: RequestKind, work: &StepBuilder<'_>) -> ApiError {
    match refusal {
        Refusal::State if work.may_lack_entries() => {
            answer::after_restore(request, work.state().status, work.view())
        }
        Refusal::State => answer::invalid_state(request, work.state().status, work.view()),
        Refusal::Error(error) if error.code == Code::InvalidState => error.with_attempt(work.view()),
        Refusal::Error(error) => error,
    }
}

/// Why the record has no space for a request that binds `keys` more keys. A void is taken for longer than the others.
fn no_room(record: &Record, keys: usize, is_void: bool) -> Option<ApiError> {
    if record.state().keys.len() + keys > KEYS_PER_ATTEMPT_MAX {
        let message = format!(
            "This attempt has used all its {KEYS_PER_ATTEMPT_MAX} keys. Retry with a key that was used before."
        );
        return Some(ApiError::new(Code::TooManyKeys, message));
    }
    let entries_max = if is_void {
        ENTRIES_FOR_REQUESTS_MAX + ENTRIES_FOR_VOID
    } else {
        ENTRIES_FOR_REQUESTS_MAX
    };
    let full = record.size_bytes() > RECORD_BYTES_FOR_REQUESTS_MAX || record.entries().len() > entries_max;
    full.then(|| {
        ApiError::new(
            Code::RecordFull,
            "This attempt's record has no room for another request; what is left is kept for evidence.",
        )
    })
}

fn key_reuse(bound: RequestKind, asked: RequestKind) -> ApiError {
    if bound == asked {
        // The words of `docs/http.md`, “First examples”.
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
