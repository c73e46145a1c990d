//! The PSP: the pure sandbox, over the simulated network. It never dies; its faults are its dials.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use pay_once_sandbox::{Answer, LedgerEvent, Method, Reaction, Request, Sandbox, Timed, Webhook};
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_local;
use turmoil::net::{TcpListener, TcpStream};

use super::psp_wire::{attempt_of, request, write};
use crate::full::stage::Stage;
use crate::full::wire::{PORT, Pool, ask_within, hung_up, read, said};
use crate::met::Sometimes;
use crate::plan::{Host, PspFault, World};
use crate::rng::{Concern, Draw};
use crate::seen::PspCall;
use crate::trace::Kind;
use crate::world::{EPOCH_MS, date, dials, psp_settings, turn};

/// Where webhooks go: the load balancer.
const WEBHOOKS: &str = "http://balancer";
/// Tries of one webhook.
const WEBHOOK_TRIES: u32 = 4;
/// The pause after the first try, in milliseconds; it doubles.
const WEBHOOK_PAUSE_MS: u64 = 500;
/// How long one try may take, in milliseconds.
const WEBHOOK_LIMIT_MS: u64 = 2_000;
/// How often authorizations are looked through for those that are over, in milliseconds.
const TICK_EVERY_MS: u64 = 500;

/// The PSP and what is known of it.
pub(in crate::full) struct Bank {
    pub(super) sandbox: Sandbox,
    draw: Draw,
    /// Faults that are on, and how often they strike in a thousand.
    pub(in crate::full) faults: Vec<(PspFault, u16)>,
    /// Requests by which money can move, in order.
    calls: Vec<PspCall>,
    /// Requests that will land late.
    pub(in crate::full) landings: usize,
    /// Webhooks not yet delivered or given up.
    pub(in crate::full) webhooks: usize,
    /// Requests that are not answered, by attempt.
    unanswered: BTreeMap<String, usize>,
    /// Keys whose request had an effect.
    pub(in crate::full) effects: BTreeSet<String>,
    delivered: BTreeSet<Vec<u8>>,
    events: usize,
}

impl Bank {
    /// A PSP without faults.
    pub(in crate::full) fn new(world: &World) -> Self {
        Self {
            sandbox: Sandbox::new(psp_settings(world, "http://psp", &format!("{WEBHOOKS}/webhooks"))),
            draw: Draw::new(world.seed, Concern::Psp),
            faults: Vec::new(),
            calls: Vec::new(),
            landings: 0,
            webhooks: 0,
            unanswered: BTreeMap::new(),
            effects: BTreeSet::new(),
            delivered: BTreeSet::new(),
            events: 0,
        }
    }

    /// Turns the dials to the faults that are on.
    pub(in crate::full) fn turn(&mut self, world: &World) {
        let mut turned = dials(world);
        for (fault, permille) in &self.faults {
            turn(&mut turned, *fault, *permille);
        }
        self.sandbox.turn(turned);
    }

    /// When all is over: the calls, and everything that happened to money.
    pub(in crate::full) fn take(&mut self) -> (Vec<PspCall>, Vec<LedgerEvent>) {
        let ledger = self.sandbox.ledger().cloned().collect();
        (std::mem::take(&mut self.calls), ledger)
    }

    /// The object that an authorization of the ledger belongs to, by the authorization's id.
    pub(in crate::full) fn objects(&self) -> BTreeMap<String, String> {
        let events = self.sandbox.ledger();
        let named = events.map(|event| (event.id.clone(), self.sandbox.object_of(&event.id)));
        named.collect()
    }

    /// The attempts of which a call was executed a second time.
    pub(in crate::full) fn executed_twice(&self) -> BTreeSet<String> {
        self.sandbox.executed_twice()
    }

    /// Whether a fault is on.
    fn has(&self, fault: PspFault) -> bool {
        self.faults.iter().any(|(on, _)| *on == fault)
    }

    fn rejects(&self) -> bool {
        self.faults
            .iter()
            .any(|(on, _)| matches!(on, PspFault::Rejected { .. }))
    }

    /// How many events the ledger has more than when last asked.
    fn news(&mut self) -> usize {
        let now = self.sandbox.ledger().count();
        now - std::mem::replace(&mut self.events, now)
    }
}

/// Serves for ever.
pub(in crate::full) async fn run(stage: Rc<Stage>) -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let pool = Rc::new(Pool::new(super::name(Host::Balancer)));
    spawn_local(lapse(Rc::clone(&stage), Rc::clone(&pool)));
    spawn_local(super::strangers::run(Rc::clone(&stage), Rc::clone(&pool)));
    loop {
        let (stream, _) = listener.accept().await?;
        let (stage, pool) = (Rc::clone(&stage), Rc::clone(&pool));
        spawn_local(async move {
            // A broken connection is its client's to notice.
            let _ = serve(&stage, &pool, stream).await;
        });
    }
}

async fn lapse(stage: Rc<Stage>, pool: Rc<Pool>) {
    loop {
        stage.sleep(TICK_EVERY_MS).await;
        fire(&stage, &pool, &Timed::Tick);
    }
}

async fn serve(stage: &Rc<Stage>, pool: &Rc<Pool>, mut stream: TcpStream) -> std::io::Result<()> {
    while let Some(message) = read(&mut stream).await? {
        let request = request(&message);
        let attempt = attempt_of(&request);
        *stage
            .bank
            .borrow_mut()
            .unanswered
            .entry(attempt.clone())
            .or_default() += 1;
        let Some(answer) = receive(stage, pool, request) else {
            // Whoever has nothing to say falls silent, or hangs up.
            if !stage.bank.borrow_mut().draw.chance(500) {
                hung_up(&mut stream).await;
            }
            return Ok(());
        };
        tokio::time::sleep(Duration::from_millis(answer.after_ms)).await;
        if let Some(open) = stage.bank.borrow_mut().unanswered.get_mut(&attempt) {
            *open = open.saturating_sub(1);
        }
        stage.note(Host::Psp, Kind::Note, || {
            format!("{attempt}: answers {}", answer.status)
        });
        let date = stage.plan.world.dates.then(|| date(stage.now_ms()));
        stream.write_all(&write(&answer, date.as_deref())).await?;
        if answer.cut_at_bytes.is_some() {
            return Ok(());
        }
    }
    Ok(())
}

/// A request arrives.
fn receive(stage: &Rc<Stage>, pool: &Rc<Pool>, request: Request) -> Option<Answer> {
    let mut bank = stage.bank.borrow_mut();
    let key = request.header("idempotency-key").unwrap_or_default().to_owned();
    let is_post = request.method == Method::Post;
    stage.note(Host::Psp, Kind::Note, || {
        format!("{key}: {} {}", request.method.name(), request.path())
    });
    if is_post && !key.is_empty() && !key.contains("-prepare-") {
        bank.calls.push(PspCall {
            at_ms: stage.now_ms(),
            key: key.clone(),
        });
    }
    let entropy = bank.draw.word();
    let reaction = bank.sandbox.receive(EPOCH_MS + stage.now_ms(), entropy, &request);
    let news = bank.news();
    if news > 0 {
        stage.note(Host::Psp, Kind::Effect, || format!("{key}: moves money"));
        bank.effects.insert(key);
    }
    match &reaction.answer {
        None if news > 0 => stage.meet(Sometimes::AnswerLostAfterEffect),
        Some(answer) if matches!(answer.status, 400 | 401 | 403) && bank.rejects() => {
            stage.meet(Sometimes::Rejected);
        }
        Some(answer) if answer.status == 429 => stage.meet(Sometimes::Throttled),
        Some(answer) if answer.status == 503 && bank.has(PspFault::ReadOnly) => {
            stage.meet(Sometimes::ReadOnly);
        }
        Some(answer) if answer.status >= 500 && news > 0 => stage.meet(Sometimes::ErrorWithEffect),
        Some(answer) if answer.status == 200 && is_garbage(&bank, &answer.body) => {
            stage.meet(Sometimes::Garbage);
        }
        _ => {}
    }
    drop(bank);
    if news > 0 {
        super::strangers::end_refunds(stage, pool);
    }
    carry_out(stage, pool, reaction)
}

/// Something happens at the PSP without a call of ours.
pub(super) fn by_hand(stage: &Rc<Stage>, pool: &Rc<Pool>, request: &Request) {
    let mut bank = stage.bank.borrow_mut();
    let entropy = bank.draw.word();
    let reaction = bank.sandbox.receive(EPOCH_MS + stage.now_ms(), entropy, request);
    let news = bank.news();
    drop(bank);
    let status = reaction.answer.as_ref().map_or(0, |answer| answer.status);
    stage.note(Host::Psp, Kind::Effect, || {
        format!("by hand: {}: {status}", request.path())
    });
    if news > 0 {
        super::strangers::end_refunds(stage, pool);
    }
    carry_out(stage, pool, reaction);
}

fn is_garbage(bank: &Bank, body: &[u8]) -> bool {
    bank.has(PspFault::Garbage) && serde_json::from_slice::<serde_json::Value>(body).is_err()
}

/// Something that was put off happens.
fn fire(stage: &Rc<Stage>, pool: &Rc<Pool>, event: &Timed) {
    let mut bank = stage.bank.borrow_mut();
    let reaction = bank.sandbox.fire(EPOCH_MS + stage.now_ms(), event);
    let news = bank.news();
    if news > 0 {
        stage.note(Host::Psp, Kind::Effect, || "money moves by time".to_owned());
    }
    if let (Timed::Land { request, .. }, true) = (event, news > 0) {
        let key = request.header("idempotency-key");
        bank.effects.extend(key.map(str::to_owned));
    }
    drop(bank);
    carry_out(stage, pool, reaction);
}

/// Does what a reaction says, and gives back the answer.
fn carry_out(stage: &Rc<Stage>, pool: &Rc<Pool>, reaction: Reaction) -> Option<Answer> {
    for scheduled in reaction.scheduled {
        let (stage, pool) = (Rc::clone(stage), Rc::clone(pool));
        stage.bank.borrow_mut().landings += 1;
        spawn_local(async move {
            stage.sleep(scheduled.after_ms).await;
            stage.bank.borrow_mut().landings -= 1;
            fire(&stage, &pool, &scheduled.event);
        });
    }
    for webhook in reaction.webhooks {
        stage.bank.borrow_mut().webhooks += 1;
        spawn_local(deliver(Rc::clone(stage), Rc::clone(pool), webhook));
    }
    reaction.answer
}

/// How long after healing servers and stores are at rest, in milliseconds.
const CALM_MS: u64 = 3_000;

/// Delivers one webhook: a few tries, with growing pauses.
async fn deliver(stage: Rc<Stage>, pool: Rc<Pool>, webhook: Webhook) {
    stage.sleep(webhook.after_ms).await;
    let path = webhook.url.strip_prefix(WEBHOOKS).unwrap_or("/");
    let mut pause_ms = WEBHOOK_PAUSE_MS;
    for _ in 0..WEBHOOK_TRIES {
        let status = post_webhook(&pool, path, &webhook).await;
        stage.pass(Host::Psp, Host::Balancer, || {
            format!("a webhook: {}", said(status))
        });
        // What its PSP signed is never a forgery.
        if let Some(status @ 400..=499) = status {
            stage.broke(format!(
                "a webhook that its PSP signed was answered with {status}"
            ));
        }
        let calm_ms = stage.plan.world.heal_ms + CALM_MS;
        if let Some(status @ 500..) = status.filter(|_| stage.now_ms() > calm_ms) {
            stage.broke(format!("long after healing a webhook was answered with {status}"));
        }
        if status.is_some_and(|status| status < 300) {
            let now_ms = stage.now_ms();
            stage
                .acknowledged
                .borrow_mut()
                .push((now_ms, webhook.body.clone()));
            note_delivery(&stage, webhook.body);
            break;
        }
        stage.sleep(pause_ms).await;
        pause_ms *= 2;
    }
    stage.bank.borrow_mut().webhooks -= 1;
}

fn note_delivery(stage: &Stage, body: Vec<u8>) {
    let mut bank = stage.bank.borrow_mut();
    let text = String::from_utf8_lossy(&body);
    let is_open = |(attempt, open): (&String, &usize)| *open > 0 && text.contains(attempt.as_str());
    if bank.unanswered.iter().any(is_open) {
        stage.meet(Sometimes::WebhookBeforeResponse);
    }
    if !bank.delivered.insert(body) {
        stage.meet(Sometimes::WebhookDuplicate);
    }
}

async fn post_webhook(pool: &Pool, path: &str, webhook: &Webhook) -> Option<u16> {
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nhost: balancer\r\ncontent-length: {}\r\n",
        webhook.body.len()
    );
    for (name, value) in &webhook.headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&webhook.body);
    let answer = ask_within(pool, WEBHOOK_LIMIT_MS, &bytes).await?;
    Some(answer.status())
}
