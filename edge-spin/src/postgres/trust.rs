//! Whether a database may be used: durable settings, the tables, the installation, and whether it is the one that was served before. The
//! server asks the same (`server/src/postgres/trust.rs`).

use std::collections::BTreeMap;

use pay_once_core::{Loss, UnixMillis};
use pay_once_postgres_sql::{
    Form, IDENTITY, INSERT_ONE, Identity, NO_TABLES, SETTINGS, Settings, UPDATE_ONE, foreign,
};
use serde::Deserialize;

use crate::ports::StoreError;
use crate::postgres::link::{Failure, Link, Row, Value};

/// PostgreSQL's codes for a table and for a schema that are not there.
const NOT_THERE: [&str; 2] = ["42P01", "3F000"];
/// The probe's own code: the swap is not one.
const NO_SWAP: &str = "PO002";

/// What a deployment expects of its database.
#[derive(Debug)]
pub struct Expected {
    /// The name that the records' ids are made with.
    pub installation: String,
    /// The identity that an operator vouches for, in place of the one that the database notes.
    pub identity: Option<String>,
    /// The PSPs that are configured.
    pub psps: Vec<String>,
    /// What the configuration says may be missing of their payments.
    pub losses: BTreeMap<String, Loss>,
}

/// What a database says of itself.
struct Found {
    settings: Settings,
    identity: Identity,
    form: Option<Form>,
    installation: Option<String>,
    system: Option<String>,
    restore_note: Option<String>,
}

/// The part of the server's note of a restore that matters here.
#[derive(Deserialize)]
struct RestoreNote {
    restored_at_ms: UnixMillis,
    loss_begins_at_ms: UnixMillis,
    #[serde(default)]
    reconciled: Vec<String>,
    #[serde(default)]
    earlier: Vec<RestoreNote>,
}

/// Asks a database about itself. Says whether it notes an installation and an identity.
pub(super) async fn check(link: &Link, expected: &Expected) -> Result<bool, StoreError> {
    let meta = |name: &str| format!("(SELECT value FROM pay_once.meta WHERE name = '{name}')");
    let asked = ["form", "form_min", "installation", "system", "restore_note"]
        .map(meta)
        .join(", ");
    let statement = format!("SELECT {SETTINGS}, {IDENTITY}, {asked}");
    let rows = match link.run(&statement, Vec::new()).await {
        Ok(rows) => rows,
        Err(Failure { code: Some(code), .. }) if NOT_THERE.contains(&code.as_str()) => {
            return Err(StoreError::Unsafe(NO_TABLES.to_owned()));
        }
        Err(failure) => return Err(unavailable(&failure)),
    };
    let found = rows.first().and_then(read);
    let found = found.ok_or_else(|| StoreError::Unavailable("its settings cannot be read".to_owned()))?;
    found.judge(expected).map_err(StoreError::Unsafe)
}

fn read(row: &Row) -> Option<Found> {
    let text = |at| row.text(at).map(str::to_owned);
    Some(Found {
        settings: Settings {
            is_standby: row.boolean(0)?,
            fsync: text(1)?,
            full_page_writes: text(2)?,
            synchronous_commit: text(3)?,
            read_only: text(4)?,
            version: i32::try_from(row.integer(5)?).ok()?,
            standbys: text(6)?,
        },
        identity: Identity {
            tables: text(7)?,
            // A standby has none, and is refused for what it is.
            timeline: text(8).unwrap_or_default(),
        },
        form: Form::read(row.text(9), row.text(10)),
        installation: text(11),
        system: text(12),
        restore_note: text(13),
    })
}

impl Found {
    fn judge(&self, expected: &Expected) -> Result<bool, String> {
        self.form.ok_or_else(|| NO_TABLES.to_owned())?.is_served()?;
        self.settings.check()?;
        if let Some(found) = &self.installation
            && *found != expected.installation
        {
            return Err(foreign(Some(found), &expected.installation));
        }
        let before = expected.identity.as_ref().or(self.system.as_ref());
        let word = self.identity.word();
        if let Some(before) = before.filter(|before| **before != word) {
            return Err(format!(
                "it is another database than before: it was {before}, and is {word}. It was restored, or a standby was promoted, and may lack acknowledged payments. Start a server on it, which notes what may be missing; or write the loss of each PSP into config (\"loss\": {{\"begins_ms\": …, \"restored_ms\": …}}) and set the variable postgres_identity to {word}"
            ));
        }
        self.covers_losses(expected)?;
        Ok(self.installation.is_some() && self.system.is_some())
    }

    /// The restore mode of a component comes from its configuration alone: what a server has noted must be there too.
    fn covers_losses(&self, expected: &Expected) -> Result<(), String> {
        let Some(text) = &self.restore_note else {
            return Ok(());
        };
        let note: RestoreNote = serde_json::from_str(text)
            .map_err(|error| format!("restore_note in pay_once.meta is not a note of a restore: {error}"))?;
        for psp in &expected.psps {
            let open = note.all().filter(|note| !note.reconciled.contains(psp));
            let losses = open.map(|note| Loss {
                begins_ms: note.loss_begins_at_ms,
                restored_ms: note.restored_at_ms,
            });
            let Some(loss) = losses.reduce(Loss::and) else {
                continue;
            };
            let covers = |declared: &Loss| declared.and(loss) == *declared;
            if !expected.losses.get(psp).is_some_and(covers) {
                let (begins, restored) = (loss.begins_ms.get(), loss.restored_ms.get());
                return Err(format!(
                    "a server has noted that payments may be missing since a restore: write \"loss\": {{\"begins_ms\": {begins}, \"restored_ms\": {restored}}} for the PSP {psp:?} into config, until its payments are compared and a server was started with --reconciled {psp}:{restored}"
                ));
            }
        }
        Ok(())
    }
}

impl RestoreNote {
    fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.earlier)
    }
}

/// Notes whose database it is and which one, unless that is noted.
pub(super) async fn note(link: &Link, expected: &Expected) -> Result<(), StoreError> {
    let statement = format!(
        "INSERT INTO pay_once.meta (name, value)
        SELECT 'installation', $1::text UNION ALL SELECT 'system', tables || '/' || timeline FROM (SELECT {IDENTITY}) AS found (tables, timeline)
        ON CONFLICT (name) DO NOTHING"
    );
    let values = vec![Value::Str(expected.installation.clone())];
    let noted = link.run(&statement, values).await;
    noted.map(drop).map_err(|failure| unavailable(&failure))
}

/// Tries the statements of the swap in one transaction, which leaves nothing behind and waits for no sync. The server tries them on two
/// connections as well; here a transaction ends with its statement.
pub(super) async fn probe(link: &Link) -> Result<(), StoreError> {
    // No attempt has this id: it is no digest.
    let insert = |version: u8| {
        format!(
            "EXECUTE $swap${INSERT_ONE}$swap$ USING id, {version}::bigint, NULL::bigint, id, NULL::text, NULL::text, NULL::text, NULL::bigint;
            GET DIAGNOSTICS n = ROW_COUNT; applied := applied || n;"
        )
    };
    let update = |expected: u8, version: u8| {
        format!(
            "EXECUTE $swap${UPDATE_ONE}$swap$ USING id, {version}::bigint, NULL::bigint, id, NULL::text, NULL::text, NULL::text, NULL::bigint, {expected}::bigint;
            GET DIAGNOSTICS n = ROW_COUNT; applied := applied || n;"
        )
    };
    let steps = [insert(1), insert(2), update(2, 3), update(1, 2), update(1, 2)].concat();
    let statement = format!(
        "DO $probe$ DECLARE id bytea := decode(repeat('00', 16), 'hex'); applied text := ''; n bigint;
        BEGIN
            PERFORM set_config('synchronous_commit', 'off', true);
            BEGIN
                {steps}
                RAISE SQLSTATE 'PO001';
            EXCEPTION WHEN SQLSTATE 'PO001' THEN NULL;
            END;
            IF applied <> '10010' THEN
                RAISE EXCEPTION USING ERRCODE = '{NO_SWAP}', MESSAGE = applied;
            END IF;
        END $probe$"
    );
    match link.run(&statement, Vec::new()).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.code.as_deref() == Some(NO_SWAP) => Err(StoreError::Unsafe(format!(
            "the probe of the swap failed: two inserts and three updates were applied {} times, and 10010 is right",
            failure.text
        ))),
        Err(failure) => Err(StoreError::Unavailable(format!(
            "the store's probe: {}",
            failure.text
        ))),
    }
}

pub(super) fn unavailable(failure: &Failure) -> StoreError {
    StoreError::Unavailable(failure.text.clone())
}

#[cfg(test)]
mod tests {
    use pay_once_postgres_sql::FORM;

    use super::*;

    fn loss(begins: u64, restored: u64) -> Loss {
        Loss {
            begins_ms: UnixMillis::new(begins),
            restored_ms: UnixMillis::new(restored),
        }
    }

    fn expected() -> Expected {
        Expected {
            installation: "shop".to_owned(),
            identity: None,
            psps: vec!["p".to_owned(), "q".to_owned()],
            losses: BTreeMap::new(),
        }
    }

    fn form(number: i64, oldest: i64) -> Option<Form> {
        Some(Form { number, oldest })
    }

    fn found() -> Found {
        let on = || "on".to_owned();
        Found {
            settings: Settings {
                is_standby: false,
                fsync: on(),
                full_page_writes: on(),
                synchronous_commit: on(),
                read_only: "off".to_owned(),
                version: 150_004,
                standbys: String::new(),
            },
            identity: Identity {
                tables: "7.5.16390".to_owned(),
                timeline: "00000001".to_owned(),
            },
            form: form(FORM, 1),
            installation: Some("shop".to_owned()),
            system: Some("7.5.16390/00000001".to_owned()),
            restore_note: None,
        }
    }

    #[test]
    fn a_database_is_that_of_before_or_the_one_that_an_operator_vouches_for() {
        assert_eq!(found().judge(&expected()), Ok(true));
        let new = Found {
            system: None,
            ..found()
        };
        assert_eq!(new.judge(&expected()), Ok(false));
        let promoted = Found {
            system: Some("7.5.16390/00000000".to_owned()),
            ..found()
        };
        let why = promoted.judge(&expected()).unwrap_err();
        assert!(
            why.contains("Start a server") && why.contains("postgres_identity to 7.5.16390/00000001"),
            "{why}"
        );
        let vouched = |word: &str| Expected {
            identity: Some(word.to_owned()),
            ..expected()
        };
        assert_eq!(promoted.judge(&vouched("7.5.16390/00000001")), Ok(true));
        assert!(
            found().judge(&vouched("7.5.16390/00000000")).is_err(),
            "the next restore"
        );
    }

    #[test]
    fn tables_and_installation_are_those_of_this_build_and_deployment() {
        let refused = |found: Found, word: &str| {
            let why = found.judge(&expected()).unwrap_err();
            assert!(why.contains(word), "{why}");
        };
        refused(
            Found {
                form: None,
                ..found()
            },
            "pay-once migrate",
        );
        refused(
            Found {
                form: form(FORM - 1, 1),
                ..found()
            },
            "pay-once migrate",
        );
        refused(
            Found {
                installation: Some("other".to_owned()),
                ..found()
            },
            "\"other\"",
        );
        let mut unsynced = found();
        unsynced.settings.fsync = "off".to_owned();
        refused(unsynced, "fsync is off");
        refused(
            Found {
                form: form(FORM + 1, FORM + 1),
                ..found()
            },
            "use a later build",
        );
        let later = Found {
            form: form(FORM + 1, FORM),
            ..found()
        };
        assert_eq!(later.judge(&expected()), Ok(true));
    }

    #[test]
    fn a_loss_that_a_server_has_noted_must_be_configured() {
        let note = r#"{"epoch": 2, "restored_at_ms": 60, "loss_begins_at_ms": 50, "commits": 0, "reconciled": ["q"],
            "earlier": [{"epoch": 1, "restored_at_ms": 20, "loss_begins_at_ms": 10, "commits": 0, "reconciled": ["p", "q"]}]}"#;
        let restored = Found {
            restore_note: Some(note.to_owned()),
            ..found()
        };
        let with = |losses: &[(&str, Loss)]| Expected {
            losses: losses
                .iter()
                .map(|(psp, loss)| ((*psp).to_owned(), *loss))
                .collect(),
            ..expected()
        };
        for short in [
            &[][..],
            &[("q", loss(50, 60))],
            &[("p", loss(51, 60))],
            &[("p", loss(50, 59))],
        ] {
            let why = restored.judge(&with(short)).unwrap_err();
            assert!(why.contains(r#""begins_ms": 50, "restored_ms": 60"#), "{why}");
        }
        for enough in [loss(50, 60), loss(40, 70)] {
            assert_eq!(restored.judge(&with(&[("p", enough)])), Ok(true));
        }
    }
}
