//! What a merchant's client does about one payment. No I/O and no clock: both tiers carry out the same decisions.
//!
//! Each request is a *lane*: it is sent, waited for, and sent again until it is settled or the client has had enough.

mod ask;
mod operators;

use std::collections::BTreeSet;

pub use ask::{Ask, Op, Role, Todo};

use crate::plan::{Flow, Payment, Token, World};
use crate::seen::{Status, Told};

/// One payment's client.
#[derive(Clone, Debug)]
pub struct Shopper {
    payment: Payment,
    /// The attempt's address, which follows from the key.
    address: String,
    /// When it comes back, in milliseconds from the start.
    returns_ms: Option<u64>,
    attempt_id: Option<String>,
    begun: BTreeSet<Op>,
    reused: BTreeSet<Op>,
    /// Operations whose final answer the client has.
    answered: BTreeSet<Op>,
    resolutions: u8,
    needs_two: bool,
    has_seen_action: bool,
}

/// How long after healing a client comes back, in milliseconds.
const AWAY_MS: u64 = 1_000;
/// How often a client that has come back asks again at most. With pauses that double it asks for a quarter of a minute.
pub const BACK_TRIES: u8 = 3;
/// Its first pause, in milliseconds.
const BACK_PAUSE_MS: u64 = 2_000;
/// How long after an operation began a hasty operator resolves it, in milliseconds.
const HASTE_MS: u64 = 60;
/// How much later than its rival a client asks that captures another amount, in milliseconds.
const RIVAL_LATER_MS: u64 = 700;
/// How long after a request the bank's message reaches its customer, in milliseconds; a second message comes later.
const BANK_MS: u64 = 600;

impl Shopper {
    /// A client that has not begun.
    #[must_use]
    pub fn new(payment: Payment, world: &World) -> Self {
        Self {
            address: payment.attempt_id(&world.installation).to_string(),
            returns_ms: payment.returns.then_some(world.heal_ms + AWAY_MS),
            payment,
            attempt_id: None,
            begun: BTreeSet::new(),
            reused: BTreeSet::new(),
            answered: BTreeSet::new(),
            resolutions: 0,
            needs_two: world.two_operators,
            has_seen_action: false,
        }
    }

    /// The attempt, once it is known.
    #[must_use]
    pub fn attempt_id(&self) -> Option<&str> {
        self.attempt_id.as_deref()
    }

    /// Where the attempt is or would be.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The plan's line.
    #[must_use]
    pub fn payment(&self) -> &Payment {
        &self.payment
    }

    /// Begins.
    pub fn begin(&mut self, now_ms: u64) -> Vec<Todo> {
        let first = if self.payment.flow == Flow::Charge {
            Op::Charge
        } else {
            Op::Create
        };
        let mut todo = self.begin_op(now_ms, first);
        todo.extend(self.returns_ms.map(|at_ms| Todo::Return { at_ms }));
        todo
    }

    /// The client comes back: each request that has no final answer yet is sent again, under its key.
    pub fn come_back(&mut self, now_ms: u64) -> Vec<Todo> {
        let open = self.begun.difference(&self.answered);
        open.map(|op| {
            let (target, body) = self.request(*op);
            let ask = Ask {
                tries_left: BACK_TRIES,
                timeout_ms: self.timeout_ms(),
                ..self.ask(*op, Role::Back, target, self.payment.key(op.word()), body)
            };
            Todo::Ask { at_ms: now_ms, ask }
        })
        .collect()
    }

    /// A request ended: with an answer, or with none in its time.
    pub fn told(&mut self, now_ms: u64, ask: &Ask, told: Option<&Told>) -> Vec<Todo> {
        let mut todo = Vec::new();
        let shown = told.and_then(|told| told.shown.as_ref());
        if let Some(shown) = shown {
            if self.attempt_id.is_none() && matches!(ask.op, Op::Create | Op::Charge) {
                self.attempt_id = Some(shown.attempt_id.clone());
                todo.extend(self.looks(now_ms));
                todo.extend(self.strangers(now_ms));
            }
            if shown.next_action.is_some() && !std::mem::replace(&mut self.has_seen_action, true) {
                todo.extend(self.authenticate(now_ms));
            }
        }
        let is_client = matches!(ask.role, Role::Main | Role::Copy | Role::Back);
        if is_client && told.is_some_and(Told::is_kept) {
            self.answered.insert(ask.op);
        }
        todo.extend(self.reuse(now_ms, ask, told));
        todo.extend(self.late_words(now_ms, ask, told));
        todo.extend(self.agreement(now_ms, ask, told));
        let again = match told.map(|told| told.status) {
            // A proposal waits for another operator, not for its own repetition.
            Some(202) if matches!(ask.role, Role::Operator | Role::SecondOperator) && self.needs_two => false,
            None | Some(202 | 500..=599) => ask.tries_left > 0,
            Some(_) => false,
        };
        if again {
            let ask = Ask {
                tries_left: ask.tries_left - 1,
                timeout_ms: self.timeout_ms(),
                ..ask.clone()
            };
            let pause_ms = match ask.role {
                Role::Back => BACK_PAUSE_MS << (BACK_TRIES - 1).saturating_sub(ask.tries_left),
                _ => self.payment.pause_ms,
            };
            todo.push(Todo::Ask {
                at_ms: now_ms + pause_ms,
                ask,
            });
        } else if let (true, Some(shown)) = (is_client, shown) {
            todo.extend(self.go_on(now_ms, ask.op, shown.status));
        }
        todo
    }

    /// The look after healing. The key is the address: it finds also what no client heard of.
    #[must_use]
    pub fn last_look(&self) -> Ask {
        let target = format!("/attempts/{}", self.address);
        Ask {
            tries_left: 0,
            timeout_ms: self.timeout_ms(),
            ..self.ask(Op::Look, Role::Last, target, String::new(), String::new())
        }
    }

    /// After healing: every request whose final answer the client has once more, under its key.
    #[must_use]
    pub fn once_more(&self) -> Vec<Ask> {
        let own = self.answered.iter().map(|op| {
            let (target, body) = self.request(*op);
            let key = self.payment.key(op.word());
            Ask {
                tries_left: 0,
                timeout_ms: self.timeout_ms(),
                ..self.ask(*op, Role::Again, target, key, body)
            }
        });
        own.collect()
    }

    /// Once a key is known to be bound, somebody uses it for something else.
    fn reuse(&mut self, now_ms: u64, ask: &Ask, told: Option<&Told>) -> Option<Todo> {
        let is_bound = told.is_some_and(|told| matches!(told.status, 200..=202 | 402));
        let is_own = matches!(ask.role, Role::Main | Role::Copy) && ask.op != Op::Look;
        if !self.payment.reuse || !is_bound || !is_own || !self.reused.insert(ask.op) {
            return None;
        }
        let (target, body) = self.misuse(ask.op, ask.target.clone());
        let ask = Ask {
            tries_left: 2,
            ..self.ask(ask.op, Role::Reuse, target, ask.key.clone(), body)
        };
        Some(Todo::Ask { at_ms: now_ms, ask })
    }

    fn go_on(&mut self, now_ms: u64, op: Op, status: Status) -> Vec<Todo> {
        let at_ms = now_ms + self.payment.think_ms;
        let next: &[Op] = match (self.payment.flow, op, status) {
            (Flow::Charge, _, _) => &[],
            (_, Op::Create, Status::Created) => &[Op::Authorize],
            (Flow::Manual | Flow::Part, Op::Authorize, Status::Authorized) => &[Op::Capture],
            (Flow::Void, Op::Authorize, Status::Authorized) => &[Op::Void],
            (Flow::Race, Op::Authorize, Status::Authorized) => &[Op::Capture, Op::Void],
            _ => &[],
        };
        next.iter().flat_map(|op| self.begin_op(at_ms, *op)).collect()
    }

    /// All lanes of one operation, once.
    fn begin_op(&mut self, at_ms: u64, op: Op) -> Vec<Todo> {
        if !self.begun.insert(op) {
            return Vec::new();
        }
        let (target, body) = self.request(op);
        let key = self.payment.key(op.word());
        let mut todo = Vec::new();
        for copy in 0..self.payment.copies {
            let role = if copy == 0 { Role::Main } else { Role::Copy };
            let ask = self.ask(op, role, target.clone(), key.clone(), body.clone());
            todo.push(Todo::Ask { at_ms, ask });
        }
        let is_last =
            matches!(op, Op::Capture | Op::Void) || self.payment.flow == Flow::Abandon && op == Op::Authorize;
        if self.payment.rival && is_last {
            // Before a part capture somebody asks for more than was authorized: refused, and without effect.
            let is_greedy = self.payment.flow == Flow::Part && op == Op::Capture;
            let takes_half = self.payment.rival_takes_half && op == Op::Capture;
            let (body, at_ms) = if takes_half {
                let half = self.payment.rival_minor();
                (format!(r#"{{"amount":{half}}}"#), at_ms + RIVAL_LATER_MS)
            } else if is_greedy {
                let more = self.payment.amount_minor + self.payment.step_minor();
                (format!(r#"{{"amount":{more}}}"#), at_ms)
            } else {
                (body, at_ms + 20)
            };
            let ask = self.ask(op, Role::Rival, target, format!("{key}-rival"), body);
            todo.insert(0, Todo::Ask { at_ms, ask });
        }
        if self.payment.hasty && matches!(op, Op::Authorize | Op::Charge | Op::Capture | Op::Void) {
            let operation = if op == Op::Charge { "authorize" } else { op.word() };
            let body = format!(
                r#"{{"operator":"hasty","reason":"not in the books yet","operation":"{operation}","generation":1,"outcome":"did_not_happen"}}"#
            );
            let number = 100 + op as u8;
            let ask = self.resolution(Role::Hasty, number, body);
            let at_ms = at_ms + HASTE_MS;
            todo.push(Todo::Ask {
                at_ms,
                ask: Ask { tries_left: 0, ..ask },
            });
        }
        if matches!(op, Op::Authorize | Op::Charge) {
            // The bank's message finds the customer whatever the client hears.
            todo.extend(self.authenticate(at_ms + BANK_MS));
            todo.extend(self.authenticate(at_ms + 3 * BANK_MS));
        }
        todo
    }

    fn request(&self, op: Op) -> (String, String) {
        let payment = &self.payment;
        let order = |method: &str| {
            // A customer who has a page to go to comes back from it.
            let back = match payment.token {
                Token::Secure(_) | Token::SecureFails(_) => r#","return_url":"https://shop.test/back""#,
                _ => "",
            };
            format!(
                r#"{{"order_id":"order-{}","amount":{},"currency":"{}","capture_method":"{method}","payment_method":"{}"{back}}}"#,
                payment.payment,
                payment.amount_minor,
                payment.currency,
                payment.token.payment_method()
            )
        };
        let id = self.attempt_id.as_deref().unwrap_or_default();
        match op {
            Op::Create if payment.flow == Flow::Automatic => ("/attempts".to_owned(), order("automatic")),
            Op::Create => ("/attempts".to_owned(), order("manual")),
            Op::Charge => (
                "/charge".to_owned(),
                order("automatic").replace(r#""capture_method":"automatic","#, ""),
            ),
            Op::Capture if payment.flow == Flow::Part => (
                format!("/attempts/{id}/capture"),
                format!(r#"{{"amount":{}}}"#, payment.capture_minor()),
            ),
            Op::Authorize | Op::Capture | Op::Void => {
                (format!("/attempts/{id}/{}", op.word()), String::new())
            }
            Op::Look => (format!("/attempts/{id}"), String::new()),
            Op::Resolve => (format!("/attempts/{id}/resolve"), String::new()),
        }
    }

    /// The same key for something else.
    fn misuse(&self, op: Op, target: String) -> (String, String) {
        match op {
            Op::Create | Op::Charge => {
                let (target, body) = self.request(op);
                let amount = format!(r#""amount":{},"#, self.payment.amount_minor);
                let more = self.payment.amount_minor + self.payment.step_minor();
                let more = format!(r#""amount":{more},"#);
                (target, body.replace(&amount, &more))
            }
            Op::Capture => {
                // Another amount than that of a part capture, however small that is.
                let step = self.payment.step_minor();
                let other = if self.payment.capture_minor() == step {
                    2 * step
                } else {
                    step
                };
                (target, format!(r#"{{"amount":{other}}}"#))
            }
            Op::Authorize | Op::Void | Op::Look | Op::Resolve => {
                let id = self.attempt_id.as_deref().unwrap_or_default();
                (format!("/attempts/{id}/capture"), String::new())
            }
        }
    }

    fn ask(&self, op: Op, role: Role, target: String, key: String, body: String) -> Ask {
        Ask {
            payment: self.payment.payment,
            merchant: self.payment.merchant,
            op,
            role,
            method: if op == Op::Look { "GET" } else { "POST" },
            target,
            key,
            body,
            wait_s: self.payment.wait_s.filter(|_| op != Op::Look),
            tries_left: self.payment.tries,
            timeout_ms: match (role, self.payment.hang_up_ms) {
                (Role::Main | Role::Copy, Some(hang_up_ms)) => hang_up_ms,
                _ => self.timeout_ms(),
            },
        }
    }

    fn timeout_ms(&self) -> u64 {
        let wait_ms = self
            .payment
            .wait_s
            .map_or(0, |seconds| u64::from(seconds) * 1_000 + 200);
        self.payment.timeout_ms.max(wait_ms)
    }

    /// What the other merchant does with the attempt's address.
    fn strangers(&self, now_ms: u64) -> Vec<Todo> {
        if !self.payment.stranger {
            return Vec::new();
        }
        let (look, _) = self.request(Op::Look);
        let (capture, _) = self.request(Op::Capture);
        let (void, _) = self.request(Op::Void);
        let (resolve, _) = self.request(Op::Resolve);
        let key = || self.payment.key("strange");
        [
            (50, Op::Look, look.clone(), String::new()),
            (200, Op::Capture, capture, key()),
            (900, Op::Void, void, key()),
            (2_500, Op::Look, look, String::new()),
            (5_000, Op::Resolve, resolve, key()),
        ]
        .into_iter()
        .map(|(after_ms, op, target, key)| Todo::Ask {
            at_ms: now_ms + after_ms,
            ask: Ask {
                merchant: 1 - self.payment.merchant.min(1),
                tries_left: 0,
                ..self.ask(op, Role::Stranger, target, key, strange_word(op).to_owned())
            },
        })
        .collect()
    }

    fn looks(&self, now_ms: u64) -> Vec<Todo> {
        let (target, _) = self.request(Op::Look);
        (0..u64::from(self.payment.looks))
            .map(|n| Todo::Ask {
                at_ms: now_ms + n * 1_000,
                ask: Ask {
                    tries_left: 0,
                    ..self.ask(
                        Op::Look,
                        Role::Reader,
                        target.clone(),
                        String::new(),
                        String::new(),
                    )
                },
            })
            .collect()
    }

    fn authenticate(&self, now_ms: u64) -> Option<Todo> {
        let (after_ms, success) = match self.payment.token {
            Token::Secure(after_ms) => (after_ms, true),
            Token::SecureFails(after_ms) => (after_ms, false),
            _ => return None,
        };
        Some(Todo::Authenticate {
            at_ms: now_ms + after_ms,
            attempt_id: self.address.clone(),
            success,
        })
    }
}

/// The body of another merchant's request.
fn strange_word(op: Op) -> &'static str {
    match op {
        Op::Resolve => {
            r#"{"operator":"eve","reason":"it is not mine","operation":"capture","generation":1,"outcome":"did_not_happen"}"#
        }
        _ => "",
    }
}
