//! A search and its answer. It reads records and decides nothing about them.

use super::builder::{StepBuilder, StepContext};
use crate::base::clock::Now;
use crate::base::config::Config;
use crate::base::http::Response;
use crate::base::id::Entropy;
use crate::contract::answer::{self, ReplyContext};
use crate::contract::search::{Found, Page, Search, SearchError, refusal, shown};

/// A search that was taken on. Perform [`PendingSearch::search`], and hand what it found to [`PendingSearch::answer`].
#[derive(Clone, Debug)]
pub struct PendingSearch {
    /// What is searched for.
    pub search: Search,
    pub(crate) context: ReplyContext,
}

impl PendingSearch {
    /// The answer. An index may be behind: a record that is not what was searched for is left out.
    #[must_use]
    pub fn answer(
        &self,
        config: &Config,
        found: Result<Found, SearchError>,
        now: impl Into<Now>,
    ) -> Response {
        let found = match found {
            Ok(found) => found,
            Err(why) => return answer::error(&refusal(why), &self.context),
        };
        let now = now.into();
        let clock = StepContext {
            config,
            now_ms: now.at_ms,
            trust: now.trust,
            // Nothing is made.
            entropy: Entropy(0),
        };
        let mut attempts = Vec::with_capacity(found.records.len());
        for record in &found.records {
            let entry = record.index_entry();
            if self.search.matches(&entry) {
                let view = StepBuilder::on(clock, record).view();
                attempts.push(view.with_entry(&entry, self.search.merchant.is_none()));
            }
        }
        let page = Page {
            attempts,
            next: found.next,
        };
        shown(&page, &self.context)
    }
}
