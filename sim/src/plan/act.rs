//! What a plan does, step by step: payments and faults (`docs/faults.md`).

use serde::{Deserialize, Serialize};

use super::payment::Payment;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When, in milliseconds from the start.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub act: Act,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// A customer pays.
    Pay(Payment),
    /// A server's process is killed and starts again after a while.
    Crash {
        /// Which.
        server: usize,
        /// For how long it is down, in milliseconds.
        down_ms: u64,
        /// Power loss: its peers learn nothing of it.
        silent: bool,
    },
    /// A server's process is killed and never comes back, nor does its machine. Never the first: somebody has to serve.
    Die {
        /// Which.
        server: usize,
    },
    /// A server's process is stopped and goes on later, as a paused virtual machine does.
    Pause {
        /// Which.
        server: usize,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// A server's process stands still at one of its sendings by which money can move, whenever that comes.
    AtSend {
        /// Which.
        server: usize,
        /// At which sending, counted from 1.
        nth: u32,
        /// Whether the request has just left; it is about to leave otherwise.
        is_sent: bool,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// A server's wall clock is set. Its monotonic clock goes on, and is right. A machine that starts again sets its clock right. At the
    /// start nobody has seen it otherwise.
    SetClock {
        /// Which.
        server: usize,
        /// How far ahead of what the world says of its clock it is from now on, in milliseconds.
        ahead_ms: i64,
    },
    /// Messages between two hosts are lost.
    Partition {
        /// One end.
        from: Host,
        /// The other.
        to: Host,
        /// Only messages from `from` to `to`.
        one_way: bool,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// Messages between two hosts wait, and all arrive at the end. At most `max_in_flight_ms` of truth: it is a
    /// request's flight.
    Hold {
        /// One end.
        from: Host,
        /// The other.
        to: Host,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The store misbehaves.
    Store {
        /// How.
        fault: StoreFault,
        /// How often, in a thousand operations.
        permille: u16,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The PSP misbehaves: one of its dials.
    Psp {
        /// How.
        fault: PspFault,
        /// How often, in a thousand.
        permille: u16,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The load balancer sends requests again: at once, and later.
    Replay {
        /// How often, in a thousand requests.
        permille: u16,
        /// How much later, at most, in milliseconds.
        later_ms: u64,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// Somebody sends a webhook that the PSP did not sign, saying that a payment was captured.
    Forge {
        /// Which payment.
        payment: u32,
        /// Another PSP of the configuration signed it, and it comes to that one's address.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        misdirected: bool,
    },
    /// A person acts at the PSP's dashboard on the newest object that carries a payment's reference.
    ByHand {
        /// Which payment.
        payment: u32,
        /// What.
        hand: Hand,
        /// On the object of another installation instead of ours.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        foreign: bool,
        /// On what the PSP made by executing a call a second time.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        extra: bool,
    },
    /// Another installation on the same account has made an object that carries a payment's reference, before the payment's
    /// first request.
    Foreign {
        /// Which payment.
        payment: u32,
        /// The object.
        object: ForeignObject,
    },
    /// All servers are killed, and a backup of the store is put in its place (the model tier only).
    Restore {
        /// How old the backup is, in milliseconds.
        age_ms: u64,
        /// For how long nobody serves, in milliseconds.
        down_ms: u64,
    },
}

/// An object of another installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignObject {
    /// Whether its money is taken; held otherwise. The acquirer's is always held.
    pub is_taken: bool,
    /// In the units that the PSP is sent.
    pub amount_minor: u64,
    /// How long ago it was made, in seconds.
    pub age_s: u64,
}

/// What a person does to an object at the PSP's dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hand {
    /// Captures so many thousandths of what is authorized.
    Capture(u16),
    /// Releases the authorization.
    Cancel,
    /// Gives back so many thousandths of what was captured. The acquirer knows only the whole.
    Refund(u16),
    /// The cardholder's bank wants the money back: a dispute at Stripe, a reversal at the acquirer.
    Dispute,
}

impl Hand {
    /// What plans draw from.
    pub const ALL: [Self; 6] = [
        Self::Capture(1_000),
        Self::Capture(500),
        Self::Cancel,
        Self::Refund(1_000),
        Self::Refund(400),
        Self::Dispute,
    ];
}

/// A host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Host {
    /// The merchants' clients.
    Clients,
    /// The load balancer.
    Balancer,
    /// A server.
    Server(usize),
    /// The store.
    Store,
    /// The PSP.
    Psp,
}

/// How a store misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreFault {
    /// A swap applies, and nobody learns of it.
    AppliedUnknown,
    /// A swap does not apply, and nobody learns of it.
    LostUnknown,
    /// A swap applies only after a second, and nobody learns of it.
    LateUnknown,
    /// Every operation fails at once.
    Down,
    /// Every operation takes half a second longer.
    Slow,
    /// Reads are answered; a swap does not apply, and nobody learns of it.
    NoWrites,
}

/// How a PSP misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PspFault {
    /// No effect, no answer.
    HangBefore,
    /// Effect, no answer.
    HangAfter,
    /// No effect, 500.
    ErrorBefore,
    /// Effect, 500.
    ErrorAfter,
    /// Effect, 200 and garbage.
    Garbage,
    /// No effect, 429.
    Throttle,
    /// What moves money has no effect and is answered 503; questions are answered.
    ReadOnly,
    /// No answer; the request lands as late as it may.
    Late,
    /// Webhooks are lost.
    WebhookLost,
    /// No effect, and a refusal of this one sending.
    Rejected {
        /// 400, 401 or 403.
        status: u16,
        /// Which calls.
        calls: Calls,
    },
    /// What moves money is executed twice.
    Twice,
    /// No effect, and a 400 that names the amount, as if the form were wrong; of what moves money.
    FormRefused,
    /// No effect, and the same 400, which the PSP says to be worth another try; of what moves money.
    TryAgain,
    /// The network delivers what moves money twice, and the answer is the second delivery's.
    Redelivered {
        /// 400, 401 or 403: the second delivery is refused so. 0: it is handled as any call.
        status: u16,
    },
    /// The card's bank declines authorizations that it approves at other times.
    Declines,
    /// A read of one object is answered 404 though it is there.
    ReadMissing,
    /// A page behind the first of a list is the first one again.
    ListStuck,
}

/// A kind of calls to a PSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Calls {
    /// Every call.
    All,
    /// Every call that creates or changes something.
    Money,
    /// Every read and look-up.
    Reads,
    /// Lists and look-ups.
    Lists,
}
