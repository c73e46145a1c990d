//! What operators do beside a server: `check`, `config check`, `migrate`, `reindex`, `backup`, `restore`. They work on files and databases, not through a server.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;

use crate::config_check::config_check;
use crate::postgres;
use crate::postgres::connect::Database;
use crate::postgres::store::bring_up;
use crate::store::backup::back_up;
use crate::store::files::Place;
use crate::store::reindex::reindex_directory;
use crate::store::restore::restore;
use crate::store::verify::directory;

/// A command beside serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Verifies the store: every page, every record, and that no acknowledged commit is missing.
    #[command(after_help = CHECK_HELP)]
    Check,
    /// Reads a configuration file, and says what it means or what is wrong with it.
    #[command(after_help = CONFIG_HELP)]
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Makes the tables in the database of --store, or brings them to this build's form. Servers may run meanwhile.
    #[command(after_help = MIGRATE_HELP)]
    Migrate,
    /// Makes what a search finds attempts by anew, from the records.
    #[command(after_help = REINDEX_HELP)]
    Reindex,
    /// Writes a backup of the store into one file, also beside a running server.
    #[command(after_help = BACKUP_HELP)]
    Backup {
        /// The file to write. It must not exist.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Makes a backup the store of a data directory that no server is running in.
    #[command(after_help = RESTORE_HELP)]
    Restore {
        /// A file that `pay-once backup` wrote.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Replaces the store that is there. Its database is kept as replaced-EPOCH.sqlite3.
        #[arg(long)]
        force: bool,
    },
}

/// What can be done with a configuration file.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Checks it as a start or a reload would, and changes nothing.
    #[command(after_help = CONFIG_HELP)]
    Check {
        /// The file (TOML).
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Does not fetch the secrets that the file names: for a machine that does not have them.
        #[arg(long)]
        without_secrets: bool,
    },
}

const CONFIG_HELP: &str = "\
Run it in the server's environment, so that the secrets are found. No secret is shown.
The exit code is 0 if the file is in order, and 1 if a start would refuse it. The store is not looked at.

  pay-once config check pay-once.toml
  pay-once config check --without-secrets pay-once.toml   # before it is deployed";

const MIGRATE_HELP: &str = "\
Each form only adds to the one before, so that servers of the build before go on. Run it before the first server of a new build starts, as \
the owner of the schema pay_once. A role that serves needs SELECT, INSERT and UPDATE on its tables.

  PAY_ONCE_STORE=postgres://ada@db.example/shop pay-once migrate";

const REINDEX_HELP: &str = "\
What a search finds follows from the records and decides nothing. It is written with them, and a start adds what an older build has not \
written. `pay-once check` says whether this command is needed.
In a data directory no server may be running. In a database any number may.

  pay-once reindex --data /var/lib/pay-once
  PAY_ONCE_STORE=postgres://ada@db.example/shop pay-once reindex";

const CHECK_HELP: &str = "\
Reads only, from one moment, and may run beside the server. Run it as the server's user.
The exit code is 0 if the store is sound, and 1 if it is damaged or cannot be read.

  pay-once check --data /var/lib/pay-once";

const BACKUP_HELP: &str = "\
The database file must not be copied with cp while a server runs: its newest records are in the log beside it. \
A backup is one consistent moment. It is checked record by record before it gets its name, and has mode 0600. \
Run it as the server's user, often, and keep the file on another machine: what is written after the backup is what a restore loses.

  pay-once backup --data /var/lib/pay-once /mnt/backup/pay-once-$(date +%s).sqlite3";

const RESTORE_HELP: &str = "\
What was written after the backup is missing from the restored store, and the PSP may hold money for it. \
The restore notes this in restore.toml: from when to when writes may be missing, and the store's new epoch. \
The server then asks the PSP before it sends anything for a payment that may be missing.

Without --force the directory must be empty. Stop the socket as well: a connection would start the service.

  systemctl stop pay-once.socket pay-once.service
  sudo -u pay-once pay-once restore --force --data /var/lib/pay-once \\
    /mnt/pay-once.sqlite3
  systemctl start pay-once.socket pay-once.service";

/// Runs a command on a data directory. Progress goes to standard error, the verdict to standard output.
///
/// # Errors
/// A sentence that says what is wrong and what to do.
pub fn run(command: &Command, data: &Path, database: Option<&Database>) -> Result<(), String> {
    let place = Place::new(data);
    match (command, database) {
        (Command::Check | Command::Backup { .. } | Command::Restore { .. }, Some(_)) => {
            return Err("this command is for a data directory. PostgreSQL has its own: pg_amcheck, pg_basebackup, and restores to a point in time".to_owned());
        }
        (Command::Migrate, None) => {
            return Err("name the database with --store, or PAY_ONCE_STORE".to_owned());
        }
        _ => {}
    }
    match command {
        Command::Migrate => {
            if let Some(database) = database {
                say(&bring_up(database)?);
            }
            Ok(())
        }
        Command::Check => check(&place),
        Command::Reindex => {
            let progress = |done| eprintln!("records: {done}");
            let done = match database {
                Some(database) => postgres::reindex::all(database, progress)?,
                None => reindex_directory(&place, progress)?,
            };
            say(&format!(
                "{} records; the search entries of {} were wrong or missing, and are right now.",
                done.records, done.changed
            ));
            Ok(())
        }
        Command::Config {
            command:
                ConfigCommand::Check {
                    file,
                    without_secrets,
                },
        } => {
            say(&config_check(file, *without_secrets)?);
            Ok(())
        }
        Command::Backup { file } => {
            let backup = back_up(&place, file, report)?;
            say(&format!(
                "{}: {} records at {}, epoch {}, {} commits; checked",
                file.display(),
                backup.records,
                time(backup.at_ms),
                backup.position.epoch,
                backup.position.commits
            ));
            Ok(())
        }
        Command::Restore { file, force } => {
            let restored = restore(&place, file, *force, |done, all| {
                report("records checked", done, all)
            })?;
            say(&format!(
                "{} has the {} records of {} now, in epoch {}.",
                data.display(),
                restored.backup.records,
                time(restored.backup.at_ms),
                restored.note.epoch
            ));
            if let Some(kept) = restored.replaced {
                say(&format!(
                    "The database that was there is kept as {}.",
                    kept.display()
                ));
            }
            say(&format!(
                "\nWhat was written between {} and {} is missing ({}). The PSP may hold money for it. The server serves this\nstore in restore mode: it asks the PSP before it sends anything for a payment whose entries may be missing, and parks what it\ncannot ask. Compare the payments of each PSP of that time with the store, and end its mode with --reconciled PSP:{}.",
                time(restored.note.loss_begins_at_ms),
                time(restored.note.restored_at_ms),
                place.restore_note().display(),
                restored.note.restored_at_ms
            ));
            Ok(())
        }
    }
}

fn check(place: &Place) -> Result<(), String> {
    let found = directory(place, |done, all| report("records checked", done, all))?;
    if found.problems.is_empty() {
        say(&format!(
            "{} is sound: {} records, epoch {}, {} commits",
            place.dir().display(),
            found.records,
            found.position.epoch,
            found.position.commits
        ));
        if found.misindexed > 0 {
            say(&format!(
                "A search does not find {} of them as it should: run `pay-once reindex`.",
                found.misindexed
            ));
        }
        return Ok(());
    }
    for problem in &found.problems {
        say(problem);
    }
    Err(format!(
        "{} is damaged: see the lines above. Keep the directory as it is, and restore a backup with `pay-once restore`",
        place.dir().display()
    ))
}

fn report(what: &str, done: u64, all: u64) {
    eprintln!("{what}: {done} of {all}");
}

fn say(line: &str) {
    // Whoever closed our output does not want to know.
    let _ = writeln!(io::stdout(), "{line}");
}

fn time(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |time| format!("{time:.3}"))
}
