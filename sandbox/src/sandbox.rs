//! The sandbox: one ledger, two faces, no I/O.

use std::collections::BTreeSet;

use crate::control;
use crate::dials::Dials;
use crate::draw::Draw;
use crate::gateway::{self, Arrival};
use crate::journal::{Face, LogEntry, State};
use crate::lapse;
use crate::ledger::{Cause, LedgerEvent};
use crate::webhook;
use crate::wire::{Reaction, Request, Timed};
use crate::work::Work;

/// What a sandbox is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The dials; `PUT /dials` turns them later.
    pub dials: Dials,
    /// Where browsers find this sandbox, without a trailing slash: the base of 3-D Secure links.
    /// Empty, the server fills in its own address; without a server the links are then paths.
    pub public_url: String,
    /// Base of the webhook addresses: `/stripe` and `/acquirer` are added. `None`: no webhooks.
    pub webhook_url: Option<String>,
    /// The secret that signs webhooks.
    pub webhook_secret: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dials: Dials::default(),
            public_url: String::new(),
            webhook_url: None,
            webhook_secret: "whsec_sandbox".to_owned(),
        }
    }
}

/// Counters since start; not in the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) requests: u64,
    pub(crate) money_calls: u64,
    pub(crate) replays: u64,
    pub(crate) webhooks_sent: u64,
}

/// The sandbox PSP as a state machine: everything it does is a function of its arguments.
///
/// A host feeds it requests and the passing of time, and does what the [`Reaction`]s say, in this order:
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

    /// Takes in a request that arrives at `now_ms` (unix time in milliseconds). `entropy` decides its latency,
    /// its random faults and its identifiers.
    pub fn receive(&mut self, now_ms: u64, entropy: u64, request: &Request) -> Reaction {
        self.stats.requests += 1;
        let lapsed = self.lapse(now_ms, entropy);
        let reaction = match route(request.path()) {
            Route::Control => control::receive(self, now_ms, entropy, request),
            Route::Face(face) => gateway::receive(
                self,
                face,
                &Arrival {
                    now_ms,
                    entropy,
                    request,
                    landing: false,
                },
            ),
        };
        lapsed.then(reaction)
    }

    /// Takes in an event that it scheduled earlier, or a [`Timed::Tick`]. Never answers.
    pub fn fire(&mut self, now_ms: u64, event: &Timed) -> Reaction {
        match event {
            Timed::Tick => self.lapse(now_ms, now_ms),
            Timed::Land { request, entropy } => {
                let lapsed = self.lapse(now_ms, *entropy);
                let arrival = Arrival {
                    now_ms,
                    entropy: *entropy,
                    request,
                    landing: true,
                };
                match route(request.path()) {
                    Route::Control => lapsed,
                    Route::Face(face) => lapsed.then(gateway::receive(self, face, &arrival)),
                }
            }
        }
    }

    /// Ends the authorizations whose time is over at `now_ms`.
    fn lapse(&mut self, now_ms: u64, entropy: u64) -> Reaction {
        if self.state.ledger.first_due(now_ms).is_none() {
            return Reaction::default();
        }
        let mut work = Work::new(&mut self.state, &self.settings, now_ms, Draw::new(entropy));
        lapse::run(&mut work);
        webhook::close(work, &mut self.stats, 0)
    }
}

impl Reaction {
    /// This reaction and then `next`, as one: their changes are logged together.
    fn then(self, mut next: Self) -> Self {
        next.log = match (self.log, next.log) {
            (Some(mut first), Some(second)) => {
                first.changes.extend(second.changes);
                Some(LogEntry {
                    changes: first.changes,
                    ..second
                })
            }
            (first, second) => first.or(second),
        };
        next.webhooks.splice(0..0, self.webhooks);
        next
    }
}

enum Route {
    Control,
    Face(Face),
}

fn route(path: &str) -> Route {
    match path {
        "/authorize" | "/capture" | "/void" | "/lookup" => Route::Face(Face::Acquirer),
        _ if path.starts_with("/v1/") => Route::Face(Face::Stripe),
        _ => Route::Control,
    }
}
