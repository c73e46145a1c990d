//! The way through a store that can sort: a page of an operator goes from merchant to merchant, in the order of their names.
//!
//! The store has the attempts of one merchant in order, and so each step is a look into one place of an index, however many attempts
//! there are.

use super::search::{Found, Place, Search, SearchError};
use crate::base::id::AttemptId;
use crate::base::time::UnixMillis;
use crate::journal::record::Record;

/// Most merchants of one page: of many, none may have what is searched for.
const MERCHANTS_MAX: usize = 100;

/// A row that a store found. A record that cannot be used is none.
pub type Row = (Place, Option<Record>);

/// What to look for next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The first merchant after this name that has an attempt of the sought order, or in the sought state. Its name goes to
    /// [`Walk::found_merchant`].
    Merchant {
        /// The name.
        after: String,
    },
    /// Attempts of one merchant that are what is searched for, sorted as [`Place`] says. They go to [`Walk::found_rows`].
    Rows {
        /// The merchant.
        merchant: String,
        /// Which of its attempts.
        range: Range,
    },
}

/// Which attempts of a merchant a page takes, in the numbers of databases, which have no unsigned ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Only those that have their state since later than this, in milliseconds since the Unix epoch, or since then and have a greater id.
    /// A search for an order goes by the id alone. -1: from the beginning.
    pub after_ms: i64,
    /// See `after_ms`. Empty: from the beginning.
    pub after_id: Vec<u8>,
    /// Only those that have their state since then or longer, in milliseconds since the Unix epoch.
    pub until_ms: i64,
    /// At most so many.
    pub limit: i64,
}

/// A search on its way.
#[derive(Clone, Debug)]
pub struct Walk {
    search: Search,
    rows: Vec<Row>,
    next: Option<Ask>,
    merchants: usize,
    /// Where the page ends before it is full.
    goes_on: Option<Place>,
}

impl Walk {
    /// Begins.
    ///
    /// # Errors
    /// [`SearchError::ForeignCursor`].
    pub fn new(search: Search) -> Result<Self, SearchError> {
        let mut walk = Self {
            rows: Vec::new(),
            next: None,
            merchants: 0,
            goes_on: None,
            search,
        };
        let after = walk.search.after_place()?;
        walk.next = Some(match (&walk.search.merchant, after) {
            (Some(own), after) => walk.rows_of(own.to_string(), after.as_ref()),
            (None, Some(place)) => walk.rows_of(place.merchant.clone(), Some(&place)),
            (None, None) => Ask::Merchant { after: String::new() },
        });
        Ok(walk)
    }

    /// What is searched for.
    #[must_use]
    pub fn search(&self) -> &Search {
        &self.search
    }

    /// What to look for next. `None`: the page is complete.
    #[must_use]
    pub fn next(&self) -> Option<&Ask> {
        self.next.as_ref()
    }

    /// The answer to [`Ask::Merchant`].
    pub fn found_merchant(&mut self, name: Option<String>) {
        self.next = name.map(|name| self.rows_of(name, None));
    }

    /// The answer to [`Ask::Rows`].
    pub fn found_rows(&mut self, rows: Vec<Row>) {
        let Some(Ask::Rows { merchant, .. }) = self.next.take() else {
            return;
        };
        self.rows.extend(rows);
        self.merchants += 1;
        if self.search.merchant.is_some() || self.wanted() == 0 {
            return;
        }
        if self.merchants < MERCHANTS_MAX {
            self.next = Some(Ask::Merchant { after: merchant });
        } else {
            // After everything that this merchant can have.
            self.goes_on = Some(Place {
                merchant,
                since_ms: UnixMillis::MAX,
                id: AttemptId::from_bytes([0xff; 16]),
            });
        }
    }

    /// The page.
    #[must_use]
    pub fn page(self) -> Found {
        let Self {
            search,
            rows,
            goes_on,
            ..
        } = self;
        search.page(rows, goes_on.as_ref())
    }

    fn rows_of(&self, merchant: String, after: Option<&Place>) -> Ask {
        let signed = |at_ms: UnixMillis| i64::try_from(at_ms.get()).unwrap_or(i64::MAX);
        let range = Range {
            after_ms: after.map_or(-1, |place| signed(place.since_ms)),
            after_id: after.map_or(Vec::new(), |place| place.id.to_bytes().to_vec()),
            until_ms: self.search.since_until_ms.map_or(i64::MAX, signed),
            limit: i64::try_from(self.wanted()).unwrap_or(i64::MAX),
        };
        Ask::Rows { merchant, range }
    }

    /// One more than the page has shows that there is another one.
    fn wanted(&self) -> usize {
        (self.search.limit + 1).saturating_sub(self.rows.len())
    }
}
