//! What the corpora catch, measured: each of core's planted bugs is put in, and every kept input is played. Only a copy of the
//! workspace has the bugs (`sim/plant`); `fuzz/README.md` has the commands that print the table.
#![cfg(feature = "planted")]
#![allow(clippy::unwrap_used)] // Of a test's own helpers.

use std::collections::BTreeMap;
use std::panic::{catch_unwind, set_hook};
use std::path::Path;

use pay_once_core::planted::{Bug, select};
use pay_once_fuzz::TARGETS;

/// Of those in core and outside; the others are the simulator’s to find (`sim/PLANTED.md`).
const CAUGHT_MIN: usize = 20;

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../corpus")
        .join(target);
    let files = std::fs::read_dir(folder).unwrap();
    files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect()
}

#[test]
fn the_corpora_catch_planted_bugs() {
    // Hundreds of findings are expected here.
    set_hook(Box::new(|_| {}));
    let mut caught: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for bug in Bug::ALL {
        // A thread of its own: what the machine keeps between inputs was made without the bug.
        let found = std::thread::spawn(|| {
            let _in = select(Some(*bug));
            let finds = |(target, run): &(&'static str, fn(&[u8]))| {
                // What a plan costs so many times over is the simulator's own business.
                *target != "plan"
                    && inputs(target)
                        .iter()
                        .any(|bytes| catch_unwind(|| run(bytes)).is_err())
            };
            let found: Vec<&str> = TARGETS
                .iter()
                .filter(|target| finds(target))
                .map(|(name, _)| *name)
                .collect();
            found
        });
        let found = found.join().unwrap();
        println!("{:32} {}", bug.name(), found.join(" "));
        if !found.is_empty() {
            caught.insert(bug.name(), found);
        }
    }
    println!("{} of {} are caught", caught.len(), Bug::ALL.len());
    assert!(caught.len() >= CAUGHT_MIN, "only {caught:?}");
}
