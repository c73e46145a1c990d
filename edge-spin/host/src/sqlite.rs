//! `spin:sqlite` as Spin's in-process backend does it: a connection of its own for each `open`, SQLite's defaults, and an
//! `execute-async` that returns before the statement has run.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::types::{Value as Cell, ValueRef};
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use crate::bindings::spin::sqlite::sqlite::{
    Error, Host as SqliteHost, HostConnection, HostConnectionWithStore, QueryResult, RowResult, Value,
};
use crate::counters::Counters;
use crate::host::{Host, Whole};
use crate::streams::FromChannel;

type R<T> = wasmtime::Result<T>;

/// An open database.
pub struct Connection(Arc<Mutex<rusqlite::Connection>>);

fn open(path: &Path) -> Result<Connection, Error> {
    let connection = rusqlite::Connection::open(path).map_err(io)?;
    Ok(Connection(Arc::new(Mutex::new(connection))))
}

impl SqliteHost for Host {}

/// The older, blocking half of the interface is not offered.
impl HostConnection for Host {
    async fn open(&mut self, _: String) -> R<Result<Resource<Connection>, Error>> {
        wasmtime::bail!("not offered by this host")
    }
    async fn execute(
        &mut self,
        _: Resource<Connection>,
        _: String,
        _: Vec<Value>,
    ) -> R<Result<QueryResult, Error>> {
        wasmtime::bail!("not offered by this host")
    }
    async fn last_insert_rowid(&mut self, _: Resource<Connection>) -> R<i64> {
        wasmtime::bail!("not offered by this host")
    }
    async fn changes(&mut self, _: Resource<Connection>) -> R<u64> {
        wasmtime::bail!("not offered by this host")
    }
    async fn drop(&mut self, connection: Resource<Connection>) -> R<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

type Executed = (
    Vec<String>,
    StreamReader<RowResult>,
    FutureReader<Result<(), Error>>,
);

impl<T: Send + 'static> HostConnectionWithStore<T> for Whole {
    async fn open_async(
        host: &Accessor<T, Self>,
        database: String,
    ) -> R<Result<Resource<Connection>, Error>> {
        if database != "default" {
            return Ok(Err(Error::AccessDenied));
        }
        host.with(|mut host| {
            let host = host.get();
            match open(&host.shared.sqlite) {
                Ok(connection) => Ok(Ok(host.table.push(connection)?)),
                Err(error) => Ok(Err(error)),
            }
        })
    }

    async fn execute_async(
        host: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> R<Result<Executed, Error>> {
        let (connection, counters) = host.with(|mut host| {
            let host = host.get();
            let connection = Arc::clone(&host.table.get(&connection)?.0);
            wasmtime::error::Ok((connection, Arc::clone(&host.shared.counters)))
        })?;
        let (columns, prepared) = oneshot::channel();
        let (rows, rows_out) = mpsc::channel(4);
        let (ended, end) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            // Nobody may be listening any more; the statement runs to its end all the same.
            let _ = ended.send(run(
                &connection,
                &statement,
                parameters,
                columns,
                &rows,
                &counters,
            ));
        });
        let columns = prepared.await.unwrap_or_default();
        host.with(|mut host| {
            let rows = StreamReader::new(&mut host, FromChannel(rows_out))?;
            let end = FutureReader::new(&mut host, async move {
                let gone = Err(Error::Io("the statement's thread ended".to_owned()));
                wasmtime::error::Ok(end.await.unwrap_or(gone))
            })?;
            Ok(Ok((columns, rows, end)))
        })
    }

    async fn last_insert_rowid_async(_: &Accessor<T, Self>, _: Resource<Connection>) -> R<i64> {
        wasmtime::bail!("not offered by this host")
    }
    async fn changes_async(_: &Accessor<T, Self>, _: Resource<Connection>) -> R<u64> {
        wasmtime::bail!("not offered by this host")
    }
}

fn run(
    connection: &Mutex<rusqlite::Connection>,
    statement: &str,
    parameters: Vec<Value>,
    columns: oneshot::Sender<Vec<String>>,
    out: &mpsc::Sender<RowResult>,
    counters: &Counters,
) -> Result<(), Error> {
    let connection = connection
        .lock()
        .map_err(|_| Error::Io("a statement panicked".to_owned()))?;
    let before = connection.total_changes();
    {
        let mut prepared = connection.prepare_cached(statement).map_err(io)?;
        let names = prepared.column_names().into_iter().map(str::to_owned).collect();
        let _ = columns.send(names);
        let width = prepared.column_count();
        let mut rows = prepared
            .query(rusqlite::params_from_iter(parameters.into_iter().map(cell)))
            .map_err(io)?;
        while let Some(row) = rows.next().map_err(io)? {
            let values = (0..width)
                .map(|at| row.get_ref(at).map(value))
                .collect::<Result<_, _>>()
                .map_err(io)?;
            out.blocking_send(RowResult { values })
                .map_err(|_| Error::Io("row send error".to_owned()))?;
        }
    }
    let changed = connection.total_changes() != before;
    Counters::add(if changed {
        &counters.sqlite_writes
    } else {
        &counters.sqlite_reads
    });
    Ok(())
}

fn io(error: rusqlite::Error) -> Error {
    Error::Io(error.to_string())
}

fn cell(value: Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Integer(number) => Cell::Integer(number),
        Value::Real(number) => Cell::Real(number),
        Value::Text(text) => Cell::Text(text),
        Value::Blob(bytes) => Cell::Blob(bytes),
    }
}

fn value(cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}
