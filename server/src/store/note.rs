//! What a restore may have lost, noted beside the database: `restore.toml`.

use serde::{Deserialize, Serialize};

use crate::store::files::{Place, replace};

/// Writes that may be missing from the store, since a backup was restored or an operator said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreNote {
    /// The store's epoch since then.
    pub epoch: u64,
    /// When that was, in milliseconds since the Unix epoch.
    pub restored_at_ms: u64,
    /// What was written from this time on, and before [`RestoreNote::restored_at_ms`], may be missing, in milliseconds since the Unix
    /// epoch: the time of the backup.
    pub loss_begins_at_ms: u64,
    /// Commits that the store had then.
    pub commits: u64,
}

/// The note of a data directory, if there is one.
///
/// # Errors
/// A sentence that says what is wrong with the file.
pub fn read_note(place: &Place) -> Result<Option<RestoreNote>, String> {
    let path = place.restore_note();
    match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).map(Some).map_err(|error| {
            format!(
                "{} is not a note of a restore: {}",
                path.display(),
                error.message()
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

/// Writes the note, durably.
///
/// # Errors
/// A sentence that says what is wrong.
pub(crate) fn write_note(place: &Place, note: &RestoreNote) -> Result<(), String> {
    let path = place.restore_note();
    let text = format!(
        "# Written by Pay Once. Writes between these two times may be missing from the store (milliseconds since 1970).\nepoch = {}\nrestored_at_ms = {}\nloss_begins_at_ms = {}\ncommits = {}\n",
        note.epoch, note.restored_at_ms, note.loss_begins_at_ms, note.commits
    );
    replace(place, &path, &text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}
