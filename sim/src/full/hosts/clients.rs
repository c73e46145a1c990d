//! The merchants' clients and the customers: carries out what [`Shopper`]s decide, and keeps what they hear.

use std::rc::Rc;

use tokio::task::spawn_local;

use crate::forgery::{Forgery, forgery, is_answered_well};
use crate::full::stage::Stage;
use crate::full::wire::{Pool, ask_within, said};
use crate::met::Sometimes;
use crate::plan::{Host, Payment};
use crate::seen::{Heard, Told};
use crate::shopper::{Ask, Shopper, Todo};
use crate::world::bearer;

/// How long a customer waits for the PSP's page, in milliseconds.
const PAGE_MS: u64 = 2_000;
/// How long somebody who forges waits, in milliseconds.
const FORGER_MS: u64 = 2_000;

/// What clients do and heard.
#[derive(Default)]
pub(in crate::full) struct Clients {
    /// In order of asking.
    pub(in crate::full) heard: Vec<Heard>,
    /// By payment.
    pub(in crate::full) buyers: Vec<Buyer>,
    /// All is over but for the last look.
    pub(in crate::full) is_last_round: bool,
}

/// One payment's client.
pub(in crate::full) struct Buyer {
    /// Who decides.
    pub(in crate::full) shopper: Shopper,
    /// Things that it still has to do.
    pub(in crate::full) todo: usize,
    /// The last look at its attempt that was answered.
    pub(in crate::full) last: Option<Heard>,
    /// Its requests once more, after that look.
    pub(in crate::full) once_more: Vec<Heard>,
    /// When an operator comes for what is parked, in milliseconds from the start.
    pub(in crate::full) operator_at_ms: Option<u64>,
    /// That look shows an end.
    pub(in crate::full) is_settled: bool,
    /// It was looked at in the last round.
    pub(in crate::full) is_done: bool,
}

/// The two ways out of the clients' host.
#[derive(Clone)]
pub(super) struct Ways {
    pub(super) stage: Rc<Stage>,
    pub(super) balancer: Rc<Pool>,
    psp: Rc<Pool>,
}

/// Pays what the plan says, then looks until all is final.
pub(in crate::full) async fn run(stage: Rc<Stage>) -> turmoil::Result {
    let ways = Ways {
        balancer: Rc::new(Pool::new(super::name(Host::Balancer))),
        psp: Rc::new(Pool::new(super::name(Host::Psp))),
        stage: Rc::clone(&stage),
    };
    spawn_local(Rc::clone(&ways.balancer).warm_up());
    let payments: Vec<(u64, Payment)> = stage
        .plan
        .steps
        .iter()
        .filter_map(|step| match &step.act {
            crate::plan::Act::Pay(payment) => Some((step.at_ms, payment.clone())),
            _ => None,
        })
        .collect();
    for (buyer, (at_ms, payment)) in payments.into_iter().enumerate() {
        let mut shopper = Shopper::new(payment, &stage.plan.world);
        let todo = shopper.begin(at_ms);
        stage.clients.borrow_mut().buyers.push(Buyer {
            shopper,
            todo: 0,
            last: None,
            once_more: Vec::new(),
            operator_at_ms: None,
            is_settled: false,
            is_done: false,
        });
        ways.take_on(buyer, todo);
        spawn_local(ways.clone().look_on(buyer));
    }
    for (at_ms, act) in stage.plan.steps.iter().map(|step| (step.at_ms, &step.act)) {
        if let crate::plan::Act::Forge { payment, misdirected } = act {
            spawn_local(ways.clone().forge(at_ms, *payment, *misdirected));
        }
    }
    std::future::pending().await
}

impl Ways {
    pub(super) fn take_on(&self, buyer: usize, todo: Vec<Todo>) {
        if let Some(buyer) = self.stage.clients.borrow_mut().buyers.get_mut(buyer) {
            buyer.todo += todo.len();
        }
        for todo in todo {
            spawn_local(self.clone().carry_out(buyer, todo));
        }
    }

    async fn carry_out(self, buyer: usize, todo: Todo) {
        let next = match todo {
            Todo::Ask { at_ms, ask } => {
                self.stage.sleep_until(at_ms).await;
                self.ask(buyer, ask).await
            }
            Todo::Authenticate {
                at_ms,
                attempt_id,
                success,
            } => {
                self.stage.sleep_until(at_ms).await;
                let open = self.stage.bank.borrow().sandbox.open_challenges(&attempt_id);
                if open.len() > 1 {
                    self.stage.meet(Sometimes::SecureTwice);
                }
                for path in open {
                    self.authenticate(&path, success).await;
                }
                Vec::new()
            }
            Todo::Return { at_ms } => {
                self.stage.sleep_until(at_ms).await;
                let mut clients = self.stage.clients.borrow_mut();
                let shopper = clients.buyers.get_mut(buyer).map(|buyer| &mut buyer.shopper);
                shopper
                    .map(|shopper| shopper.come_back(at_ms))
                    .unwrap_or_default()
            }
        };
        self.take_on(buyer, next);
        if let Some(buyer) = self.stage.clients.borrow_mut().buyers.get_mut(buyer) {
            buyer.todo -= 1;
        }
    }

    async fn ask(&self, buyer: usize, ask: Ask) -> Vec<Todo> {
        let stage = &self.stage;
        let began_ms = stage.now_ms();
        let place = {
            let mut clients = stage.clients.borrow_mut();
            clients.heard.push(Heard {
                ask: ask.clone(),
                began_ms,
                ended_ms: began_ms,
                told: None,
            });
            clients.heard.len() - 1
        };
        let told = self.exchange(&ask).await;
        let ended_ms = stage.now_ms();
        let mut clients = stage.clients.borrow_mut();
        let todo = clients
            .buyers
            .get_mut(buyer)
            .map(|buyer| buyer.shopper.told(ended_ms, &ask, told.as_ref()));
        if let Some(heard) = clients.heard.get_mut(place) {
            heard.ended_ms = ended_ms;
            heard.told = told;
        }
        todo.unwrap_or_default()
    }

    /// Sends one request and waits for its answer, as long as its client would.
    pub(super) async fn exchange(&self, ask: &Ask) -> Option<Told> {
        let what = || {
            format!(
                "p{} {:?} {} {} {}",
                ask.payment, ask.role, ask.method, ask.target, ask.key
            )
        };
        self.stage.pass(Host::Clients, Host::Balancer, what);
        let answer = ask_within(&self.balancer, ask.timeout_ms, &bytes(ask)).await;
        let told = answer.map(|answer| {
            let is_replay = answer.headers().any(|(name, value)| {
                name.eq_ignore_ascii_case("idempotency-replayed") && value.eq_ignore_ascii_case("true")
            });
            Told::read(answer.status(), is_replay, answer.body().to_vec())
        });
        let status = told.as_ref().map(|told| told.status);
        let shown = told.as_ref().and_then(|told| told.shown.as_ref());
        let shown = shown.map(|shown| shown.status);
        self.stage.pass(Host::Balancer, Host::Clients, || {
            format!("{}: {} {shown:?}", what(), said(status))
        });
        told
    }

    async fn authenticate(&self, path: &str, success: bool) {
        let body = format!("success={success}");
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: psp\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = ask_within(&self.psp, PAGE_MS, request.as_bytes()).await;
        let status = answer.map(|answer| answer.status());
        if status.is_some_and(|status| status < 400) {
            self.stage.meet(Sometimes::SecureFinished);
        }
        self.stage.pass(Host::Clients, Host::Psp, || {
            format!("3-D Secure {path}: {body}: {}", said(status))
        });
    }

    /// Says that a payment was captured, as the PSP would if it had; signed with a secret that is not the PSP's.
    async fn forge(self, at_ms: u64, payment: u32, is_misdirected: bool) {
        let stage = &self.stage;
        stage.sleep_until(at_ms).await;
        let found = {
            let clients = stage.clients.borrow();
            let mut buyers = clients.buyers.iter().map(|buyer| &buyer.shopper);
            let found = buyers.find(|shopper| shopper.payment().payment == payment);
            found.and_then(|shopper| Some((shopper.attempt_id()?.to_owned(), shopper.payment().clone())))
        };
        // Nobody can forge what nobody has heard of; an attempt that is not there will do.
        let (id, paid) = found.unwrap_or_else(|| {
            (
                "pa_00000000000000000000000000".to_owned(),
                Payment::usual(payment),
            )
        });
        let world = &stage.plan.world;
        let forged = forgery(world, &paid, &id, is_misdirected, stage.now_ms());
        let answer = ask_within(&self.balancer, FORGER_MS, written(&forged).as_bytes()).await;
        let status = answer.map(|answer| answer.status());
        let is_signed = is_misdirected && world.second.is_some();
        match status {
            Some(400..=499) => stage.meet(Sometimes::WebhookForgedRefused),
            // No answer: nothing is said about the forgery.
            None => {}
            Some(status) if is_answered_well(is_signed, status) => {}
            Some(status) => stage.broke(format!("a forged webhook was answered with {status}")),
        }
        stage.pass(Host::Clients, Host::Balancer, || {
            format!("p{payment}: a forged webhook: {}", said(status))
        });
    }
}

fn bytes(ask: &Ask) -> Vec<u8> {
    let key = bearer(ask);
    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: balancer\r\nauthorization: Bearer {key}\r\n",
        ask.method, ask.target
    );
    if !ask.key.is_empty() {
        head.push_str(&format!("idempotency-key: {}\r\n", ask.key));
    }
    if let Some(wait_s) = ask.wait_s {
        head.push_str(&format!("prefer: wait={wait_s}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n{}", ask.body.len(), ask.body));
    head.into_bytes()
}

/// A webhook as bytes of HTTP.
fn written(forged: &Forgery) -> String {
    let Forgery {
        target,
        header,
        signature,
        body,
    } = forged;
    format!(
        "POST {target} HTTP/1.1\r\nhost: balancer\r\n{header}: {signature}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
