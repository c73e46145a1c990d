//! The full stack: it replays, and a plain oracle finds nothing. (The oracles proper live elsewhere.)

use std::collections::BTreeMap;

use pay_once_sandbox::tokens::Operation;
use pay_once_sim::full::{self, Traced};
use pay_once_sim::met::Met;
use pay_once_sim::plan::{Class, Plan};
use pay_once_sim::seen::{Doubt, Status};
use pay_once_sim::shopper::Role;
use pay_once_sim::swarm;

/// Moves tokio's process-wide count of tasks on.
fn spawn_tasks(count: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for _ in 0..count {
        runtime.block_on(async { tokio::spawn(async {}).await.unwrap() });
    }
}

fn first_difference(one: &Traced, two: &Traced) -> String {
    let lines = one.trace.iter().zip(&two.trace);
    for (n, (one, two)) in lines.enumerate() {
        if one != two {
            return format!("line {n}:\n{one:?}\n{two:?}");
        }
    }
    format!("{} lines against {}", one.trace.len(), two.trace.len())
}

#[test]
fn a_run_replays_to_the_byte() {
    for seed in 0..20 {
        let plan = swarm::plan(seed);
        let first = full::run(&plan);
        for shift in 1..4 {
            spawn_tasks(shift);
            let again = full::run(&plan);
            assert!(
                first.hash == again.hash,
                "seed {seed}, {shift} tasks before: {}",
                first_difference(&first, &again)
            );
        }
    }
}

/// Hashes of the first seeds: the same in every process.
fn hashes() -> String {
    let hashes: Vec<String> = (0..20).map(|seed| full::run(&swarm::plan(seed)).hash).collect();
    hashes.join("\n")
}

#[test]
fn a_run_replays_in_another_process() {
    const CHILD: &str = "PAY_ONCE_SIM_HASHES";
    if std::env::var_os(CHILD).is_some() {
        println!("hashes:\n{}\n:hashes", hashes());
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_run_replays_in_another_process", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let out = String::from_utf8(child.stdout).unwrap();
    let theirs = out
        .split("hashes:\n")
        .nth(1)
        .and_then(|rest| rest.split("\n:hashes").next());
    assert_eq!(theirs, Some(hashes().as_str()), "{out}");
}

/// What money says, by attempt: live authorizations and captures that stand.
fn faults_of(traced: &Traced) -> Vec<String> {
    let run = &traced.run;
    let mut wrong: Vec<String> = run.broken.clone();
    let mut attempts: BTreeMap<&str, (BTreeMap<&str, bool>, BTreeMap<&str, &str>)> = BTreeMap::new();
    for event in run.ledger.iter().filter(|event| event.declined.is_none()) {
        let (auths, captures) = attempts.entry(&event.attempt_id).or_default();
        let of = event.authorization.as_deref().unwrap_or_default();
        match event.operation {
            Operation::Authorize => drop(auths.insert(&event.id, true)),
            Operation::Capture => drop(captures.insert(&event.id, of)),
            Operation::Void | Operation::Lapse => drop(auths.insert(of, false)),
            Operation::Refund => match event.capture.as_deref() {
                Some(capture) => drop(captures.remove(capture)),
                None => captures.retain(|_, auth| *auth != of),
            },
        }
        if captures.len() > 1 {
            wrong.push(format!("{}: {} captures", event.attempt_id, captures.len()));
        }
    }
    for (id, (auths, _)) in &attempts {
        let live = auths.values().filter(|live| **live).count();
        if live > 1 {
            wrong.push(format!("{id}: {live} live authorizations in the end"));
        }
    }
    for heard in &run.heard {
        let Some(shown) = heard.told.as_ref().and_then(|told| told.shown.as_ref()) else {
            continue;
        };
        let captured = attempts
            .get(shown.attempt_id.as_str())
            .map_or(0, |(_, captures)| captures.len());
        if shown.status == Status::Captured && captured != 1 {
            wrong.push(format!(
                "{}: told CAPTURED, {captured} captures",
                shown.attempt_id
            ));
        }
        if matches!(shown.status, Status::Voided | Status::Declined | Status::Expired) && captured > 0 {
            wrong.push(format!("{}: told {:?}, captured", shown.attempt_id, shown.status));
        }
        let is_parked = shown
            .operation
            .as_ref()
            .is_some_and(|op| op.state == Doubt::Parked);
        let is_end = shown.status.is_final() || shown.status == Status::Created || is_parked;
        if heard.ask.role == Role::Last && !is_end {
            wrong.push(format!("{}: ends {:?}", shown.attempt_id, shown.status));
        }
        if heard.ask.role == Role::Last && is_parked && run.plan.world.class != Class::Blind {
            wrong.push(format!("{}: parked", shown.attempt_id));
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

fn slowest_calm(plan: &Plan, traced: &Traced, slowest: &mut Vec<u64>) {
    let is_calm = plan.steps.len() == plan.payments().count();
    let heard = traced
        .run
        .heard
        .iter()
        .filter(|heard| is_calm && heard.ask.wait_s.is_none());
    slowest.extend(heard.map(|heard| heard.ended_ms - heard.began_ms));
}

/// What time costs in which nothing happens.
#[test]
#[ignore = "prints what it measured"]
fn idleness() {
    for servers in [1, 3] {
        let mut plan = swarm::plan(0);
        plan.steps.clear();
        plan.world.clocks_ms = vec![0; servers];
        plan.world.heal_ms = 60_000;
        let began = cpu_ns();
        let run = full::run(&plan).run;
        let us = (cpu_ns() - began) as f64 / 1e3;
        println!(
            "{servers} servers: {:.1} us a simulated second",
            us / (run.ended_ms as f64 / 1e3)
        );
    }
}

fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|ns| ns.parse::<u64>().ok())
        .unwrap_or(0)
}

fn batch(seeds: std::ops::Range<u64>) -> Met {
    let (began, mut met, mut latencies) = (cpu_ns(), Met::default(), Vec::new());
    let (mut simulated_ms, mut lines, mut asked, mut bad) = (0, 0, 0, Vec::new());
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let plan = swarm::plan(seed);
        let traced = full::run(&plan);
        met.absorb(&traced.run.met);
        simulated_ms += traced.run.ended_ms;
        asked += traced.run.heard.len();
        lines += traced.trace.len();
        slowest_calm(&plan, &traced, &mut latencies);
        let wrong = faults_of(&traced);
        if !wrong.is_empty() {
            bad.push(format!("seed {seed} ({}): {wrong:?}", plan.world.class.name()));
        }
    }
    let cpu_s = (cpu_ns() - began) as f64 / 1e9;
    latencies.sort_unstable();
    let at = |permille: usize| latencies.get(latencies.len() * permille / 1000).copied();
    println!(
        "{count} seeds in {cpu_s:.1} CPU-s: {:.1} a second, {:.1} simulated s and {} lines each",
        count as f64 / cpu_s,
        simulated_ms as f64 / 1e3 / count as f64,
        lines as u64 / count
    );
    println!(
        "calm: p50 {:?}, p99 {:?}, most {:?} ms of {}",
        at(500),
        at(990),
        latencies.last(),
        latencies.len()
    );
    println!("{:.0} requests of clients each", asked as f64 / count as f64);
    println!("missing: {:?}", met.missing());
    println!("{:?}", met.0);
    assert!(bad.is_empty(), "{} bad:\n{}", bad.len(), bad.join("\n"));
    met
}

#[test]
fn a_plain_oracle_finds_nothing() {
    batch(0..30);
}

#[test]
#[ignore = "long; prints what it measured"]
fn a_plain_oracle_finds_nothing_in_many() {
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let from = number("FROM", 0);
    batch(from..from + number("SEEDS", 500));
}

#[test]
#[ignore = "for people: prints one run"]
fn one_seed() {
    let seed = std::env::var("SEED").unwrap_or_default().parse().unwrap_or(0);
    let plan = match std::env::var("PLAN") {
        Ok(path) => Plan::from_text(&std::fs::read_to_string(path).unwrap()).unwrap(),
        Err(_) => swarm::plan(seed),
    };
    let traced = full::run(&plan);
    println!("{}", plan.to_text());
    for line in &traced.trace {
        println!(
            "{:6} {:?} -> {:?} {} {}",
            line.at_ms, line.from, line.to, line.kind, line.text
        );
    }
    let wanted: Option<u32> = std::env::var("PAYMENT").ok().and_then(|text| text.parse().ok());
    for heard in traced
        .run
        .heard
        .iter()
        .filter(|heard| Some(heard.ask.payment) == wanted)
    {
        let body = heard
            .told
            .as_ref()
            .map(|told| String::from_utf8_lossy(&told.body));
        println!(
            "{} {:?} {:?}: {body:?}",
            heard.began_ms, heard.ask.role, heard.ask.op
        );
    }
    println!("{:#?}", traced.run.ledger);
    println!("{:#?}", faults_of(&traced));
    println!("{} ended {}", traced.hash, traced.run.ended_ms);
}
