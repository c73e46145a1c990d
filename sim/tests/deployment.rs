//! A merchant's own deployment: the example file and a small configuration of each class, simulated as they are.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::path::Path;
use std::process::{Command, Output};

use pay_once_sim::deployment::{Deployment, limits};
use pay_once_sim::plan::{Class, Plan};
use pay_once_sim::tier::{Tier, carry_out};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pay-once.example.toml");

/// One PSP of each class, with constants that are nobody's.
const CLASSES: &[(Class, &str)] = &[
    (
        Class::Stripe,
        "face = \"stripe\"\naddressable = true\nkeyed_horizon_ms = 7200000\nlookup_lag_ms = 5000\nprepare_first = true",
    ),
    (
        Class::Addressable,
        "face = \"stripe\"\naddressable = true\nlookup_lag_ms = 60000",
    ),
    (Class::Keyed, "face = \"acquirer\"\nkeyed_horizon_ms = 3600000"),
    (Class::Queryable, "face = \"acquirer\"\nlookup_lag_ms = 60000"),
    (
        Class::KeyedQueryable,
        "face = \"acquirer\"\nkeyed_horizon_ms = 600000\nlookup_lag_ms = 1000",
    ),
    (Class::Blind, "face = \"acquirer\""),
];

fn document(psp: &str) -> String {
    format!(
        "installation = \"shop\"\n[merchants.shop]\npsp = \"p\"\n[merchants.other]\npsp = \"p\"\n[psps.p]\nbase_url = \"https://psp.example\"\napi_key_env = \"KEY\"\n{psp}\n[psps.p.timing]\nmax_in_flight_ms = 40000\nmax_clock_skew_ms = 500\nauthorization_lifetime_ms = 86400000\ncapture_margin_ms = 600000\naction_timeout_ms = 900000\n"
    )
}

fn is_clean(deployment: &Deployment, seeds: std::ops::Range<u64>, what: &str) {
    for seed in seeds {
        let plan = deployment.plan(seed);
        assert_eq!(
            Plan::from_text(&plan.to_text()).unwrap(),
            plan,
            "{what}, seed {seed}"
        );
        let judged = carry_out(&plan, Tier::Model, false);
        assert_eq!(judged.violation, None, "{what}, seed {seed}");
    }
}

#[test]
fn the_example_is_simulated_as_it_is() {
    let deployment = Deployment::read(Path::new(EXAMPLE)).unwrap();
    assert_eq!(deployment.psps().len(), 1);
    is_clean(&deployment, 0..40, "pay-once.example.toml");
}

#[test]
fn a_deployment_of_each_class_is_clean() {
    for (class, psp) in CLASSES {
        let deployment = Deployment::from_text(&document(psp)).unwrap();
        assert_eq!(deployment.psp_of(0).class, *class);
        is_clean(&deployment, 0..20, class.name());
    }
}

#[test]
fn a_constant_that_is_declared_too_low_does_harm() {
    let deployment = Deployment::from_text(&document(CLASSES[3].1)).unwrap();
    let effort = limits::Effort {
        seeds: 20,
        threads: 2,
        has_bar: false,
    };
    let rows = limits::measure(&deployment, effort);
    let names: Vec<&str> = rows.iter().map(|row| row.constant.name()).collect();
    assert_eq!(names, ["max_in_flight_ms", "lookup_lag_ms", "max_clock_skew_ms"]);
    let flight = &rows[0];
    let (permille, failure, _) = flight.harm.as_ref().expect("ten times as late does harm");
    let name = format!("p/max_in_flight_ms/{}", *permille as f64 / 1_000.0);
    let plan = limits::plan_of(&deployment, &name, failure.seed).unwrap();
    let again = carry_out(&plan, Tier::Model, false).violation.unwrap();
    assert_eq!(again, failure.violation);
    assert!(rows.iter().all(|row| row.control.is_empty()));
    let page = limits::page(&rows, 20, "pay-once-sim dials --config pay-once.toml");
    assert!(
        page.contains("| p | queryable | `max_in_flight_ms` | 40000 ms |"),
        "{page}"
    );
}

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pay-once-sim"))
        .args(arguments)
        .env_remove("GITHUB_ACTIONS")
        .output()
        .unwrap()
}

fn fails(arguments: &[&str], words: &str) {
    let output = sim(arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && told.contains(words),
        "{arguments:?}: {told}"
    );
}

#[test]
fn the_commands_take_a_configuration() {
    let run = sim(&["run", "--config", EXAMPLE, "--seeds", "6"]);
    let told = String::from_utf8(run.stdout).unwrap();
    assert!(
        run.status.success() && told.contains("model tier: 6 seeds"),
        "{told}"
    );
    let plan = String::from_utf8(sim(&["plan", "3", "--config", EXAMPLE]).stdout).unwrap();
    assert!(plan.starts_with("# seed 3, psp \"stripe\"\n"), "{plan}");
    let whole = Deployment::read(Path::new(EXAMPLE)).unwrap().plan(3);
    assert_eq!(Plan::from_text(&plan).unwrap(), whole);
    let replay = sim(&["replay", "3", "--config", EXAMPLE, "--grep", "nothing at all"]);
    let file = std::env::temp_dir().join(format!("pay-once-sim-{}.plan", std::process::id()));
    std::fs::write(&file, plan).unwrap();
    let from_file = sim(&["replay", file.to_str().unwrap(), "--grep", "nothing at all"]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(replay.stdout, from_file.stdout, "a plan has its world in it");
    assert!(String::from_utf8(replay.stdout).unwrap().contains("no violation"));
    fails(
        &["run", "--config", EXAMPLE, "--tier", "full"],
        "--config is for the model tier",
    );
    fails(
        &["run", "--config", "/no/such.toml"],
        "/no/such.toml cannot be read",
    );
    fails(&["run", "--seeds", "3", "--minutes", "1"], "cannot be used with");
    fails(&["run", "--minutes", "none"], "not a number of minutes");
    let minutes = sim(&["run", "--tier", "model", "--minutes", "0.01", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&minutes.stdout).unwrap();
    assert!(
        told["outcome"]["seeds"].as_u64().is_some_and(|seeds| seeds > 0),
        "{told}"
    );
}
