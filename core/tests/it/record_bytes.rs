//! `docs/store.md`, “The record”: bytes that are not exactly what was written are refused, precisely.

use pay_once_core::journal::entry::{Entry, Fact, RequestKind};
use pay_once_core::journal::record::VERSION;
use pay_once_core::limits::{ENTRIES_MAX, RECORD_BYTES_MAX};
use pay_once_core::{AttemptId, Record, RecordError, RecordVersion, UnixMillis};

use crate::support::{Kind, World};

fn stored() -> (AttemptId, Vec<u8>) {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    world.op(id, "capture", "k3");
    (id, world.store[&id].clone())
}

#[test]
fn what_was_written_is_read() {
    let (id, bytes) = stored();
    let record = Record::decode(id, &bytes).unwrap();
    assert_eq!(
        (record.encode(), record.size_bytes()),
        (bytes.clone(), bytes.len())
    );
    assert_eq!(record.version(), RecordVersion::new(10));
}

#[test]
fn every_flipped_bit_is_found_and_named() {
    let (id, bytes) = stored();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let error = Record::decode(id, &bad).expect_err("a flipped bit");
            let fits = match at {
                0..7 => error == RecordError::NotARecord,
                7 => {
                    error
                        == RecordError::UnknownVersion {
                            version: VERSION ^ (1 << bit),
                        }
                }
                8..24 => error == RecordError::WrongAttempt { expected: id },
                _ if at >= bytes.len() - 32 => error == RecordError::ChainBroken,
                _ => matches!(
                    error,
                    RecordError::ChainBroken | RecordError::WrongLength | RecordError::BadEntry { .. }
                ),
            };
            assert!(fits, "byte {at}, bit {bit}: {error:?}");
        }
    }
}

#[test]
fn every_cut_and_every_addition_is_found() {
    let (id, bytes) = stored();
    for length in 0..bytes.len() {
        let error = Record::decode(id, &bytes[..length]).expect_err("cut short");
        let wanted = if length < 24 {
            RecordError::NotARecord
        } else {
            RecordError::WrongLength
        };
        let cut_in_an_entry = matches!(error, RecordError::WrongLength);
        assert!(error == wanted || cut_in_an_entry, "{length}: {error:?}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(Record::decode(id, &longer), Err(RecordError::WrongLength));
}

#[test]
fn another_version_another_attempt_and_a_giant_are_refused_for_what_they_are() {
    let (id, bytes) = stored();
    let mut newer = bytes.clone();
    newer[7] = VERSION + 1;
    let error = Record::decode(id, &newer).unwrap_err();
    assert_eq!(error, RecordError::UnknownVersion { version: VERSION + 1 });
    assert!(
        error.to_string().contains("run the build that wrote it"),
        "{error}"
    );
    let other = AttemptId::derive("", "demo", "another");
    assert_eq!(
        Record::decode(other, &bytes),
        Err(RecordError::WrongAttempt { expected: other })
    );
    let giant = vec![0; RECORD_BYTES_MAX + 1];
    assert_eq!(
        Record::decode(id, &giant),
        Err(RecordError::TooLarge {
            bytes: RECORD_BYTES_MAX + 1
        })
    );
    assert_eq!(
        Record::decode(id, &giant[..RECORD_BYTES_MAX]),
        Err(RecordError::NotARecord)
    );
}

#[test]
fn every_error_says_what_it_found() {
    let (id, _) = stored();
    for error in [
        RecordError::TooLarge { bytes: 1 },
        RecordError::NotARecord,
        RecordError::UnknownVersion { version: 9 },
        RecordError::WrongAttempt { expected: id },
        RecordError::WrongLength,
        RecordError::BadEntry { index: 3 },
        RecordError::ChainBroken,
        RecordError::NotAJournal,
        RecordError::Full,
    ] {
        assert!(
            error.to_string().starts_with("record") || error == RecordError::NotARecord,
            "{error}"
        );
    }
}

/// A journal whose chain is right and whose story is not: reordered entries, chained anew.
#[test]
fn a_journal_that_does_not_begin_with_its_own_creation_is_none() {
    use sha2::{Digest, Sha256};
    let (id, bytes) = stored();
    let mut entries = Vec::new();
    let mut rest = &bytes[26..bytes.len() - 32];
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, next) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        rest = next;
    }
    let chained = |entries: &[Vec<u8>]| {
        let mut out = bytes[..24].to_vec();
        let mut link: [u8; 32] = Sha256::digest(&out).into();
        out.extend(u16::try_from(entries.len()).unwrap().to_be_bytes());
        for entry in entries {
            let length = u16::try_from(entry.len()).unwrap().to_be_bytes();
            link = Sha256::new()
                .chain_update(link)
                .chain_update(length)
                .chain_update(entry)
                .finalize()
                .into();
            out.extend(length);
            out.extend(entry);
        }
        out.extend(link);
        out
    };
    assert_eq!(chained(&entries), bytes, "the format is as it is documented");
    let mut swapped = entries.clone();
    swapped.swap(0, 1);
    assert_eq!(
        Record::decode(id, &chained(&swapped)),
        Err(RecordError::NotAJournal)
    );
    let mut twice = entries.clone();
    twice.push(entries[0].clone());
    assert_eq!(
        Record::decode(id, &chained(&twice)),
        Err(RecordError::NotAJournal)
    );
    assert_eq!(Record::decode(id, &chained(&[])), Err(RecordError::NotAJournal));
    let many: Vec<Vec<u8>> = entries
        .iter()
        .take(1)
        .cloned()
        .chain(std::iter::repeat_n(entries[1].clone(), 400))
        .collect();
    assert_eq!(
        Record::decode(id, &chained(&many)),
        Err(RecordError::NotAJournal),
        "401 entries"
    );
}

/// The address is the digest of (merchant, create key): a creation at another address is somebody else's.
#[test]
fn a_creation_belongs_at_its_own_address() {
    let (id, bytes) = stored();
    let first = Entry::clone(&Record::decode(id, &bytes).unwrap().entries()[0]);
    assert!(Record::begin(id, first.clone(), "").is_ok());
    let elsewhere = AttemptId::derive("", "demo", "another key");
    assert_eq!(Record::begin(elsewhere, first, ""), Err(RecordError::NotAJournal));
}

#[test]
fn a_record_may_be_filled_to_its_last_byte_and_no_further() {
    let (id, bytes) = stored();
    let mut record = Record::decode(id, &bytes).unwrap();
    let mut nth = 0_usize;
    let mut requested = |chars: usize| {
        nth += 1;
        let fact = Fact::Requested {
            key: format!("{nth:0chars$}"),
            fingerprint: [7; 32],
            request: RequestKind::Void,
            payment_method: None,
        };
        Entry {
            at_ms: UnixMillis::new(1),
            fact,
        }
    };
    let before = record.size_bytes();
    record.append(requested(600)).unwrap();
    // What an entry costs beside its key.
    let beside = record.size_bytes() - before - 600;
    while RECORD_BYTES_MAX - record.size_bytes() >= 2 * (beside + 600) {
        record.append(requested(600)).unwrap();
    }
    let left = RECORD_BYTES_MAX - record.size_bytes() - beside;
    let full = Err(RecordError::Full);
    assert_eq!(record.clone().append(requested(left + 1)), full);
    record.append(requested(left)).unwrap();
    assert_eq!(
        (record.size_bytes(), record.encode().len()),
        (RECORD_BYTES_MAX, RECORD_BYTES_MAX)
    );
    assert_eq!(record.append(requested(1)), full);
    assert_eq!(Record::decode(id, &record.encode()).unwrap(), record);
}

#[test]
fn a_record_may_have_its_last_entry_and_no_more() {
    let (id, bytes) = stored();
    let mut record = Record::decode(id, &bytes).unwrap();
    let entry = |record: &Record| Entry::clone(record.entries().last().unwrap());
    while record.entries().len() < ENTRIES_MAX {
        record.append(entry(&record)).unwrap();
    }
    assert_eq!(record.append(entry(&record)), Err(RecordError::Full));
    assert_eq!(Record::decode(id, &record.encode()).unwrap(), record);
}
