//! Recorded decisions: what today's build decides in many stories is what was recorded. Two builds may work on one
//! record (a deployment takes its time), and a journal outlives the build that began it: a build that decides otherwise is
//! to be seen, and meant. Whether a decision is *right* other tests say.
//!
//! Each line is a story, what it came to, and a digest of everything that was written, sent, answered and armed on the
//! way. `PAY_ONCE_REGENERATE_GOLDEN=1 cargo test -p pay-once-core recorded` writes them anew.

use std::path::PathBuf;

use crate::adversary::{Case, Run};
use crate::support::{Kind, LOOKUP_LAG_MS};

/// Stories of each class.
const STORIES: u64 = 32;

/// SplitMix64: the same stories for ever, whatever becomes of any library.
struct Choices(u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.next() % all.len() as u64).unwrap()]
    }
}

fn play(kind: Kind, story: u64) -> Run {
    let mut choices = Choices(story);
    let late =
        choices.next().is_multiple_of(4) && matches!(kind, Kind::AcquirerQueryable | Kind::StripeNoKeys);
    let tokens = ["pm_card_visa", "pm_card_visa", "pm_card_declined", "pm_card_3ds"];
    let case = Case {
        kind,
        token: if late { "pm_card_visa" } else { choices.of(&tokens) },
        automatic: choices.of(&[false, false, true]),
        late,
        patient: choices.of(&[true, true, true, false]),
        listing_lag_ms: choices.of(&[0, LOOKUP_LAG_MS]),
    };
    let mut run = Run::new(case);
    run.act((0, 0, 1));
    if late {
        run.act((4, 0, 0));
        run.act((4, 0, 3));
    }
    for _ in 0..choices.next() % 48 {
        let [what, a, b, ..] = choices.next().to_le_bytes();
        run.act((what, a, b));
    }
    run.end();
    run
}

fn told(kind: Kind, story: u64) -> String {
    let run = play(kind, story);
    let entries = run.world.record(run.id).entries().len();
    let digest = run.world.trace;
    format!("{kind:?} {story} {:?} {entries} entries {digest:016x}", run.seen)
}

#[test]
fn every_story_is_decided_as_it_was_recorded() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/decisions.txt");
    // One story of each class before the next of any: a build that decides otherwise is found out early.
    let stories = (0..STORIES).flat_map(|story| Kind::ALL.map(|kind| (kind, story)));
    if std::env::var_os("PAY_ONCE_REGENERATE_GOLDEN").is_some() {
        let lines: String = stories
            .clone()
            .map(|(kind, story)| told(kind, story) + "\n")
            .collect();
        std::fs::write(&path, lines).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap();
    assert_eq!(recorded.lines().count(), stories.clone().count());
    for ((kind, story), line) in stories.zip(recorded.lines()) {
        assert_eq!(
            told(kind, story),
            line,
            "this build decides otherwise; if that is meant, write the stories anew"
        );
    }
}
