//! The amount and the currency are the ones asked for. A PSP that takes another amount is shown.

use pay_once_core::Status as CoreStatus;
use pay_once_core::journal::entry::{Conclusion, Fact};
use pay_once_sandbox::LedgerEvent;
use pay_once_sandbox::tokens::Operation;

use super::{Case, Oracle, Wrong, since};
use crate::plan::{Act, Hand, Token};
use crate::seen::Status;
use crate::shopper::{Op, Role};

pub(super) const ORACLE: Oracle = Oracle {
    name: "amounts",
    rule: "promise: safety; http: request bodies",
    judge,
};

/// Where the PSP captured another amount than was asked for, the journal says so with both figures (rule 14).
fn is_mismatch_noted(case: &Case<'_>) -> Result<(), Wrong> {
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return Ok(());
    };
    let whole = case.payment.sent_minor(case.class, case.payment.amount_minor);
    let took_all = |event: &&&LedgerEvent| {
        event.operation == Operation::Capture && event.declined.is_none() && event.amount_minor == whole
    };
    // An operator's word has no amount.
    let has_operator = case.run.plan.world.operator_ms.is_some();
    let is_other = !has_operator && case.captures_other() && !case.has_extra && !case.is_touched();
    // What was asked for before a restore is not known any more.
    let is_other = is_other && case.lost.is_none();
    let taken = case.ledger.iter().find(took_all).filter(|_| is_other);
    let is_noted = record.entries().iter().any(|entry| {
        let is_mismatch = |conclusion: &Conclusion| matches!(conclusion, Conclusion::CaptureMismatch { .. });
        matches!(&entry.fact, Fact::Inferred { conclusion } if is_mismatch(conclusion))
    });
    match taken {
        Some(event) if record.state().status == CoreStatus::Captured && !is_noted => {
            let what = format!(
                "{} was captured instead of what was asked for, and the journal does not say so",
                event.amount_minor
            );
            Err((since(event.at_ms), what))
        }
        _ => Ok(()),
    }
}

/// Where the PSP holds another amount than was asked for, no answer says that the whole is authorized.
fn is_held_as_shown(case: &Case<'_>, whole_minor: u64) -> Result<(), Wrong> {
    let is_held = |event: &&&LedgerEvent| event.operation == Operation::Authorize && event.declined.is_none();
    let mut held = case.ledger.iter().filter(is_held).peekable();
    if held.peek().is_none()
        || held.any(|event| event.amount_minor == whole_minor)
        || !case.foreign.is_empty()
    {
        return Ok(());
    }
    // An operator's word has no amount.
    let has_operator = case.run.plan.world.operator_ms.is_some();
    for heard in case
        .heard
        .iter()
        .filter(|heard| heard.ask.role.is_own() && !has_operator)
    {
        let shown = heard.told.as_ref().and_then(|told| told.shown.as_ref());
        let is_authorized = |status: Status| matches!(status, Status::Authorized | Status::Capturing);
        if shown.is_some_and(|shown| is_authorized(shown.status)) {
            let what =
                format!("an answer says that {whole_minor} is authorized, and the PSP holds another amount");
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}

/// The captured amount of an answer is that of a capture in the ledger, whoever made it.
fn is_taken_as_shown(case: &Case<'_>) -> Result<(), Wrong> {
    // Of two executions either may be the one that is shown.
    if case.has_extra {
        return Ok(());
    }
    let is_taken = |event: &&&LedgerEvent| event.operation == Operation::Capture && event.declined.is_none();
    let has_operator = case.run.plan.world.operator_ms.is_some();
    for heard in case
        .heard
        .iter()
        .filter(|heard| heard.ask.role.is_own() && !has_operator)
    {
        let shown = heard.told.as_ref().and_then(|told| told.shown.as_ref());
        let Some(capture) = shown.and_then(|shown| shown.capture.as_ref()) else {
            continue;
        };
        let sent_minor = case.payment.sent_minor(case.class, capture.amount);
        let mut taken = case.ledger.iter().filter(is_taken);
        if !taken.any(|event| event.amount_minor == sent_minor) {
            let what = format!(
                "an answer shows {} as captured, and no capture took that",
                capture.amount
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}

/// A dispute by hand is about the whole capture, and an answer shows as much of it, in the client's units.
fn is_reversed_as_shown(case: &Case<'_>) -> Result<(), Wrong> {
    let hands = case.run.plan.steps.iter().filter_map(|step| match step.act {
        Act::ByHand {
            payment,
            hand,
            foreign: false,
            extra: false,
        } if payment == case.payment.payment => Some(hand),
        _ => None,
    });
    let hands: Vec<Hand> = hands.collect();
    let is_dispute_alone = !hands.is_empty() && hands.iter().all(|hand| *hand == Hand::Dispute);
    if !is_dispute_alone || case.has_extra || !case.class.is_stripe() {
        return Ok(());
    }
    for heard in case.heard.iter().filter(|heard| heard.ask.role.is_own()) {
        let shown = heard.told.as_ref().and_then(|told| told.shown.as_ref());
        let Some(capture) = shown.and_then(|shown| shown.capture.as_ref()) else {
            continue;
        };
        if capture
            .reversed_amount
            .is_some_and(|reversed| reversed != capture.amount)
        {
            let what = format!(
                "{:?} is shown as taken back, and the whole of {} is disputed",
                capture.reversed_amount, capture.amount
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let payment = case.payment;
    let currency = payment.currency.as_str();
    let whole = payment.sent_minor(case.class, payment.amount_minor);
    let authorize = match payment.token {
        Token::PartialApproval if !case.class.is_stripe() => whole.div_ceil(4),
        _ => whole,
    };
    let capture = case.taken_minor();
    // Where a second execution is about, the PSP may also do as it was asked.
    let part = payment.sent_minor(case.class, payment.capture_minor());
    // What an issuer declines is declined before its amount is looked at.
    let is_partial = payment.token == Token::PartialApproval;
    let by_call = |event: &&&LedgerEvent| event.cause.is_none() && !(is_partial && event.declined.is_some());
    for event in case.ledger.iter().filter(by_call) {
        let whole_taken = case.captures_other() && event.operation == Operation::Capture;
        if whole_taken && event.amount_minor == part {
            continue;
        }
        let by_rival = event.operation == Operation::Capture && case.may_take(event.amount_minor);
        let capture = if by_rival { event.amount_minor } else { capture };
        let wanted = match event.operation {
            Operation::Authorize => authorize,
            Operation::Capture => capture,
            Operation::Void | Operation::Refund | Operation::Lapse => continue,
        };
        if event.amount_minor != wanted || !event.currency.eq_ignore_ascii_case(currency) {
            let what = format!(
                "{:?} of {} {}, asked for {wanted} {currency}",
                event.operation, event.amount_minor, event.currency
            );
            return Err((since(event.at_ms), what));
        }
    }
    is_mismatch_noted(case)?;
    is_held_as_shown(case, whole)?;
    is_taken_as_shown(case)?;
    is_reversed_as_shown(case)?;
    // An operator's word has no amount, and what was asked for may be lost.
    let is_word = case.lost.is_some() && case.run.plan.world.operator_ms.is_some();
    let is_shown_as_asked = !case.captures_other() && !case.is_touched() && !case.has_extra && !is_word;
    for heard in case.heard.iter().filter(|heard| heard.ask.role.is_own()) {
        let Some(shown) = heard.told.as_ref().and_then(|told| told.shown.as_ref()) else {
            continue;
        };
        let taken = shown.capture.as_ref().map(|capture| capture.amount);
        let may_take = |taken: u64| taken == payment.capture_minor() || taken == payment.rival_minor();
        if shown.amount != payment.amount_minor
            || shown.currency != currency
            || taken.is_some_and(|taken| !may_take(taken) && is_shown_as_asked)
        {
            let what = format!(
                "an answer shows {} {}, captured {taken:?}",
                shown.amount, shown.currency
            );
            return Err((heard.ended_ms, what));
        }
    }
    is_answered_as_asked(case, is_shown_as_asked)
}

/// Whether the journal says that another amount was captured than was asked for: then each answer says so as well, and an operator
/// decides whose capture it is.
fn has_mismatch(case: &Case<'_>) -> bool {
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return false;
    };
    let is_mismatch = |conclusion: &Conclusion| matches!(conclusion, Conclusion::CaptureMismatch { .. });
    let mut facts = record.entries().iter().map(|entry| &entry.fact);
    facts.any(|fact| matches!(fact, Fact::Inferred { conclusion } if is_mismatch(conclusion)))
}

/// A capture that is answered 200 took what its own request asked for: another client's capture is a conflict.
fn is_answered_as_asked(case: &Case<'_>, is_shown_as_asked: bool) -> Result<(), Wrong> {
    let payment = case.payment;
    if !is_shown_as_asked || payment.rival_minor() == payment.capture_minor() || has_mismatch(case) {
        return Ok(());
    }
    for heard in case.heard.iter().filter(|heard| heard.ask.op == Op::Capture) {
        let asked_minor = match heard.ask.role {
            Role::Main | Role::Copy | Role::Back | Role::Again => payment.capture_minor(),
            Role::Rival => payment.rival_minor(),
            _ => continue,
        };
        let told = heard.told.as_ref().filter(|told| told.status == 200);
        let shown = told.and_then(|told| told.shown.as_ref());
        let taken = shown
            .and_then(|shown| shown.capture.as_ref())
            .map(|capture| capture.amount);
        if taken.is_some_and(|taken| taken != asked_minor) {
            let what = format!(
                "{} asked for {asked_minor} and was told {taken:?} as its own",
                heard.ask.key
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}
