//! What a turn asks of its adapter.

use crate::base::http::Response;
use crate::base::time::UnixMillis;
use crate::contract::search::Search;
use crate::journal::record::RecordError;
use crate::machine::step::Write;
use crate::psp::call::Call;
use crate::psp::report::PspReport;

/// What an adapter does next.
#[derive(Debug)]
pub enum Action {
    /// Send this call, which belongs to no attempt yet, and hand its result to [`super::turn::Turn::read`].
    Read(Box<Call>),
    /// Search the store, and hand what it found to [`super::turn::Turn::found`].
    Search(Box<Search>),
    /// Read the record at [`super::turn::Turn::id`] from the store, or from a copy that nobody else can have replaced.
    Load,
    /// Compare and swap: put [`super::turn::Turn::write`] in place if its expected version is there.
    Swap,
    /// The write is durable. The attempt's timer is now at its `wake_at_ms`, whatever it was; no timer if that is `None`.
    Committed(Write),
    /// Send this call at most once, if [`Call::may_send`] still says so right before the first byte.
    Perform(Box<Call>),
    /// Wake the attempt at a time, unless its timer comes before and `is_latest` is false.
    Arm {
        /// When, in milliseconds since the Unix epoch.
        at_ms: UnixMillis,
        /// Whether it replaces a timer that comes before.
        is_latest: bool,
    },
    /// Tell the operators.
    Note(Note),
    /// Wait until the record may have changed, at `until_ms` at the latest.
    Wait {
        /// In milliseconds since the Unix epoch.
        until_ms: UnixMillis,
    },
    /// Wait until `until_ms`: the store gets some time.
    Pause {
        /// In milliseconds since the Unix epoch.
        until_ms: UnixMillis,
    },
    /// Answer whoever asked.
    Reply(Response),
    /// Nothing is left to do.
    Done,
}

/// What operators have to know of a turn.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Note {
    /// What an answer said of its PSP as such.
    Psp(PspReport),
    /// A swap ended unknown; the record is read back.
    SwapUnknown,
    /// The store is given up for this turn.
    StoreGivenUp(&'static str),
    /// A PSP's answer could not be stored; recovery will ask again.
    OutcomeLost,
    /// The stored record cannot be used, and is left as it is.
    RecordRefused(RecordError),
    /// A read or look-up showed nothing, and proves nothing: the clock was in doubt when it was asked for, or its `Date` contradicts it.
    ProofHeldBack,
}

impl Note {
    /// The line for the log. `None`: there is nothing to say.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        Some(match self {
            Self::Psp(report) => {
                report.rejection.as_ref()?;
                "a PSP rejected our credentials, our account or our request".to_owned()
            }
            Self::SwapUnknown => "a swap ended unknown; the record is read back".to_owned(),
            Self::StoreGivenUp(why) => format!("the store is given up for this step: {why}"),
            Self::OutcomeLost => "a PSP's answer could not be stored; recovery will ask again".to_owned(),
            Self::RecordRefused(why) => format!("a record was refused and left as it is: {why}"),
            Self::ProofHeldBack => {
                "a read or look-up that shows nothing proves nothing: the clock was in doubt, or the Date of the PSP's answer contradicts it"
                    .to_owned()
            }
        })
    }
}
