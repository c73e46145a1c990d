//! The transition table: every status and every event, without a wildcard arm (`docs/http.md`, “Statuses”).

use serde::{Serialize, Serializer};

/// The status of an attempt (`docs/http.md`, “Statuses”). It is derived from the journal and never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Nothing was sent to the PSP, or what was sent was rejected without effect.
    Created,
    /// An authorization was dispatched.
    Authorizing,
    /// The customer has to act (3-D Secure).
    RequiresAction,
    /// Funds are reserved.
    Authorized,
    /// A capture was dispatched.
    Capturing,
    /// Funds were taken. Final.
    Captured,
    /// A void was dispatched.
    Voiding,
    /// Funds were released. Final.
    Voided,
    /// The payment was declined, or its authorization ended without money. Final.
    Declined,
    /// The authorization lapsed, or was released because it was not used in time. Final.
    Expired,
}

/// An event that may change a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An authorize was begun.
    BeganAuthorize,
    /// A capture was begun.
    BeganCapture,
    /// A void was begun.
    BeganVoid,
    /// The authorization was seen at the PSP.
    SeenAuthorize,
    /// The capture was seen.
    SeenCapture,
    /// The void was seen.
    SeenVoid,
    /// The authorization was seen to have lapsed, or a void for expiry was seen.
    SeenLapse,
    /// The authorization was refused for good.
    RefusedAuthorize,
    /// The capture was refused for good.
    RefusedCapture,
    /// The void was refused for good: what it should release may still be held.
    RefusedVoid,
    /// The PSP requires a 3-D Secure.
    ActionRequired,
    /// The PSP rejected the client's authorize, and it is proven that it had no effect.
    WithdrewAuthorize,
    /// It is proven that the client's capture had no effect: the PSP rejected it, or refused its form.
    WithdrewCapture,
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 10] = [
        Status::Created,
        Status::Authorizing,
        Status::RequiresAction,
        Status::Authorized,
        Status::Capturing,
        Status::Captured,
        Status::Voiding,
        Status::Voided,
        Status::Declined,
        Status::Expired,
    ];

    /// Its name in answers, log lines and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Created => "CREATED",
            Status::Authorizing => "AUTHORIZING",
            Status::RequiresAction => "REQUIRES_ACTION",
            Status::Authorized => "AUTHORIZED",
            Status::Capturing => "CAPTURING",
            Status::Captured => "CAPTURED",
            Status::Voiding => "VOIDING",
            Status::Voided => "VOIDED",
            Status::Declined => "DECLINED",
            Status::Expired => "EXPIRED",
        }
    }

    /// Whether it never changes again (rule 10).
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Captured | Self::Voided | Self::Declined | Self::Expired => true,
            Self::Created
            | Self::Authorizing
            | Self::RequiresAction
            | Self::Authorized
            | Self::Capturing
            | Self::Voiding => false,
        }
    }

    /// The short form of the status, for clients that only charge (`docs/http.md`, “Statuses”).
    #[must_use]
    pub fn charge_state(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Authorizing | Self::Authorized | Self::Capturing | Self::Voiding => "processing",
            Self::RequiresAction => "requires_action",
            Self::Captured => "succeeded",
            Self::Voided | Self::Declined | Self::Expired => "failed",
        }
    }

    /// How far the attempt has come, from 0 to 5. No transition leads to a lower rank (“status never goes back for any
    /// reader”), except the two that [`Status::may_follow`] allows.
    #[must_use]
    pub fn rank(self) -> u8 {
        match self {
            Self::Created => 0,
            Self::Authorizing => 1,
            Self::RequiresAction => 2,
            Self::Authorized => 3,
            Self::Capturing | Self::Voiding => 4,
            Self::Captured | Self::Voided | Self::Declined | Self::Expired => 5,
        }
    }

    /// Whether a reader may see `self` after `before`. No status goes back, and a final status stays. There are two
    /// exceptions, both proven to have had no effect: a rejected authorize leads back to CREATED, and a rejected or
    /// refused capture leads back to AUTHORIZED.
    #[must_use]
    pub fn may_follow(self, before: Status) -> bool {
        let is_exception = matches!(
            (before, self),
            (Status::Authorizing, Status::Created) | (Status::Capturing, Status::Authorized)
        );
        is_exception || (self.rank() >= before.rank() && (!before.is_final() || self == before))
    }

    /// The transition table. A pair that changes nothing is written out too, because evidence comes late, twice and in
    /// any order (rule 7), and because a final status never changes (rule 10).
    #[must_use]
    pub fn next(self, event: Event) -> Status {
        use Event as E;
        use Status as S;
        match (self, event) {
            (S::Created, E::BeganAuthorize) => S::Authorizing,
            (S::Authorized, E::BeganCapture) => S::Capturing,
            (S::RequiresAction | S::Authorized, E::BeganVoid) => S::Voiding,

            (S::Created | S::Authorizing | S::RequiresAction, E::SeenAuthorize) => S::Authorized,
            (
                S::Created | S::Authorizing | S::RequiresAction | S::Authorized | S::Capturing | S::Voiding,
                E::SeenCapture,
            ) => S::Captured,
            (S::Authorizing | S::RequiresAction | S::Authorized | S::Capturing | S::Voiding, E::SeenVoid) => S::Voided,
            (S::Authorizing | S::RequiresAction | S::Authorized | S::Capturing | S::Voiding, E::SeenLapse) => {
                S::Expired
            }
            // CREATED is here for refusals after a rejection only. Before that, nothing is evidence for an attempt that
            // was only created (rule 13).
            (S::Created | S::Authorizing | S::RequiresAction, E::RefusedAuthorize) => S::Declined,
            (S::Capturing, E::RefusedCapture) => S::Declined,
            (S::Authorizing, E::ActionRequired) => S::RequiresAction,
            // The named exceptions to the order of statuses (`Status::may_follow`).
            (S::Authorizing, E::WithdrewAuthorize) => S::Created,
            (S::Capturing, E::WithdrewCapture) => S::Authorized,

            // A void that was refused leaves the attempt where it is: it is parked for an operator.
            (
                S::Created
                | S::Authorizing
                | S::RequiresAction
                | S::Authorized
                | S::Capturing
                | S::Captured
                | S::Voiding
                | S::Voided
                | S::Declined
                | S::Expired,
                E::RefusedVoid,
            ) => self,
            // Late, repeated or foreign evidence changes nothing.
            (
                S::Created,
                E::BeganCapture
                | E::BeganVoid
                | E::SeenVoid
                | E::SeenLapse
                | E::RefusedCapture
                | E::ActionRequired
                | E::WithdrewAuthorize
                | E::WithdrewCapture,
            )
            | (
                S::Authorizing,
                E::BeganAuthorize
                | E::BeganCapture
                | E::BeganVoid
                | E::RefusedCapture
                | E::WithdrewCapture,
            )
            | (
                S::RequiresAction,
                E::BeganAuthorize
                | E::BeganCapture
                | E::RefusedCapture
                | E::ActionRequired
                | E::WithdrewAuthorize
                | E::WithdrewCapture,
            )
            | (
                S::Authorized,
                E::BeganAuthorize
                | E::SeenAuthorize
                | E::RefusedAuthorize
                | E::RefusedCapture
                | E::ActionRequired
                | E::WithdrewAuthorize
                | E::WithdrewCapture,
            )
            | (
                S::Capturing,
                E::BeganAuthorize
                | E::BeganCapture
                | E::BeganVoid
                | E::SeenAuthorize
                | E::RefusedAuthorize
                | E::ActionRequired
                | E::WithdrewAuthorize,
            )
            | (
                S::Voiding,
                E::BeganAuthorize
                | E::BeganCapture
                | E::BeganVoid
                | E::SeenAuthorize
                | E::RefusedAuthorize
                | E::RefusedCapture
                | E::ActionRequired
                | E::WithdrewAuthorize
                | E::WithdrewCapture,
            )
            // Final is final.
            | (
                S::Captured | S::Voided | S::Declined | S::Expired,
                E::BeganAuthorize
                | E::BeganCapture
                | E::BeganVoid
                | E::SeenAuthorize
                | E::SeenCapture
                | E::SeenVoid
                | E::SeenLapse
                | E::RefusedAuthorize
                | E::RefusedCapture
                | E::ActionRequired
                | E::WithdrewAuthorize
                | E::WithdrewCapture,
            ) => self,
        }
    }
}
