//! A wall clock that is set by an hour (`docs/rules.md`, rules 6 and 11): the real binary over real sockets, with a wall clock of its
//! own (`tests/shim/clock.c`, preloaded). The PSP's clock and the machine's monotonic clock stay right.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use pay_once_sandbox::{Dials, RangeMs};
use serde_json::{Value, json};

use crate::oracle::{is_settled, status};
use crate::outside::{Outside, place};
use crate::power::compiled;
use crate::server::{Dir, Server, ledger};

const HOUR_MS: i64 = 3_600_000;
/// How long after its arrival a late request lands, in milliseconds: within the flight that `place` declares.
const LATE_MS: u64 = 2_500;

struct Place {
    server: Server,
    psp: Outside,
    wall: File,
    _dirs: [Dir; 2],
}

impl Place {
    fn new() -> Self {
        let dir = Dir::new();
        let path = dir.path().join("wall");
        std::fs::write(&path, 0_i64.to_ne_bytes()).unwrap();
        let dials = Dials {
            latency_ms: RangeMs { min: 0, max: 5 },
            max_in_flight_ms: LATE_MS,
            // Only looks tell.
            webhook_lost_permille: 1_000,
            ..Dials::default()
        };
        let environment = [
            ("LD_PRELOAD", compiled("clock")),
            ("CLOCK_FILE", path.to_str().unwrap()),
        ];
        let (server, psp, config) = place("acquirer", "lookup_lag_ms = 500", dials, &environment);
        let wall = File::options().write(true).open(path).unwrap();
        Self {
            server,
            psp,
            wall,
            _dirs: [dir, config],
        }
    }

    /// Sets the server's wall clock, so far from the machine's.
    fn set_wall(&self, off_ms: i64) {
        self.wall.write_all_at(&off_ms.to_ne_bytes(), 0).unwrap();
    }

    /// An authorization that the PSP does not answer.
    fn authorize(&self, dial: &str) -> String {
        let id = self.server.create("create", "pm_card_visa");
        self.psp.turn(&json!({ dial: 1_000 }));
        let answer = self
            .server
            .post(&format!("/attempts/{id}/authorize"), "authorize", &Value::Null);
        assert_eq!(answer.status, 202, "{answer:?}");
        self.psp.turn(&json!({ dial: 0 }));
        id
    }

    /// The attempt, once nothing is under way any more.
    fn settled(&self, id: &str, limit: Duration) -> Value {
        let until = Instant::now() + limit;
        loop {
            let attempt = self.server.attempt(id);
            if is_settled(&attempt) {
                return attempt;
            }
            assert!(Instant::now() < until, "not within {limit:?}: {attempt:#}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn metric(&self, name: &str) -> String {
        let text = String::from_utf8(self.server.ask_operators("/metrics").body).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("pay_once_{name} ")));
        line.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
    }

    /// Checks that the money is where the attempt says, once, and that operators were told of the clock.
    fn check(&self, id: &str, attempt: &Value) {
        let ledger = ledger(&self.psp.address, id);
        assert_eq!(status(attempt), "AUTHORIZED", "{attempt:#}\n{ledger:#}");
        assert_eq!(ledger["authorizations"], 1, "{ledger:#}");
        assert_eq!(self.metric("clock_steps_total"), "1");
        assert_eq!(
            self.metric("clock_in_doubt"),
            "0",
            "the Date of an answer has told the time"
        );
        assert!(
            self.server.output().contains("the wall clock was set"),
            "{}",
            self.server.output()
        );
    }
}

/// An authorization is under way at the PSP; an hour later by the wall clock alone it is not absent.
#[test]
fn an_hour_forward_proves_no_absence() {
    let place = Place::new();
    let id = place.authorize("late_permille");
    place.set_wall(HOUR_MS);
    let attempt = place.settled(&id, Duration::from_secs(60));
    place.check(&id, &attempt);
}

/// The answer of an authorization is lost, and so are those of the looks after it. An hour back by the wall clock does not put the next
/// look off by an hour.
#[test]
fn an_hour_back_leaves_nothing_standing_still() {
    let place = Place::new();
    let id = place.authorize("hang_after_permille");
    place.psp.turn(&json!({"error_before_permille": 1_000}));
    let in_doubt = |attempt: &Value| attempt["operation"]["state"] == "in_doubt";
    while !in_doubt(&place.server.attempt(&id)) {
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(Duration::from_millis(500));
    place.set_wall(-HOUR_MS);
    place.psp.turn(&json!({"error_before_permille": 0}));
    let attempt = place.settled(&id, Duration::from_secs(60));
    place.check(&id, &attempt);
    // What begins now goes on as well.
    let answer = place
        .server
        .post_wait(&format!("/attempts/{id}/capture"), "capture", &Value::Null);
    assert_eq!(answer.status, 200, "{answer:?}");
}
