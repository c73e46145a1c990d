//! The list is in order, runs are measured against it, and the page says what was measured.

use std::collections::BTreeSet;

use super::{KNOWN, Tally, collect, page, text};
use crate::explore::{Cell, Mix, Options, Plot, PspClass, explore};
use crate::swarm;
use crate::tier::{Tier, carry_out};

fn explored() -> BTreeSet<String> {
    let cells = vec![Cell::new(PspClass::Stripe, Plot::Capture, Mix::Webhook)];
    let report = explore(
        &Options {
            cells,
            ..Options::default()
        },
        &|_| {},
    );
    assert!(report.violation().is_none(), "{report}");
    report.reached()
}

#[test]
fn the_list_is_sorted_and_has_nothing_twice() {
    let lines: BTreeSet<String> = KNOWN.lines().map(str::to_owned).collect();
    assert_eq!(text(&lines), KNOWN);
    assert!(lines.len() > 300, "{} shapes", lines.len());
}

#[test]
fn what_a_world_reaches_is_in_the_list() {
    let now = explored();
    assert!(now.len() > 5);
    let unknown: Vec<&String> = now
        .iter()
        .filter(|line| !KNOWN.lines().any(|known| known == *line))
        .collect();
    assert!(
        unknown.is_empty(),
        "run `explore --coverage sim/coverage/explore.txt`: {unknown:?}"
    );
}

#[test]
fn both_tiers_note_what_their_stores_take_in() {
    for tier in [Tier::Model, Tier::Full] {
        let plan = swarm::plan(1, tier);
        let (judged, reached) = collect(|| carry_out(&plan, tier, false));
        assert!(judged.violation.is_none());
        assert!(reached.len() > 5, "{}: {} shapes", tier.name(), reached.len());
        // Nothing is noted unless somebody collects.
        let _ = carry_out(&plan, Tier::Model, false);
        let ((), none) = collect(|| {});
        assert!(none.is_empty());
    }
}

#[test]
fn the_page_shows_what_was_reached_and_what_was_not() {
    let mut tally = Tally::default();
    let known: Vec<&str> = KNOWN
        .lines()
        .filter(|line| line.starts_with("blind "))
        .take(2)
        .collect();
    tally.reached.insert(known[0].to_owned(), 7);
    tally.reached.insert("blind CREATED | <odd>".to_owned(), 1);
    tally.runs = 9;
    let html = page("coverage & more", &tally, "pay-once-sim coverage");
    assert!(html.contains("coverage &amp; more"));
    assert!(html.contains("<li class=\"reached\"><span class=\"n\">7</span>"));
    assert!(html.contains("<li class=\"missed\"><span class=\"n\">not reached</span>"));
    assert!(html.contains("<li class=\"beyond\"><span class=\"n\">1</span> &lt;odd&gt;</li>"));
    assert!(!html.contains("{{"), "all is filled in");
    let row = tally.rows().into_iter().find(|row| row.class == "blind");
    assert_eq!(row.map(|row| (row.reached, row.beyond)), Some((1, 1)));
}
