//! A cache of name resolution. A name is resolved once for all calls that wait for it. A known address is used while it is resolved
//! again, so a slow name server delays only calls to names that were never resolved.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::Instant;

/// How long an address is used before it is resolved again.
const FRESH: Duration = Duration::from_secs(30);
/// How long an address is used if it cannot be resolved again.
const STALE: Duration = Duration::from_secs(3600);

/// Looks names up.
pub trait Resolve: 'static {
    /// The addresses of a host.
    fn resolve(&self, host: &str) -> impl Future<Output = io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver. A look-up has a thread of its own until it ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// Names and their addresses.
#[derive(Debug)]
pub struct Names<R> {
    resolver: Rc<R>,
    names: RefCell<BTreeMap<String, Rc<Name>>>,
}

#[derive(Debug, Default)]
struct Name {
    state: RefCell<State>,
    /// Told when a look-up has ended.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    known: Option<(Instant, Vec<IpAddr>)>,
    is_asked: bool,
    error: Option<(io::ErrorKind, String)>,
}

impl<R: Resolve> Names<R> {
    /// No names yet.
    pub fn new(resolver: R) -> Self {
        Self {
            resolver: Rc::new(resolver),
            names: RefCell::default(),
        }
    }

    /// The addresses of `host:port`.
    ///
    /// # Errors
    /// What the resolver says of a name that is not known.
    pub async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let name = {
            let mut names = self.names.borrow_mut();
            Rc::clone(names.entry(host.to_owned()).or_default())
        };
        if name.age().is_none_or(|age| age >= FRESH) {
            self.ask(host, &name);
        }
        if name.age().is_none_or(|age| age >= STALE) {
            name.ended.notified().await;
        }
        let state = name.state.borrow();
        match (&state.known, &state.error) {
            (Some((since, found)), _) if since.elapsed() < STALE => Ok(found
                .iter()
                .map(|address| SocketAddr::new(*address, port))
                .collect()),
            (_, Some((kind, error))) => Err(io::Error::new(*kind, error.clone())),
            (_, None) => Err(io::Error::other("the name has no address")),
        }
    }

    /// Resolves a name, unless that is under way. The resolution continues if its caller times out.
    fn ask(&self, host: &str, name: &Rc<Name>) {
        if std::mem::replace(&mut name.state.borrow_mut().is_asked, true) {
            return;
        }
        let (resolver, name, host) = (Rc::clone(&self.resolver), Rc::clone(name), host.to_owned());
        spawn_local(async move {
            let found = resolver.resolve(&host).await;
            let mut state = name.state.borrow_mut();
            state.is_asked = false;
            match found {
                Ok(found) if !found.is_empty() => {
                    state.known = Some((Instant::now(), found));
                    state.error = None;
                }
                Ok(_) => state.error = Some((io::ErrorKind::NotFound, "the name has no address".to_owned())),
                Err(error) => state.error = Some((error.kind(), error.to_string())),
            }
            drop(state);
            name.ended.notify_waiters();
        });
    }
}

impl Name {
    fn age(&self) -> Option<Duration> {
        let state = self.state.borrow();
        state.known.as_ref().map(|(since, _)| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::task::{LocalSet, yield_now};

    use super::*;

    /// Answers once it is told to.
    #[derive(Clone, Default)]
    struct Held(Rc<(Cell<usize>, Cell<u8>, Notify)>);

    impl Resolve for Held {
        async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
            self.0.0.set(self.0.0.get() + 1);
            self.0.2.notified().await;
            match self.0.1.get() {
                0 => Err(io::Error::other("no name server")),
                last => Ok(vec![IpAddr::from([10, 0, 0, last])]),
            }
        }
    }

    impl Held {
        fn asked(&self) -> usize {
            self.0.0.get()
        }

        async fn answer(&self, last: u8) {
            self.0.1.set(last);
            self.0.2.notify_one();
            for _ in 0..5 {
                yield_now().await;
            }
        }
    }

    fn last(found: io::Result<Vec<SocketAddr>>) -> Option<u8> {
        match found.ok()?.first()?.ip() {
            IpAddr::V4(address) => address.octets().last().copied(),
            IpAddr::V6(_) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_up_once_for_all_and_an_old_address_serves_meanwhile() {
        let resolver = Held::default();
        let names = Rc::new(Names::new(resolver.clone()));
        LocalSet::new()
            .run_until(async {
                let waiting: Vec<_> = (0..50)
                    .map(|_| {
                        let names = Rc::clone(&names);
                        spawn_local(async move { last(names.addresses("psp.test", 443).await) })
                    })
                    .collect();
                for _ in 0..5 {
                    yield_now().await;
                }
                assert_eq!(resolver.asked(), 1, "fifty wait for one look-up");
                resolver.answer(1).await;
                for waits in waiting {
                    assert_eq!(waits.await.unwrap(), Some(1));
                }
                tokio::time::advance(FRESH).await;
                // Nobody answers; nobody waits either.
                for _ in 0..50 {
                    assert_eq!(last(names.addresses("psp.test", 443).await), Some(1));
                    yield_now().await;
                }
                assert_eq!(resolver.asked(), 2);
                resolver.answer(2).await;
                assert_eq!(last(names.addresses("psp.test", 443).await), Some(2));
            })
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_cannot_be_looked_up_keeps_its_address_for_a_while() {
        let resolver = Held::default();
        let names = Names::new(resolver.clone());
        LocalSet::new()
            .run_until(async {
                resolver.answer(1).await;
                assert_eq!(last(names.addresses("psp.test", 443).await), Some(1));
                tokio::time::advance(FRESH).await;
                resolver.answer(0).await;
                assert_eq!(last(names.addresses("psp.test", 443).await), Some(1));
                yield_now().await;
                tokio::time::advance(STALE).await;
                resolver.answer(0).await;
                let error = names.addresses("psp.test", 443).await.unwrap_err();
                assert_eq!(error.to_string(), "no name server");
                assert!(
                    names.addresses("127.0.0.1", 80).await.is_ok(),
                    "an address is no name"
                );
            })
            .await;
    }
}
