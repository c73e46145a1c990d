//! The ledger: what really happened to the money, whatever was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::base::face::Face;
use crate::base::tokens::Operation;

use super::event::LedgerEvent;

/// An authorization and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    pub(crate) attempt_id: String,
    pub(crate) face: Face,
    pub(crate) amount_minor: u64,
    pub(crate) currency: String,
    pub(crate) token: Option<String>,
    pub(crate) captures: BTreeMap<String, Captured>,
    pub(crate) refunded_minor: u64,
    pub(crate) voided: bool,
    pub(crate) lapsed: bool,
    lapses_at_ms: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Captured {
    pub(crate) amount_minor: u64,
    pub(crate) reversed: bool,
}

impl Authorization {
    /// Captured in all, in minor units.
    pub(crate) fn captured_minor(&self) -> u64 {
        self.captures.values().map(|capture| capture.amount_minor).sum()
    }

    /// Whether it was given back whole, by a void or by refunds.
    pub(crate) fn reversed(&self) -> bool {
        self.voided || (!self.captures.is_empty() && self.refunded_minor >= self.captured_minor())
    }

    /// Whether it still holds or has taken the customer's money.
    pub(crate) fn live(&self) -> bool {
        !self.reversed() && !self.lapsed
    }
}

/// The money of one attempt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) events: Vec<Arc<LedgerEvent>>,
    authorization_ids: Vec<String>,
    captures: u64,
    captured_minor: u64,
    voids: u64,
    refunds: u64,
    refunded_minor: u64,
    declines: u64,
}

/// The money of all attempts, on both faces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) authorizations: BTreeMap<String, Authorization>,
    /// A capture's id to that of its authorization.
    pub(crate) authorization_of_capture: BTreeMap<String, String>,
    /// Uncaptured authorizations by the time they lapse.
    due: BTreeSet<(u64, String)>,
    pub(crate) effects: u64,
}

impl Ledger {
    /// Takes in one event.
    pub(crate) fn apply(&mut self, event: &Arc<LedgerEvent>) {
        let account = self.accounts.entry(event.attempt_id.clone()).or_default();
        account.events.push(Arc::clone(event));
        if event.declined.is_some() {
            account.declines += 1;
            if let (Some(_), Some(id)) = (&event.undoes, &event.authorization) {
                account.refunds = account.refunds.saturating_sub(1);
                account.refunded_minor = account.refunded_minor.saturating_sub(event.amount_minor);
                if let Some(authorization) = self.authorizations.get_mut(id) {
                    authorization.refunded_minor =
                        authorization.refunded_minor.saturating_sub(event.amount_minor);
                }
            }
            return;
        }
        if event.operation == Operation::Authorize {
            account.authorization_ids.push(event.id.clone());
            self.effects += 1;
            if let Some(at_ms) = event.lapses_at_ms {
                self.due.insert((at_ms, event.id.clone()));
            }
            self.authorizations
                .insert(event.id.clone(), Authorization::opened_by(event));
            return;
        }
        let Some(id) = &event.authorization else { return };
        let Some(authorization) = self.authorizations.get_mut(id) else {
            return;
        };
        if let Some(at_ms) = authorization.lapses_at_ms.take() {
            self.due.remove(&(at_ms, id.clone()));
        }
        match event.operation {
            Operation::Authorize => {}
            Operation::Lapse => {
                authorization.lapsed = true;
                return;
            }
            Operation::Capture => {
                account.captures += 1;
                account.captured_minor += event.amount_minor;
                authorization.captures.insert(
                    event.id.clone(),
                    Captured {
                        amount_minor: event.amount_minor,
                        reversed: false,
                    },
                );
                self.authorization_of_capture.insert(event.id.clone(), id.clone());
            }
            Operation::Void => {
                account.voids += 1;
                authorization.voided = true;
            }
            Operation::Refund => {
                account.refunds += 1;
                account.refunded_minor += event.amount_minor;
                authorization.refunded_minor += event.amount_minor;
                let whole = authorization.reversed();
                for (capture_id, captured) in &mut authorization.captures {
                    captured.reversed |= whole || event.capture.as_ref() == Some(capture_id);
                }
            }
        }
        self.effects += 1;
    }

    /// The first authorization whose time is over, with the time at which it lapsed.
    pub(crate) fn first_due(&self, now_ms: u64) -> Option<(u64, String)> {
        self.due.first().filter(|(at_ms, _)| *at_ms <= now_ms).cloned()
    }

    /// The whole ledger as `GET /ledger` shows it.
    pub(crate) fn summary(&self) -> Value {
        let rows = self
            .accounts
            .iter()
            .map(|(id, account)| (id.clone(), self.summary_of(account)));
        Value::Object(rows.collect())
    }

    /// One attempt as `GET /ledger/{attempt_id}` shows it.
    pub(crate) fn story(&self, attempt_id: &str) -> Option<Value> {
        let account = self.accounts.get(attempt_id)?;
        let mut story = self.summary_of(account);
        let events = account.events.iter().map(|event| {
            json!({
                "at_ms": event.at_ms,
                "face": event.face,
                "operation": event.operation,
                "id": event.id,
                "authorization": event.authorization,
                "amount_minor": event.amount_minor,
                "currency": event.currency.to_uppercase(),
                "key": event.key,
                "late": event.late,
                "declined": event.declined,
                "cause": event.cause,
            })
        });
        let events = events.collect();
        if let Value::Object(members) = &mut story {
            members.insert("events".to_owned(), Value::Array(events));
        }
        Some(story)
    }

    fn summary_of(&self, account: &Account) -> Value {
        let live = account
            .authorization_ids
            .iter()
            .filter_map(|id| self.authorizations.get(id))
            .filter(|authorization| authorization.live())
            .count();
        let first = account.events.first();
        json!({
            "authorizations": account.authorization_ids.len(),
            "live_authorizations": live,
            "captures": account.captures,
            "captured_minor": account.captured_minor,
            "voids": account.voids,
            "refunds": account.refunds,
            "refunded_minor": account.refunded_minor,
            "declines": account.declines,
            "currency": first.map(|event| event.currency.to_uppercase()),
            "amount_minor": first.map(|event| event.amount_minor),
        })
    }
}

impl Authorization {
    fn opened_by(event: &LedgerEvent) -> Self {
        Self {
            attempt_id: event.attempt_id.clone(),
            face: event.face,
            amount_minor: event.amount_minor,
            currency: event.currency.clone(),
            token: event.token.clone(),
            captures: BTreeMap::new(),
            refunded_minor: 0,
            voided: false,
            lapsed: false,
            lapses_at_ms: event.lapses_at_ms,
        }
    }
}
