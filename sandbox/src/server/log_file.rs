//! The ledger's log: a file of JSON lines, appended before anything is answered.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::ledger::entry::LogEntry;

const FILE_NAME: &str = "sandbox-ledger.jsonl";
const FORMAT: &str = "pay-once-sandbox-ledger";
const VERSION: u32 = 1;

/// The first line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
}

/// An open log. It is locked: one process at a time.
///
/// A line is handed to the operating system by one `write` and not synced. The promise is to survive the death
/// of the process (`kill -9`), for which the page cache is enough; against loss of power a sandbox ledger is not
/// worth a disk flush per call, which would also throttle the very program under test.
pub(super) struct LogFile {
    file: File,
    line: Vec<u8>,
}

impl LogFile {
    /// Opens the log in `dir`, making both if need be, and gives every entry to `take_in`, oldest first. An
    /// unfinished last line is what a crash in the middle of a write leaves; nobody was answered, so it is cut off.
    ///
    /// # Errors
    /// `WouldBlock` when another process has it; `InvalidData`, with line number, for any other broken line.
    pub(super) fn open(dir: &Path, mut take_in: impl FnMut(LogEntry)) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join(FILE_NAME);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("{} is in use by another process", path.display());
                return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let corrupt = |number: u64, reason: &dyn std::fmt::Display| {
            let message = format!("{}, line {number}: {reason}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        };

        let mut reader = BufReader::with_capacity(1 << 20, &file);
        let (mut line, mut good_bytes, mut number) = (Vec::new(), 0_u64, 0_u64);
        loop {
            line.clear();
            let read_bytes = reader.read_until(b'\n', &mut line)?;
            if read_bytes == 0 || line.last() != Some(&b'\n') {
                break;
            }
            number += 1;
            if number == 1 {
                let header: Header = serde_json::from_slice(&line).map_err(|error| corrupt(1, &error))?;
                if header.format != FORMAT || header.version != VERSION {
                    let reason = format!("{} version {} is not known here", header.format, header.version);
                    return Err(corrupt(1, &reason));
                }
            } else {
                take_in(serde_json::from_slice(&line).map_err(|error| corrupt(number, &error))?);
            }
            good_bytes += read_bytes as u64;
        }
        drop(reader);

        let mut log = Self {
            file,
            line: Vec::new(),
        };
        log.file.set_len(good_bytes)?;
        log.file.seek(SeekFrom::End(0))?;
        if number == 0 {
            log.write_line(&Header {
                format: FORMAT.to_owned(),
                version: VERSION,
            })?;
        }
        Ok(log)
    }

    /// Appends one entry.
    ///
    /// # Errors
    /// As of writing. What was written is then unknown; the log must not be used any more.
    pub(super) fn append(&mut self, entry: &LogEntry) -> io::Result<()> {
        self.write_line(entry)
    }

    fn write_line(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, value)?;
        self.line.push(b'\n');
        self.file.write_all(&self.line)
    }
}
