//! The high-water mark: how many commits the store has acknowledged, kept outside the database and its log. A database that
//! has fewer has lost some of them, and says so at the next start instead of serving what is left.
//!
//! The mark is written after each commit and before its swaps are acknowledged, without a sync of its own: what a killed
//! process wrote is kept by the operating system. It is synced every half second. So, as long as the machine runs, every lost
//! acknowledged commit shows. After a power cut the mark may be half a second old, and a loss within that time shows only if
//! more was lost.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use crate::store::files::{Place, open_private};

/// Two copies are written in turn, a sector each: one of them is whole whenever the power goes.
const SLOT_BYTES: usize = 512;
const SLOTS: u64 = 2;

/// Where in its life a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The store's own name: random, for life, in 32 hexadecimal digits.
    pub store: String,
    /// One more after each restore.
    pub epoch: u64,
    /// Commits since the store was made.
    pub commits: u64,
}

impl Position {
    /// The first position of a new store.
    ///
    /// # Errors
    /// The operating system gives no randomness.
    pub fn first() -> Result<Self, String> {
        let mut name = [0; 16];
        getrandom::fill(&mut name)
            .map_err(|error| format!("the operating system gives no randomness: {error}"))?;
        Ok(Self {
            store: name.iter().map(|byte| format!("{byte:02x}")).collect(),
            epoch: 1,
            commits: 0,
        })
    }

    fn to_slot(&self) -> [u8; SLOT_BYTES] {
        let line = format!(
            "pay-once mark 1 store={} epoch={} commits={}",
            self.store, self.epoch, self.commits
        );
        let line = format!("{line} sum={}\n", sum(&line));
        let mut slot = [b'\n'; SLOT_BYTES];
        for (to, from) in slot.iter_mut().zip(line.bytes()) {
            *to = from;
        }
        slot
    }

    fn from_slot(slot: &[u8]) -> Option<Self> {
        let line = str::from_utf8(slot).ok()?.lines().next()?;
        let (line, found) = line.split_once(" sum=")?;
        if sum(line) != found {
            return None;
        }
        let mut words = line.strip_prefix("pay-once mark 1 ")?.split(' ');
        let mut word = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        Some(Self {
            store: word("store")?.to_owned(),
            epoch: word("epoch")?.parse().ok()?,
            commits: word("commits")?.parse().ok()?,
        })
    }
}

fn sum(line: &str) -> String {
    let digest = Sha256::digest(line.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The mark of an open store.
#[derive(Debug)]
pub struct Mark {
    file: File,
    written: AtomicU64,
    is_synced: AtomicBool,
}

impl Mark {
    /// Opens the file of the mark, or makes it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(place: &Place) -> io::Result<Self> {
        Ok(Self {
            file: open_private(&place.mark())?,
            written: AtomicU64::new(0),
            is_synced: AtomicBool::new(true),
        })
    }

    /// What the mark of a directory says, if there is one.
    ///
    /// # Errors
    /// The file cannot be read, or neither of its copies is whole.
    pub fn read(path: &Path) -> Result<Option<Position>, String> {
        let bytes = match fs::read(path) {
            Ok(bytes) if bytes.is_empty() => return Ok(None),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(format!(
                    "the high-water mark {} cannot be read: {error}",
                    path.display()
                ));
            }
        };
        let newest = bytes
            .chunks(SLOT_BYTES)
            .filter_map(Position::from_slot)
            .max_by_key(|position| (position.epoch, position.commits));
        newest.map(Some).ok_or_else(|| {
            format!(
                "the high-water mark {} is damaged: neither of its two copies is whole",
                path.display()
            )
        })
    }

    /// Writes the mark over the older copy, without a sync.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write(&self, position: &Position) -> io::Result<()> {
        let nth = self.written.fetch_add(1, Ordering::Relaxed);
        let offset = (nth % SLOTS) * SLOT_BYTES as u64;
        self.file.write_all_at(&position.to_slot(), offset)?;
        self.is_synced.store(false, Ordering::Release);
        Ok(())
    }

    /// Makes durable what was written.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn sync(&self) -> io::Result<()> {
        if self.is_synced.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.file
            .sync_data()
            .inspect_err(|_| self.is_synced.store(false, Ordering::Release))
    }

    /// Writes both copies, durably, the file's name included: for a start, when nothing may be left of an older position.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn set(&self, place: &Place, position: &Position) -> io::Result<()> {
        for _ in 0..SLOTS {
            self.write(position)?;
            self.sync()?;
        }
        place.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_says_what_was_written_and_a_damaged_one_nothing() {
        let position = Position {
            store: "00ff".repeat(8),
            epoch: 3,
            commits: 12_345,
        };
        let slot = position.to_slot();
        assert_eq!(Position::from_slot(&slot), Some(position));
        let end = slot.iter().position(|byte| *byte == b'\n').unwrap();
        for at in 0..end {
            let mut damaged = slot;
            damaged[at] ^= 1;
            assert_eq!(Position::from_slot(&damaged), None, "byte {at}");
        }
        assert_eq!(Position::from_slot(&[0; SLOT_BYTES]), None);
    }
}
