//! Every committed dispatch is sent, unless its server stopped in between: what nobody sends, nobody can have done.

use std::collections::BTreeMap;

use pay_once_core::journal::entry::Fact;

use super::{Case, Oracle, Wrong};
use crate::world::EPOCH_MS;

pub(super) const ORACLE: Oracle = Oracle {
    name: "dispatched is sent",
    rule: "rule 1",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    // A swap whose end is not known commits dispatches that its server does not know of.
    if case.run.plan.has_disturbed_servers() {
        return Ok(());
    }
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return Ok(());
    };
    let mut sent: BTreeMap<&str, u32> = BTreeMap::new();
    for call in &case.run.sends {
        *sent.entry(call.key.as_str()).or_default() += 1;
    }
    for entry in record.entries() {
        let Fact::Dispatched {
            psp_key, sent_at_ms, ..
        } = &entry.fact
        else {
            continue;
        };
        // What only makes an object moves no money.
        if psp_key.contains("-prepare-") {
            continue;
        }
        match sent.get_mut(psp_key.as_str()) {
            Some(left) if *left > 0 => *left -= 1,
            _ => {
                let at_ms = sent_at_ms.get().saturating_sub(EPOCH_MS);
                return Err((at_ms, format!("the dispatch of {psp_key} was never sent")));
            }
        }
    }
    Ok(())
}
