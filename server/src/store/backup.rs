//! A backup of a store, taken beside its running server: SQLite's online backup from one read snapshot, checked record by
//! record, in one file for its owner alone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OptionalExtension, params};

use crate::store::files::{Place, open_private};
use crate::store::health::now_ms;
use crate::store::mark::Position;
use crate::store::note::{RestoreNote, read_note};
use crate::store::schema::{FORM, connect_to_read, form, newer, position};
use crate::store::verify::{Report, database};

/// Pages that are copied between two reports of progress: 16 MiB.
const STEP_PAGES: i32 = 4_096;

const NOTE: &str =
    "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const NOTED: &str = "SELECT value FROM meta WHERE name = ?1";
/// When the backup was taken.
const TIME: &str = "backup_at_ms";
/// What the store had lost by then, as in its note.
const LOSSES: &str = "backup_losses";

/// A backup that has been made, or is to be restored.
#[derive(Debug)]
pub struct BackupFile {
    /// What was acknowledged before this time is in it, in milliseconds since the Unix epoch: when its snapshot was taken, or when its newest
    /// entry was written, whichever is earlier.
    pub at_ms: u64,
    /// When the newest entry in it was written, in milliseconds since the Unix epoch.
    pub newest_ms: u64,
    /// Records in it.
    pub records: u64,
    /// Where the store was.
    pub position: Position,
    /// What the store had lost by then.
    pub losses: Option<RestoreNote>,
}

/// Backs up the store of `place` into `file`, which must not exist. `progress` hears of (done, all) in the unit that it is told.
///
/// # Errors
/// A sentence that says what is wrong and what to do. No file is left under the name then.
pub fn back_up(
    place: &Place,
    file: &Path,
    mut progress: impl FnMut(&str, u64, u64),
) -> Result<BackupFile, String> {
    if file.exists() {
        return Err(format!(
            "{} exists already. A backup overwrites nothing: choose another name",
            file.display()
        ));
    }
    let source = place.database();
    if !source.exists() {
        return Err(format!(
            "{} does not exist: there is no store to back up. Name the data directory with --data",
            source.display()
        ));
    }
    let draft = draft_of(file);
    remove(&draft)?;
    let losses = read_note(place)?;
    let done = copy(&source, &draft, losses.as_ref(), &mut progress)
        .and_then(|()| inspect(&draft, |done, all| progress("records checked", done, all)))
        .and_then(|backup| {
            // Under its name only once it is whole: whoever finds the name has a backup.
            let named = fs::rename(&draft, file).and_then(|()| sync_parent(file));
            named.map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
            Ok(backup)
        });
    remove(&draft)?;
    done
}

/// Checks a backup, record by record.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn inspect(file: &Path, progress: impl FnMut(u64, u64)) -> Result<BackupFile, String> {
    let Report {
        records,
        newest_ms,
        position,
        problems,
        misindexed: _,
    } = database(file, progress)?;
    if !problems.is_empty() {
        return Err(format!("{} is damaged: {}", file.display(), problems.join("; ")));
    }
    let cannot = |error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", file.display());
    let noted = |name: &str| {
        let backup = connect_to_read(file)?;
        backup
            .query_row(NOTED, [name], |row| row.get::<_, String>(0))
            .optional()
    };
    let losses = noted(LOSSES).map_err(|error| cannot(&error))?;
    let losses = losses.map(|text| toml::from_str(&text)).transpose();
    let losses = losses.map_err(|error| cannot(&error))?;
    let at_ms = noted(TIME).map_err(|error| cannot(&error))?;
    let at_ms = at_ms.and_then(|text| text.parse::<u64>().ok()).ok_or_else(|| {
        format!(
            "{} was not made by `pay-once backup`: it does not say when it was taken. If it is a database file that was copied by hand, put it in place and start with --suspect-loss-since",
            file.display()
        )
    })?;
    Ok(BackupFile {
        // The server's clock wrote the entries, and this machine's clock may have been ahead of it.
        at_ms: if newest_ms > 0 {
            at_ms.min(newest_ms)
        } else {
            at_ms
        },
        newest_ms,
        records,
        position,
        losses,
    })
}

fn copy(
    source: &Path,
    draft: &Path,
    losses: Option<&RestoreNote>,
    progress: &mut impl FnMut(&str, u64, u64),
) -> Result<(), String> {
    let failed = |error: rusqlite::Error| format!("the backup failed: {error}");
    open_private(draft).map_err(|error| format!("{} cannot be made: {error}", draft.display()))?;
    let source = connect_to_read(source).map_err(failed)?;
    // Before the snapshot: what is acknowledged later may be missing.
    let at_ms = now_ms();
    // One snapshot for all steps: otherwise each commit of the server would begin the copy anew.
    let snapshot = source.unchecked_transaction().map_err(failed)?;
    match form(&snapshot).map_err(failed)? {
        1..=FORM => {}
        0 => {
            return Err(
                "the store is of an older build: start the server once, which brings it up to date"
                    .to_owned(),
            );
        }
        other => return Err(newer(other)),
    }
    position(&snapshot).map_err(failed)?;
    let mut target = Connection::open(draft).map_err(failed)?;
    {
        let backup = Backup::new(&snapshot, &mut target).map_err(failed)?;
        loop {
            let step = backup.step(STEP_PAGES).map_err(failed)?;
            let now = backup.progress();
            let pages = |count: i32| u64::try_from(count).unwrap_or_default();
            progress(
                "pages copied",
                pages(now.pagecount - now.remaining),
                pages(now.pagecount),
            );
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => std::thread::sleep(std::time::Duration::from_millis(10)),
            }
        }
    }
    // One file, which needs no log beside it.
    target
        .query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
        .and_then(|()| target.execute(NOTE, params![TIME, at_ms.to_string()]))
        .map_err(failed)?;
    if let Some(losses) = losses {
        let noted = target.execute(NOTE, params![LOSSES, losses.to_toml()]);
        noted.map_err(failed)?;
    }
    target.close().map_err(|(_, error)| failed(error))?;
    let synced = File::open(draft).and_then(|file| file.sync_all());
    synced.map_err(|error| format!("{} cannot be synced: {error}", draft.display()))
}

fn draft_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("{} cannot be removed: {error}", path.display())),
    }
}

fn sync_parent(file: &Path) -> std::io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
