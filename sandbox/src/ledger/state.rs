//! The state: the fold of the log's entries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::base::face::Face;
use crate::base::tokens::Operation;

use super::challenge::Challenge;
use super::entry::{Change, KeptAnswer, LogEntry};
use super::intent::Intent;
use super::money::Ledger;

/// All the sandbox remembers.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) ledger: Ledger,
    pub(crate) intents: BTreeMap<String, Arc<Intent>>,
    /// (created in unix seconds, serial number, id): the order of lists.
    pub(crate) intents_by_age: BTreeSet<(u64, u64, String)>,
    /// Stripe's authorization to the PaymentIntent it belongs to.
    pub(crate) intent_of_charge: BTreeMap<String, String>,
    /// A refund on the Stripe face to its PaymentIntent.
    pub(crate) intent_of_refund: BTreeMap<String, String>,
    pub(crate) challenges: BTreeMap<String, Arc<Challenge>>,
    /// Challenges that are over, and since when, in milliseconds since the Unix epoch.
    pub(crate) ended_challenges: Vec<(u64, Arc<Challenge>)>,
    pub(crate) keys: BTreeMap<(Face, String), Arc<KeptAnswer>>,
    keys_by_age: VecDeque<(u64, Face, String)>,
    pub(crate) spent: BTreeSet<(String, Operation)>,
    pub(crate) ids: u64,
}

impl State {
    /// Takes in a whole entry of the log.
    pub(crate) fn replay(&mut self, entry: LogEntry) {
        for change in &entry.changes {
            self.apply(change);
        }
        self.ids = self.ids.max(entry.ids);
    }

    /// Takes in one change.
    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::Intent(intent) => {
                self.intents_by_age
                    .insert((intent.created_ms / 1000, intent.serial, intent.id.clone()));
                if let Some(charge) = &intent.charge {
                    self.intent_of_charge.insert(charge.clone(), intent.id.clone());
                }
                for refund in &intent.refunds {
                    self.intent_of_refund.insert(refund.id.clone(), intent.id.clone());
                }
                self.intents.insert(intent.id.clone(), Arc::clone(intent));
            }
            Change::Ledger(event) => self.ledger.apply(event),
            Change::Challenge(challenge) => {
                self.challenges
                    .insert(challenge.id.clone(), Arc::clone(challenge));
            }
            Change::ChallengeEnded { id, at_ms } => {
                let ended = self.challenges.remove(id);
                self.ended_challenges.extend(ended.map(|ended| (*at_ms, ended)));
            }
            Change::Key(kept) => {
                self.keys_by_age
                    .push_back((kept.at_ms, kept.face, kept.key.clone()));
                self.keys.insert((kept.face, kept.key.clone()), Arc::clone(kept));
            }
            Change::Spent { attempt, operation } => {
                self.spent.insert((attempt.clone(), *operation));
            }
        }
    }

    /// Drops the keys of `horizon_ms` and older. Not in the log: it follows from the time.
    pub(crate) fn forget_keys(&mut self, now_ms: u64, horizon_ms: u64) {
        while let Some((at_ms, face, key)) = self.keys_by_age.front() {
            if now_ms.saturating_sub(*at_ms) < horizon_ms {
                break;
            }
            // A key is used again only once it was forgotten, so the row is the only one of its key.
            self.keys.remove(&(*face, key.clone()));
            self.keys_by_age.pop_front();
        }
    }
}
