//! Every input that is kept, on stable, as ordinary tests: seeds, and what a run once found (`found-…`).

#![allow(clippy::unwrap_used)] // Of a test's own helpers.

use std::path::{Path, PathBuf};

use pay_once_fuzz::{TARGETS, seeds};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../corpus")
        .join(target)
}

/// Plays every input of a target's corpus; a finding panics, and says in which file it is.
fn replay(target: &str) {
    let (_, run) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    let mut files: Vec<PathBuf> = std::fs::read_dir(corpus(target))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 20, "{target}: a corpus of {} inputs", files.len());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        if let Err(finding) = std::panic::catch_unwind(|| run(&bytes)) {
            eprintln!("a finding in {}", file.display());
            std::panic::resume_unwind(finding);
        }
    }
}

macro_rules! corpora {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target));
            }
        )*

        #[test]
        fn no_target_is_left_out() {
            assert_eq!([$(stringify!($target)),*], TARGETS.map(|(name, _)| name));
        }
    };
}

corpora! { machine plan http record stripe acquirer fingerprint }

#[test]
fn the_seeds_are_those_that_the_command_writes() {
    for (target, _) in TARGETS {
        for (name, bytes) in seeds::seeds(target) {
            let kept = std::fs::read(corpus(target).join(&name)).unwrap_or_default();
            assert!(
                kept == bytes,
                "{target}/{name}: run `cargo run -p pay-once-fuzz -- seeds`"
            );
        }
    }
}
