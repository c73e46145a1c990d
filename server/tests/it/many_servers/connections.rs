//! One connection of a server breaks while its others serve, and connections that do not come about.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pay_once::ports::{Changed, Store, Swap, Swapped};
use pay_once::postgres::connect::Database;
use pay_once::postgres::store::{PostgresStore, Promises};
use pay_once_core::{AttemptId, RecordVersion};

use super::PATIENCE;
use super::link::{Flow, Link};
use crate::image::entry;
use crate::postgres::{Cluster, text};
use crate::suite::block_on;

/// Connections that swap and load.
const CONNECTIONS: &str = "5";
/// Pairs of swaps: the store may take the two of a pair apart.
const PAIRS: usize = 20;
/// How many swaps are made one after the other.
const SWAPS: u8 = 60;

fn swap(id: u8) -> Swap {
    Swap {
        id: AttemptId::from_bytes([id; 16]),
        expected_version: None,
        version: RecordVersion::new(1),
        wake_at_ms: None,
        bytes: vec![id],
        entry: entry(),
    }
}

/// A store that listens, with a link of its own to the database.
fn listening() -> (Cluster, Link, PostgresStore) {
    let cluster = Cluster::migrated();
    let link = Link::to(cluster.address, 0);
    let database = Database::parse(&cluster.url_through(link.address), None).unwrap();
    let opened = PostgresStore::open(&database, "it", Promises::default(), Arc::default());
    listens(&cluster, "");
    let until = Instant::now() + PATIENCE;
    let prepared =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pay-once' AND state = 'idle'
                    AND (query LIKE '%unnest(%' OR query LIKE '%id = ANY(%')";
    while text(&cluster.psql(prepared)).trim() != CONNECTIONS {
        assert!(
            Instant::now() < until,
            "the store's connections do not come about"
        );
        thread::sleep(Duration::from_millis(10));
    }
    (cluster, link, opened.unwrap().store)
}

/// Waits until a session other than this one waits for notifications, and gives its process.
fn listens(cluster: &Cluster, other: &str) -> String {
    let until = Instant::now() + PATIENCE;
    // Once it waits, it writes down that it is alive.
    let sessions = "SELECT pid FROM pg_stat_activity
                    WHERE application_name = 'pay-once' AND query LIKE '%alive_at_ms%'";
    loop {
        let pid = text(&cluster.psql(sessions)).trim().to_owned();
        if pid.parse::<u32>().is_ok() && pid != other {
            return pid;
        }
        assert!(Instant::now() < until, "the store does not listen");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A silent connection costs the swap that meets it. It takes no other one until it is open again.
#[test]
fn swaps_go_by_the_connections_that_serve() {
    let (cluster, link, store) = listening();
    let first = listens(&cluster, "");
    link.reset();
    listens(&cluster, &first);
    // The others come about when they are needed. The next one is that of the first swap.
    let number = link.accepted();
    block_on(async {
        assert_eq!(store.swap(swap(1)).await, Swapped::Applied);
        link.silence(number);
        let mut unknown = 0;
        for id in 2..2 + SWAPS {
            unknown += u32::from(store.swap(swap(id)).await == Swapped::Unknown);
        }
        assert_eq!(unknown, 1);
    });
}

/// Two swaps of one record are two statements of one connection. If it breaks, the second does not wait for another connection.
#[test]
fn swaps_that_a_connection_has_taken_end_with_it() {
    let (_cluster, link, store) = listening();
    link.set(Flow::Open, Flow::Open, true);
    link.reset();
    block_on(async {
        for _ in 0..PAIRS {
            let pair = async { tokio::join!(store.swap(swap(1)), store.swap(swap(1))) };
            let ended = tokio::time::timeout(PATIENCE, pair).await;
            assert_eq!(ended, Ok((Swapped::Unknown, Swapped::Unknown)));
        }
    });
}

/// Whoever waits is told to look at the store while no connection comes about, though an attempt to connect takes seconds.
#[test]
fn waiting_requests_poll_while_a_connection_comes_about() {
    const LOOKS: usize = 100;
    let (_cluster, link, store) = listening();
    link.set(Flow::Silent, Flow::Silent, false);
    block_on(async {
        let polls = async {
            for _ in 0..LOOKS {
                assert_eq!(store.changed().await, Changed::Unheard);
            }
        };
        // The silence is noticed after 6 s, and 100 looks take 5 s. Between attempts alone they would take two minutes.
        tokio::time::timeout(PATIENCE, polls).await.unwrap();
    });
}

/// PostgreSQL asks soon whether a silent connection is alive. Otherwise a statement whose end did not arrive would keep its locks for two
/// hours.
#[cfg(target_os = "linux")]
#[test]
fn the_database_asks_soon_whether_a_connection_is_alive() {
    let (cluster, _link, _store) = listening();
    let port = format!(":{:04X}", cluster.address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    // The database's end of each open connection, with what its timer waits for and how long, in hundredths of a second.
    let timers: Vec<(&str, u64)> = table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_ours = fields[1].ends_with(&port) && fields[3] == "01";
            let (kind, left) = fields.get(5).filter(|_| is_ours)?.split_once(':')?;
            Some((kind, u64::from_str_radix(left, 16).ok()?))
        })
        .collect();
    assert!(!timers.is_empty(), "{table}");
    // 01 sends again what was not acknowledged, 02 asks.
    assert!(
        timers
            .iter()
            .all(|(kind, left)| *kind == "01" || (*kind == "02" && *left <= 500)),
        "{timers:?}"
    );
}
