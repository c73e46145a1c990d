//! What was met in a run or a batch: the “sometimes” counters. A batch in which one of them never fired has not
//! tested what it is for, and fails.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::tier::Tier;

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
}

impl Sometimes {
    /// All of them.
    pub const ALL: [Self; 84] = [
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
    ];

    /// Whether runs of a tier can meet it at all: servers hold no copies in the full stack, and no day passes there.
    #[must_use]
    pub fn is_of(self, tier: Tier) -> bool {
        tier == Tier::Model || !matches!(self, Self::AnsweredFromCopy | Self::ListsForbidden | Self::Days)
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

    /// Which were never met.
    #[must_use]
    pub fn missing(&self, tier: Tier) -> Vec<Sometimes> {
        let never = |what: &&Sometimes| what.is_of(tier) && self.0.get(what).is_none_or(|count| *count == 0);
        Sometimes::ALL.iter().filter(never).copied().collect()
    }
}
