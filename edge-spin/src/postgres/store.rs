//! The authority on `spin:postgres`, once the database has passed its checks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use pay_once_core::{AttemptId, Found, Search, SearchError, UnixMillis, Walk};
use pay_once_postgres_sql::{
    ALIVE, DUE, INSERT_ONE, LOAD_ONE, MOVE_ONE, NOTIFY, TAKEN_FOR_MS, UPDATE_ONE, signed,
};

use crate::decoded::readable;
use crate::ports::{Line, Store, StoreError, Swap, Swapped, World};
use crate::postgres::address::Address;
use crate::postgres::kept::Kept;
use crate::postgres::link::{Failure, Link, Row, Value, or_null};
use crate::postgres::search::{self, column};
use crate::postgres::trust::{self, Expected, unavailable};
use crate::wasi::WasiWorld;

/// A [`Store`] on one database of `spin:postgres`.
pub struct PostgresStore {
    address: Address,
    expected: Expected,
    /// The connection, once its database has passed the checks.
    open: Kept,
    /// Why the database is refused.
    refused: RefCell<Option<StoreError>>,
    /// Whether the database notes whose it is, and which one it is.
    is_noted: Cell<bool>,
    /// Whether its swap has been tried.
    is_probed: Cell<bool>,
    /// How many swaps ended unknown.
    unknowns: Cell<u64>,
    /// How many of them a commit has been acknowledged behind.
    unknowns_behind: Cell<u64>,
}

/// A statement under way. If it fails, whatever it was, or is given up, the next one gets another connection.
struct Pending<'a> {
    store: &'a PostgresStore,
    is_swap: bool,
    has_ended: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.store.open.forget();
            if self.is_swap {
                self.store.unknowns.set(self.store.unknowns.get() + 1);
            }
        }
    }
}

impl PostgresStore {
    /// The database at this address; it is opened when it is first needed.
    #[must_use]
    pub fn new(address: Address, expected: Expected) -> Self {
        Self {
            address,
            expected,
            open: Kept::default(),
            refused: RefCell::default(),
            is_noted: Cell::default(),
            is_probed: Cell::default(),
            unknowns: Cell::default(),
            unknowns_behind: Cell::default(),
        }
    }

    /// A connection to a database that may be used. The verdict that it may not is remembered.
    async fn link(&self, writes: bool) -> Result<Rc<Link>, StoreError> {
        let refused = self.refused.borrow().clone();
        if let Some(refused) = refused {
            return Err(refused);
        }
        let mut pending = self.pending(false);
        let checked = self.checked(writes).await;
        match &checked {
            Ok(_) => pending.has_ended = true,
            Err(error @ StoreError::Unsafe(_)) => drop(self.refused.replace(Some(error.clone()))),
            Err(StoreError::Unavailable(_)) => {}
        }
        checked
    }

    /// Each new connection is checked: behind the same address there may be another database. The first record of a database notes whose
    /// it is, and not the first look: a component that is up before it is configured looks too.
    async fn checked(&self, writes: bool) -> Result<Rc<Link>, StoreError> {
        let link = match self.open.get() {
            Some(link) => link,
            None => {
                let opened = Link::open(&self.address).await;
                let link = Rc::new(opened.map_err(|failure| unavailable(&failure))?);
                self.is_noted.set(trust::check(&link, &self.expected).await?);
                self.open.keep(&link);
                link
            }
        };
        if writes && !self.is_noted.get() {
            trust::note(&link, &self.expected).await?;
            self.is_noted.set(trust::check(&link, &self.expected).await?);
        }
        if writes && !self.is_probed.get() {
            trust::probe(&link).await?;
            self.is_probed.set(true);
        }
        Ok(link)
    }

    fn pending(&self, is_swap: bool) -> Pending<'_> {
        Pending {
            store: self,
            is_swap,
            has_ended: false,
        }
    }

    /// Runs something on the connection to its end.
    async fn with<T>(
        &self,
        is_swap: bool,
        done: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut pending = self.pending(is_swap);
        let done = done.await;
        pending.has_ended = done.is_ok();
        done
    }

    async fn ask(&self, statement: &str, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let link = self.link(false).await?;
        let rows = self.with(false, link.run(statement, values)).await;
        rows.map_err(|failure| unavailable(&failure))
    }

    /// A sign of life, which is a commit.
    async fn alive(&self) -> Result<(), StoreError> {
        let now_ms = WasiWorld::default().now_ms();
        self.ask(ALIVE, vec![time(now_ms)]).await.map(drop)
    }
}

impl Store for PostgresStore {
    async fn load(&self, id: AttemptId) -> Result<Option<Vec<u8>>, StoreError> {
        let unknowns = self.unknowns.get();
        if unknowns != self.unknowns_behind.get() {
            // A record may show a swap that ended unknown before it is as durable as an acknowledged one: its wait for a standby may have
            // been cancelled. A commit that is acknowledged now is behind it in the log, and waits for it.
            self.alive().await?;
            self.unknowns_behind.set(unknowns);
        }
        let rows = self.ask(LOAD_ONE, vec![blob(id)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let bytes = row.bytes(0).map(<[u8]>::to_vec);
        let wrong = || StoreError::Unavailable("a record is not bytes".to_owned());
        bytes.map(Some).ok_or_else(wrong)
    }

    async fn swap(&self, swap: Swap) -> Result<Swapped, StoreError> {
        let link = self.link(true).await?;
        let mut values = vec![
            blob(swap.id),
            Value::Int64(signed(swap.version.get())),
            or_null(swap.wake_at_ms, time),
            Value::Binary(swap.bytes),
            column(&swap.entry.merchant),
            or_null(swap.entry.order_id.as_deref(), column),
            column(swap.entry.state.as_str()),
            time(swap.entry.since_ms),
        ];
        let statement = match swap.expected_version {
            None => INSERT_ONE,
            Some(version) => {
                values.push(Value::Int64(signed(version.get())));
                UPDATE_ONE
            }
        };
        match self.with(true, link.run(statement, values)).await {
            Ok(rows) if rows.is_empty() => Ok(Swapped::Conflict),
            Ok(_) => {
                tell(link, swap.id);
                Ok(Swapped::Applied)
            }
            // Whatever it says, the statement may have been carried out.
            Err(failure) => {
                let line = format!("a swap's end is unknown: {}", failure.text);
                WasiWorld::default().log(&Line::warn(Some(swap.id), &line));
                Ok(Swapped::Unknown)
            }
        }
    }

    async fn due(
        &self,
        until_ms: UnixMillis,
        limit: usize,
    ) -> Result<Vec<(AttemptId, UnixMillis)>, StoreError> {
        let now_ms = signed(WasiWorld::default().now_ms().get());
        let values = vec![
            time(until_ms),
            Value::Int64(now_ms),
            Value::Int64(now_ms.saturating_add(TAKEN_FOR_MS)),
            Value::Int64(signed(limit as u64)),
        ];
        let rows = self.ask(DUE, values).await?;
        let read = |row: &Row| {
            let id = AttemptId::from_bytes(row.bytes(0)?.try_into().ok()?);
            let at_ms = u64::try_from(row.integer(1)?).ok()?;
            Some((id, UnixMillis::new(at_ms)))
        };
        let mut due = readable(rows.iter().map(read));
        due.sort_by_key(|(_, at_ms)| *at_ms);
        Ok(due)
    }

    async fn search(&self, search: Search) -> Result<Found, SearchError> {
        let mut walk = Walk::new(search)?;
        let link = self.link(false).await.map_err(|_| SearchError::Unavailable)?;
        match self.with(false, search::through(&link, &mut walk)).await {
            Ok(()) => Ok(walk.page()),
            Err(failure) => {
                let line = format!("a search failed: {}", failure.text);
                WasiWorld::default().log(&Line::error(None, &line));
                Err(SearchError::Unavailable)
            }
        }
    }

    async fn index_missing(&self, limit: usize) -> Result<usize, StoreError> {
        // This is asked for once a minute. If the database is restored from a copy, the loss begins at the copy's newest sign of life.
        self.alive().await?;
        let link = self.link(false).await?;
        let indexed = self.with(false, search::index_missing(&link, limit)).await;
        indexed.map_err(|failure| unavailable(&failure))
    }

    async fn move_wake(
        &self,
        id: AttemptId,
        at_ms: UnixMillis,
        to_ms: Option<UnixMillis>,
    ) -> Result<bool, StoreError> {
        let values = vec![blob(id), time(at_ms), or_null(to_ms, time)];
        Ok(!self.ask(MOVE_ONE, values).await?.is_empty())
    }
}

/// Tells the servers that share the database what has changed, behind the answer. In the swap's own statement it would cost no round trip,
/// and hold a lock of the whole database until the swap's sync. If it fails, a request that waits at a server waits longer.
fn tell(link: Rc<Link>, id: AttemptId) {
    let word = format!("{:032x}", u128::from_be_bytes(id.to_bytes()));
    WasiWorld::default().spawn(async move {
        let _ = link.run(NOTIFY, vec![Value::Str(word)]).await;
    });
}

fn blob(id: AttemptId) -> Value {
    Value::Binary(id.to_bytes().to_vec())
}

fn time(at_ms: UnixMillis) -> Value {
    Value::Int64(signed(at_ms.get()))
}
