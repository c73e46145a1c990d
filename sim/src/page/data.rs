//! What the page's script draws, from a run and its trace.

use std::collections::{BTreeMap, BTreeSet};

use pay_once_sandbox::LedgerEvent;
use serde::Serialize;

use super::faults::{Band, bands};
use super::words::{Customer, customer, told};
use crate::oracles::Violation;
use crate::plan::{Act, Host, Plan};
use crate::seen::{Heard, Run};
use crate::shopper::Role;
use crate::trace::{Kind, TraceLine};
use crate::world::EPOCH_MS;

/// Everything the script is given.
#[derive(Serialize)]
pub(super) struct Data {
    lanes: Vec<Lane>,
    lines: Vec<Line>,
    bands: Vec<Band>,
    payments: Vec<Customer>,
    ledger: Vec<Money>,
    told: Vec<Answer>,
    heal_ms: u64,
    ended_ms: u64,
    violation: Option<Violation>,
}

#[derive(Serialize)]
struct Lane {
    name: String,
    about: String,
}

/// A message or a mark.
#[derive(Serialize)]
struct Line {
    at: u64,
    until: u64,
    from: usize,
    to: Option<usize>,
    kind: Kind,
    text: String,
    /// The payments it names.
    of: BTreeSet<u32>,
}

#[derive(Serialize)]
struct Money {
    of: Option<u32>,
    at: u64,
    operation: String,
    id: String,
    amount: u64,
    currency: String,
    key: Option<String>,
    late: bool,
    /// When the request for it arrived.
    arrived: Option<u64>,
    declined: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    of: u32,
    began: u64,
    ended: u64,
    asked: String,
    role: String,
    told: String,
}

pub(super) fn collect(plan: &Plan, trace: &[TraceLine], run: &Run, violation: Option<&Violation>) -> Data {
    let servers = plan.world.clocks_ms.len();
    let payments: Vec<Customer> = plan
        .payments()
        .map(|payment| customer(payment, &plan.world.installation))
        .collect();
    let ids: BTreeMap<String, u32> = payments.iter().map(|p| (p.id.clone(), p.number)).collect();
    let ledger = ledger(run, &ids);
    let mut lines = client_lines(&run.heard);
    lines.extend(ledger.iter().map(|money| effect(money, servers)));
    let known = Known::new(run, &ledger);
    let new = trace.iter().filter(|line| !known.is_shown(line));
    lines.extend(new.map(|line| Line {
        at: line.at_ms,
        until: line.until_ms,
        from: lane(line.from, servers),
        to: line.to.map(|to| lane(to, servers)),
        kind: line.kind,
        text: line.text.clone(),
        of: named(&line.text, &ids),
    }));
    lines.sort_by_key(|line| line.at);
    Data {
        lanes: lanes(plan),
        lines,
        bands: bands(plan),
        payments,
        ledger,
        told: run.heard.iter().map(answer).collect(),
        heal_ms: plan.world.heal_ms,
        ended_ms: run.ended_ms,
        violation: violation.cloned(),
    }
}

/// What is drawn from the run itself, so that the trace's line for it is left out.
struct Known {
    heal_ms: u64,
    faults: BTreeSet<u64>,
    effects: BTreeSet<u64>,
    told: BTreeSet<(u64, String)>,
}

impl Known {
    fn new(run: &Run, ledger: &[Money]) -> Self {
        let told = run
            .heard
            .iter()
            .map(|heard| (heard.ended_ms, heard.ask.key.clone()));
        let faults = run
            .plan
            .steps
            .iter()
            .filter(|step| !matches!(step.act, Act::Pay(_)));
        Self {
            heal_ms: run.plan.world.heal_ms,
            faults: faults.map(|step| step.at_ms).collect(),
            effects: ledger.iter().map(|money| money.at).collect(),
            told: told.collect(),
        }
    }

    fn is_shown(&self, line: &TraceLine) -> bool {
        match (line.kind, line.from) {
            (Kind::Effect, Host::Psp) => {
                self.effects.contains(&line.at_ms) && !line.text.starts_with("3-D Secure")
            }
            (Kind::Note, Host::Clients) => line
                .text
                .split_once(": ")
                .is_some_and(|(key, _)| self.told.contains(&(line.at_ms, key.to_owned()))),
            (Kind::Fault, Host::Clients) => line.at_ms == self.heal_ms,
            // The band says it, and for how long.
            (Kind::Fault, _) => self.faults.contains(&line.at_ms),
            _ => false,
        }
    }
}

fn lanes(plan: &Plan) -> Vec<Lane> {
    let lane = |name: &str, about: &str| Lane {
        name: name.to_owned(),
        about: about.to_owned(),
    };
    let mut lanes = vec![lane("Clients", "shops"), lane("Balancer", "may send twice")];
    for (n, skew_ms) in plan.world.clocks_ms.iter().enumerate() {
        lanes.push(Lane {
            name: format!("Server {n}"),
            about: format!("clock {skew_ms:+} ms"),
        });
    }
    lanes.push(lane("Store", "what is durable"));
    lanes.push(lane("PSP", "where money moves"));
    lanes
}

/// The place of a host among the lanes.
pub(super) fn lane(host: Host, servers: usize) -> usize {
    match host {
        Host::Clients => 0,
        Host::Balancer => 1,
        Host::Server(n) => 2 + n.min(servers.saturating_sub(1)),
        Host::Store => 2 + servers,
        Host::Psp => 3 + servers,
    }
}

/// Requests of clients and the answers to them: the hop between clients and balancer takes no time.
fn client_lines(heard: &[Heard]) -> Vec<Line> {
    let mut lines = Vec::new();
    for one in heard {
        let of = BTreeSet::from([one.ask.payment]);
        lines.push(Line {
            at: one.began_ms,
            until: one.began_ms,
            from: 0,
            to: Some(1),
            kind: Kind::Message,
            text: format!("{}: {} {}", asked(one), one.ask.method, one.ask.target),
            of: of.clone(),
        });
        // A run that was cut short has requests without an end.
        if one.ended_ms == u64::MAX {
            continue;
        }
        let (from, to, kind) = match one.told {
            Some(_) => (1, Some(0), Kind::Message),
            None => (0, None, Kind::Note),
        };
        lines.push(Line {
            at: one.ended_ms,
            until: one.ended_ms,
            from,
            to,
            kind,
            text: format!("{}: {}", asked(one), told(one.told.as_ref())),
            of,
        });
    }
    lines
}

fn asked(heard: &Heard) -> String {
    if heard.ask.key.is_empty() {
        "look".to_owned()
    } else {
        heard.ask.key.clone()
    }
}

fn answer(heard: &Heard) -> Answer {
    let role = match heard.ask.role {
        Role::Main => "",
        Role::Copy => "sent twice",
        Role::Rival => "rival client",
        Role::Reuse => "key reused",
        Role::Back => "back after healing",
        Role::Reader => "",
        Role::Last => "after healing",
        Role::Again => "once more, long after",
        Role::Stranger => "another merchant",
        Role::Operator => "operator",
        Role::Late => "late operator",
        Role::Hasty => "hasty operator",
        Role::SecondOperator => "second operator",
        Role::SameOperator => "same operator again",
        Role::OtherWord => "second operator, the opposite",
        Role::Merchant => "merchant, not allowed",
        Role::OnlyReader => "reader, not allowed",
    };
    Answer {
        of: heard.ask.payment,
        began: heard.began_ms,
        ended: heard.ended_ms.min(1 << 50),
        asked: heard.ask.op.word().to_owned(),
        role: role.to_owned(),
        told: if heard.ended_ms == u64::MAX {
            "still waiting".to_owned()
        } else {
            told(heard.told.as_ref())
        },
    }
}

fn ledger(run: &Run, ids: &BTreeMap<String, u32>) -> Vec<Money> {
    let mut ledger: Vec<Money> = run
        .ledger
        .iter()
        .map(|event| Money {
            of: ids.get(&event.attempt_id).copied(),
            at: event.at_ms.saturating_sub(EPOCH_MS),
            operation: format!("{:?}", event.operation).to_lowercase(),
            id: event.id.clone(),
            amount: event.amount_minor,
            currency: event.currency.clone(),
            key: event.key.clone(),
            late: event.late,
            arrived: arrived(run, event),
            declined: event.declined.clone(),
        })
        .collect();
    ledger.sort_by_key(|money| money.at);
    ledger
}

/// When the request arrived that an event came of: the last with its key.
fn arrived(run: &Run, event: &LedgerEvent) -> Option<u64> {
    let at_ms = event.at_ms.saturating_sub(EPOCH_MS);
    let calls = run.psp_calls.iter().filter(|call| call.at_ms <= at_ms);
    calls
        .filter(|call| event.key.as_ref() == Some(&call.key))
        .map(|call| call.at_ms)
        .next_back()
}

fn effect(money: &Money, servers: usize) -> Line {
    let late = if money.late { ", landed late" } else { "" };
    let refused = match &money.declined {
        Some(why) => format!(", refused: {why}"),
        None => String::new(),
    };
    Line {
        at: money.at,
        until: money.at,
        from: lane(Host::Psp, servers),
        to: None,
        kind: if money.declined.is_some() {
            Kind::Note
        } else {
            Kind::Effect
        },
        text: format!(
            "{} {} {}{late}{refused}",
            money.operation.to_uppercase(),
            money.amount,
            money.currency
        ),
        of: money.of.into_iter().collect(),
    }
}

/// The payments that a text names.
fn named(text: &str, ids: &BTreeMap<String, u32>) -> BTreeSet<u32> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    words
        .filter_map(|word| {
            let first = word.split('-').next().unwrap_or_default();
            let by_key = || word.strip_prefix('p')?.split_once('-')?.0.parse().ok();
            ids.get(first).copied().or_else(by_key)
        })
        .collect()
}
