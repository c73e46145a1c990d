//! The catalogue of planted bugs: every bug has one switch point, in the room that it names, and none is ever in.
#![cfg(debug_assertions)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pay_once_core::planted::{Bug, planted};

/// How what a bug breaks begins: the page of `docs/` that it is on.
const PAGES: [&str; 5] = ["rule ", "promise: ", "http: ", "psp: ", "store: "];

/// Every `planted(Bug::…)` in a folder of sources, with the room of its file.
fn switch_points(root: &Path, folder: &Path, room: &str, found: &mut BTreeMap<String, Vec<String>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            switch_points(root, &path, room, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let file = path.strip_prefix(root).unwrap().with_extension("");
        for (at, _) in text.match_indices("planted(Bug::") {
            let rest = &text[at + "planted(Bug::".len()..];
            let bug = rest.split(')').next().unwrap().to_owned();
            found
                .entry(bug)
                .or_default()
                .push(format!("{room}/{}", file.display()));
        }
    }
}

#[test]
fn every_bug_has_one_switch_point_in_its_room() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    for (sources, room) in [(core.join("src"), "core"), (core.join("../server/src"), "server")] {
        switch_points(&sources, &sources, room, &mut found);
    }
    // The module's own text speaks of the pattern, by another name.
    found.remove("X");
    let catalogue: BTreeMap<String, Vec<String>> = Bug::ALL
        .iter()
        .map(|bug| (format!("{bug:?}"), vec![bug.room().to_owned()]))
        .collect();
    assert_eq!(found, catalogue);
}

#[test]
fn names_are_kebab_case_and_unique() {
    let mut names = BTreeSet::new();
    for bug in Bug::ALL {
        let name = bug.name();
        assert!(names.insert(name), "{name} twice");
        assert!(
            name.split('-')
                .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase())),
            "{name}"
        );
        assert_eq!(Bug::named(name), Some(*bug));
        // The variant is the same name in the other spelling.
        let spelled: String = name.split('-').flat_map(capitalized).collect();
        assert_eq!(spelled, format!("{bug:?}"));
        for text in [bug.rule(), bug.about(), bug.how()] {
            assert!(!text.is_empty() && text.trim() == text, "{name}: {text:?}");
        }
        assert!(bug.about().ends_with('.'), "{name}");
        assert!(PAGES.iter().any(|page| bug.rule().starts_with(page)), "{name}");
    }
    assert!(names.len() >= 30, "{} bugs", names.len());
    let edge = Bug::ALL.iter().filter(|bug| bug.room().starts_with("server/"));
    assert!(edge.count() >= 8);
}

fn capitalized(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.chars().collect();
    letters[0] = letters[0].to_ascii_uppercase();
    letters
}

#[test]
fn every_rule_has_a_bug() {
    for number in 1..=15 {
        let rule = format!("rule {number}");
        assert!(Bug::ALL.iter().any(|bug| bug.rule() == rule), "{rule}");
    }
}

#[cfg(not(feature = "planted"))]
#[test]
fn without_the_feature_no_bug_can_be_in() {
    const IS_IN: bool = planted(Bug::SendByNotChecked);
    assert_eq!([IS_IN], [false]);
}

#[cfg(feature = "planted")]
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "core has no threads, but whoever runs it has"
)]
fn a_bug_is_in_on_its_thread_as_long_as_its_guard_lives() {
    use pay_once_core::planted::select;

    let is_in = |bug| planted(bug);
    assert!(Bug::ALL.iter().all(|bug| !planted(*bug)));
    let outer = select(Some(Bug::KeyPerCall));
    assert!(is_in(Bug::KeyPerCall) && !is_in(Bug::AbsenceAtOnce));
    {
        let inner = select(Some(Bug::AbsenceAtOnce));
        assert!(!is_in(Bug::KeyPerCall) && is_in(Bug::AbsenceAtOnce));
        assert_eq!(inner.reached(), 1);
        let elsewhere = std::thread::spawn(move || is_in(Bug::AbsenceAtOnce));
        assert!(!elsewhere.join().unwrap(), "another thread has its own");
    }
    assert!(is_in(Bug::KeyPerCall));
    assert_eq!(outer.reached(), 2);
    drop(outer);
    assert!(Bug::ALL.iter().all(|bug| !planted(*bug)));
}
