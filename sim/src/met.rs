//! What was met in a run or a batch: the “sometimes” counters. A batch that never met what a batch of its size meets has not
//! tested what it is for, and fails.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::tier::Tier;

/// From how many seeds on a batch that never met something common proves too little.
pub const GATE_SEEDS: u64 = 300;

/// A thing that must sometimes happen. Only ever appended to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Sometimes {
    CrashBetweenEffectAndPersist,
    CrashBetweenPersistAndSend,
    SendWindowMissed,
    LateLanding,
    LateLandingAfterLookupMiss,
    DuplicateWhileInFlight,
    WebhookBeforeResponse,
    WebhookDuplicate,
    WebhookForgedRefused,
    SwapConflict,
    SwapAppliedUnknown,
    SwapLostUnknown,
    SwapAppliedLate,
    StoreDown,
    KeyPastItsHorizon,
    KeyResent,
    EffectNumberMoved,
    AnswerLostAfterEffect,
    ErrorWithEffect,
    Garbage,
    Throttled,
    ServerPaused,
    Partition,
    Hold,
    BalancerReplay,
    TimerFired,
    RecoveredAfterRestart,
    KeyReuseRefused,
    RivalRefused,
    Declined,
    CaptureDeclined,
    SecureFinished,
    SecureAbandoned,
    AuthorizationReleasedInTime,
    Parked,
    ReplayedAnswer,
    Accepted202,
    CaptureAgainstVoid,
    ClassStripe,
    ClassAddressable,
    ClassKeyed,
    ClassQueryable,
    ClassKeyedQueryable,
    ClassBlind,
    ServerGone,
    ExactWork,
    ReadOnly,
    Rejected,
    StoreTakesNoWrites,
    EventRead,
    SecureTwice,
    ByHand,
    OperatorResolves,
    AnsweredFromCopy,
    ForeignObject,
    BusyAccount,
    ExecutedTwice,
    SecondMerchant,
    StrangerRefused,
    HastyRefused,
    LateWordRefused,
    HungUp,
    SlowCustomer,
    UnwantedUndone,
    CaptureMismatch,
    LongRejection,
    StoreOutage,
    ListsForbidden,
    Days,
    OtherUnits,
    SingleFault,
    RefundPending,
    ReplayedLongAfter,
    PausedAtSending,
    EventAcknowledged,
    CameBack,
    Redelivered,
    ReadMissing,
    ListStuck,
    FormRefused,
    IssuerDeclines,
    SecondSecret,
    MisdirectedWebhook,
    TryAgain,
    UnauthorizedRefused,
    TwoAgreed,
    PutOff,
    PlaceRefused,
    StoreRestored,
    FoundAfterRestore,
    AbsentAfterRestore,
    ParkedAfterRestore,
    ClockStepSeen,
    ProofHeldBack,
    DateEndsDoubt,
    WallClockAdopted,
}

impl Sometimes {
    /// All of them.
    pub const ALL: [Self; 96] = [
        Self::CrashBetweenEffectAndPersist,
        Self::CrashBetweenPersistAndSend,
        Self::SendWindowMissed,
        Self::LateLanding,
        Self::LateLandingAfterLookupMiss,
        Self::DuplicateWhileInFlight,
        Self::WebhookBeforeResponse,
        Self::WebhookDuplicate,
        Self::WebhookForgedRefused,
        Self::SwapConflict,
        Self::SwapAppliedUnknown,
        Self::SwapLostUnknown,
        Self::SwapAppliedLate,
        Self::StoreDown,
        Self::KeyPastItsHorizon,
        Self::KeyResent,
        Self::EffectNumberMoved,
        Self::AnswerLostAfterEffect,
        Self::ErrorWithEffect,
        Self::Garbage,
        Self::Throttled,
        Self::ServerPaused,
        Self::Partition,
        Self::Hold,
        Self::BalancerReplay,
        Self::TimerFired,
        Self::RecoveredAfterRestart,
        Self::KeyReuseRefused,
        Self::RivalRefused,
        Self::Declined,
        Self::CaptureDeclined,
        Self::SecureFinished,
        Self::SecureAbandoned,
        Self::AuthorizationReleasedInTime,
        Self::Parked,
        Self::ReplayedAnswer,
        Self::Accepted202,
        Self::CaptureAgainstVoid,
        Self::ClassStripe,
        Self::ClassAddressable,
        Self::ClassKeyed,
        Self::ClassQueryable,
        Self::ClassKeyedQueryable,
        Self::ClassBlind,
        Self::ServerGone,
        Self::ExactWork,
        Self::ReadOnly,
        Self::Rejected,
        Self::StoreTakesNoWrites,
        Self::EventRead,
        Self::SecureTwice,
        Self::ByHand,
        Self::OperatorResolves,
        Self::AnsweredFromCopy,
        Self::ForeignObject,
        Self::BusyAccount,
        Self::ExecutedTwice,
        Self::SecondMerchant,
        Self::StrangerRefused,
        Self::HastyRefused,
        Self::LateWordRefused,
        Self::HungUp,
        Self::SlowCustomer,
        Self::UnwantedUndone,
        Self::CaptureMismatch,
        Self::LongRejection,
        Self::StoreOutage,
        Self::ListsForbidden,
        Self::Days,
        Self::OtherUnits,
        Self::SingleFault,
        Self::RefundPending,
        Self::ReplayedLongAfter,
        Self::PausedAtSending,
        Self::EventAcknowledged,
        Self::CameBack,
        Self::Redelivered,
        Self::ReadMissing,
        Self::ListStuck,
        Self::FormRefused,
        Self::IssuerDeclines,
        Self::SecondSecret,
        Self::MisdirectedWebhook,
        Self::TryAgain,
        Self::UnauthorizedRefused,
        Self::TwoAgreed,
        Self::PutOff,
        Self::PlaceRefused,
        Self::StoreRestored,
        Self::FoundAfterRestore,
        Self::AbsentAfterRestore,
        Self::ParkedAfterRestore,
        Self::ClockStepSeen,
        Self::ProofHeldBack,
        Self::DateEndsDoubt,
        Self::WallClockAdopted,
    ];

    /// From how many seeds on a batch that never met it proves too little. `None`: runs of the tier cannot meet it, or do not see it
    /// (servers of the full stack hold no copies, have places for all calls, restore no store, and keep their clocks to themselves).
    ///
    /// Each number is chosen by the measured rate (25,000 model seeds, 2,000 full seeds), so that a batch of that size meets it
    /// about fifteen times: a sound simulator misses it in less than one batch in a million, whatever the first seed is.
    #[must_use]
    pub fn demanded_from_seeds(self, tier: Tier) -> Option<u64> {
        match (self, tier) {
            (
                Self::AnsweredFromCopy
                | Self::PutOff
                | Self::PlaceRefused
                | Self::StoreRestored
                | Self::FoundAfterRestore
                | Self::AbsentAfterRestore
                | Self::ParkedAfterRestore
                | Self::ClockStepSeen
                | Self::ProofHeldBack
                | Self::DateEndsDoubt
                | Self::WallClockAdopted,
                Tier::Full,
            ) => None,
            (Self::ProofHeldBack | Self::WallClockAdopted, Tier::Model) => Some(2_000),
            (Self::LateWordRefused | Self::ListsForbidden, Tier::Full) => Some(10_000),
            (Self::Days, Tier::Full) => Some(2_000),
            (
                Self::TryAgain
                | Self::FormRefused
                | Self::ExactWork
                | Self::StoreOutage
                | Self::ListsForbidden
                | Self::LongRejection
                | Self::LateWordRefused
                | Self::SlowCustomer
                | Self::CaptureMismatch,
                _,
            ) => Some(2_000),
            _ => Some(GATE_SEEDS),
        }
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

/// How often each was met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Met(pub BTreeMap<Sometimes, u64>);

impl Met {
    /// It was met once more.
    pub fn meet(&mut self, what: Sometimes) {
        *self.0.entry(what).or_default() += 1;
    }

    /// Adds another run's.
    pub fn absorb(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(*what).or_default() += count;
        }
    }

    /// Which were never met, although a batch of so many seeds must meet them.
    #[must_use]
    pub fn missing(&self, tier: Tier, seeds: u64) -> Vec<Sometimes> {
        let is_demanded =
            |what: &&Sometimes| what.demanded_from_seeds(tier).is_some_and(|from| from <= seeds);
        let never = |what: &&Sometimes| self.0.get(what).is_none_or(|count| *count == 0);
        Sometimes::ALL
            .iter()
            .filter(is_demanded)
            .filter(never)
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rare_is_demanded_of_large_batches_only() {
        let nothing = Met::default();
        let missing = |tier, seeds| nothing.missing(tier, seeds);
        assert!(missing(Tier::Full, GATE_SEEDS - 1).is_empty());
        assert!(missing(Tier::Full, GATE_SEEDS).contains(&Sometimes::Parked));
        assert!(!missing(Tier::Full, GATE_SEEDS).contains(&Sometimes::TryAgain));
        assert!(missing(Tier::Full, 2_000).contains(&Sometimes::TryAgain));
        assert!(!missing(Tier::Full, 2_000).contains(&Sometimes::LateWordRefused));
        assert!(missing(Tier::Full, 10_000).contains(&Sometimes::LateWordRefused));
        assert!(!missing(Tier::Full, u64::MAX).contains(&Sometimes::AnsweredFromCopy));
        assert_eq!(missing(Tier::Model, 2_000).len(), Sometimes::ALL.len());
    }

    #[test]
    fn what_was_met_is_not_missing() {
        let mut met = Met::default();
        met.meet(Sometimes::Parked);
        assert!(!met.missing(Tier::Model, GATE_SEEDS).contains(&Sometimes::Parked));
        assert!(
            met.missing(Tier::Model, GATE_SEEDS)
                .contains(&Sometimes::Declined)
        );
    }
}
