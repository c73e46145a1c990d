//! Calls of ours have at most one authorization and at most one capture, ever (rules 1, 3–6, 12). What the PSP executes a second
//! time by itself is for the oracle of liveness.

use super::{Case, Oracle, Wrong, since};

pub(super) const ORACLE: Oracle = Oracle {
    name: "one effect",
    rule: "promise: safety; rules 1, 3-6, 12",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    for event in &case.ledger {
        let at_ms = since(event.at_ms);
        let money = case.money_at(at_ms);
        if money.authorizations > 1 || money.captures > 1 {
            return Err((
                at_ms,
                format!(
                    "the ledger holds {} authorizations and {} captures (the last by key {})",
                    money.authorizations,
                    money.captures,
                    event.key.as_deref().unwrap_or("none")
                ),
            ));
        }
    }
    Ok(())
}
