//! Where a request is routed to.

use super::search::PendingSearch;
use super::step::Input;
use crate::base::http::Response;
use crate::base::id::AttemptId;
use crate::contract::answer::ReplyContext;
use crate::psp::call::Call;
use crate::psp::stripe_event::About;

/// What to do with a request.
#[derive(Debug)]
pub enum Routed {
    /// Answer at once; no record is concerned.
    Reply(Response),
    /// Load the record at `id` and hand `input` to [`super::handle::handle`].
    Attempt {
        /// The address of the record.
        id: AttemptId,
        /// What to hand over.
        input: Input,
    },
    /// Search the store, and hand what it found to [`PendingSearch::answer`].
    Search(Box<PendingSearch>),
    /// A webhook names an object and not its attempt. Perform the read, and hand its result to
    /// [`super::event::event_read`], which decides what follows.
    Read(Box<EventRead>),
}

/// An event that names its object and not its attempt. The object is read first, and names the attempt.
#[derive(Clone, Debug)]
pub struct EventRead {
    /// The read. Perform it, and hand its result to [`super::event::event_read`].
    pub call: Call,
    /// What is read, and what else the event said.
    pub(crate) about: About,
    pub(super) context: ReplyContext,
}
