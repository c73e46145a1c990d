//! Starts behind a link that breaks: a supervisor has to try again, and a connection that broke says nothing about the database.

use std::time::{Duration, Instant};

use super::link::Flow;
use super::{LOOK_UP_ONLY, Place, Plan};

/// How long a start may take until it gives up.
const GIVEN_UP: Duration = Duration::from_secs(40);
/// More answers than a start waits for.
const ANSWERS_MAX: u64 = 200;

/// A place with links, whose first server is down.
fn place() -> Place {
    let place = Place::start(&Plan {
        latency_ms: 0,
        capabilities: LOOK_UP_ONLY,
        has_links: true,
        binary: None,
    });
    place.servers[0].lock().unwrap().kill();
    place
}

#[test]
fn a_start_whose_connection_breaks_at_any_answer_is_tried_again() {
    let place = place();
    let mut server = place.servers[0].lock().unwrap();
    for answers in 0..ANSWERS_MAX {
        place.links[0].set(Flow::Open, Flow::Lost(answers), false);
        let Err(status) = server.try_restart() else {
            assert!(answers > 10, "{answers} answers are too few for a start");
            return;
        };
        assert_eq!(status.code(), Some(75), "{answers}: {}", server.output());
    }
    panic!("no start with {ANSWERS_MAX} answers: {}", server.output());
}

#[test]
fn a_start_behind_a_silent_link_ends_in_time() {
    let place = place();
    let mut server = place.servers[0].lock().unwrap();
    let ways = [
        (Flow::Silent, Flow::Open),
        (Flow::Open, Flow::Silent),
        (Flow::Unended, Flow::Open),
    ];
    for (to_database, to_server) in ways {
        place.links[0].set(to_database, to_server, false);
        let begun = Instant::now();
        let status = server.try_restart().unwrap_err();
        assert_eq!(status.code(), Some(75), "{}", server.output());
        assert!(begun.elapsed() < GIVEN_UP, "{:?}", begun.elapsed());
    }
    place.links[0].mend();
    server.restart();
}
