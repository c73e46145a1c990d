//! Clients, and the load balancer between them and the servers.

use std::rc::Rc;

use super::{Event, Http, ReplyTo, Sim};
use crate::forgery::{forgery, is_answered_well};
use crate::met::Sometimes;
use crate::plan::Host;
use crate::seen::{Heard, Told};
use crate::shopper::{Ask, Todo};
use crate::trace::Kind;
use crate::world::bearer;

/// How long after healing servers and stores are at rest, in milliseconds.
const CALM_MS: u64 = 3_000;

impl Sim<'_> {
    /// Carries out what a client decided.
    pub(super) fn carry(&mut self, shopper: usize, todo: Vec<Todo>) {
        for todo in todo {
            match todo {
                Todo::Ask { at_ms, ask } => self.at(at_ms, Event::Ask { shopper, ask }),
                Todo::Authenticate {
                    at_ms,
                    attempt_id,
                    success,
                } => self.at(at_ms, Event::Authenticate { attempt_id, success }),
                Todo::Return { at_ms } => self.at(at_ms, Event::Return(shopper)),
            }
        }
    }

    pub(super) fn ask(&mut self, shopper: usize, ask: Ask) {
        let number = self.heard.len();
        let key = bearer(&ask);
        let mut headers = vec![
            ("host", "pay-once".to_owned()),
            ("authorization", format!("Bearer {key}")),
        ];
        if !ask.key.is_empty() {
            headers.push(("idempotency-key", ask.key.clone()));
        }
        if let Some(seconds) = ask.wait_s {
            headers.push(("prefer", format!("wait={seconds}")));
        }
        let http = Rc::new(Http {
            method: ask.method,
            target: ask.target.clone(),
            headers,
            body: ask.body.clone().into_bytes(),
        });
        self.at(self.now_ms + ask.timeout_ms, Event::ClientTimeout(number));
        self.heard.push(Heard {
            ask,
            began_ms: self.now_ms,
            ended_ms: u64::MAX,
            told: None,
        });
        self.heard_by.push(shopper);
        self.balance(&http, ReplyTo::Client(number));
    }

    /// Sends a request on to a server that can be reached, and sometimes once more.
    pub(super) fn balance(&mut self, http: &Rc<Http>, reply_to: ReplyTo) {
        self.forward(http, reply_to.clone(), 0);
        let Some((permille, later_ms)) = self.faults.replay_now(self.now_ms) else {
            return;
        };
        for later_ms in [0, later_ms] {
            if self.balancer_draw.chance(permille) {
                self.met.meet(Sometimes::BalancerReplay);
                let after_ms = self.balancer_draw.between(0, later_ms);
                self.forward(http, ReplyTo::Nobody, after_ms);
            }
        }
    }

    fn forward(&mut self, http: &Rc<Http>, reply_to: ReplyTo, after_ms: u64) {
        let servers = self.servers.len();
        let first = self.balancer_draw.between(0, servers as u64 - 1);
        let first = usize::try_from(first).unwrap_or(0);
        for turn in 0..servers {
            let server = (first + turn) % servers;
            let refuses = self.servers.get(server).is_none_or(|s| !s.is_up && !s.is_silent)
                || self
                    .faults
                    .is_cut(Host::Balancer, Host::Server(server), self.now_ms);
            if refuses {
                continue;
            }
            let arrives = self
                .travel(Host::Balancer, Host::Server(server))
                .map(|at| at + after_ms);
            self.message(Host::Balancer, Host::Server(server), arrives, || {
                format!("{}{} {}", http.whose(), http.method, http.target)
            });
            if let Some(at_ms) = arrives {
                let http = Rc::clone(http);
                self.at(
                    at_ms,
                    Event::Request {
                        server,
                        http,
                        reply_to,
                    },
                );
            }
            return;
        }
    }

    /// An answer arrives at whoever asked.
    pub(super) fn answer_arrives(&mut self, reply_to: ReplyTo, status: u16, is_replay: bool, body: Vec<u8>) {
        match reply_to {
            ReplyTo::Client(number) => {
                let told = Told::read(status, is_replay, body);
                self.heard(number, Some(told));
            }
            ReplyTo::Psp {
                webhook,
                tries,
                number,
            } => {
                if !self.open_deliveries.remove(&number) {
                    return;
                }
                if (200..300).contains(&status) {
                    self.acknowledged.push((self.now_ms, webhook.body.clone()));
                } else {
                    // What its PSP signed is never a forgery, unless it waited for hours at a server that stood still.
                    if (400..500).contains(&status) && self.plan.world.policy.is_none() {
                        let (words, event) = (
                            String::from_utf8_lossy(&body),
                            String::from_utf8_lossy(&webhook.body),
                        );
                        self.broken.push(format!(
                            "a webhook that its PSP signed was answered with {status}, {words}: {event}"
                        ));
                    }
                    // Long after healing nothing is left that could keep it from being taken in.
                    let calm_ms = self.plan.world.heal_ms + CALM_MS;
                    if status >= 500 && self.now_ms > calm_ms && self.plan.world.policy.is_none() {
                        let event = String::from_utf8_lossy(&webhook.body);
                        self.broken.push(format!(
                            "long after healing a webhook was answered with {status}: {event}"
                        ));
                    }
                    self.webhook_again(webhook, tries);
                }
            }
            ReplyTo::Forger { is_signed } => {
                if (400..500).contains(&status) {
                    self.met.meet(Sometimes::WebhookForgedRefused);
                } else if !is_answered_well(is_signed, status) {
                    self.broken
                        .push(format!("a forged webhook was answered with {status}"));
                }
            }
            ReplyTo::Nobody => {}
        }
    }

    /// A client has its answer, or has waited long enough.
    pub(super) fn heard(&mut self, number: usize, told: Option<Told>) {
        let now_ms = self.now_ms;
        let (Some(heard), Some(shopper)) = (self.heard.get_mut(number), self.heard_by.get(number).copied())
        else {
            return;
        };
        if heard.ended_ms != u64::MAX {
            return;
        }
        heard.ended_ms = now_ms;
        heard.told = told;
        let Some(client) = self.shoppers.get_mut(shopper) else {
            return;
        };
        let todo = client.told(now_ms, &heard.ask, heard.told.as_ref());
        let (key, told) = (heard.ask.key.clone(), heard.told.as_ref());
        let told = told.map(|told| (told.status, told.shown.as_ref().map(|shown| shown.status)));
        self.note(Host::Clients, Kind::Note, || match told {
            Some((status, Some(shown))) => format!("{key}: {status} {shown:?}"),
            Some((status, None)) => format!("{key}: {status}"),
            None => format!("{key}: no answer in time"),
        });
        self.carry(shopper, todo);
    }

    /// A client that comes back.
    pub(super) fn come_back(&mut self, shopper: usize) {
        let now_ms = self.now_ms;
        let client = self.shoppers.get_mut(shopper);
        let todo = client.map(|client| client.come_back(now_ms)).unwrap_or_default();
        self.carry(shopper, todo);
    }

    /// A webhook that nobody signed, or not with our secret; or another PSP of ours, about what is not its own.
    pub(super) fn forge(&mut self, payment: u32, is_misdirected: bool) {
        let mut shoppers = self.shoppers.iter();
        let Some(found) = shoppers.find(|shopper| shopper.payment().payment == payment) else {
            return;
        };
        let Some(id) = found.attempt_id() else { return };
        let forged = forgery(&self.plan.world, found.payment(), id, is_misdirected, self.now_ms);
        let http = Rc::new(Http {
            method: "POST",
            target: forged.target,
            headers: vec![(forged.header, forged.signature)],
            body: forged.body.into_bytes(),
        });
        let is_signed = is_misdirected && self.plan.world.second.is_some();
        self.forward(&http, ReplyTo::Forger { is_signed }, 0);
    }
}
