//! What core is told of a restored store (`docs/operating.md`, “Restore”).

use std::collections::BTreeMap;

use jiff::Timestamp;
use pay_once_core::{Config, Loss, UnixMillis};
use serde::Serialize;

use crate::store::note::{Reconciled, RestoreNote};

/// The losses that a store notes, beside those of the configuration file.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    note: Option<RestoreNote>,
}

/// One loss, for operators.
#[derive(Clone, Debug, Serialize)]
pub struct LossShown {
    psp: String,
    loss_begins_at: String,
    restored_at: String,
    /// What `--reconciled` takes to end the mode.
    end_with: String,
    /// Until when an attempt that the store does not know may be one that it has lost.
    new_attempts_are_asked_for_until: String,
}

impl Losses {
    /// What was lost, by the store's note. `write` notes what an operator has compared since. `store` names it in messages.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the note, or that a PSP is not configured.
    pub fn of(
        mut note: Option<RestoreNote>,
        store: &dyn std::fmt::Display,
        config: &Config,
        said: &[Reconciled],
        write: impl Fn(&RestoreNote) -> Result<(), String>,
    ) -> Result<Self, String> {
        if let Some(unknown) = said.iter().find(|said| !config.psps.contains_key(&said.psp)) {
            return Err(format!(
                "--reconciled {unknown}: no psp of that name is configured"
            ));
        }
        match (&mut note, said.first()) {
            (None, Some(said)) => {
                return Err(format!(
                    "--reconciled {said}: no restore is noted in {store}; leave the argument out"
                ));
            }
            (None, None) => {}
            (Some(note), _) => {
                let mut ended = Vec::new();
                for said in said {
                    if note.reconcile(said)? {
                        ended.push(said);
                    }
                }
                if !ended.is_empty() {
                    write(note)?;
                }
                for Reconciled { psp, restored_at_ms } in ended {
                    tracing::warn!(
                        psp,
                        restored_at_ms,
                        "restore mode ends: the PSP's payments were compared"
                    );
                }
            }
        }
        Ok(Self { note })
    }

    /// Puts the losses into a configuration.
    pub fn tell(&self, config: &mut Config) {
        let Some(note) = &self.note else { return };
        for (psp, loss) in note.losses(config.psps.keys()) {
            let known = config.losses.get(&psp);
            let loss = known.map_or(loss, |known| loss.and(*known));
            config.losses.insert(psp, loss);
        }
    }

    /// Tells the operators of the mode.
    pub fn log(&self, config: &Config) {
        for loss in shown(config) {
            tracing::warn!(
                psp = loss.psp,
                end_with = loss.end_with,
                loss_begins_at = loss.loss_begins_at,
                restored_at = loss.restored_at,
                "restore mode: the store may lack payments of this time, and the PSP is asked before anything is sent for them; compare the PSP's payments with the store, and end the mode with --reconciled"
            );
            if !can_be_asked(config, &loss.psp) {
                tracing::warn!(
                    psp = loss.psp,
                    "this PSP offers no way to find out what was sent: payments that cannot be sent under a key that it still knows are parked until the mode ends"
                );
            }
        }
    }
}

fn can_be_asked(config: &Config, psp: &str) -> bool {
    let psp = config.psps.get(psp);
    psp.is_some_and(|psp| psp.capabilities.lookup_lag_ms.is_some())
}

/// The losses of a configuration.
#[must_use]
pub fn shown(config: &Config) -> Vec<LossShown> {
    let losses: &BTreeMap<String, Loss> = &config.losses;
    losses
        .iter()
        .map(|(psp, loss)| LossShown {
            psp: psp.clone(),
            loss_begins_at: time(loss.begins_ms),
            restored_at: time(loss.restored_ms),
            end_with: format!("{psp}:{}", loss.restored_ms.get()),
            new_attempts_are_asked_for_until: time(loss.restored_ms + config.client_retry_horizon_ms),
        })
        .collect()
}

fn time(at: UnixMillis) -> String {
    let ms = i64::try_from(at.get()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).map_or_else(|_| format!("{} ms", at.get()), |time| format!("{time:.3}"))
}
