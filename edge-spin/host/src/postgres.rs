//! `spin:postgres` as Spin does it: a pool for each address, whose connections are a component's for as long as it holds one and then the
//! next one's, with a session that was reset in between. Only what the component calls is offered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_postgres::config::Host as Place;
use tokio_postgres::{Client, Config, NoTls};
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use crate::bindings::spin::postgres::postgres::{
    Column, DbError, DbValue, Error, Host as PostgresHost, HostConnection, HostConnectionBuilder,
    HostConnectionBuilderWithStore, HostConnectionWithStore, ParameterValue, QueryError, RowSet,
};
use crate::counters::Counters;
use crate::host::{Host, Shared, Whole};
use crate::postgres_values::{column, parameter, value};
use crate::streams::FromChannel;

type R<T> = wasmtime::Result<T>;

/// What Spin says to a connection before somebody else gets it.
const RESET: &str =
    "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all();
    DISCARD TEMP; DISCARD SEQUENCES;";

/// Connections of an address. Whoever wants one more waits. Here all addresses have so many, as a test has one.
const CONNECTIONS_MAX: usize = 64;

/// Connections that nobody holds, by address.
pub struct Pools {
    idle: Mutex<BTreeMap<String, Vec<Client>>>,
    permits: Arc<Semaphore>,
}

impl Default for Pools {
    fn default() -> Self {
        Self {
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }
}

impl Pools {
    fn take(&self, address: &str) -> Option<Client> {
        self.idle.lock().ok()?.get_mut(address)?.pop()
    }

    fn give(&self, address: &str, client: Client) {
        if let Ok(mut pools) = self.idle.lock() {
            pools.entry(address.to_owned()).or_default().push(client);
        }
    }
}

/// A connection that goes back to its pool when nobody uses it any more.
struct Pooled {
    client: Option<Client>,
    address: String,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(client) = self.client.take().filter(|client| !client.is_closed()) {
            self.shared.postgres.give(&self.address, client);
        }
    }
}

/// An open connection.
#[derive(Clone)]
pub struct Connection(Arc<Pooled>);

/// The other way to open one is not offered.
pub struct Builder;

async fn open(shared: Arc<Shared>, address: String) -> Result<Connection, Error> {
    let failed = |error: &dyn std::fmt::Debug| Error::ConnectionFailed(format!("{error:?}"));
    let config: Config = address.parse().map_err(|error| failed(&error))?;
    for (host, port) in config.get_hosts().iter().zip(config.get_ports()) {
        let Place::Tcp(name) = host else {
            return Err(failed(&"Unix sockets are not supported on WebAssembly"));
        };
        let place = format!("postgres://{name}:{port}");
        if !shared.allow.contains(&place) {
            return Err(failed(&format!("address {place} is not permitted")));
        }
    }
    let permits = Arc::clone(&shared.postgres.permits);
    let permit = permits.acquire_owned().await.map_err(|error| failed(&error))?;
    let mut reset = None;
    while let Some(client) = shared.postgres.take(&address) {
        if client.batch_execute(RESET).await.is_ok() {
            reset = Some(client);
            break;
        }
    }
    let client = match reset {
        Some(client) => client,
        None => {
            let (client, connection) = config.connect(NoTls).await.map_err(|error| failed(&error))?;
            tokio::spawn(connection);
            client
        }
    };
    Ok(Connection(Arc::new(Pooled {
        client: Some(client),
        address,
        shared,
        _permit: permit,
    })))
}

impl Connection {
    async fn query(
        &self,
        statement: &str,
        parameters: Vec<ParameterValue>,
    ) -> Result<(Vec<Column>, Vec<Vec<DbValue>>), Error> {
        let parameters = parameters
            .into_iter()
            .map(parameter)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| Error::BadParameter("not offered by this host".to_owned()))?;
        let parameters: Vec<_> = parameters.iter().map(|value| &**value as _).collect();
        let Some(client) = &self.0.client else {
            return Err(Error::ConnectionFailed("no connection found".to_owned()));
        };
        let rows = client.query(statement, &parameters).await.map_err(query_failed)?;
        let is_write = !["SELECT", "DO"]
            .iter()
            .any(|word| statement.trim_start().starts_with(word));
        let counters = &self.0.shared.counters;
        Counters::add(if is_write && !rows.is_empty() {
            &counters.postgres_writes
        } else {
            &counters.postgres_reads
        });
        let columns = rows.first().map(|row| row.columns().iter().map(column).collect());
        let values = rows
            .iter()
            .map(|row| (0..row.len()).map(|at| value(row, at)).collect::<Result<_, _>>())
            .collect::<Result<_, _>>()
            .map_err(|error| Error::QueryFailed(QueryError::Text(format!("{error:?}"))))?;
        Ok((columns.unwrap_or_default(), values))
    }
}

fn query_failed(error: tokio_postgres::Error) -> Error {
    let as_text = format!("{error:?}");
    Error::QueryFailed(match error.as_db_error() {
        None => QueryError::Text(as_text),
        Some(said) => QueryError::DbError(DbError {
            as_text,
            severity: said.severity().to_owned(),
            code: said.code().code().to_owned(),
            message: said.message().to_owned(),
            detail: said.detail().map(str::to_owned),
            extras: Vec::new(),
        }),
    })
}

impl PostgresHost for Host {}

/// The older, blocking half of the interface is not offered.
impl HostConnection for Host {
    async fn open(&mut self, _: String) -> R<Result<Resource<Connection>, Error>> {
        wasmtime::bail!("not offered by this host")
    }
    async fn query(
        &mut self,
        _: Resource<Connection>,
        _: String,
        _: Vec<ParameterValue>,
    ) -> R<Result<RowSet, Error>> {
        wasmtime::bail!("not offered by this host")
    }
    async fn execute(
        &mut self,
        _: Resource<Connection>,
        _: String,
        _: Vec<ParameterValue>,
    ) -> R<Result<u64, Error>> {
        wasmtime::bail!("not offered by this host")
    }
    async fn drop(&mut self, connection: Resource<Connection>) -> R<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl HostConnectionBuilder for Host {
    async fn new(&mut self, _: String) -> R<Resource<Builder>> {
        wasmtime::bail!("not offered by this host")
    }
    async fn set_ca_root(&mut self, _: Resource<Builder>, _: String) -> R<Result<(), Error>> {
        wasmtime::bail!("not offered by this host")
    }
    async fn build(&mut self, _: Resource<Builder>) -> R<Result<Resource<Connection>, Error>> {
        wasmtime::bail!("not offered by this host")
    }
    async fn drop(&mut self, builder: Resource<Builder>) -> R<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostConnectionBuilderWithStore<T> for Whole {
    async fn build_async(
        _: &Accessor<T, Self>,
        _: Resource<Builder>,
    ) -> R<Result<Resource<Connection>, Error>> {
        wasmtime::bail!("not offered by this host")
    }
}

type Queried = (
    Vec<Column>,
    StreamReader<Vec<DbValue>>,
    FutureReader<Result<(), Error>>,
);

impl<T: Send + 'static> HostConnectionWithStore<T> for Whole {
    async fn open_async(host: &Accessor<T, Self>, address: String) -> R<Result<Resource<Connection>, Error>> {
        let shared = host.with(|mut host| Arc::clone(&host.get().shared));
        match open(shared, address).await {
            Ok(connection) => host.with(|mut host| Ok(Ok(host.get().table.push(connection)?))),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn query_async(
        host: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> R<Result<Queried, Error>> {
        let connection = host.with(|mut host| host.get().table.get(&connection).cloned())?;
        let (columns, values) = match connection.query(&statement, parameters).await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let (rows, rows_out) = mpsc::channel(4);
        tokio::spawn(async move {
            for row in values {
                // Nobody may be listening any more.
                if rows.send(row).await.is_err() {
                    break;
                }
            }
        });
        host.with(|mut host| {
            let rows = StreamReader::new(&mut host, FromChannel(rows_out))?;
            let end = FutureReader::new(&mut host, async { wasmtime::error::Ok(Ok(())) })?;
            Ok(Ok((columns, rows, end)))
        })
    }

    async fn execute_async(
        _: &Accessor<T, Self>,
        _: Resource<Connection>,
        _: String,
        _: Vec<ParameterValue>,
    ) -> R<Result<u64, Error>> {
        wasmtime::bail!("not offered by this host")
    }
}
