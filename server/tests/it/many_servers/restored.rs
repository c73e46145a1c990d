//! A database that was restored while its servers ran.

use std::thread;

use super::{LOOK_UP_ONLY, PATIENCE, place};
use crate::random::Random;

/// A copy of the database is served under another timeline: a restore, or a standby that was promoted.
#[test]
fn a_restored_database_begins_restore_mode() {
    let place = place(0, LOOK_UP_ONLY);
    let mut random = Random(1);
    let before = place.charge("before", &mut random);
    let mut cluster = place.cluster.lock().unwrap();
    // A copy, and then a payment that it does not have.
    cluster.stop("-INT");
    let (data, copy) = (cluster.data(), cluster.data().with_extension("copy"));
    copy_all(&data, &copy);
    cluster.run();
    drop(cluster);
    let lost = place.charge("lost", &mut random);
    let mut cluster = place.cluster.lock().unwrap();
    cluster.stop("-QUIT");
    std::fs::remove_dir_all(&data).unwrap();
    copy_all(&copy, &data);
    std::fs::write(data.join("recovery.signal"), "").unwrap();
    let auto = data.join("postgresql.auto.conf");
    std::fs::write(auto, "restore_command = 'false'\n").unwrap();
    cluster.run();
    drop(cluster);
    // No server goes on with it by itself.
    for server in &place.servers {
        let mut server = server.lock().unwrap();
        // For a supervisor: start it again.
        assert_eq!(server.wait(PATIENCE).code(), Some(75), "{}", server.output());
        assert!(server.output().contains("Start again"), "{}", server.output());
    }
    // A supervisor starts all of them at the same time.
    thread::scope(|scope| {
        for server in &place.servers {
            scope.spawn(|| server.lock().unwrap().restart());
        }
    });
    for server in &place.servers {
        let losses = server.lock().unwrap().ask_operators("/status").json()["losses"].clone();
        assert_eq!(losses[0]["psp"], "stripe", "{losses}");
    }
    assert_eq!(place.charge("before", &mut random), before);
    let again = place.charge("lost", &mut random);
    assert_eq!(again["status"], "CAPTURED", "{again:#}");
    let ledger = place.ledger_of(&lost);
    assert_eq!(ledger["captures"], 1, "the PSP was asked first: {ledger:#}");
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .unwrap();
    assert!(copied.success());
}
