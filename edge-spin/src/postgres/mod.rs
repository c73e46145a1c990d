//! The store on `spin:postgres`: the tables of the server (`docs/postgresql.md`), which servers and components may share.
//!
//! `store.rs` is the port. `link.rs` runs one statement at a time; each is a transaction of its own, because Spin may give a connection to
//! others in between. `kept.rs` is for how long one is kept. `trust.rs` decides whether a database may be used, and `search.rs` is what a search asks. `address.rs` keeps the
//! database's address a secret. `bindings.rs` is generated from the interface's text. The files import each other downwards only.

pub mod address;
mod bindings;
mod kept;
mod link;
mod search;
pub mod store;
pub mod trust;
