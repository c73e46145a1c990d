//! The log's entries, and the state that is their fold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::acquirer::Challenge;
use crate::ledger::{Ledger, LedgerEvent};
use crate::stripe::Intent;
use crate::tokens::Operation;

/// What one request or timed event changed. Opaque to the host, which keeps entries in order and gives them
/// back to [`crate::Sandbox::replay`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    pub(crate) at_ms: u64,
    /// Identifiers given out so far, so that none is given out twice after a restart.
    pub(crate) ids: u64,
    pub(crate) changes: Vec<Change>,
}

/// One change of state. The only way state changes, live or replayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// A PaymentIntent is now this.
    Intent(Arc<Intent>),
    /// Money moved, or was refused to.
    Ledger(Arc<LedgerEvent>),
    /// The acquirer waits for a cardholder.
    Challenge(Arc<Challenge>),
    /// The cardholder has answered.
    ChallengeEnded {
        id: String,
        /// In milliseconds since the Unix epoch; older logs do not say.
        #[serde(default)]
        at_ms: u64,
    },
    /// An answer is kept under a key.
    Key(Arc<KeptAnswer>),
    /// A token that acts on the first call only has acted.
    Spent { attempt: String, operation: Operation },
}

/// Which face a thing belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Face {
    /// PaymentIntents.
    Stripe,
    /// The plain card network.
    Acquirer,
}

/// An answer kept under an idempotency key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptAnswer {
    pub(crate) face: Face,
    pub(crate) key: String,
    /// Digest of method, path and parameters.
    pub(crate) fingerprint: String,
    pub(crate) at_ms: u64,
    /// Until then the first request counts as being answered, and the key as in use.
    pub(crate) answered_at_ms: u64,
    pub(crate) status: u16,
    pub(crate) body: String,
}

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
