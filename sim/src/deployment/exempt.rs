//! What need not happen in a batch about a deployment: it has no PSP with which it can, or it is too rare among its seeds.

use std::collections::BTreeSet;

use super::Deployment;
use crate::met::Sometimes;
use crate::plan::Class;

/// What takes a fault in the milliseconds between two steps of a server, or two rare things at once. The swarm's own seeds have to
/// show it; a deployment's are shared by its PSPs, and most of their faults last for minutes or days.
const RARE: [Sometimes; 8] = [
    Sometimes::CrashBetweenPersistAndSend,
    Sometimes::SendWindowMissed,
    Sometimes::LateLandingAfterLookupMiss,
    Sometimes::SecureTwice,
    Sometimes::ExecutedTwice,
    Sometimes::UnwantedUndone,
    Sometimes::ListsForbidden,
    Sometimes::ExactWork,
];

impl Deployment {
    /// What need not happen.
    #[must_use]
    pub fn exempt(&self) -> BTreeSet<Sometimes> {
        let all = Sometimes::ALL.iter().copied();
        all.filter(|what| RARE.contains(what) || !self.can_meet(*what))
            .collect()
    }

    fn can_meet(&self, what: Sometimes) -> bool {
        let has = |is_meant: fn(Class) -> bool| self.psps.iter().any(|psp| is_meant(psp.class));
        match what {
            Sometimes::ClassStripe => has(|class| class == Class::Stripe),
            Sometimes::ClassAddressable => has(|class| class == Class::Addressable),
            Sometimes::ClassKeyed => has(|class| class == Class::Keyed),
            Sometimes::ClassQueryable => has(|class| class == Class::Queryable),
            Sometimes::ClassKeyedQueryable => has(|class| class == Class::KeyedQueryable),
            Sometimes::ClassBlind => has(|class| class == Class::Blind),
            Sometimes::EventRead | Sometimes::BusyAccount | Sometimes::RefundPending => has(Class::is_stripe),
            Sometimes::KeyPastItsHorizon => has(Class::is_keyed),
            // How a 3-D Secure ended, such PSPs tell by webhook alone, and none is tried.
            Sometimes::SecureFinished | Sometimes::SecureAbandoned | Sometimes::SlowCustomer => {
                has(Class::is_listed)
            }
            Sometimes::SecondMerchant => self.psps.iter().any(|psp| psp.second.is_some()),
            _ => true,
        }
    }
}
