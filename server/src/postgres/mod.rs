//! The store of many servers: one PostgreSQL database (`docs/postgresql.md`).
//!
//! `store.rs` is the port that the server uses. `worker.rs` is the thread behind it: it gathers what many requests ask for into few
//! statements. `side.rs` is what it does beside. `batch.rs` is what the statements say. `link.rs` keeps connections open. `connect.rs` opens connections, and `trust.rs` decides whether one may be used.
//! `search.rs` answers searches on a thread of its own, `reindex.rs` mends what they go by, and `waiting.rs` counts by it for metrics.
//! `schema.rs` has the tables; the statements are in `pay_once_postgres_sql`, which the Spin component uses as well. The files import each
//! other downwards only.

mod batch;
pub mod connect;
mod link;
pub mod reindex;
pub mod schema;
mod search;
mod side;
pub mod store;
pub mod trust;
mod waiting;
mod worker;
