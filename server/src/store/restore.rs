//! A backup becomes the store of a data directory. What was written after the backup is missing then, and the directory says
//! so: in the store's epoch, and in `restore.toml`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::store::backup::{BackupFile, inspect};
use crate::store::files::{DirLock, NotLocked, Place, open_private};
use crate::store::mark::{Mark, Position};
use crate::store::note::{RestoreNote, read_note, write_note};
use crate::store::schema::set_epoch;

/// What a restore did.
#[derive(Debug)]
pub struct Restored {
    /// What is in the store now.
    pub backup: BackupFile,
    /// What may be missing.
    pub note: RestoreNote,
    /// Where the database is now that was there before, if there was one.
    pub replaced: Option<PathBuf>,
}

/// Restores the backup `file` into the directory of `place`. A database that is there is kept under another name, and only
/// replaced with `force`.
///
/// Cut off at any point, the directory holds a store that the server refuses, or the old one; the restore can be repeated.
///
/// # Errors
/// A sentence that says what is wrong and what to do.
pub fn restore(
    place: &Place,
    file: &Path,
    force: bool,
    progress: impl FnMut(u64, u64),
) -> Result<Restored, String> {
    let dir = place.dir().display();
    is_of_owner(place)?;
    let _lock = DirLock::take(place).map_err(|why| match why {
        NotLocked::Held => {
            format!("a server is running in {dir}: stop it first, a restore replaces what it serves")
        }
        NotLocked::Failed(why) => why,
    })?;
    let database = place.database();
    let is_empty = !database.exists() && !place.mark().exists();
    if !is_empty && !force {
        return Err(format!(
            "{dir} has a store already. Restore into an empty directory, or replace the store with --force (its database is kept under another name)"
        ));
    }
    let backup = inspect(file, progress)?;
    // A mark that cannot be read is no obstacle for a restore; the epoch is then one more than the backup's.
    let known = Mark::read(&place.mark()).unwrap_or_default();
    let epoch = known.map_or(0, |known| known.epoch).max(backup.position.epoch) + 1;
    let position = Position {
        epoch,
        ..backup.position.clone()
    };
    let note = RestoreNote::begin(
        (epoch, position.commits),
        backup.at_ms,
        backup.newest_ms,
        // What was lost before is as missing as it was, here and in the store that was backed up.
        [backup.losses.clone(), read_note(place)?],
    )?;
    let cannot = |error: &dyn std::fmt::Display| format!("the store in {dir} cannot be restored: {error}");
    let draft = place.dir().join("restoring.sqlite3");
    copy(file, &draft, epoch).map_err(|error| cannot(&error))?;
    write_note(place, &note)?;
    // From here on the old database is refused.
    let mark = Mark::open(place).map_err(|error| cannot(&error))?;
    mark.set(place, &position).map_err(|error| cannot(&error))?;
    let replaced = set_aside(place, epoch).map_err(|error| cannot(&error))?;
    fs::rename(&draft, &database)
        .and_then(|()| place.sync())
        .map_err(|error| cannot(&error))?;
    Ok(Restored {
        backup,
        note,
        replaced,
    })
}

/// Files of another user would be closed to the server, or a store of root's would be.
fn is_of_owner(place: &Place) -> Result<(), String> {
    let Ok(found) = fs::metadata(place.dir()) else {
        return Ok(());
    };
    let user = rustix::process::geteuid().as_raw();
    if found.uid() == user {
        return Ok(());
    }
    Err(format!(
        "{} belongs to user {}, and this is user {user}: run the command as that user, with sudo -u '#{}'",
        place.dir().display(),
        found.uid(),
        found.uid()
    ))
}

fn copy(file: &Path, draft: &Path, epoch: u64) -> Result<(), String> {
    let _ = fs::remove_file(draft);
    let copied = || -> io::Result<()> {
        let mut to = open_private(draft)?;
        io::copy(&mut File::open(file)?, &mut to)?;
        to.sync_all()
    };
    copied().map_err(|error| error.to_string())?;
    let connection = Connection::open(draft).map_err(|error| error.to_string())?;
    set_epoch(&connection, epoch)
        // From here on it is a store, which may be copied by hand, and no backup of that time.
        .and_then(|()| {
            connection.execute(
                "DELETE FROM meta WHERE name IN ('backup_at_ms', 'backup_losses')",
                [],
            )
        })
        .map_err(|error| error.to_string())?;
    connection.close().map_err(|(_, error)| error.to_string())
}

/// Keeps the old database, with its log, under the name of the epoch that replaced it.
fn set_aside(place: &Place, epoch: u64) -> io::Result<Option<PathBuf>> {
    let named = |nth: u32| {
        let suffix = if nth == 1 {
            String::new()
        } else {
            format!("-{nth}")
        };
        place.dir().join(format!("replaced-{epoch}{suffix}.sqlite3"))
    };
    // An epoch comes again if the mark is lost. What was kept then is the only copy of what it has.
    let mut nth = 1;
    while named(nth).exists() && place.database().exists() {
        nth += 1;
    }
    let kept = named(nth);
    let mut kept_log = kept.clone().into_os_string();
    kept_log.push("-wal");
    let kept_log = PathBuf::from(kept_log);
    // The log first: a database without its log would be served as what it is not.
    for (from, to) in [(place.log(), kept_log), (place.database(), kept.clone())] {
        match fs::rename(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let _ = fs::remove_file(place.log_index());
    Ok(kept.exists().then_some(kept))
}
