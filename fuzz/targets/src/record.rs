//! `record`: journal bytes, arbitrary and changed. They are refused, or they encode back to themselves; and whatever is
//! read can be shown.

use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use pay_once_core::contract::timeline::timeline;
use pay_once_core::{Record, RecordError};
use sha2::{Digest, Sha256};

use crate::machine::Opening;
use crate::setup::attempt;

const HEADER_BYTES: usize = 24;
const HEAD_BYTES: usize = 32;

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// Any bytes.
    Any(Vec<u8>),
    /// Any bytes behind the right header.
    Headed(Vec<u8>),
    /// A true record with single bytes changed: place (modulo its length) and value.
    Changed(u8, Vec<(u16, u8)>),
    /// A true record's entries, changed, with lengths, count and chain made anew: the chain is no secret, so somebody
    /// who writes to the store can do that, and what lies behind the chain is met.
    Sealed(u8, Vec<Edit>),
}

/// A change of a list of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Edit {
    /// A byte of an entry gets another value: entry, place, value.
    Put(u8, u8, u8),
    /// A byte is put in.
    Insert(u8, u8, u8),
    /// An entry ends early.
    Cut(u8, u8),
    /// An entry goes.
    Drop(u8),
    /// An entry comes again, at a place.
    Repeat(u8, u8),
    /// Two entries change places.
    Swap(u8, u8),
}

impl<'a> Arbitrary<'a> for Bytes {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let (what, base) = (u8::arbitrary(bytes)?, u8::arbitrary(bytes)?);
        Ok(match what % 4 {
            0 => Self::Any(bytes.bytes(bytes.len())?.to_vec()),
            1 => Self::Headed(bytes.bytes(bytes.len())?.to_vec()),
            2 => Self::Changed(base, all(bytes)),
            _ => Self::Sealed(base, all(bytes)),
        })
    }
}

fn all<'a, T: Arbitrary<'a>>(bytes: &mut Unstructured<'a>) -> Vec<T> {
    let mut items = Vec::new();
    while items.len() < 32 && !bytes.is_empty() {
        match T::arbitrary(bytes) {
            Ok(item) => items.push(item),
            Err(_) => break,
        }
    }
    items
}

/// Records of true stories, one of each opening worth one.
fn true_records() -> &'static [Vec<u8>] {
    static RECORDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let mut records = Vec::new();
        for (kind, token, stage) in [
            (0, 0, 1),
            (0, 0, 8),
            (4, 0, 8),
            (1, 2, 4),
            (6, 0, 6),
            (4, 0, 11),
            (0, 1, 10),
            (3, 2, 9),
        ] {
            let world = Opening::at(kind, token, stage).told();
            records.extend(world.record().map(Record::encode));
        }
        records
    });
    &RECORDS
}

fn true_record(choice: u8) -> Vec<u8> {
    let records = true_records();
    records
        .get(usize::from(choice) % records.len().max(1))
        .cloned()
        .unwrap_or_default()
}

/// Header and entries of a well-formed record.
fn parts(bytes: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (header, mut rest) = bytes.split_at_checked(HEADER_BYTES).unwrap_or_default();
    let mut entries = Vec::new();
    rest = rest
        .get(2..rest.len().saturating_sub(HEAD_BYTES))
        .unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (body, after) = after.split_at_checked(length).unwrap_or_default();
        entries.push(body.to_vec());
        rest = after;
    }
    (header.to_vec(), entries)
}

/// A record of these entries, as the format's description in core says, written without core.
fn seal(header: &[u8], entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    let mut link: [u8; 32] = Sha256::digest(header).into();
    bytes.extend((entries.len() as u16).to_be_bytes());
    for entry in entries {
        let length = (entry.len() as u16).to_be_bytes();
        let mut hash = Sha256::new();
        hash.update(link);
        hash.update(length);
        hash.update(entry);
        link = hash.finalize().into();
        bytes.extend(length);
        bytes.extend(entry);
    }
    bytes.extend(link);
    bytes
}

impl Edit {
    fn apply(self, entries: &mut Vec<Vec<u8>>) {
        let count = entries.len().max(1);
        let at = |choice: u8| usize::from(choice) % count;
        match self {
            Self::Put(entry, place, value) => {
                if let Some(entry) = entries.get_mut(at(entry)) {
                    let place = usize::from(place) % entry.len().max(1);
                    entry.get_mut(place).into_iter().for_each(|byte| *byte = value);
                }
            }
            Self::Insert(entry, place, value) => {
                if let Some(entry) = entries.get_mut(at(entry)) {
                    entry.insert(usize::from(place) % (entry.len() + 1), value);
                }
            }
            Self::Cut(entry, place) => {
                if let Some(entry) = entries.get_mut(at(entry)) {
                    entry.truncate(usize::from(place) % (entry.len() + 1));
                }
            }
            Self::Drop(entry) => {
                if !entries.is_empty() {
                    entries.remove(at(entry));
                }
            }
            Self::Repeat(entry, place) => {
                if let Some(again) = entries.get(at(entry)).cloned() {
                    entries.insert(at(place), again);
                }
            }
            Self::Swap(a, b) => {
                if !entries.is_empty() {
                    entries.swap(at(a), at(b));
                }
            }
        }
    }
}

impl Bytes {
    /// The record's bytes, and whether they must be refused whatever they are.
    fn made(&self) -> (Vec<u8>, bool) {
        match self {
            Self::Any(bytes) => (bytes.clone(), false),
            Self::Headed(rest) => {
                let mut bytes = b"payonce\x01".to_vec();
                bytes.extend(attempt().to_bytes());
                bytes.extend(rest);
                (bytes, false)
            }
            Self::Changed(base, changes) => {
                let before = true_record(*base);
                let mut bytes = before.clone();
                for (place, value) in changes {
                    let place = usize::from(*place) % bytes.len().max(1);
                    bytes.get_mut(place).into_iter().for_each(|byte| *byte = *value);
                }
                let is_changed = bytes != before;
                (bytes, is_changed)
            }
            Self::Sealed(base, edits) => {
                let (header, mut entries) = parts(&true_record(*base));
                for edit in edits {
                    edit.apply(&mut entries);
                }
                (seal(&header, &entries), false)
            }
        }
    }
}

/// Makes the true records.
pub fn prepare() {
    true_records();
}

/// One execution.
pub fn run(bytes: &[u8]) {
    let Ok(input) = Bytes::arbitrary(&mut Unstructured::new(bytes)) else {
        return;
    };
    let (bytes, must_be_refused) = input.made();
    match Record::decode(attempt(), &bytes) {
        Ok(record) => {
            assert!(!must_be_refused, "a changed byte shows");
            assert!(record.encode() == bytes, "what is read encodes back to itself");
            assert_eq!(
                timeline(&record).len(),
                record.entries().len(),
                "the timeline is the journal"
            );
            let all: Vec<Vec<u8>> = parts(&bytes).1;
            assert_eq!(
                all.len() as u64,
                record.version().get(),
                "the version is the number of entries"
            );
        }
        Err(error) => {
            assert_ne!(error, RecordError::Full, "reading makes nothing full");
            assert!(!error.to_string().is_empty());
        }
    }
}
