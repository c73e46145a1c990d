//! The searches that wait for the one thread of a store that searches. One merchant's must not keep operators and other merchants out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use pay_once_core::{AttemptId, Found, Record, Search, SearchError};
use tokio::sync::{mpsc, oneshot};

/// Most searches of one merchant that wait or run.
const OF_MERCHANT_MAX: usize = 2;
/// Most searches of all merchants that wait or run.
const OF_MERCHANTS_MAX: usize = 8;
/// Most searches of operators that wait or run.
const OF_OPERATORS_MAX: usize = 8;

/// The way into the queue.
#[derive(Clone, Debug)]
pub(crate) struct Searcher {
    jobs: mpsc::Sender<Job>,
    shares: Shares,
}

/// One search, and who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) search: Search,
    pub(crate) waiting: Waiting,
}

/// Who waits for a search, and the place that it takes for as long.
#[derive(Debug)]
pub(crate) struct Waiting {
    done: oneshot::Sender<Result<Found, SearchError>>,
    _share: Share,
}

/// Both ends of a queue.
pub(crate) fn queue() -> (Searcher, mpsc::Receiver<Job>) {
    let (jobs, receiver) = mpsc::channel(OF_MERCHANTS_MAX + OF_OPERATORS_MAX);
    let shares = Shares::default();
    (Searcher { jobs, shares }, receiver)
}

impl Searcher {
    /// Asks for a page.
    pub(crate) async fn search(&self, search: Search) -> Result<Found, SearchError> {
        let share = self.shares.take(&search).ok_or(SearchError::Busy)?;
        let (done, found) = oneshot::channel();
        let waiting = Waiting { done, _share: share };
        match self.jobs.try_send(Job { search, waiting }) {
            Ok(()) => found.await.unwrap_or(Err(SearchError::Unavailable)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(SearchError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SearchError::Unavailable),
        }
    }
}

impl Waiting {
    /// Whoever asked has gone away.
    pub(crate) fn is_over(&self) -> bool {
        self.done.is_closed()
    }

    /// Tells what was found.
    pub(crate) fn told(self, found: Result<Found, SearchError>) {
        let _ = self.done.send(found);
    }
}

/// The record of a row that a search found. One that cannot be used is left out of the page.
pub(crate) fn found(id: AttemptId, bytes: &[u8]) -> Option<Record> {
    Record::decode(id, bytes)
        .inspect_err(
            |error| tracing::error!(attempt = %id, %error, "a record is refused, and left out of a page"),
        )
        .ok()
}

/// Who has how many.
#[derive(Clone, Debug, Default)]
struct Shares(Arc<Mutex<BTreeMap<Option<Arc<str>>, usize>>>);

/// A place among those that wait. It is given back when it is dropped.
#[derive(Debug)]
struct Share {
    shares: Shares,
    of: Option<Arc<str>>,
}

impl Shares {
    /// A place for a search, if there is one.
    fn take(&self, search: &Search) -> Option<Share> {
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
