//! Open attempts, and what they wait for: counted from what is written, and from one scan at the start. For metrics only.

use std::collections::{BTreeMap, BTreeSet};

use pay_once_core::{AttemptId, Record, RecordVersion, Standing, Status, UnixMillis, WaitsFor};

use crate::metrics::{ByAttemptStatus, ByWaitsFor, Metrics, Waiting};

/// Where each open attempt stands. About 100 bytes of memory for each.
#[derive(Debug, Default)]
pub struct Standings {
    open: BTreeMap<AttemptId, (RecordVersion, Standing)>,
    by_status: BTreeMap<Status, i64>,
    waiting: BTreeSet<(WaitsFor, UnixMillis, AttemptId)>,
    /// Attempts that ended while the scan ran: what the scan read of them before is out of date.
    ended_meanwhile: Option<BTreeSet<AttemptId>>,
}

impl Standings {
    /// A scan of the store begins.
    pub fn scan_begins(&mut self) {
        self.ended_meanwhile = Some(BTreeSet::new());
    }

    /// What the scan read is taken in.
    pub fn scanned(&mut self, id: AttemptId, version: RecordVersion, standing: Standing) {
        let is_over = |ended: &BTreeSet<AttemptId>| ended.contains(&id);
        if standing.is_open() && !self.ended_meanwhile.as_ref().is_some_and(is_over) {
            self.put(id, version, standing);
        }
    }

    /// The scan is over.
    pub fn scan_ends(&mut self) {
        self.ended_meanwhile = None;
    }

    /// A record is durable. Whether the attempt ended by it.
    pub fn committed(&mut self, record: &Record) -> bool {
        let (id, standing) = (record.id(), record.standing());
        let before = self.take(id);
        if standing.is_open() {
            self.put(id, record.version(), standing);
        }
        if !standing.status.is_final() {
            return false;
        }
        let is_first_end = self
            .ended_meanwhile
            .as_mut()
            .is_some_and(|ended| ended.insert(id));
        before.map_or(is_first_end, |before| !before.status.is_final())
    }

    /// Another server has written the record: its attempt is counted there.
    pub fn written_elsewhere(&mut self, id: AttemptId) {
        self.take(id);
    }

    /// Any record may have been written by another server: fewer are counted rather than more.
    pub fn forget(&mut self) {
        *self = Self {
            ended_meanwhile: self.ended_meanwhile.take(),
            ..Self::default()
        };
    }

    fn put(&mut self, id: AttemptId, version: RecordVersion, standing: Standing) {
        if self.open.get(&id).is_some_and(|(known, _)| *known > version) {
            return;
        }
        self.take(id);
        self.open.insert(id, (version, standing));
        *self.by_status.entry(standing.status).or_default() += 1;
        if let Some((waits_for, since_ms)) = standing.waits {
            self.waiting.insert((waits_for, since_ms, id));
        }
    }

    fn take(&mut self, id: AttemptId) -> Option<Standing> {
        let (_, standing) = self.open.remove(&id)?;
        *self.by_status.entry(standing.status).or_default() -= 1;
        if let Some((waits_for, since_ms)) = standing.waits {
            self.waiting.remove(&(waits_for, since_ms, id));
        }
        Some(standing)
    }

    /// What waits for this, of the attempts that this server counts.
    fn waiting(&self, waits_for: WaitsFor) -> Waiting {
        let least = AttemptId::from_bytes([0; 16]);
        let most = AttemptId::from_bytes([0xff; 16]);
        let mut of_kind = self
            .waiting
            .range((waits_for, UnixMillis::EPOCH, least)..=(waits_for, UnixMillis::MAX, most));
        let oldest_ms = of_kind.next().map(|(_, since_ms, _)| *since_ms);
        let count = of_kind.count() + usize::from(oldest_ms.is_some());
        Waiting {
            waits_for,
            count: i64::try_from(count).unwrap_or(i64::MAX),
            oldest_ms,
        }
    }

    /// Writes them into the gauges.
    pub fn show(&self, metrics: &Metrics, now_ms: UnixMillis) {
        for status in Status::ALL {
            let count = self.by_status.get(&status).copied().unwrap_or(0);
            let status = status.as_str();
            metrics
                .open_attempts
                .get_or_create(&ByAttemptStatus { status })
                .set(count);
        }
        for waits_for in WaitsFor::ALL {
            let whole = metrics.whole_store.get(waits_for);
            let waiting = whole.unwrap_or_else(|| self.waiting(waits_for));
            let age_ms = waiting.oldest_ms.map_or(0, |since_ms| (now_ms - since_ms).get());
            let label = ByWaitsFor {
                waits_for: waits_for.as_str(),
            };
            metrics.waiting.get_or_create(&label).set(waiting.count);
            metrics
                .oldest
                .get_or_create(&label)
                .set(i64::try_from(age_ms / 1_000).unwrap_or(i64::MAX));
        }
        let is_counted = self.ended_meanwhile.is_none() && !metrics.whole_store.is_old();
        metrics.is_counted.set(i64::from(is_counted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> AttemptId {
        AttemptId::from_bytes([n; 16])
    }

    fn standing(status: Status, waits: Option<(WaitsFor, u64)>) -> Standing {
        Standing {
            status,
            waits: waits.map(|(waits_for, ms)| (waits_for, UnixMillis::new(ms))),
        }
    }

    /// Open attempts of a status, attempts that wait for the PSP, and the age of the oldest in seconds.
    fn shown(standings: &Standings, status: Status) -> [i64; 3] {
        let metrics = Metrics::default();
        standings.show(&metrics, UnixMillis::new(100_000));
        let label = ByWaitsFor { waits_for: "psp" };
        [
            metrics
                .open_attempts
                .get_or_create(&ByAttemptStatus {
                    status: status.as_str(),
                })
                .get(),
            metrics.waiting.get_or_create(&label).get(),
            metrics.oldest.get_or_create(&label).get(),
        ]
    }

    #[test]
    fn the_oldest_that_waits_is_shown_and_forgotten() {
        let mut standings = Standings::default();
        standings.put(
            id(1),
            RecordVersion::new(1),
            standing(Status::Authorizing, Some((WaitsFor::Psp, 90_000))),
        );
        standings.put(
            id(2),
            RecordVersion::new(1),
            standing(Status::Authorizing, Some((WaitsFor::Psp, 40_000))),
        );
        standings.put(id(3), RecordVersion::new(1), standing(Status::Authorized, None));
        assert_eq!(shown(&standings, Status::Authorizing), [2, 2, 60]);
        standings.put(id(2), RecordVersion::new(2), standing(Status::Authorized, None));
        assert_eq!(shown(&standings, Status::Authorizing), [1, 1, 10]);
        assert_eq!(shown(&standings, Status::Authorized), [2, 1, 10]);
        standings.take(id(1));
        assert_eq!(shown(&standings, Status::Authorizing), [0, 0, 0]);
    }

    #[test]
    fn what_the_whole_store_counts_is_shown_instead() {
        let metrics = Metrics::default();
        let whole = Waiting {
            waits_for: WaitsFor::Operator,
            count: 3,
            oldest_ms: Some(UnixMillis::new(40_000)),
        };
        metrics.whole_store.put(vec![whole]);
        Standings::default().show(&metrics, UnixMillis::new(100_000));
        let label = ByWaitsFor {
            waits_for: "operator",
        };
        let shown = [&metrics.waiting, &metrics.oldest].map(|gauges| gauges.get_or_create(&label).get());
        assert_eq!(shown, [3, 60]);
    }

    #[test]
    fn a_scan_takes_nothing_back_that_was_written_since() {
        let mut standings = Standings::default();
        standings.scan_begins();
        standings.put(id(1), RecordVersion::new(3), standing(Status::Authorized, None));
        standings.scanned(
            id(1),
            RecordVersion::new(2),
            standing(Status::Authorizing, Some((WaitsFor::Psp, 1))),
        );
        standings.ended_meanwhile.as_mut().unwrap().insert(id(2));
        standings.scanned(
            id(2),
            RecordVersion::new(2),
            standing(Status::Authorizing, Some((WaitsFor::Psp, 1))),
        );
        standings.scanned(id(3), RecordVersion::new(2), standing(Status::Captured, None));
        assert_eq!(shown(&standings, Status::Authorizing), [0, 0, 0]);
        assert_eq!(standings.open.len(), 1);
    }
}
