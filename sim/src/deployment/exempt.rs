//! What need not happen in a batch about a deployment, since it has no PSP with which it can.

use std::collections::BTreeSet;

use super::Deployment;
use crate::met::Sometimes;
use crate::plan::Class;

impl Deployment {
    /// What need not happen.
    #[must_use]
    pub fn exempt(&self) -> BTreeSet<Sometimes> {
        let needed = Sometimes::ALL.iter().copied();
        needed.filter(|what| !self.can_meet(*what)).collect()
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
            _ => true,
        }
    }
}
