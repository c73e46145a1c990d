//! Servers of two builds on one database: a rolling upgrade, and tables that a later build has added to.

use std::sync::Arc;

use super::clients::Load;
use super::{LOOK_UP_ONLY, PATIENCE, Place, Plan, SERVERS, place};
use crate::postgres::text;
use crate::random::Random;

/// Payments that are made between two steps of an upgrade.
const BETWEEN: usize = 6;

/// What a later build might add. Its form is one more than this build's.
const NEXT_FORM: &str = "
ALTER TABLE pay_once.records ADD COLUMN made_up text;
CREATE INDEX records_by_made_up ON pay_once.records (made_up) WHERE made_up IS NOT NULL;
CREATE TABLE pay_once.made_up (id bytea PRIMARY KEY);
UPDATE pay_once.meta SET value = (value::bigint + 1)::text WHERE name = 'form';
";

impl Place {
    /// A statement of an operator, which must succeed.
    fn sql(&self, statement: &str) -> String {
        let said = self.cluster.lock().unwrap().psql(statement);
        assert!(said.status.success(), "{}", text(&said));
        text(&said).trim().to_owned()
    }

    fn form(&self) -> i64 {
        let form = self.sql("SELECT value FROM pay_once.meta WHERE name = 'form'");
        form.parse().unwrap()
    }

    /// What `pay-once migrate` of this build says, and whether it succeeds.
    fn migrate(&self) -> (bool, String) {
        let said = self.cluster.lock().unwrap().pay_once(&["migrate"]);
        (said.status.success(), text(&said))
    }

    /// Ends a server as a deployment does, and starts it again with the binary of another build, or of this one. Payments go on at the
    /// other servers while it is away, and with it afterwards.
    fn replace(&self, server: usize, binary: Option<&str>, load: &Load) {
        let mut server = self.servers[server].lock().unwrap();
        server.terminate();
        let status = server.wait(PATIENCE);
        assert!(status.success(), "{status}: {}", server.output());
        load.goes_on(BETWEEN);
        server.set_binary(binary);
        server.restart();
        load.goes_on(BETWEEN);
    }
}

#[test]
fn servers_go_on_while_a_later_build_adds_to_the_tables() {
    let place = Arc::new(place(40, LOOK_UP_ONLY));
    let load = Load::start(&place);
    load.goes_on(BETWEEN);
    let form = place.form();
    place.sql(NEXT_FORM);
    load.goes_on(BETWEEN);
    // This build is the older one now.
    place.replace(0, None, &load);
    let (is_done, said) = place.migrate();
    let expected = format!("has form {} of a later build", form + 1);
    assert!(is_done && said.contains(&expected), "{said}");
    assert!(said.contains("Nothing was changed"), "{said}");
    assert_eq!(place.form(), form + 1);
    let answers = load.end();
    for server in 0..SERVERS {
        place.is_ready_when(server, true);
    }
    place.was_paid_once(answers);
}

#[test]
fn tables_that_this_build_cannot_serve_are_refused() {
    let place = place(0, LOOK_UP_ONLY);
    place.charge("before", &mut Random(1));
    let later = place.form() + 1;
    place.sql(NEXT_FORM);
    place.sql(&format!(
        "INSERT INTO pay_once.meta VALUES ('form_min', '{later}')
         ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    ));
    let expected = format!("builds of form {later} or later can serve");
    let (is_done, said) = place.migrate();
    assert!(!is_done && said.contains(&expected), "{said}");
    let mut restarted = place.servers[0].lock().unwrap();
    restarted.kill();
    let status = restarted.try_restart().unwrap_err();
    // Another start does not help.
    assert_eq!(status.code(), Some(1), "{}", restarted.output());
    assert!(restarted.output().contains(&expected), "{}", restarted.output());
    // A server that runs opens no connection any more.
    place.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pay-once'");
    place.is_ready_when(1, false);
    place.sql(&format!(
        "UPDATE pay_once.meta SET value = '{}' WHERE name = 'form_min'",
        later - 1
    ));
    place.is_ready_when(1, true);
}

#[test]
#[ignore = "PAY_ONCE_OLDER_BINARY has to name the binary of an older build"]
fn servers_of_an_older_build_are_replaced_under_load() {
    let older = std::env::var("PAY_ONCE_OLDER_BINARY").unwrap();
    let place = Arc::new(Place::start(&Plan {
        latency_ms: 200,
        capabilities: LOOK_UP_ONLY,
        has_links: false,
        binary: Some(&older),
    }));
    let load = Load::start(&place);
    load.goes_on(BETWEEN);
    let before = place.form();
    let (is_done, said) = place.migrate();
    assert!(is_done, "{said}");
    eprintln!("form {before} became form {}", place.form());
    load.goes_on(BETWEEN);
    for server in 0..SERVERS {
        place.replace(server, None, &load);
    }
    // And back, for one of them.
    place.replace(0, Some(&older), &load);
    let answers = load.end();
    eprintln!("{} payments", answers.len());
    place.was_paid_once(answers);
}
