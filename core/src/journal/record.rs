//! The bytes of a record: the journal of one attempt, hash-chained, versioned and bounded (`docs/store.md`, “The
//! record”). Numbers in parentheses are sizes in bytes.
//!
//! ```text
//! "payonce" version(1) attempt(16) | count(2) { length(2) entry }* | head(32)
//! h(0)   = SHA-256("payonce" version attempt)
//! h(n+1) = SHA-256(h(n) length entry)          head = h(count)
//! ```
//! All integers are big-endian. An entry is the postcard encoding of [`Entry`]. A bit that is changed anywhere is
//! detected when the record is decoded.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::base::id::AttemptId;
use crate::base::limits::{ENTRIES_MAX, RECORD_BYTES_MAX};
use crate::base::version::RecordVersion;
use crate::journal::entry::{Entry, Fact};
use crate::journal::indexed::IndexEntry;
use crate::journal::standing::Standing;
use crate::journal::state::State;
use crate::journal::wire_form::WireForm;

/// Version of the bytes that this build writes and reads.
pub const VERSION: u8 = 1;
const MAGIC: &[u8; 7] = b"payonce";
const HEADER_BYTES: usize = 7 + 1 + 16;
const HEAD_BYTES: usize = 32;
/// Most entries are shorter.
const ENTRY_BYTES_USUAL: usize = 192;

/// A link of the hash chain: a SHA-256 digest.
pub type Link = [u8; 32];

/// The journal of one attempt with its state. Entries are appended and never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    id: AttemptId,
    /// Entries are shared, so that a step does not copy those that it does not change.
    entries: Vec<Arc<Entry>>,
    links: Vec<Link>,
    /// Header and entries as written, without count and head.
    encoded: Vec<u8>,
    state: Arc<State>,
}

/// Why bytes are refused as a record, or why an entry is refused. The stored bytes are left as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// Larger than [`RECORD_BYTES_MAX`].
    TooLarge {
        /// Its size, in bytes.
        bytes: usize,
    },
    /// The bytes do not begin like a record.
    NotARecord,
    /// The record has a version that this build does not read.
    UnknownVersion {
        /// The version in the bytes.
        version: u8,
    },
    /// It is the record of another attempt.
    WrongAttempt {
        /// The attempt whose record was asked for.
        expected: AttemptId,
    },
    /// The bytes end too early, or there are too many.
    WrongLength,
    /// An entry cannot be read: it is damaged, or a newer build wrote it.
    BadEntry {
        /// The index of the entry, from 0.
        index: usize,
    },
    /// The hash chain does not end in the stored head: the bytes were changed.
    ChainBroken,
    /// The entries are not a journal of the attempt: a journal begins with its only `Created`, and the key of that
    /// entry gives the attempt's id.
    NotAJournal,
    /// There is no space for another entry.
    Full,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => write!(
                f,
                "record of {bytes} bytes is over the bound of {RECORD_BYTES_MAX}"
            ),
            Self::NotARecord => write!(f, "bytes do not begin with \"payonce\": not a record"),
            Self::UnknownVersion { version } => {
                write!(
                    f,
                    "record version {version} is not known here (this build reads {VERSION}); run the build that wrote it"
                )
            }
            Self::WrongAttempt { expected } => write!(f, "record belongs to another attempt than {expected}"),
            Self::WrongLength => write!(f, "record is cut short or has trailing bytes"),
            Self::BadEntry { index } => write!(
                f,
                "record entry {index} cannot be read: it is damaged, or of a kind that a newer build wrote (then run that one)"
            ),
            Self::ChainBroken => write!(
                f,
                "record's hash chain does not match its head: its bytes were changed"
            ),
            Self::NotAJournal => write!(f, "record's entries are not a journal of its attempt"),
            Self::Full => write!(
                f,
                "record has no room for more entries (bound: {ENTRIES_MAX} entries, {RECORD_BYTES_MAX} bytes)"
            ),
        }
    }
}

impl std::error::Error for RecordError {}

impl Record {
    /// Begins a journal in the installation of this name; `""` for one without a name.
    ///
    /// # Errors
    /// [`RecordError::NotAJournal`] unless `first` is `Created` and `id` is the address of its key in the installation.
    /// [`RecordError::Full`] if the entries do not fit.
    pub fn begin(id: AttemptId, first: Entry, installation: &str) -> Result<Self, RecordError> {
        let state = Arc::new(State::fold([&first]).ok_or(RecordError::NotAJournal)?);
        let second = (!installation.is_empty()).then(|| Entry {
            at_ms: first.at_ms,
            fact: Fact::Installation {
                name: installation.to_owned(),
            },
        });
        check_address(id, &first, second.as_ref())?;
        let mut encoded = Vec::with_capacity(1024);
        encoded.extend_from_slice(MAGIC);
        encoded.push(VERSION);
        encoded.extend_from_slice(&id.to_bytes());
        let mut record = Self {
            id,
            entries: Vec::new(),
            links: Vec::new(),
            encoded,
            state,
        };
        record.chain(&first)?;
        record.entries.push(Arc::new(first));
        if let Some(second) = second {
            record.append(second)?;
        }
        Ok(record)
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// [`RecordError::Full`] past the bounds. [`RecordError::NotAJournal`] for an entry that cannot stand at this
    /// index, such as a second `Created`.
    pub fn append(&mut self, entry: Entry) -> Result<(), RecordError> {
        if !is_in_place(self.entries.len(), &entry) {
            return Err(RecordError::NotAJournal);
        }
        if self.entries.len() >= ENTRIES_MAX {
            return Err(RecordError::Full);
        }
        self.chain(&entry)?;
        Arc::make_mut(&mut self.state).apply(self.entries.len(), &entry);
        self.entries.push(Arc::new(entry));
        Ok(())
    }

    /// Appends an entry like [`Record::append`]. `state` is the state to which the caller has already applied the
    /// entry.
    pub(crate) fn append_folded(&mut self, entry: Entry, state: State) -> Result<(), RecordError> {
        if self.entries.len() >= ENTRIES_MAX {
            return Err(RecordError::Full);
        }
        self.chain(&entry)?;
        self.state = Arc::new(state);
        self.entries.push(Arc::new(entry));
        Ok(())
    }

    /// Decodes the record of the attempt `expected`, and checks the whole hash chain.
    ///
    /// # Errors
    /// Every [`RecordError`] but [`RecordError::Full`]. The bytes are not changed.
    pub fn decode(expected: AttemptId, bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLarge { bytes: bytes.len() });
        }
        let (header, rest) = bytes
            .split_at_checked(HEADER_BYTES)
            .ok_or(RecordError::NotARecord)?;
        let (magic, rest_of_header) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(RecordError::NotARecord);
        }
        let (version, address) = rest_of_header.split_first().ok_or(RecordError::NotARecord)?;
        if *version != VERSION {
            return Err(RecordError::UnknownVersion { version: *version });
        }
        if address != expected.to_bytes() {
            return Err(RecordError::WrongAttempt { expected });
        }
        let (count, mut rest) = take_u16(rest)?;
        let entries_end = rest.len().saturating_sub(HEAD_BYTES);
        let mut encoded = Vec::with_capacity(bytes.len() + 512);
        encoded.extend_from_slice(header);
        encoded.extend_from_slice(rest.get(..entries_end).unwrap_or_default());
        let mut link = first_link(header);
        let (mut entries, mut links) = (Vec::with_capacity(count + 4), Vec::with_capacity(count + 4));
        for index in 0..count {
            let (length, after) = take_u16(rest)?;
            let (body, after) = after.split_at_checked(length).ok_or(RecordError::WrongLength)?;
            link = next_link(&link, body);
            let (entry, left) =
                postcard::take_from_bytes(body).map_err(|_| RecordError::BadEntry { index })?;
            // This build could not send the dispatches of a newer wire form again byte for byte (rule 15), so that it
            // refuses the record.
            if !left.is_empty() || is_of_newer_build(&entry) {
                return Err(RecordError::BadEntry { index });
            }
            entries.push(Arc::new(entry));
            links.push(link);
            rest = after;
        }
        if rest.len() != HEAD_BYTES {
            return Err(RecordError::WrongLength);
        }
        if rest != link {
            return Err(RecordError::ChainBroken);
        }
        let first: &Arc<Entry> = entries.first().ok_or(RecordError::NotAJournal)?;
        check_address(expected, first, entries.get(1).map(Arc::as_ref))?;
        let mut placed = entries.iter().enumerate();
        if placed.any(|(index, entry)| !is_in_place(index, entry)) || count > ENTRIES_MAX {
            return Err(RecordError::NotAJournal);
        }
        let state = Arc::new(State::fold(entries.iter().map(Arc::as_ref)).ok_or(RecordError::NotAJournal)?);
        Ok(Self {
            id: expected,
            entries,
            links,
            encoded,
            state,
        })
    }

    /// The bytes to store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size_bytes());
        let (header, entries) = self.encoded.split_at(HEADER_BYTES.min(self.encoded.len()));
        bytes.extend_from_slice(header);
        // `append` keeps the count within ENTRIES_MAX, far below 2^16.
        bytes.extend_from_slice(
            &u16::try_from(self.entries.len())
                .unwrap_or(u16::MAX)
                .to_be_bytes(),
        );
        bytes.extend_from_slice(entries);
        bytes.extend_from_slice(&self.head());
        bytes
    }

    /// Size of [`Record::encode`], in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.encoded.len() + 2 + HEAD_BYTES
    }

    /// The attempt whose record it is.
    #[must_use]
    pub fn id(&self) -> AttemptId {
        self.id
    }

    /// The number of entries. It is the version that a compare-and-swap compares. It never repeats, because journals
    /// only grow.
    #[must_use]
    pub fn version(&self) -> RecordVersion {
        RecordVersion::of_entries(self.entries.len())
    }

    /// Whether the attempt has ended (rule 10). Its final answers do not change any more, so that a copy of the record
    /// is worth keeping where reads are cheap.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.state().status.is_final()
    }

    /// The attempt's status and what it waits for, for metrics.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing::of(self.state())
    }

    /// What a store keeps beside the record, so that a search finds it.
    #[must_use]
    pub fn index_entry(&self) -> IndexEntry {
        IndexEntry::of(self.state())
    }

    /// What a store kept beside the record when it had this version. `None`: it never had it.
    #[must_use]
    pub fn entry_at(&self, version: RecordVersion) -> Option<IndexEntry> {
        let count = usize::try_from(version.get()).ok()?;
        let index = count.checked_sub(1).filter(|index| *index < self.entries.len())?;
        Some(IndexEntry::of(&self.state_at(index)))
    }

    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// The link of the hash chain after each entry.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The last link of the hash chain. The stored bytes end with it.
    #[must_use]
    pub fn head(&self) -> Link {
        self.links.last().copied().unwrap_or_default()
    }

    /// The current state.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The state as of the entry at `index`. If there is no such entry, it is the current state.
    #[must_use]
    pub fn state_at(&self, index: usize) -> Arc<State> {
        if index + 1 >= self.entries.len() {
            return Arc::clone(&self.state);
        }
        let prefix = self.entries.iter().take(index + 1).map(Arc::as_ref);
        State::fold(prefix).map_or_else(|| Arc::clone(&self.state), Arc::new)
    }

    /// Whether this journal begins with all entries of `other`, or is equal to it.
    #[must_use]
    pub fn grew_from(&self, other: &Record) -> bool {
        self.id == other.id
            && !other.links.is_empty()
            && self.links.get(other.links.len() - 1) == other.links.last()
    }

    /// Whether this record proves that a swap was this writer's. The record was read back after a swap of `written`
    /// onto `expected_version` ended unknown ([`crate::host::store::Swapped::read_back`]). Only with this proof does
    /// the writer carry out what it dispatched. Otherwise the input is handled again.
    ///
    /// The proof needs a dispatch. Without one there is nothing to carry out, and nothing distinguishes two writers:
    /// two servers that created one attempt in the same millisecond wrote the same bytes (found by the simulator).
    pub(crate) fn proves_swap_of(&self, written: &Record, expected_version: Option<RecordVersion>) -> bool {
        let from = expected_version.map_or(0, RecordVersion::entries);
        let mut added = written.entries.iter().skip(from);
        self.grew_from(written) && added.any(|entry| matches!(entry.fact, Fact::Dispatched { .. }))
    }

    fn chain(&mut self, entry: &Entry) -> Result<(), RecordError> {
        let body = Vec::with_capacity(ENTRY_BYTES_USUAL);
        let body = postcard::to_extend(entry, body).map_err(|_| RecordError::Full)?;
        if self.size_bytes() + 2 + body.len() > RECORD_BYTES_MAX {
            return Err(RecordError::Full);
        }
        let before = self
            .links
            .last()
            .copied()
            .unwrap_or_else(|| first_link(&self.encoded));
        put(&mut self.encoded, &body)?;
        self.links.push(next_link(&before, &body));
        Ok(())
    }
}

fn first_link(header: &[u8]) -> Link {
    Sha256::digest(header).into()
}

fn next_link(before: &Link, body: &[u8]) -> Link {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update((body.len() as u16).to_be_bytes());
    hash.update(body);
    hash.finalize().into()
}

fn put(encoded: &mut Vec<u8>, body: &[u8]) -> Result<(), RecordError> {
    let length = u16::try_from(body.len()).map_err(|_| RecordError::Full)?;
    encoded.extend_from_slice(&length.to_be_bytes());
    encoded.extend_from_slice(body);
    Ok(())
}

fn take_u16(bytes: &[u8]) -> Result<(usize, &[u8]), RecordError> {
    let (head, rest) = bytes.split_first_chunk::<2>().ok_or(RecordError::WrongLength)?;
    Ok((usize::from(u16::from_be_bytes(*head)), rest))
}

/// Checks that `id` is the address of the journal. The address follows from the first entry, and from the second if
/// that one names the installation.
fn check_address(id: AttemptId, first: &Entry, second: Option<&Entry>) -> Result<(), RecordError> {
    let installation = match second.map(|entry| &entry.fact) {
        Some(Fact::Installation { name }) => name,
        Some(_) | None => "",
    };
    match &first.fact {
        Fact::Created { merchant, key, .. } if AttemptId::derive(installation, merchant, key) == id => Ok(()),
        _ => Err(RecordError::NotAJournal),
    }
}

fn is_of_newer_build(entry: &Entry) -> bool {
    matches!(entry.fact, Fact::WireForm { form } if form > WireForm::CURRENT.number())
}

/// Whether an entry of this kind can stand at this index.
fn is_in_place(index: usize, entry: &Entry) -> bool {
    match &entry.fact {
        Fact::Created { .. } => index == 0,
        Fact::Installation { .. } => index == 1,
        _ => true,
    }
}
