//! Whether a database may be used: what is asked, and what its answers mean.

/// The form of the tables that this build makes, and the newest that it knows.
pub const FORM: i64 = 2;

/// What a database without tables is refused with.
pub const NO_TABLES: &str = "the database has no tables of Pay Once: run `pay-once migrate` first";

/// The oldest form whose builds may serve these tables as well. It is raised by a step that does more than add.
pub const FORM_MIN: i64 = 1;

/// Which tables there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Of the newest build that has migrated. 0: there are none.
    pub number: i64,
    /// Of the oldest build that may serve them.
    pub oldest: i64,
}

impl Form {
    /// By the values `form` and `form_min` of `meta`. `None`: there are no tables.
    #[must_use]
    pub fn read(number: Option<&str>, oldest: Option<&str>) -> Option<Self> {
        let parsed = |value: Option<&str>| value.and_then(|value| value.parse().ok());
        Some(Self {
            number: parsed(number)?,
            // A build that wrote no such value only added.
            oldest: parsed(oldest).unwrap_or(1),
        })
    }

    /// Whether this build may serve the tables.
    ///
    /// # Errors
    /// One sentence that says what to do.
    pub fn is_served(self) -> Result<(), String> {
        let Self { number, oldest } = self;
        if number < FORM {
            return Err(format!(
                "the tables have form {number} and this build needs {FORM}: run `pay-once migrate` first"
            ));
        }
        if oldest > FORM {
            return Err(format!(
                "the tables have form {number}, which builds of form {oldest} or later can serve, and this build is of form {FORM}: use a later build"
            ));
        }
        Ok(())
    }
}

/// What a database of another installation is refused with.
#[must_use]
pub fn foreign(found: Option<&str>, installation: &str) -> String {
    format!(
        "the database belongs to the installation {found:?}, and the configuration says {installation:?}: under another name no attempt is found, and a retry is a new payment"
    )
}

/// Columns of a query: the members of [`Settings`], in their order.
pub const SETTINGS: &str = "
pg_is_in_recovery(), current_setting('fsync'), current_setting('full_page_writes'),
current_setting('synchronous_commit'), current_setting('transaction_read_only'),
current_setting('server_version_num')::int, current_setting('synchronous_standby_names')";

/// Columns of a query: the members of [`Identity`]. A standby has no log to write to, and no second one.
pub const IDENTITY: &str = "
(SELECT system_identifier FROM pg_control_system())::text
    || '.' || (SELECT oid FROM pg_database WHERE datname = current_database())
    || '.' || coalesce(to_regclass('pay_once.records')::oid, 0),
CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END";

/// What a commit of a session is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// It cannot be written to, and lags behind.
    pub is_standby: bool,
    /// `fsync`.
    pub fsync: String,
    /// `full_page_writes`.
    pub full_page_writes: String,
    /// `synchronous_commit`.
    pub synchronous_commit: String,
    /// `transaction_read_only`.
    pub read_only: String,
    /// `server_version_num`.
    pub version: i32,
    /// `synchronous_standby_names`.
    pub standbys: String,
}

impl Settings {
    /// Whether what the session's commits acknowledge is durable.
    ///
    /// # Errors
    /// One sentence that says what is wrong and what to change.
    pub fn check(&self) -> Result<(), String> {
        if self.is_standby {
            return Err("the database is a standby: name the primary, or all of them with target_session_attrs=read-write".to_owned());
        }
        for (setting, value, bad) in [
            ("fsync", &self.fsync, "off"),
            ("full_page_writes", &self.full_page_writes, "off"),
            ("synchronous_commit", &self.synchronous_commit, "off"),
            ("transaction_read_only", &self.read_only, "on"),
        ] {
            if value == bad {
                return Err(format!(
                    "{setting} is {bad}: what the database acknowledges would not be durable. Change it on the server, or for this user and database"
                ));
            }
        }
        if self.version < 130_000 {
            return Err(format!(
                "PostgreSQL 13 or newer is needed; this is {}",
                self.version / 10_000
            ));
        }
        Ok(())
    }

    /// Whether what it acknowledges is on a standby as well.
    #[must_use]
    pub fn is_replicated(&self) -> bool {
        !self.standbys.is_empty() && ["on", "remote_apply"].contains(&self.synchronous_commit.as_str())
    }
}

/// Which database a connection leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The identifier that `initdb` gave it, and the numbers of the database and of the table: a dump that is read in has other ones.
    pub tables: String,
    /// Its timeline: each promotion of a standby, and each restore to a point in time, begins another one.
    pub timeline: String,
}

impl Identity {
    /// One word for both.
    #[must_use]
    pub fn word(&self) -> String {
        format!("{}/{}", self.tables, self.timeline)
    }

    /// Whether a word of before names the same tables, under any timeline.
    #[must_use]
    pub fn has_tables_of(&self, word: &str) -> bool {
        word.rsplit_once('/')
            .is_some_and(|(tables, _)| tables == self.tables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durable() -> Settings {
        let on = || "on".to_owned();
        Settings {
            is_standby: false,
            fsync: on(),
            full_page_writes: on(),
            synchronous_commit: on(),
            read_only: "off".to_owned(),
            version: 150_004,
            standbys: String::new(),
        }
    }

    #[test]
    fn whatever_makes_a_commit_worth_less_is_named() {
        assert_eq!(durable().check(), Ok(()));
        let off = || "off".to_owned();
        let refused = |settings: Settings, word: &str| {
            let why = settings.check().unwrap_err();
            assert!(why.contains(word), "{why}");
        };
        refused(
            Settings {
                is_standby: true,
                ..durable()
            },
            "standby",
        );
        refused(
            Settings {
                fsync: off(),
                ..durable()
            },
            "fsync is off",
        );
        refused(
            Settings {
                full_page_writes: off(),
                ..durable()
            },
            "full_page_writes is off",
        );
        refused(
            Settings {
                synchronous_commit: off(),
                ..durable()
            },
            "synchronous_commit is off",
        );
        refused(
            Settings {
                read_only: "on".to_owned(),
                ..durable()
            },
            "transaction_read_only is on",
        );
        refused(
            Settings {
                version: 120_020,
                ..durable()
            },
            "this is 12",
        );
    }

    #[test]
    fn a_commit_is_replicated_if_it_waits_for_a_standby() {
        assert!(!durable().is_replicated());
        let standbys = "ANY 1 (a, b)".to_owned();
        assert!(
            Settings {
                standbys: standbys.clone(),
                ..durable()
            }
            .is_replicated()
        );
        let synchronous_commit = "local".to_owned();
        assert!(
            !Settings {
                standbys,
                synchronous_commit,
                ..durable()
            }
            .is_replicated()
        );
    }

    #[test]
    fn an_identity_is_the_tables_and_their_timeline() {
        let identity = Identity {
            tables: "7.5.16390".to_owned(),
            timeline: "00000001".to_owned(),
        };
        assert_eq!(identity.word(), "7.5.16390/00000001");
        assert!(identity.has_tables_of("7.5.16390/00000002"));
        assert!(!identity.has_tables_of("7.5.16391/00000001") && !identity.has_tables_of("7.5.16390"));
    }
}
