//! The way into service: listening sockets, and the lock of the data directory, which a predecessor may still hold while it
//! ends.
//!
//! Sockets are not shared by `SO_REUSEPORT`. A server with another data directory could then take half of the connections
//! unnoticed, and a key that both of them get would begin two payments. A successor listens as soon as its predecessor has closed
//! its socket, so that connections wait for it in the queue. A socket that systemd keeps open has no gap at all.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use listenfd::ListenFd;

use crate::store::files::{DirLock, NotLocked, Place};

/// How often a start looks whether its predecessor has let go, in milliseconds.
const LOOK_EVERY_MS: u64 = 10;

/// A socket to listen on.
#[derive(Debug)]
pub struct Wanted {
    /// Its address.
    pub address: SocketAddr,
    /// The argument that chooses another one.
    pub argument: &'static str,
}

/// What a server needs before it can serve.
#[derive(Debug)]
pub struct Entered {
    /// The lock of the data directory, if there is one to be locked.
    pub lock: Option<DirLock>,
    /// One socket for each that was wanted, in that order.
    pub listeners: Vec<TcpListener>,
}

/// Takes the lock of a data directory, if there is one, and listens. If another process holds the directory, it is waited for.
///
/// The first socket is the one that systemd passed on (`LISTEN_FDS`), if it did.
///
/// # Errors
/// One sentence that says what to change.
pub fn enter(place: Option<&Place>, wanted: &[Wanted], wait: Duration) -> Result<Entered, String> {
    let until = Instant::now() + wait;
    let mut sockets: Vec<Option<TcpListener>> = wanted.iter().map(|_| None).collect();
    if let Some(first) = sockets.first_mut() {
        *first = inherited()?;
    }
    let (mut lock, mut is_waiting) = (None, false);
    loop {
        if let (None, Some(place)) = (&lock, place) {
            match DirLock::take(place) {
                Ok(taken) => lock = Some(taken),
                Err(NotLocked::Failed(why)) => return Err(why),
                Err(NotLocked::Held) if !is_waiting => {
                    is_waiting = true;
                    tracing::warn!(
                        dir = %place.dir().display(),
                        wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                        "another process holds the data directory; waiting for it to end"
                    );
                }
                Err(NotLocked::Held) => {}
            }
        }
        let is_over = Instant::now() >= until;
        if let (None, Some(place), true) = (&lock, place, is_over) {
            return Err(DirLock::held(place));
        }
        for (socket, wanted) in sockets.iter_mut().zip(wanted) {
            if socket.is_none() {
                match TcpListener::bind(wanted.address) {
                    Ok(bound) => *socket = Some(bound),
                    // The predecessor's, most likely.
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_waiting && !is_over => {}
                    Err(error) => {
                        return Err(format!(
                            "cannot listen on {}: {error}. Choose another address with {}",
                            wanted.address, wanted.argument
                        ));
                    }
                }
            }
        }
        if sockets.iter().all(Option::is_some) && lock.is_some() == place.is_some() {
            let listeners = sockets.into_iter().flatten().collect();
            return Ok(Entered { lock, listeners });
        }
        thread::sleep(Duration::from_millis(LOOK_EVERY_MS));
    }
}

/// The listening socket that whoever started this process has opened for it.
fn inherited() -> Result<Option<TcpListener>, String> {
    ListenFd::from_env()
        .take_tcp_listener(0)
        .map_err(|error| format!("LISTEN_FDS is set, and its first socket does not listen on TCP: {error}"))
}
