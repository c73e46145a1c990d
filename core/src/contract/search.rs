//! `GET /attempts`: what may be searched for, and the page that answers (`docs/http.md`, “Search”).

use std::sync::Arc;

use serde::Serialize;

use super::answer::{self, ReplyContext};
use super::error::{ApiError, Code};
use super::json::text;
use super::view::AttemptView;
use crate::base::http::Response;
use crate::base::id::AttemptId;
use crate::base::limits::{
    CURSOR_BYTES_MAX, ORDER_ID_CHARS_MAX, SEARCH_LIMIT_MAX, SEARCH_LIMIT_USUAL, SEARCH_OLDER_THAN_S_MAX,
};
use crate::base::time::{Millis, UnixMillis};
use crate::journal::indexed::{IndexEntry, SearchState};
use crate::journal::record::Record;

/// What is searched for. An attempt is found if it has all that is given here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Search {
    /// The merchant that owns the attempt. `None`: an operator searches among all of them.
    pub merchant: Option<Arc<str>>,
    /// The order of the attempt.
    pub order_id: Option<String>,
    /// What it waits for, or its status.
    pub state: Option<SearchState>,
    /// It has been so since this time or longer, in milliseconds since the Unix epoch.
    pub since_until_ms: Option<UnixMillis>,
    /// Most attempts of the page.
    pub limit: usize,
    /// Where the page before ended, in the words of the store that answered it.
    pub after: Option<String>,
}

/// A page of attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The attempts, in the order of the store.
    pub records: Vec<Record>,
    /// What the next page has to come after. `None`: this is the last page.
    pub next: Option<String>,
}

/// Why a store found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchError {
    /// The store did not answer.
    Unavailable,
    /// Others search at the moment, and more would wait too long.
    Busy,
    /// It would take longer than a search may.
    TooLong,
    /// The store has no index for this. The sentence says what it can search for.
    Unsupported(&'static str),
    /// The store did not write this `after`.
    ForeignCursor,
}

/// The place of an attempt in a store that can sort.
///
/// A search for an order is sorted by merchant and id. Every other search is sorted by merchant, then by the time since when the
/// attempt has its state, then by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The merchant.
    pub merchant: String,
    /// Since when it has its state, in milliseconds since the Unix epoch.
    pub since_ms: UnixMillis,
    /// The attempt.
    pub id: AttemptId,
}

impl Place {
    /// Where a record has its place.
    #[must_use]
    pub fn of(entry: &IndexEntry, id: AttemptId) -> Self {
        Self {
            merchant: entry.merchant.to_string(),
            since_ms: entry.since_ms,
            id,
        }
    }

    /// As the `after` of the next page.
    #[must_use]
    pub fn cursor(&self) -> String {
        format!("{}.{}.{}", self.since_ms.get(), self.id, self.merchant)
    }

    /// Reads what [`Place::cursor`] has written.
    #[must_use]
    pub fn read(cursor: &str) -> Option<Self> {
        let mut parts = cursor.splitn(3, '.');
        let since_ms = UnixMillis::new(parts.next()?.parse().ok()?);
        let id = AttemptId::parse(parts.next()?)?;
        let merchant = parts.next()?.to_owned();
        // Not every database takes one.
        let is_text = !merchant.chars().any(char::is_control);
        is_text.then_some(Self {
            merchant,
            since_ms,
            id,
        })
    }

    /// By the columns of a row of this merchant.
    #[must_use]
    pub fn of_row(merchant: &str, since_ms: i64, id: [u8; 16]) -> Self {
        Self {
            merchant: merchant.to_owned(),
            since_ms: UnixMillis::new(u64::try_from(since_ms).unwrap_or_default()),
            id: AttemptId::from_bytes(id),
        }
    }
}

impl Search {
    /// Reads the query of a request that arrived at `now_ms`. `merchant` is who asks; `None` is an operator.
    ///
    /// # Errors
    /// A parameter that is unknown, repeated or impossible; neither an order nor a state.
    pub fn read(query: &str, merchant: Option<Arc<str>>, now_ms: UnixMillis) -> Result<Self, ApiError> {
        let mut search = Self {
            merchant,
            order_id: None,
            state: None,
            since_until_ms: None,
            limit: SEARCH_LIMIT_USUAL,
            after: None,
        };
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if seen.iter().any(|before| *before == name) {
                return Err(invalid(&name, "it is given twice"));
            }
            seen.push(name.clone().into_owned());
            match &*name {
                // As the body of a create can have it.
                "order_id" => {
                    search.order_id = Some(text(&name, value.into_owned(), ORDER_ID_CHARS_MAX)?);
                }
                "state" => search.state = Some(state(&value)?),
                "older_than_s" => {
                    let seconds = number(&name, &value, 0, SEARCH_OLDER_THAN_S_MAX)?;
                    search.since_until_ms = Some(now_ms - Millis::from_seconds(seconds));
                }
                "limit" => {
                    let limit = number(&name, &value, 1, SEARCH_LIMIT_MAX as u64)?;
                    search.limit = usize::try_from(limit).unwrap_or(SEARCH_LIMIT_MAX);
                }
                "after" if (1..=CURSOR_BYTES_MAX).contains(&value.len()) => {
                    search.after = Some(value.into_owned())
                }
                "after" => return Err(foreign_cursor()),
                _ => {
                    let message = format!(
                        "The parameter {name:?} is not known. A search has order_id, state, older_than_s, limit and after."
                    );
                    return Err(ApiError::new(Code::UnknownField, message).field(name));
                }
            }
        }
        if search.order_id.is_none() && search.state.is_none() {
            let message = "Say what to search for: order_id, or state (such as parked or in_doubt), or both."
                .to_owned();
            return Err(ApiError::new(Code::MissingField, message).field("state"));
        }
        Ok(search)
    }

    /// Whether an attempt is what is searched for.
    #[must_use]
    pub fn matches(&self, entry: &IndexEntry) -> bool {
        self.merchant.as_ref().is_none_or(|own| **own == *entry.merchant)
            && self
                .order_id
                .as_ref()
                .is_none_or(|order| Some(order) == entry.order_id.as_ref())
            && self.state.is_none_or(|state| state == entry.state)
            && self
                .since_until_ms
                .is_none_or(|until_ms| entry.since_ms <= until_ms)
    }

    /// Where the page begins, for a store that sorts by [`Place`].
    ///
    /// # Errors
    /// [`SearchError::ForeignCursor`].
    pub fn after_place(&self) -> Result<Option<Place>, SearchError> {
        self.after
            .as_deref()
            .map(|cursor| Place::read(cursor).ok_or(SearchError::ForeignCursor))
            .transpose()
    }

    /// The page, for a store that can only go through all its records; and what an index must come to.
    ///
    /// # Errors
    /// [`SearchError::ForeignCursor`].
    pub fn among(&self, records: impl IntoIterator<Item = Record>) -> Result<Found, SearchError> {
        let key = |place: &Place| {
            let since_ms = if self.order_id.is_some() {
                UnixMillis::EPOCH
            } else {
                place.since_ms
            };
            (place.merchant.clone(), since_ms, place.id)
        };
        let after = self.after_place()?.map(|place| key(&place));
        let mut rows: Vec<_> = records
            .into_iter()
            .filter_map(|record| {
                let entry = record.index_entry();
                let place = Place::of(&entry, record.id());
                self.matches(&entry).then_some((place, Some(record)))
            })
            .filter(|(place, _)| after.as_ref().is_none_or(|after| key(place) > *after))
            .collect();
        rows.sort_by_key(|(place, _)| key(place));
        Ok(self.page(rows, None))
    }

    /// The page of the rows that a store found, which are one more than `limit` if there is another page. A row whose record cannot
    /// be used has none. `goes_on`: where the page was cut off before it was full.
    #[must_use]
    pub(super) fn page(&self, mut rows: Vec<(Place, Option<Record>)>, goes_on: Option<&Place>) -> Found {
        let is_last = rows.len() <= self.limit;
        rows.truncate(self.limit);
        let last = rows.last().filter(|_| !is_last).map(|(place, _)| place);
        let next = last.or(goes_on).map(Place::cursor);
        Found {
            records: rows.into_iter().filter_map(|(_, record)| record).collect(),
            next,
        }
    }
}

fn state(value: &str) -> Result<SearchState, ApiError> {
    SearchState::parse(value).ok_or_else(|| {
        let known: Vec<&str> = SearchState::ALL.iter().map(|state| state.as_str()).collect();
        invalid("state", &format!("it must be one of {}", known.join(", ")))
    })
}

fn number(name: &str, value: &str, least: u64, most: u64) -> Result<u64, ApiError> {
    let is_plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|number| is_plain && (least..=most).contains(number))
        .ok_or_else(|| invalid(name, &format!("it must be a whole number from {least} to {most}")))
}

fn invalid(name: &str, why: &str) -> ApiError {
    let message = format!("The parameter {name:?} cannot be used: {why}.");
    ApiError::new(Code::InvalidField, message).field(name)
}

fn foreign_cursor() -> ApiError {
    invalid("after", "it must be the \"next\" of the page before, unchanged")
}

/// The refusal of a search.
#[must_use]
pub fn refusal(why: SearchError) -> ApiError {
    match why {
        SearchError::Unavailable => ApiError::new(
            Code::StoreUnavailable,
            "The store did not answer the search. Send it again.",
        ),
        SearchError::Busy => ApiError::new(
            Code::Overloaded,
            "Too many searches wait for the store. Nothing was begun for this one; send it again.",
        ),
        SearchError::TooLong => ApiError::new(
            Code::Overloaded,
            "The search took longer than it may, so it was ended. Search for the order alone, or for the state alone.",
        ),
        SearchError::Unsupported(what) => ApiError::new(Code::SearchUnsupported, what),
        SearchError::ForeignCursor => foreign_cursor(),
    }
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Page {
    /// The attempts.
    pub attempts: Vec<AttemptView>,
    /// The `after` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// 200 with a page.
#[must_use]
pub fn shown(page: &Page, context: &ReplyContext) -> Response {
    answer::ok(page, context)
}
