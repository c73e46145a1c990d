//! How far a turn has come.

use crate::base::time::UnixMillis;
use crate::machine::routed::EventRead;
use crate::machine::search::PendingSearch;

/// What a turn does next, or what it waits for.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Read(Box<EventRead>),
    Reading(Box<EventRead>),
    Search(Box<PendingSearch>),
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
