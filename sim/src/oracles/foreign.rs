//! What another installation made is left alone (rule 13): no call of ours changes it, and no answer shows it as ours.

use pay_once_core::journal::entry::{Conclusion, Fact, Operation as CoreOperation};
use pay_once_sandbox::tokens::Operation;

use super::{Case, Oracle, Wrong, since};

pub(super) const ORACLE: Oracle = Oracle {
    name: "foreign objects are left alone",
    rule: "rule 13",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    proves_nothing(case)?;
    let mut done = case.foreign.iter();
    let ours = done.find(|event| event.cause.is_none() && event.operation != Operation::Lapse);
    if let Some(event) = ours {
        let what = format!(
            "a call of ours ({}) acted on another installation's object: {:?} of {}",
            event.key.as_deref().unwrap_or("no key"),
            event.operation,
            event.amount_minor
        );
        return Err((since(event.at_ms), what));
    }
    let made = case
        .foreign
        .iter()
        .filter(|event| event.operation == Operation::Authorize);
    let objects: Vec<&str> = made
        .filter_map(|event| case.run.objects.get(&event.id))
        .map(String::as_str)
        .collect();
    for heard in &case.heard {
        let shown = heard.told.as_ref().and_then(|told| told.shown.as_ref());
        let authorization = shown.and_then(|shown| shown.authorization.as_ref());
        if authorization.is_some_and(|it| objects.contains(&it.psp_reference.as_str())) {
            let what =
                "an answer shows another installation's object as the attempt's authorization".to_owned();
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}

/// Where a look shows what is not ours, it proves nothing absent: one of the objects may be ours after all.
fn proves_nothing(case: &Case<'_>) -> Result<(), Wrong> {
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return Ok(());
    };
    // Stripe's object is read by its own id.
    if case.class.is_stripe() {
        return Ok(());
    }
    let mut is_shown = false;
    for entry in record.entries() {
        match &entry.fact {
            Fact::Inferred {
                conclusion: Conclusion::Foreign { .. },
            } => is_shown = true,
            Fact::Inferred {
                conclusion:
                    Conclusion::NoEffect {
                        operation: CoreOperation::Authorize,
                        ..
                    },
            } if is_shown => {
                let what =
                    "absence was concluded though a look showed an object with our reference".to_owned();
                return Err((since(entry.at_ms.get()), what));
            }
            _ => {}
        }
    }
    Ok(())
}
