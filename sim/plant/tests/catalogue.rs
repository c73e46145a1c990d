//! The bugs of `sim/bugs` fit the sources, and the copy of the workspace has them in it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // Of a test's own helpers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pay_once_plant::{Catalogue, copy};

/// How what a bug breaks begins: the page of `docs/` that it is on.
const PAGES: [&str; 5] = ["rule ", "promise: ", "http: ", "psp: ", "store: "];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn catalogue() -> Catalogue {
    Catalogue::read(&root().join("sim/bugs")).unwrap()
}

#[test]
fn every_replacement_fits_the_sources() {
    let clean =
        |file: &str| std::fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"));
    let planted = catalogue()
        .plant(clean)
        .unwrap_or_else(|faults| panic!("{faults}"));
    assert!(planted.len() > 20, "{} sources have bugs", planted.len());
    for file in planted.keys() {
        assert!(!clean(file).unwrap().contains("planted("), "{file} is clean");
    }
}

#[test]
fn names_are_kebab_case_and_unique_and_texts_are_whole() {
    let mut names = BTreeSet::new();
    for bug in &catalogue().bugs {
        let name = bug.name.as_str();
        assert!(names.insert(name.to_owned()), "{name} twice");
        assert!(
            name.split('-')
                .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase())),
            "{name}"
        );
        for text in [&bug.rule, &bug.about, &bug.how] {
            assert!(
                !text.is_empty() && text.trim() == text && !text.contains('\n'),
                "{name}: {text:?}"
            );
        }
        assert!(bug.about.ends_with('.'), "{name}");
        assert!(PAGES.iter().any(|page| bug.rule.starts_with(page)), "{name}");
    }
    assert!(names.len() >= 100, "{} bugs", names.len());
}

#[test]
fn every_bug_has_a_room_and_the_server_has_its_own() {
    let rooms = catalogue().rooms().unwrap();
    for room in &rooms {
        let (krate, file) = room.split_once('/').unwrap();
        assert!(root().join(format!("{krate}/src/{file}.rs")).is_file(), "{room}");
    }
    assert!(rooms.iter().filter(|room| room.starts_with("server/")).count() >= 8);
}

#[test]
fn every_rule_has_a_bug() {
    let bugs = catalogue().bugs;
    for number in 1..=16 {
        let rule = format!("rule {number}");
        assert!(bugs.iter().any(|bug| bug.rule == rule), "{rule}");
    }
}

#[test]
fn a_copy_is_made_once_and_then_kept_up_to_date() {
    let into = Path::new(env!("CARGO_TARGET_TMPDIR")).join("copy");
    let _ = std::fs::remove_dir_all(&into);
    let first = copy(&root(), &into).unwrap();
    assert_eq!((first.written, first.removed), (first.files, 0));
    let source = std::fs::read_to_string(into.join("core/src/machine/dispatch.rs")).unwrap();
    assert!(source.contains("crate::planted::planted(crate::planted::Bug::KeyPerCall)"));
    for (file, words) in [
        (
            "core/src/planted.rs",
            "Bug::KeyPerCall => \"core/machine/dispatch\",",
        ),
        ("core/src/planted/switch.rs", "thread_local!"),
        ("core/src/lib.rs", "pub mod planted;"),
    ] {
        let text = std::fs::read_to_string(into.join(file)).unwrap();
        assert!(text.contains(words), "{file}");
    }

    std::fs::write(into.join("core/src/stray.rs"), "").unwrap();
    std::fs::write(into.join("Cargo.toml"), "").unwrap();
    let again = copy(&root(), &into).unwrap();
    assert_eq!((again.written, again.removed), (1, 1));

    let strange = Path::new(env!("CARGO_TARGET_TMPDIR"));
    assert!(
        copy(&root(), strange).is_err(),
        "no folder of others is written to"
    );
}
