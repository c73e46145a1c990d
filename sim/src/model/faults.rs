//! Which faults are on at a moment.

use crate::plan::{Host, PspFault, StoreFault};

#[derive(Debug)]
struct Link {
    from: Host,
    to: Host,
    one_way: bool,
    until_ms: u64,
}

impl Link {
    fn concerns(&self, from: Host, to: Host, now_ms: u64) -> bool {
        let there = (self.from, self.to) == (from, to);
        let back = !self.one_way && (self.to, self.from) == (from, to);
        now_ms < self.until_ms && (there || back)
    }
}

/// All windows of faults that have begun.
#[derive(Debug, Default)]
pub(super) struct Faults {
    cuts: Vec<Link>,
    holds: Vec<Link>,
    pauses: Vec<(usize, u64)>,
    stores: Vec<(StoreFault, u16, u64)>,
    psps: Vec<(PspFault, u16, u64)>,
    replays: Vec<(u16, u64, u64)>,
}

impl Faults {
    pub(super) fn cut(&mut self, from: Host, to: Host, one_way: bool, until_ms: u64) {
        self.cuts.push(Link {
            from,
            to,
            one_way,
            until_ms,
        });
    }

    pub(super) fn hold(&mut self, from: Host, to: Host, until_ms: u64) {
        self.holds.push(Link {
            from,
            to,
            one_way: false,
            until_ms,
        });
    }

    pub(super) fn pause(&mut self, server: usize, until_ms: u64) {
        self.pauses.push((server, until_ms));
    }

    pub(super) fn store(&mut self, fault: StoreFault, permille: u16, until_ms: u64) {
        self.stores.push((fault, permille, until_ms));
    }

    pub(super) fn psp(&mut self, fault: PspFault, permille: u16, until_ms: u64) {
        self.psps.push((fault, permille, until_ms));
    }

    pub(super) fn replay(&mut self, permille: u16, later_ms: u64, until_ms: u64) {
        self.replays.push((permille, later_ms, until_ms));
    }

    /// Ends everything.
    pub(super) fn heal(&mut self) {
        *self = Self::default();
    }

    /// When a message arrives that would arrive at `at_ms`; `None` if it is lost.
    pub(super) fn travel(&self, from: Host, to: Host, now_ms: u64, at_ms: u64) -> Option<u64> {
        if self.cuts.iter().any(|cut| cut.concerns(from, to, now_ms)) {
            return None;
        }
        let held = self.holds.iter().filter(|hold| hold.concerns(from, to, now_ms));
        Some(held.map(|hold| hold.until_ms).fold(at_ms, u64::max))
    }

    /// Whether no message at all can pass in either direction, so that connecting fails at once.
    pub(super) fn is_cut(&self, from: Host, to: Host, now_ms: u64) -> bool {
        self.cuts
            .iter()
            .any(|cut| !cut.one_way && cut.concerns(from, to, now_ms))
    }

    /// Until when a server is paused.
    pub(super) fn paused_until(&self, server: usize, now_ms: u64) -> Option<u64> {
        let of_server = self
            .pauses
            .iter()
            .filter(|(s, until_ms)| *s == server && now_ms < *until_ms);
        of_server.map(|(_, until_ms)| *until_ms).max()
    }

    /// What the store may do wrong now, and how often in a thousand.
    pub(super) fn store_now(&self, now_ms: u64) -> impl Iterator<Item = (StoreFault, u16)> {
        let on = self
            .stores
            .iter()
            .filter(move |(_, _, until_ms)| now_ms < *until_ms);
        on.map(|(fault, permille, _)| (*fault, *permille))
    }

    /// What the PSP does wrong now.
    pub(super) fn psp_now(&self, now_ms: u64) -> impl Iterator<Item = (PspFault, u16)> {
        let on = self
            .psps
            .iter()
            .filter(move |(_, _, until_ms)| now_ms < *until_ms);
        on.map(|(fault, permille, _)| (*fault, *permille))
    }

    /// How often, and how much later at most, the balancer replays now.
    pub(super) fn replay_now(&self, now_ms: u64) -> Option<(u16, u64)> {
        let on = self.replays.iter().find(|(_, _, until_ms)| now_ms < *until_ms);
        on.map(|(permille, later_ms, _)| (*permille, *later_ms))
    }
}
