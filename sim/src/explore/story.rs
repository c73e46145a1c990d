//! Steps in words, for counterexamples.

use pay_once_core::Input;
use pay_once_psp_model::{Deed, HAND_MINOR, Stand, Strange};

use super::action::{Action, Luck, Refusal, Unknown};
use super::cell::START_MS;
use super::operator::is_open;
use super::world::{Job, Origin, Phase, Scene, World};

/// One step: when, what, and where things stand after it.
pub(super) fn line(scene: &Scene, before: &World, action: Action, after: Option<&World>) -> String {
    let at_ms = before.now_ms - START_MS;
    let what = what(scene, before, action);
    let Some(after) = after else {
        return format!("[{at_ms} ms] {what}");
    };
    let mut news = Vec::new();
    if after.version() != before.version()
        && let Some(record) = &after.store
    {
        news.push(format!(
            "record {:?} v{}",
            record.state().status,
            record.version()
        ));
    }
    if after.ledger.digest != before.ledger.digest {
        news.push(format!("PSP: {}", books(after)));
    }
    if after.now_ms != before.now_ms {
        news.push(format!("it is {} ms", after.now_ms - START_MS));
    }
    if news.is_empty() {
        return format!("[{at_ms} ms] {what}");
    }
    format!("[{at_ms} ms] {what} => {}", news.join("; "))
}

fn books(world: &World) -> String {
    let mut words = Vec::new();
    for hold in &world.ledger.it.holds {
        let stand = match hold.stand {
            Stand::Made => "made",
            Stand::Waiting => "waits for the customer",
            Stand::Declined => "declined",
            Stand::Open => "held",
            Stand::Taken => "captured",
            Stand::Gone => "released",
            Stand::Abandoned => "given up",
        };
        let taken: Vec<String> = hold
            .takes
            .iter()
            .map(|take| format!("{} {}", take.id, take.amount))
            .collect();
        let whose = if hold.is_foreign { "foreign " } else { "" };
        words.push(format!("{whose}{} {stand} [{}]", hold.id, taken.join(", ")));
    }
    words.join(", ")
}

fn what(scene: &Scene, world: &World, action: Action) -> String {
    let job = |server: u8, job: u8| {
        world
            .servers
            .get(usize::from(server))
            .and_then(|server| server.jobs.get(usize::from(job)))
            .map(|(_, job)| job)
    };
    let asked = |client: u8| {
        let at = world
            .clients
            .get(usize::from(client))
            .map_or(0, |client| client.at);
        asked(scene, client, at)
    };
    match action {
        Action::Run { server, job: number } => {
            job(server, number).map_or_else(String::new, |job| format!("server {server} {}", run(scene, job)))
        }
        Action::Send {
            server,
            job: number,
            luck,
        } => {
            let luck = match luck {
                Luck::Answered => "it lands, its answer comes",
                Luck::AnswerLost => "it lands, its answer is lost",
                Luck::RequestLost => "it is lost",
                Luck::Late => "it is on its way",
                Luck::Rejected(Refusal::Unauthorized) => "it is answered 401",
                Luck::Rejected(Refusal::Gateway) => "something in front of the PSP answers 403",
                Luck::Rejected(Refusal::Bare) => "it is answered 400 without a code",
                Luck::Twice => "it is executed twice, and answered the second time",
                Luck::AnswerHeld => "it lands, its answer comes long after",
            };
            job(server, number).map_or_else(String::new, |job| {
                format!("server {server} sends {}: {luck}", call(job))
            })
        }
        Action::SwapUnknown { server, how, .. } => {
            let how = match how {
                Unknown::Applied => "it applied",
                Unknown::NotApplied => "it did not apply",
                Unknown::AppliesLater => "it has not applied, and still may",
            };
            format!("server {server}'s swap ends unknown: {how}")
        }
        Action::SlowSwap => "the swap that was given up reaches the store".to_owned(),
        Action::Fire { server } => format!("server {server}'s timer fires"),
        Action::Land { flying } => {
            let call = world.flying.get(usize::from(flying));
            format!(
                "a late request lands: {}",
                call.map_or("?", |flying| flying.call.it.http.url.as_str())
            )
        }
        Action::Ask { client, server } => format!("{} server {server}", asked(client)),
        Action::AskAgain { client, server } => {
            format!("{} server {server}, while its first is open", asked(client))
        }
        Action::Notify { notice, server } => {
            let body = world.ledger.it.notices.get(usize::from(notice));
            format!(
                "webhook {notice} to server {server}: {}",
                body.map_or("?", |body| body)
            )
        }
        Action::Customer => "the customer finishes 3-D Secure".to_owned(),
        Action::Advance => "time goes on".to_owned(),
        Action::Pause { server } => format!("server {server} pauses"),
        Action::Resume { server } => format!("server {server} goes on"),
        Action::Crash { server } => format!("server {server} crashes"),
        Action::ByHand(Deed::Refund) => "somebody gives the capture back at the PSP".to_owned(),
        Action::ByHand(Deed::Cancel) => "somebody releases it at the PSP".to_owned(),
        Action::ByHand(Deed::CapturePart) => format!("somebody captures {HAND_MINOR} at the PSP"),
        Action::Stranger(Strange::Captures) => "another installation captures its own object".to_owned(),
        Action::Stranger(Strange::Begins) => "another installation makes another object".to_owned(),
        Action::Hear { .. } => "an answer comes long after".to_owned(),
        Action::Operator { server } => {
            let open = world.store.as_ref().is_some_and(|record| is_open(record.state()));
            let when = if open { "" } else { ", though nothing is parked" };
            format!("an operator says at server {server} what the PSP's books say{when}")
        }
    }
}

fn asked(scene: &Scene, client: u8, at: u8) -> String {
    let name = if client == 0 { "A" } else { "B" };
    let asks = scene.cell.plot.asks();
    let ask = asks
        .get(usize::from(client))
        .and_then(|asks| asks.get(usize::from(at)));
    let (what, key) = ask.map_or(("?", "?"), |ask| (ask.what, ask.key));
    format!("client {name} asks for {what} under key {key} at")
}

fn run(scene: &Scene, job: &Job) -> String {
    let whom = match job.origin {
        Origin::Client { client, at } => asked(scene, client, at).replace(" at", ""),
        Origin::Webhook { notice } => format!("webhook {notice}"),
        Origin::Operator => "the operator's word".to_owned(),
        Origin::Outcome { .. } => "what came of its call".to_owned(),
        Origin::Timer => "its timer".to_owned(),
    };
    match &job.phase {
        Phase::Ready(input) => match &input.it {
            Input::Outcome(outcome) => {
                let result = format!("{:?}", outcome.result);
                let result: String = result.chars().take(24).collect();
                format!(
                    "loads and decides: {whom} ({} {}: {result})",
                    outcome.call.http.method, outcome.call.http.url
                )
            }
            Input::Request(_) | Input::Webhook(_) | Input::Wake => format!("loads and decides: {whom}"),
        },
        Phase::Decided(..) => format!("swaps: {whom}"),
        Phase::ReadBack(..) => format!("reads back: {whom}"),
        Phase::Waiting { .. } => format!("hands the pending request in again: {whom}"),
        Phase::Given(_) => format!("sends {}", call(job)),
        Phase::Awaiting { .. } => format!("gives up waiting for the answer to {}", call(job)),
    }
}

fn call(job: &Job) -> String {
    match &job.phase {
        Phase::Given(call) | Phase::Awaiting { call, .. } => {
            let key = call
                .it
                .http
                .headers
                .iter()
                .find(|(name, _)| *name == "idempotency-key");
            let key = key.map_or("", |(_, key)| {
                key.split_once('-').map_or(key.as_str(), |(_, tail)| tail)
            });
            format!("{} {} {key}", call.it.http.method, call.it.http.url)
        }
        Phase::Ready(_) | Phase::Decided(..) | Phase::ReadBack(..) | Phase::Waiting { .. } => String::new(),
    }
}
