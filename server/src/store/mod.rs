//! The embedded store: one SQLite database in a data directory that one process holds for itself.
//!
//! `sqlite.rs` is the port that the server uses, `writer.rs` the group commit. `files.rs`, `mark.rs`, `opening.rs` and
//! `verify.rs` decide at a start whether the directory can be trusted; `backup.rs` and `restore.rs` are the operators'
//! commands. The files import each other downwards only.

pub mod backup;
pub mod files;
pub mod health;
pub mod mark;
pub mod note;
pub mod opening;
pub mod reindex;
pub mod restore;
pub mod schema;
pub(crate) mod search;
pub mod sqlite;
pub mod verify;
pub mod writer;
