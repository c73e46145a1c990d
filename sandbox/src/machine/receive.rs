//! What comes in: requests, and the passing of time.

use crate::base::draw::Draw;
use crate::base::face::Face;
use crate::faces::lapse;
use crate::ledger::work::Work;
use crate::wire::reaction::{Reaction, Timed};
use crate::wire::request::{Arrival, Request};
use crate::wire::webhook;

use super::sandbox::Sandbox;
use super::{control, gateway};

impl Sandbox {
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
