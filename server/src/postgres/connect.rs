//! Connections to the database: where it is, TLS, and the settings of a session.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Notification};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::failure::Failure;

/// How long a connection may take to come about, in seconds.
const CONNECT_TIMEOUT_S: u64 = 3;
/// How long bytes may stay without an acknowledgement before the connection counts as broken, in seconds.
const UNACKNOWLEDGED_TIMEOUT_S: u64 = 5;
/// Settings of each session. They are no startup parameters, which proxies refuse.
///
/// A statement whose end did not arrive keeps its locks until PostgreSQL knows that its connection is broken. By default it asks the
/// other end after two hours.
///
/// The statements have one good plan, by the index on ids, and PostgreSQL chooses another one while the tables are small: a plan that is
/// kept, and reads all records once there are many.
///
/// There is no `statement_timeout`. If a commit waits for a synchronous standby, PostgreSQL answers a cancelled statement as if it were
/// replicated.
const SESSION: &str = "
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan;
SET lock_timeout = 3000; SET idle_in_transaction_session_timeout = 10000; SET client_min_messages = warning;
SET default_transaction_isolation = 'read committed';
SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 5; SET tcp_user_timeout = 5000;
";

/// Where the database is. Its `Debug` shows no secret.
#[derive(Clone)]
pub struct Database {
    config: Config,
    tls: MakeRustlsConnect,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}")?,
                Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or("?"))
    }
}

/// An open connection.
pub(crate) struct Link {
    pub(crate) client: Client,
    /// Warnings that PostgreSQL sent beside its answers.
    pub(crate) warnings: Arc<AtomicU64>,
    driver: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        // The driver would wait for the answer of a statement that was given up, and keep the socket open.
        self.driver.abort();
    }
}

impl Database {
    /// Reads a connection string (`postgres://USER@HOST/DATABASE`). `ca`: a PEM file of the authorities that its certificate is checked
    /// against, in place of the public ones.
    ///
    /// # Errors
    /// One sentence that says what to change. It has no part of the string, which may hold a password.
    pub fn parse(url: &str, ca: Option<&Path>) -> Result<Self, String> {
        let mut config: Config = url.parse().map_err(|_| {
            "--store is not a connection string; write it like postgres://USER@HOST/DATABASE".to_owned()
        })?;
        if config.get_dbname().is_none() {
            return Err("--store names no database; write it like postgres://USER@HOST/DATABASE".to_owned());
        }
        let is_local = config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => {
                name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            Host::Unix(_) => true,
        });
        let is_local = is_local && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
        if config.get_ssl_mode() == SslMode::Prefer {
            // To another machine a downgrade to plain text would be silent. On this one nobody checks a certificate.
            config.ssl_mode(if is_local {
                SslMode::Disable
            } else {
                SslMode::Require
            });
        }
        config
            .application_name("pay-once")
            .connect_timeout(Duration::from_secs(CONNECT_TIMEOUT_S))
            .tcp_user_timeout(Duration::from_secs(UNACKNOWLEDGED_TIMEOUT_S))
            .keepalives_idle(Duration::from_secs(UNACKNOWLEDGED_TIMEOUT_S));
        let roots = match ca {
            Some(path) => authorities(path)?,
            None => RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        };
        let tls = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            config,
            tls: MakeRustlsConnect::new(tls),
        })
    }

    /// How long a connection may take to come about: each host is tried in turn.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        let hosts = self
            .config
            .get_hosts()
            .len()
            .max(self.config.get_hostaddrs().len())
            .max(1);
        Duration::from_secs(CONNECT_TIMEOUT_S) * u32::try_from(hosts).unwrap_or(u32::MAX)
            + Duration::from_secs(2)
    }

    /// Opens a connection. Its notifications go to `notified`.
    pub(crate) async fn connect(
        &self,
        notified: Option<mpsc::UnboundedSender<Notification>>,
    ) -> Result<Link, tokio_postgres::Error> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        let warnings = Arc::new(AtomicU64::new(0));
        let driver = tokio::spawn(drive(connection, Arc::clone(&warnings), notified));
        let link = Link {
            client,
            warnings,
            driver,
        };
        link.client.batch_execute(SESSION).await?;
        Ok(link)
    }
}

/// What connections run on.
///
/// # Errors
/// The system has no resources for it.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime of the store cannot be started: {error}"))
}

/// What an error says, with everything that caused it: `tokio_postgres` names the kind only.
pub(crate) fn reason(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// What failed and why. Another try may succeed if the connection broke, or if the database had no place, no lock, or was ending.
pub(crate) fn failure(what: &str, error: &tokio_postgres::Error) -> Failure {
    let why = format!("{what}: {}", reason(error));
    if is_temporary(error) {
        Failure::Temporary(why)
    } else {
        Failure::Refused(why)
    }
}

fn is_temporary(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else {
        let cause = std::error::Error::source(error);
        return error.is_closed() || cause.is_some_and(|cause| cause.is::<std::io::Error>());
    };
    // Connection exceptions, rolled back transactions, too few resources, and what an operator ended.
    let is_of_class = |class: &&str| code.code().starts_with(*class);
    ["08", "40", "53", "57"].iter().any(is_of_class)
        || *code == SqlState::LOCK_NOT_AVAILABLE
        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let cannot = |error: &dyn fmt::Display| format!("--store-ca {}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| cannot(&error))? {
        let certificate = certificate.map_err(|error| cannot(&error))?;
        roots.add(certificate).map_err(|error| cannot(&error))?;
    }
    if roots.is_empty() {
        return Err(cannot(&"the file has no certificate"));
    }
    Ok(roots)
}

/// Moves the bytes of a connection until it ends.
async fn drive<S, T>(
    mut connection: Connection<S, T>,
    warnings: Arc<AtomicU64>,
    notified: Option<mpsc::UnboundedSender<Notification>>,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match std::future::poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => {
                if let Some(notified) = &notified {
                    // Whoever listened may be gone.
                    let _ = notified.send(notification);
                }
            }
            Some(Ok(AsyncMessage::Notice(notice))) => {
                warnings.fetch_add(1, Ordering::AcqRel);
                tracing::warn!(%notice, "the database warns");
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(error = reason(&error), "a connection to the database broke");
                return;
            }
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_is_read_and_never_shown() {
        let database = Database::parse("postgres://ada:geheim@db.example/shop", None).unwrap();
        assert_eq!(database.to_string(), "db.example/shop");
        assert_eq!(database.config.get_ssl_mode(), SslMode::Require);
        assert!(!format!("{database:?}").contains("geheim"));
        for local in [
            "postgres://ada@127.0.0.1/shop",
            "postgres://ada@%2Frun%2Fpostgresql/shop",
        ] {
            let database = Database::parse(local, None).unwrap();
            assert_eq!(database.config.get_ssl_mode(), SslMode::Disable, "{local}");
        }
        for bad in [
            "postgres://ada:geheim@db/",
            "nonsense geheim",
            "postgres://ada:geheim@db",
        ] {
            let why = Database::parse(bad, None).unwrap_err();
            assert!(
                why.contains("postgres://USER@HOST/DATABASE") && !why.contains("geheim"),
                "{why}"
            );
        }
    }
}
