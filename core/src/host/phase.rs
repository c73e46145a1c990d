//! Where a turn stands.

use crate::base::time::UnixMillis;
use crate::machine::pending::PendingRequest;
use crate::machine::routed::EventRead;
use crate::machine::search::PendingSearch;
use crate::psp::call::Call;

/// Where a turn stands. A phase that ends in `ing` waits for the adapter.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Read(Box<EventRead>),
    Reading(Box<EventRead>),
    Search(Box<PendingSearch>),
    /// The call of an operator's look.
    Look(Box<(Call, PendingRequest)>),
    Looking(Box<(Call, PendingRequest)>),
    Load,
    Loading,
    Swap,
    Swapping,
    ReadBack,
    ReadingBack,
    /// What is to be done once the write, if there is one, is durable.
    Out,
    Waiting,
    Pause(UnixMillis),
    Pausing,
    Done,
}
