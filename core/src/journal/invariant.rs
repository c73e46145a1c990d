//! What must hold of every record, whatever happened. Debug assertions, fuzzing, the simulator and adapters share this
//! one definition (`docs/store.md`, “The record”). Each check names its rule, or its page of `docs/`.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::id::LocalId;
use crate::base::limits::{ENTRIES_MAX, KEYS_PER_ATTEMPT_MAX, RECORD_BYTES_MAX};
use crate::journal::entry::{CaptureMethod, Conclusion, Entry, Fact, Operation};
use crate::journal::record::Record;
use crate::journal::state::{BoundKey, State};
use crate::journal::status::Status;

/// A broken invariant: its name, and what was found.
pub type Broken = (&'static str, String);

/// Checks every invariant of one record.
///
/// # Errors
/// The first invariant that does not hold.
pub fn check(record: &Record) -> Result<(), Broken> {
    bounds(record)?;
    keys_are_unique(record.state())?;
    capture_needs_authorization(record.state())?;
    capture_within_authorized(record.state())?;
    calls_are_unique(record.entries())?;
    effect_moves_only_with_proof(record.entries())?;
    return_address_comes_first(record.entries())?;
    every_prefix_holds(record)?;
    created_means_idle(record.state())
}

/// `docs/store.md`, “The record”: bounded size, at most 32 keys.
fn bounds(record: &Record) -> Result<(), Broken> {
    let keys = record.state().keys.len();
    ensure(keys <= KEYS_PER_ATTEMPT_MAX, "store: bounded keys", || {
        format!("{keys} keys")
    })?;
    let entries = record.entries().len();
    ensure(entries <= ENTRIES_MAX, "store: bounded entries", || {
        format!("{entries} entries")
    })?;
    let bytes = record.size_bytes();
    ensure(bytes <= RECORD_BYTES_MAX, "store: bounded bytes", || {
        format!("{bytes} bytes")
    })
}

/// `docs/http.md`, “Keys”: a key belongs to one request.
fn keys_are_unique(state: &State) -> Result<(), Broken> {
    let names: BTreeSet<&str> = state.keys.iter().map(|bound| &*bound.key).collect();
    ensure(
        names.len() == state.keys.len(),
        "http: one key, one request",
        || "a key is bound twice".to_owned(),
    )
}

/// An attempt has a capture if and only if it is CAPTURED. AUTHORIZED, CAPTURING and CAPTURED need an authorization.
fn capture_needs_authorization(state: &State) -> Result<(), Broken> {
    let captured = state.status == Status::Captured;
    ensure(
        captured == state.capture.is_some(),
        "promise: captured means captured",
        || format!("status {:?}, capture {:?}", state.status, state.capture),
    )?;
    let needs = matches!(
        state.status,
        Status::Authorized | Status::Capturing | Status::Captured
    );
    ensure(
        !needs || state.authorization.is_some(),
        "promise: no capture without authorization",
        || format!("{:?}", state.status),
    )
}

/// `docs/promise.md`, “Safety”: a capture asks for at most the authorized amount. (An amount that the PSP captured on
/// its own is shown as it is.)
fn capture_within_authorized(state: &State) -> Result<(), Broken> {
    let intended = state
        .running
        .as_ref()
        .filter(|running| running.operation == Operation::Capture);
    let amount_minor = intended.map_or(0, |running| running.amount_minor);
    ensure(
        amount_minor <= state.terms.money.amount_minor,
        "promise: at most the authorized amount",
        || {
            format!(
                "capture of {amount_minor} intended, {} authorized",
                state.terms.money.amount_minor
            )
        },
    )
}

/// Rule 1: each dispatch names a call of its own, and its `send_by` is not before its `sent_at`.
fn calls_are_unique(entries: &[Arc<Entry>]) -> Result<(), Broken> {
    let mut seen: BTreeSet<LocalId> = BTreeSet::new();
    for entry in entries {
        if let Fact::Dispatched {
            call,
            sent_at_ms,
            send_by_ms,
            ..
        } = &entry.fact
        {
            ensure(seen.insert(*call), "rule 1 calls have names of their own", || {
                "a call id is there twice".to_owned()
            })?;
            ensure(sent_at_ms <= send_by_ms, "rule 1 a window to send in", || {
                "send_by before sent_at".to_owned()
            })?;
        }
    }
    Ok(())
}

/// Rule 3: within one operation, a generation is followed by the next number, and only with proof that it had no
/// effect.
fn effect_moves_only_with_proof(entries: &[Arc<Entry>]) -> Result<(), Broken> {
    let mut proven: BTreeSet<(Operation, u16)> = BTreeSet::new();
    let mut current: Option<(Operation, u16)> = None;
    for entry in entries {
        match &entry.fact {
            Fact::Intended { .. } => current = None,
            Fact::Inferred {
                conclusion:
                    Conclusion::NoEffect {
                        operation,
                        generation,
                    },
            } => {
                proven.insert((*operation, *generation));
            }
            Fact::Dispatched {
                operation,
                generation,
                ..
            } => {
                if let Some((same, before)) =
                    current.filter(|(same, before)| same == operation && before != generation)
                {
                    ensure(
                        *generation == before + 1 && proven.contains(&(same, before)),
                        "rule 3 proof of non-effect",
                        || {
                            format!(
                                "{} moved from generation {before} to {generation}",
                                operation.as_str()
                            )
                        },
                    )?;
                }
                current = Some((*operation, *generation));
            }
            Fact::Created { .. }
            | Fact::Requested { .. }
            | Fact::ReturnTo { .. }
            | Fact::Installation { .. }
            | Fact::WireForm { .. }
            | Fact::Resumed { .. }
            | Fact::Proposed { .. }
            | Fact::Suspected { .. }
            | Fact::Observed { .. }
            | Fact::Inferred { .. } => {}
        }
    }
    Ok(())
}

/// Rule 3: the return address is part of what is sent under the PSP's key. It is therefore named at most once, and not
/// after a dispatch.
fn return_address_comes_first(entries: &[Arc<Entry>]) -> Result<(), Broken> {
    let mut addresses = 0;
    let mut is_sent = false;
    let mut is_late = false;
    for entry in entries {
        match &entry.fact {
            Fact::ReturnTo { .. } => {
                addresses += 1;
                is_late |= is_sent;
            }
            Fact::Dispatched { .. } => is_sent = true,
            // A withdrawn operation had no effect, so that the next request may differ.
            Fact::Inferred {
                conclusion: Conclusion::Withdrawn { .. },
            } => is_sent = false,
            Fact::Created { .. }
            | Fact::Requested { .. }
            | Fact::Intended { .. }
            | Fact::Observed { .. }
            | Fact::Inferred { .. }
            | Fact::Installation { .. }
            | Fact::WireForm { .. }
            | Fact::Resumed { .. }
            | Fact::Proposed { .. }
            | Fact::Suspected { .. } => {}
        }
    }
    ensure(addresses <= 1 && !is_late, "rule 3 one return address", || {
        format!("{addresses} return addresses, or one after a dispatch")
    })
}

/// What holds of every prefix of the journal: rule 10 with “status never goes back for any reader”, and that answers stay as they
/// are. The journal is folded once for both.
fn every_prefix_holds(record: &Record) -> Result<(), Broken> {
    let mut entries = record.entries().iter().enumerate();
    let Some(mut state) = entries
        .next()
        .and_then(|(_, first)| State::fold([first.as_ref()]))
    else {
        return Err(("store: a journal begins with Created", "it does not".to_owned()));
    };
    let mut statuses = Vec::with_capacity(record.entries().len());
    statuses.push(state.status);
    answers_stay_as_they_are(record.state(), &state, 0)?;
    for (index, entry) in entries {
        state.apply(index, entry);
        statuses.push(state.status);
        answers_stay_as_they_are(record.state(), &state, index)?;
    }
    never_goes_back(statuses.into_iter())
}

fn never_goes_back(statuses: impl Iterator<Item = Status>) -> Result<(), Broken> {
    let mut before = Status::Created;
    for (index, after) in statuses.enumerate() {
        ensure(after.may_follow(before), "rule 10 final is final", || {
            format!("{before:?} became {after:?} at entry {index}")
        })?;
        before = after;
    }
    Ok(())
}

/// `docs/http.md`, “Replays”: in the state as of the entry that finalized a key, the key is already finalized by that
/// entry. `then` is the state as of the entry at `index`.
fn answers_stay_as_they_are(now: &State, then: &State, index: usize) -> Result<(), Broken> {
    let finalized = |bound: &&BoundKey| bound.finalized_at == Some(index);
    for bound in now.keys.iter().filter(finalized) {
        let then = then.bound(&bound.key).and_then(|b| b.finalized_at);
        ensure(then == Some(index), "http: replays are final", || {
            format!("key finalized at {index}, then at {then:?}")
        })?;
    }
    Ok(())
}

/// `docs/http.md`, “Statuses”: a manual payment that is CREATED has no operation under way.
fn created_means_idle(state: &State) -> Result<(), Broken> {
    let fresh = state.status == Status::Created && state.terms.capture_method == CaptureMethod::Manual;
    ensure(
        !fresh || state.running.is_none(),
        "http: created means idle",
        || "something is under way".to_owned(),
    )
}

fn ensure(holds: bool, which: &'static str, what: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err((which, what())) }
}

/// What no journal can contain, because the fold prevents it. `core/tests/it/invariants.rs` tests what a journal can
/// contain.
#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::config::Connector;
    use crate::base::money::Money;
    use crate::base::time::UnixMillis;
    use crate::journal::entry::{Cause, RequestKind, Terms};
    use crate::journal::running::CurrentOperation;

    fn created(capture_method: CaptureMethod) -> State {
        let fact = Fact::Created {
            merchant: "m".to_owned(),
            key: "k".to_owned(),
            fingerprint: [0; 32],
            request: RequestKind::Create,
            terms: Terms {
                order_id: None,
                money: Money::new(1, "GBP"),
                capture_method,
                payment_method: None,
                metadata: BTreeMap::new(),
            },
            psp: "p".to_owned(),
            connector: Connector::Stripe,
        };
        State::fold([&Entry {
            at_ms: UnixMillis::EPOCH,
            fact,
        }])
        .unwrap()
    }

    #[test]
    fn captured_is_said_of_what_was_captured() {
        let mut state = created(CaptureMethod::Manual);
        assert_eq!(capture_needs_authorization(&state), Ok(()));
        for (status, which) in [
            (Status::Captured, "promise: captured means captured"),
            (Status::Authorized, "promise: no capture without authorization"),
            (Status::Capturing, "promise: no capture without authorization"),
        ] {
            state.status = status;
            assert_eq!(capture_needs_authorization(&state).unwrap_err().0, which);
        }
    }

    #[test]
    fn rule_10_no_status_goes_back_and_no_final_one_changes() {
        use Status as S;
        let good = [
            &[
                S::Created,
                S::Authorizing,
                S::Authorizing,
                S::Authorized,
                S::Capturing,
                S::Captured,
            ][..],
            &[
                S::Created,
                S::Authorizing,
                S::RequiresAction,
                S::Declined,
                S::Declined,
            ],
        ];
        for statuses in good {
            assert_eq!(never_goes_back(statuses.iter().copied()), Ok(()));
        }
        let bad = [
            &[S::Authorized, S::Authorizing][..],
            &[S::Authorizing, S::Voided, S::Expired],
            &[S::Captured, S::Voided],
            &[S::Declined, S::Authorizing],
        ];
        for statuses in bad {
            let broken = never_goes_back(statuses.iter().copied());
            assert_eq!(broken.unwrap_err().0, "rule 10 final is final", "{statuses:?}");
        }
    }

    #[test]
    fn nothing_is_under_way_of_what_was_only_created() {
        for (capture_method, may) in [(CaptureMethod::Manual, false), (CaptureMethod::Automatic, true)] {
            let mut state = created(capture_method);
            assert_eq!(created_means_idle(&state), Ok(()));
            state.running = Some(CurrentOperation::new(
                Operation::Authorize,
                Cause::Client,
                1,
                None,
                UnixMillis::EPOCH,
            ));
            assert_eq!(created_means_idle(&state).is_ok(), may);
            state.status = Status::Authorizing;
            assert_eq!(created_means_idle(&state), Ok(()));
        }
    }
}
