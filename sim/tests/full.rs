//! The full stack replays to the byte: in one process, in another, and whatever task ids were used up before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use pay_once_sim::full;
use pay_once_sim::oracles::judge;
use pay_once_sim::swarm;
use pay_once_sim::tier::Tier;
use pay_once_sim::trace::Traced;

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
    for seed in 0..6 {
        let plan = swarm::plan(seed, Tier::Full);
        let first = full::run(&plan, true);
        for shift in 1..4 {
            spawn_tasks(shift);
            let again = full::run(&plan, true);
            assert!(
                first.digest() == again.digest(),
                "seed {seed}, {shift} tasks before: {}",
                first_difference(&first, &again)
            );
        }
    }
}

/// Hashes of the first seeds: the same in every process.
fn hashes() -> String {
    let hashes: Vec<String> = (0..6)
        .map(|seed| full::run(&swarm::plan(seed, Tier::Full), true).digest())
        .collect();
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

#[test]
fn some_seeds_of_the_full_stack_are_clean() {
    for seed in 0..20 {
        let traced = full::run(&swarm::plan(seed, Tier::Full), false);
        assert_eq!(judge(&traced.run), Ok(()), "seed {seed}");
    }
}
