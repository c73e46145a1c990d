//! The client connections of one process, bounded in total and for each address.
//!
//! A connection is *busy* while a request of it is in work, and *quiet* otherwise: it is idle, sends slowly, or does not read its answer.
//! One that comes when all places are taken has the place of the one that has been quiet for longest: whoever holds connections
//! without using them loses them first, and keeps nobody out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Large bodies that are read at a time, over all connections: each takes up to a megabyte.
const LARGE_BODIES: usize = 16;

/// All connections.
#[derive(Debug)]
pub struct Connections {
    inner: Mutex<Inner>,
    total_max: usize,
    per_address_max: usize,
    large_bodies: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    open: BTreeMap<u64, Entry>,
    addresses: BTreeMap<IpAddr, Address>,
    /// The order in which connections became idle: a lower number has been idle for longer.
    quiet: BTreeSet<(u64, u64)>,
    counts: ConnectionsState,
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    quiet_since: Option<u64>,
    closed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Address {
    open: usize,
    quiet: BTreeSet<(u64, u64)>,
}

/// A snapshot of the connections.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ConnectionsState {
    /// Connections at present.
    pub open: usize,
    /// Quiet connections that were closed for others, since the start.
    pub displaced: u64,
    /// Connections that were refused since all others were busy, since the start.
    pub refused: u64,
}

impl Connections {
    /// At most so many in total, and of one address.
    #[must_use]
    pub fn new(total_max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            total_max,
            per_address_max,
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // What a panic left is still right: nothing panics between two changes that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection. `None`: close it.
    pub fn open(self: &Arc<Self>, peer: IpAddr) -> Option<Connection> {
        let address = network(peer);
        let mut inner = self.inner();
        let of_address = inner.addresses.get(&address);
        let crowded = of_address.filter(|of_address| of_address.open >= self.per_address_max);
        let displaced = match crowded {
            Some(of_address) => Some(of_address.quiet.first().copied()),
            None => (inner.open.len() >= self.total_max).then(|| inner.quiet.first().copied()),
        };
        match displaced {
            Some(Some((_, id))) => {
                inner.counts.displaced += 1;
                if let Some(entry) = inner.remove(id) {
                    entry.closed.notify_one();
                }
            }
            Some(None) => {
                inner.counts.refused += 1;
                return None;
            }
            None => {}
        }
        let id = inner.number();
        let closed = Arc::new(Notify::new());
        inner.addresses.entry(address).or_default().open += 1;
        inner.open.insert(
            id,
            Entry {
                address,
                quiet_since: None,
                closed: Arc::clone(&closed),
            },
        );
        inner.set_quiet(id, true);
        drop(inner);
        Some(Connection {
            connections: Arc::clone(self),
            id,
            closed,
        })
    }

    /// A snapshot.
    #[must_use]
    pub fn state(&self) -> ConnectionsState {
        let inner = self.inner();
        ConnectionsState {
            open: inner.open.len(),
            ..inner.counts
        }
    }
}

impl Inner {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        self.set_quiet(id, false);
        let entry = self.open.remove(&id)?;
        if let Some(of_address) = self.addresses.get_mut(&entry.address) {
            of_address.open -= 1;
            if of_address.open == 0 {
                self.addresses.remove(&entry.address);
            }
        }
        Some(entry)
    }

    fn set_quiet(&mut self, id: u64, is_quiet: bool) {
        let since = is_quiet.then(|| self.number());
        let Some(entry) = self.open.get_mut(&id) else {
            return;
        };
        let before = std::mem::replace(&mut entry.quiet_since, since);
        let mut of_address = self.addresses.get_mut(&entry.address);
        if let Some(before) = before {
            self.quiet.remove(&(before, id));
            if let Some(of_address) = &mut of_address {
                of_address.quiet.remove(&(before, id));
            }
        }
        if let Some(since) = since {
            self.quiet.insert((since, id));
            if let Some(of_address) = of_address {
                of_address.quiet.insert((since, id));
            }
        }
    }
}

/// The address that limits count by. For IPv6 it is the /64 network, because one host usually has a whole one.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

/// One connection. Dropping it frees its place.
#[derive(Debug)]
pub struct Connection {
    connections: Arc<Connections>,
    id: u64,
    closed: Arc<Notify>,
}

impl Connection {
    /// Marks the connection as busy until the guard is dropped.
    #[must_use]
    pub fn busy(&self) -> Busy<'_> {
        self.connections.inner().set_quiet(self.id, false);
        Busy(self)
    }

    /// Returns when the connection is to be closed for another one.
    pub async fn displaced(&self) {
        self.closed.notified().await;
    }

    /// A place for a large body, if there is one.
    #[must_use]
    pub fn large_body(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections.large_bodies)
            .try_acquire_owned()
            .ok()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.inner().remove(self.id);
    }
}

/// See [`Connection::busy`].
#[derive(Debug)]
pub struct Busy<'a>(&'a Connection);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.connections.inner().set_quiet(self.0.id, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    async fn is_displaced(connection: &Connection) -> bool {
        tokio::select! {
            biased;
            () = connection.displaced() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn the_one_that_is_quiet_for_longest_makes_room() {
        let connections = Connections::new(3, 3);
        let first = connections.open(A).unwrap();
        let second = connections.open(A).unwrap();
        let third = connections.open(B).unwrap();
        // The first was used since, and is idle again.
        drop(first.busy());
        let fourth = connections.open(B).unwrap();
        assert!(is_displaced(&second).await && !is_displaced(&first).await && !is_displaced(&third).await);
        assert_eq!(connections.state().open, 3);
        drop((second, fourth));
        assert_eq!(connections.state().open, 2);
    }

    #[tokio::test]
    async fn a_request_in_work_is_never_displaced() {
        let connections = Connections::new(2, 2);
        let (first, second) = (connections.open(A).unwrap(), connections.open(A).unwrap());
        let (_first_busy, second_busy) = (first.busy(), second.busy());
        assert!(connections.open(B).is_none());
        assert_eq!(connections.state().refused, 1);
        drop(second_busy);
        assert!(connections.open(B).is_some());
        assert!(is_displaced(&second).await && !is_displaced(&first).await);
    }

    #[tokio::test]
    async fn an_address_takes_places_of_its_own_only() {
        let connections = Connections::new(10, 2);
        let other = connections.open(B).unwrap();
        let held: Vec<Connection> = (0..5).filter_map(|_| connections.open(A)).collect();
        assert_eq!((held.len(), connections.state().open), (5, 3));
        assert!(!is_displaced(&other).await);
        assert!(is_displaced(&held[0]).await && !is_displaced(&held[4]).await);
        drop(held);
        assert_eq!(connections.state().open, 1);
    }

    #[test]
    fn hosts_of_one_ipv6_network_are_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), A);
    }
}
