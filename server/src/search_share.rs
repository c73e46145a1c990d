//! How many searches each may have waiting: one merchant's must not keep operators and other merchants out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use pay_once_core::Search;

/// Most searches of one merchant that wait or run.
const OF_MERCHANT_MAX: usize = 2;
/// Most searches of all merchants that wait or run.
const OF_MERCHANTS_MAX: usize = 8;
/// Most searches of operators that wait or run.
const OF_OPERATORS_MAX: usize = 8;
/// Room for all of them.
pub(crate) const WAITING_MAX: usize = OF_MERCHANTS_MAX + OF_OPERATORS_MAX;

/// Who has how many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares(Arc<Mutex<BTreeMap<Option<Arc<str>>, usize>>>);

/// A place among those that wait. It is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Shares,
    of: Option<Arc<str>>,
}

impl Shares {
    /// A place for a search, if there is one.
    pub(crate) fn take(&self, search: &Search) -> Option<Share> {
        let of = search.merchant.clone();
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_operators = taken.get(&None).copied().unwrap_or_default();
        let of_merchants = taken.values().sum::<usize>() - of_operators;
        let own = taken.get(&of).copied().unwrap_or_default();
        let is_free = match of {
            None => of_operators < OF_OPERATORS_MAX,
            Some(_) => own < OF_MERCHANT_MAX && of_merchants < OF_MERCHANTS_MAX,
        };
        if !is_free {
            return None;
        }
        taken.insert(of.clone(), own + 1);
        Some(Share {
            shares: self.clone(),
            of,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = taken.get(&self.of).copied().unwrap_or_default().saturating_sub(1);
        if left == 0 {
            taken.remove(&self.of);
        } else {
            taken.insert(self.of.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use pay_once_core::UnixMillis;

    use super::*;

    fn search(merchant: Option<&str>) -> Search {
        Search::read("state=parked", merchant.map(Arc::from), UnixMillis::EPOCH).unwrap()
    }

    #[test]
    fn a_merchant_leaves_room_for_others_and_merchants_for_operators() {
        let shares = Shares::default();
        let mut held = Vec::new();
        for merchant in ["a", "b", "c", "d"] {
            for _ in 0..OF_MERCHANT_MAX {
                held.push(shares.take(&search(Some(merchant))).unwrap());
            }
            assert!(shares.take(&search(Some(merchant))).is_none(), "{merchant}");
        }
        assert!(
            shares.take(&search(Some("e"))).is_none(),
            "all merchants together"
        );
        let operators: Vec<_> = (0..OF_OPERATORS_MAX)
            .map(|_| shares.take(&search(None)).unwrap())
            .collect();
        assert!(shares.take(&search(None)).is_none());
        drop(held.pop());
        assert!(shares.take(&search(Some("e"))).is_some());
        drop((held, operators));
        assert!(shares.0.lock().unwrap().is_empty());
    }
}
