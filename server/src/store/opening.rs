//! Whether a data directory may be served: the database against its high-water mark, and what an operator says of a loss.

use rusqlite::{Connection, ErrorCode};

use crate::store::files::{Place, open_private};
use crate::store::health::now_ms;
use crate::store::mark::{Mark, Position};
use crate::store::note::{RestoreNote, read_note, write_note};
use crate::store::reindex::{Which, reindex};
use crate::store::schema::{FORM, belongs_to, bring_up, connect, form, newer, position, probe, set_epoch};
use crate::store::verify::{at_start, lost};

/// What an operator says of a store that is opened.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Writes since this time may be lost, in milliseconds since the Unix epoch: the store goes on from what is there, in an epoch
    /// of its own.
    pub suspect_loss_since_ms: Option<u64>,
    /// The database's pages are not checked.
    pub skip_check: bool,
}

/// A database that may be served, its mark, and where in its life it is.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) mark: Mark,
    pub(crate) position: Position,
}

/// Opens, or makes, the database of a directory whose lock is held.
///
/// # Errors
/// Why the directory may not be served, and what to do.
pub(crate) fn open(place: &Place, installation: &str, opening: &Opening) -> Result<Opened, String> {
    let dir = place.dir().display();
    let refused = |why: String| format!("the store in {dir} is refused: {why}");
    let known = match Mark::read(&place.mark()) {
        Ok(known) => known,
        // The operator's word stands for a mark that says nothing.
        Err(_) if opening.suspect_loss_since_ms.is_some() => None,
        Err(why) => return Err(refused(format!("{why}. {}", advice()))),
    };
    let path = place.database();
    let cannot = |error: &dyn std::fmt::Display| format!("the store cannot be opened in {dir}: {error}");
    open_private(&path).map_err(|error| cannot(&error))?;
    let damaged = |why: &dyn std::fmt::Display| {
        refused(format!(
            "the database is damaged: {why}. `pay-once check --data {dir}` says more. Restore a backup with `pay-once restore`"
        ))
    };
    let mut connection = connect(&path).map_err(|error| damaged(&error))?;
    let found = match form(&connection).map_err(|error| damaged(&error))? {
        0 => None,
        1..=FORM => Some(position(&connection).map_err(|error| damaged(&error))?),
        other => return Err(refused(newer(other))),
    };
    let loss = match (&known, &found) {
        // New, of an older build, or one whose making was cut off.
        (None, None) => None,
        (Some(known), None) if known.commits == 0 => None,
        (Some(known), None) => Some(format!(
            "{} commits were acknowledged, and the database is empty or of an older build",
            known.commits
        )),
        (None, Some(_)) => Some(format!(
            "its high-water mark {} is missing",
            place.mark().display()
        )),
        (Some(known), Some(found)) => lost(known, found),
    };
    let mark = Mark::open(place).map_err(|error| cannot(&error))?;
    let position = match (loss, opening.suspect_loss_since_ms) {
        (Some(loss), None) => return Err(refused(format!("{loss}. {}", advice()))),
        (None, None) => first_or(&found, known)?,
        (None, Some(since_ms)) if is_noted(place, since_ms)? => first_or(&found, known)?,
        // The argument may have been left in the command line. It was meant for the loss before.
        (Some(loss), Some(since_ms)) if is_noted(place, since_ms)? => {
            return Err(refused(format!(
                "{loss}. --suspect-loss-since has the time of an earlier loss, which restore.toml has noted: remove it, and then choose. {}",
                advice()
            )));
        }
        (_, Some(since_ms)) if since_ms > now_ms() => {
            return Err(refused(
                "--suspect-loss-since is later than now; give a time that is certainly before the loss"
                    .to_owned(),
            ));
        }
        (_, Some(since_ms)) => {
            let epoch = known.iter().chain(&found).map(|position| position.epoch).max();
            let mut next = first_or(&found, known)?;
            next.epoch = epoch.unwrap_or_default() + 1;
            if found.is_none() {
                next.commits = 0;
            }
            let before = [read_note(place)?, None];
            let note = RestoreNote::begin((next.epoch, next.commits), since_ms, 0, before)?;
            write_note(place, &note)?;
            tracing::warn!(
                epoch = next.epoch,
                loss_begins_at_ms = since_ms,
                "the store goes on after a suspected loss"
            );
            next
        }
    };
    if found.as_ref() != Some(&position) || mark_differs(place, &position) {
        // The mark before the database: cut off in between, they differ, and the next start says so.
        mark.set(place, &position).map_err(|error| cannot(&error))?;
    }
    // A full disk says nothing of the database, and no backup has to be restored for it.
    let failed = |error: &rusqlite::Error| {
        let of_the_place = [
            ErrorCode::DiskFull,
            ErrorCode::SystemIoFailure,
            ErrorCode::DatabaseBusy,
            ErrorCode::DatabaseLocked,
            ErrorCode::ReadOnly,
        ];
        match error.sqlite_error_code() {
            Some(code) if of_the_place.contains(&code) => cannot(error),
            _ => damaged(error),
        }
    };
    bring_up(&mut connection, &position).map_err(|error| failed(&error))?;
    // SQLite does not make the name of a new log durable.
    place.sync().map_err(|error| cannot(&error))?;
    if found.as_ref().is_some_and(|found| found.epoch != position.epoch) {
        set_epoch(&connection, position.epoch).map_err(|error| failed(&error))?;
    }
    if !opening.skip_check {
        at_start(&connection).map_err(|why| damaged(&why))?;
    }
    // Of a store of an older build: all of it.
    reindex(&mut connection, Which::Missing, |done| {
        tracing::info!(done, "records of an older build are indexed for the search");
    })
    .map_err(|error| failed(&error))?;
    probe(&connection).map_err(refused)?;
    belongs_to(&connection, installation).map_err(refused)?;
    Ok(Opened {
        connection,
        mark,
        position,
    })
}

fn first_or(found: &Option<Position>, known: Option<Position>) -> Result<Position, String> {
    found.clone().or(known).map_or_else(Position::first, Ok)
}

fn is_noted(place: &Place, since_ms: u64) -> Result<bool, String> {
    Ok(read_note(place)?.is_some_and(|note| note.has_loss_since(since_ms)))
}

fn mark_differs(place: &Place, position: &Position) -> bool {
    !matches!(Mark::read(&place.mark()), Ok(Some(mark)) if mark == *position)
}

fn advice() -> String {
    "Acknowledged payments may be missing, and a payment that is missing can be made twice. If this database was put here by hand, or is all that is left, choose: `pay-once restore FILE` restores a backup; `pay-once --suspect-loss-since TIME` serves what is here and notes that what was written since TIME (for example 2026-11-29T10:00:00Z) may be missing".to_owned()
}
