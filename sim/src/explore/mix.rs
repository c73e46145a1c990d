//! How much may go wrong on one path, and the named mixes of it.

use serde::Serialize;

use super::cell::{Plot, PspClass};

/// How much may still go wrong on one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Budget {
    /// Faults of all kinds together; what is counted from `rejected` on is no fault of this sum.
    pub faults: u8,
    /// Servers that crash.
    pub crashes: u8,
    /// Requests or answers between a server and the PSP that are lost.
    pub lost: u8,
    /// Requests that reach the PSP late.
    pub late: u8,
    /// Swaps whose end is unknown.
    pub ambiguous: u8,
    /// Servers that pause.
    pub pauses: u8,
    /// Requests that a client sends once more while the first is still open, and notices delivered once more.
    pub duplicates: u8,
    /// Webhooks delivered.
    pub webhooks: u8,
    /// Requests repeated after a 202, or after a rejection once `Retry-After` is over.
    pub polls: u8,
    /// Timers that fire.
    pub wakes: u8,
    /// Sendings that are answered with a definite 4xx and without effect: money calls, reads and look-ups alike.
    pub rejected: u8,
    /// Things done by hand at the PSP to the attempt's own object.
    pub by_hand: u8,
    /// Things done by another installation under the attempt's reference. One more is there from the start.
    pub foreign: u8,
    /// Requests that the PSP executes twice.
    pub twice: u8,
    /// Answers that come long after, whatever has been concluded meanwhile.
    pub late_answers: u8,
    /// Requests of an operator.
    pub operators: u8,
}

impl Budget {
    /// Nothing goes wrong.
    pub const PEACE: Self = Self {
        faults: 0,
        crashes: 0,
        lost: 0,
        late: 0,
        ambiguous: 0,
        pauses: 0,
        duplicates: 0,
        webhooks: 0,
        polls: 0,
        wakes: 0,
        rejected: 0,
        by_hand: 0,
        foreign: 0,
        twice: 0,
        late_answers: 0,
        operators: 0,
    };

    /// What has gone wrong of a budget of which `left` is left.
    pub(super) fn faults_of(&self, left: &Self) -> u32 {
        let pairs = [
            (self.faults, left.faults),
            (self.rejected, left.rejected),
            (self.by_hand, left.by_hand),
            (self.foreign, left.foreign),
            (self.twice, left.twice),
            (self.late_answers, left.late_answers),
        ];
        used(&pairs)
    }

    /// What has set an attempt going anew, of a budget of which `left` is left. After a rejection a client's repetition does.
    pub(super) fn nudges_of(&self, left: &Self) -> u32 {
        let polls = if self.rejected > 0 {
            (self.polls, left.polls)
        } else {
            (0, 0)
        };
        used(&[
            (self.wakes, left.wakes),
            (self.webhooks, left.webhooks),
            (self.operators, left.operators),
            polls,
        ])
    }
}

fn used(pairs: &[(u8, u8)]) -> u32 {
    pairs
        .iter()
        .map(|(all, left)| u32::from(all.saturating_sub(*left)))
        .sum()
}

/// What may go wrong on one path: few things together, so that every state can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mix {
    /// One fault of any kind.
    Fault,
    /// A webhook at any time, and no fault.
    Webhook,
    /// Two faults at the PSP's side or by crashes. Too many states to see all: give it a `max_states`.
    Pair,
    /// One sending of any kind is answered with a definite 4xx, and one message is lost.
    Rejected,
    /// One thing is done by hand at the PSP to the attempt's own object, and one notice comes.
    ByHand,
    /// Another installation has an object under the attempt's reference, goes on with it, or makes another one.
    Foreign,
    /// The PSP executes one request twice.
    Twice,
    /// One answer comes long after.
    LateAnswer,
    /// 3-D Secure up to its deadline and beyond it, with one rejection.
    Deadline,
    /// An operator asks once, at any time, and resolves what is parked at rest.
    Operator,
}

impl Mix {
    /// Every mix.
    pub const ALL: [Self; 10] = [
        Self::Fault,
        Self::Webhook,
        Self::Pair,
        Self::Rejected,
        Self::ByHand,
        Self::Foreign,
        Self::Twice,
        Self::LateAnswer,
        Self::Deadline,
        Self::Operator,
    ];

    /// The word in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Webhook => "webhook",
            Self::Pair => "pair",
            Self::Rejected => "rejected",
            Self::ByHand => "by_hand",
            Self::Foreign => "foreign",
            Self::Twice => "twice",
            Self::LateAnswer => "late_answer",
            Self::Deadline => "deadline",
            Self::Operator => "operator",
        }
    }

    /// Whether the mix adds anything to this class and plot that no other world has.
    #[must_use]
    pub fn is_worth(self, class: PspClass, plot: Plot) -> bool {
        match self {
            Self::Fault | Self::Webhook => true,
            // Too large to be seen whole.
            Self::Pair => false,
            Self::Rejected | Self::LateAnswer => plot != Plot::Decline,
            Self::ByHand => matches!(plot, Plot::Capture | Plot::Charge | Plot::Void),
            Self::Foreign => matches!(plot, Plot::Capture | Plot::Charge),
            // A PaymentIntent is captured once, whoever asks; only a request that makes one can be executed twice.
            Self::Twice => {
                matches!(plot, Plot::Charge | Plot::Void) || (plot == Plot::Capture && !class.has_intents())
            }
            Self::Deadline => plot == Plot::ThreeDSecure,
            // Only there is anything parked.
            Self::Operator => {
                matches!(class, PspClass::Blind | PspClass::Keyed)
                    && matches!(plot, Plot::Capture | Plot::Charge | Plot::Void)
            }
        }
    }

    /// The budget of the mix in this world: smaller where every state could not be seen otherwise.
    pub(super) fn budget(self, class: PspClass, plot: Plot) -> Budget {
        const FEW: Budget = Budget {
            faults: 1,
            lost: 1,
            wakes: 2,
            ..Budget::PEACE
        };
        match self {
            Self::Fault => Budget {
                crashes: 1,
                late: 1,
                ambiguous: 1,
                pauses: 1,
                duplicates: 1,
                ..FEW
            },
            Self::Webhook => Budget {
                webhooks: 1,
                polls: 1,
                wakes: 3,
                ..Budget::PEACE
            },
            Self::Pair => Budget {
                faults: 2,
                crashes: 1,
                lost: 2,
                late: 1,
                polls: 1,
                wakes: 3,
                ..Budget::PEACE
            },
            Self::Rejected => Budget {
                rejected: 1,
                polls: 1,
                ..FEW
            },
            Self::ByHand => Budget {
                by_hand: 1,
                webhooks: 1,
                faults: u8::from(plot != Plot::Void),
                ..FEW
            },
            // Look-ups show it where something is in doubt; elsewhere notices do.
            Self::Foreign => Budget {
                foreign: 1,
                faults: u8::from(class.is_listed()),
                webhooks: u8::from(!class.is_listed() || plot == Plot::Charge),
                ..FEW
            },
            Self::Twice => Budget {
                twice: 1,
                webhooks: 1,
                ..FEW
            },
            Self::LateAnswer => Budget {
                late_answers: 1,
                faults: u8::from(plot != Plot::ThreeDSecure),
                wakes: 3,
                ..FEW
            },
            Self::Deadline => Budget {
                rejected: 1,
                wakes: 5,
                ..FEW
            },
            Self::Operator => Budget {
                operators: 1,
                late: 1,
                crashes: 1,
                ..FEW
            },
        }
    }
}
