//! The sandbox: what it is, and what it shows of itself. What it does: `receive`.

use std::collections::BTreeSet;

use crate::base::dials::Dials;
use crate::base::settings::{Settings, Stats};
use crate::ledger::entry::LogEntry;
use crate::ledger::event::{Cause, LedgerEvent};
use crate::ledger::state::State;

/// The sandbox PSP as a state machine: everything it does is a function of its arguments.
///
/// A host feeds it requests and the passing of time, and does what the [`Reaction`](crate::Reaction)s say, in this order:
/// append the log entry, then schedule, deliver and answer. A request's effect lands on its arrival (or when
/// a late one lands); the drawn latency is the way of the answer only.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pub(crate) settings: Settings,
    pub(crate) state: State,
    pub(crate) stats: Stats,
}

impl Sandbox {
    /// An empty sandbox.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::default(),
            stats: Stats::default(),
        }
    }

    /// A sandbox with the ledger that `log` tells of, entries in the order in which they were made. Requests
    /// that were still on their way to land late are lost, as with any PSP that dies.
    pub fn replay(settings: Settings, log: impl IntoIterator<Item = LogEntry>) -> Self {
        let mut sandbox = Self::new(settings);
        for entry in log {
            sandbox.take_in(entry);
        }
        sandbox
    }

    /// Takes in one entry of an earlier sandbox's log; [`Sandbox::replay`] for hosts that read it bit by bit.
    pub fn take_in(&mut self, entry: LogEntry) {
        self.state.replay(entry);
    }

    /// Everything that happened to money, by attempt and then in order: the truth that oracles compare with.
    pub fn ledger(&self) -> impl Iterator<Item = &LedgerEvent> {
        let accounts = self.state.ledger.accounts.values();
        accounts.flat_map(|account| account.events.iter().map(AsRef::as_ref))
    }

    /// The 3-D Secure challenges of an attempt that wait for the cardholder: paths of their pages, in order of age.
    ///
    /// A cardholder learns of a challenge from the bank, whatever became of the answer to the merchant.
    pub fn open_challenges(&self, attempt_id: &str) -> Vec<String> {
        let challenges = self.state.challenges.values();
        let at_acquirer = challenges
            .filter(|challenge| challenge.reference == attempt_id)
            .map(|challenge| (challenge.created_ms.unwrap_or(0), challenge.id.as_str()));
        let intents = self.state.intents.values();
        let at_stripe = intents
            .filter(|intent| intent.is_open_for(attempt_id))
            .map(|intent| (intent.created_ms, intent.id.as_str()));
        let mut open: Vec<(u64, &str)> = at_acquirer.chain(at_stripe).collect();
        open.sort_unstable();
        open.into_iter().map(|(_, id)| format!("/3ds/{id}")).collect()
    }

    /// The object that an authorization of the ledger belongs to, as calls name it: Stripe's PaymentIntent, or the acquirer's
    /// authorization itself.
    pub fn object_of(&self, authorization_id: &str) -> String {
        let intent = self.state.intent_of_charge.get(authorization_id);
        intent.map_or_else(|| authorization_id.to_owned(), Clone::clone)
    }

    /// The attempts of which a call was executed a second time, whether or not money moved by it.
    pub fn executed_twice(&self) -> BTreeSet<String> {
        let is_second = |cause: Option<Cause>| cause == Some(Cause::Repeated);
        let state = &self.state;
        let intents = state.intents.values().filter(|intent| is_second(intent.cause));
        let ended = state.ended_challenges.iter().map(|(_, challenge)| challenge);
        let challenges = state.challenges.values().chain(ended);
        let challenges = challenges.filter(|challenge| is_second(challenge.cause));
        let events = self.ledger().filter(|event| is_second(event.cause));
        let attempts = intents.map(|intent| intent.attempt_id());
        let attempts = attempts.chain(challenges.map(|challenge| challenge.reference.as_str()));
        attempts
            .chain(events.map(|event| event.attempt_id.as_str()))
            .map(str::to_owned)
            .collect()
    }

    /// The dials as they stand.
    pub fn dials(&self) -> &Dials {
        &self.settings.dials
    }

    /// Turns the dials, as `PUT /dials` does. The caller has checked them ([`Dials::check`]).
    pub fn turn(&mut self, dials: Dials) {
        self.settings.dials = dials;
    }
}
