//! A call of either face.

use crate::base::dials::Dials;
use crate::base::face::Face;
use crate::base::outcome::Outcome;
use crate::ledger::state::State;
use crate::ledger::work::Work;
use crate::wire::request::Request;

use super::kind::{Kind, Site};
use super::{acquirer, stripe};

/// A parsed call of one of the faces.
pub(crate) enum Call {
    Stripe(stripe::Call),
    Acquirer(acquirer::Call),
}

impl Call {
    /// # Errors
    /// The answer to give when the request is not a call of `face`.
    pub(crate) fn parse(face: Face, dials: &Dials, request: &Request) -> Result<Self, Outcome> {
        match face {
            Face::Stripe => stripe::parse(request, dials).map(Self::Stripe),
            Face::Acquirer => acquirer::parse(request, dials).map(Self::Acquirer),
        }
    }

    /// Whether the call is one that can move money.
    pub(crate) fn moves_money(&self) -> bool {
        match self {
            Self::Stripe(call) => call.moves_money(),
            Self::Acquirer(call) => call.moves_money(),
        }
    }

    /// What kind of call it is.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Stripe(call) => call.kind(),
            Self::Acquirer(call) => call.kind(),
        }
    }

    /// A digest of what is asked, by which a key knows its request.
    pub(crate) fn fingerprint(&self, request: &Request) -> String {
        match self {
            Self::Stripe(_) => stripe::fingerprint(request),
            Self::Acquirer(_) => acquirer::fingerprint(request),
        }
    }

    /// Where a token may act on this call.
    pub(crate) fn site(&self, state: &State) -> Option<Site> {
        match self {
            Self::Stripe(call) => stripe::site(call, state),
            Self::Acquirer(call) => acquirer::site(call, state),
        }
    }

    /// Does what the call says.
    pub(crate) fn execute(&self, work: &mut Work<'_>) -> Outcome {
        match self {
            Self::Stripe(call) => stripe::execute(call, work),
            Self::Acquirer(call) => acquirer::execute(call, work),
        }
    }
}
