//! A link between a server and the database that can be silenced, delayed and cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::random::Random;
use crate::suite::block_on;

/// The length of the message that ends a statement (`Sync`), in bytes.
const SYNC_BYTES: usize = 5;

/// What becomes of the bytes of one direction. TCP has no gaps: bytes that are lost are followed by a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// They pass.
    Open,
    /// They pass, each after so many milliseconds at most.
    Late(u64),
    /// They are held back, and the connection stays open.
    Silent,
    /// All but the last five bytes pass. Of a statement these are the message that ends its transaction, whose locks stay held.
    Unended,
    /// Half of what comes next passes, and then the connection is reset.
    Torn,
    /// What comes after so many pieces of a connection is lost, and the connection is reset.
    Lost(u64),
}

/// How a link is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition {
    pub(super) to_database: Flow,
    pub(super) to_server: Flow,
    /// New connections are reset.
    pub(super) is_refusing: bool,
    /// The connection with this number is silent in both directions, whatever becomes of the others.
    silent: Option<u64>,
    /// How often all connections were reset.
    resets: u64,
}

/// One direction of a connection.
#[derive(Clone, Copy)]
struct Lane {
    /// The number of the connection.
    number: u64,
    is_to_database: bool,
}

impl Condition {
    const WHOLE: Self = Self {
        to_database: Flow::Open,
        to_server: Flow::Open,
        is_refusing: false,
        silent: None,
        resets: 0,
    };

    fn flow(&self, lane: Lane) -> Flow {
        if self.silent == Some(lane.number) {
            Flow::Silent
        } else if lane.is_to_database {
            self.to_database
        } else {
            self.to_server
        }
    }
}

/// A connection is reset.
struct Reset;

impl From<std::io::Error> for Reset {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// A TCP proxy in front of the database. It ends with its owner.
pub(super) struct Link {
    pub(super) address: SocketAddr,
    condition: watch::Sender<Condition>,
    accepted: Arc<AtomicU64>,
}

impl Link {
    /// To a database, whole.
    pub(super) fn to(database: SocketAddr, seed: u64) -> Self {
        let (condition, seen) = watch::channel(Condition::WHOLE);
        let (bound, address) = std::sync::mpsc::channel();
        let accepted = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&accepted);
        thread::spawn(move || {
            block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                let mut owner = seen.clone();
                tokio::select! {
                    () = accept(listener, database, seen, &counted, Random(seed)) => {}
                    () = async { while owner.changed().await.is_ok() {} } => {}
                }
            });
        });
        Self {
            address: address.recv().unwrap(),
            condition,
            accepted,
        }
    }

    /// How many connections there have been: the number of the next one.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Acquire)
    }

    /// One connection is silent from now on.
    pub(super) fn silence(&self, number: u64) {
        self.condition
            .send_modify(|condition| condition.silent = Some(number));
    }

    /// The link is like this from now on.
    pub(super) fn set(&self, to_database: Flow, to_server: Flow, is_refusing: bool) {
        self.condition.send_modify(|condition| {
            *condition = Condition {
                to_database,
                to_server,
                is_refusing,
                ..*condition
            };
        });
    }

    /// The link is whole again. What it held back passes.
    pub(super) fn mend(&self) {
        self.set(Flow::Open, Flow::Open, false);
    }

    /// All connections are reset. What was held back is lost.
    pub(super) fn reset(&self) {
        self.condition.send_modify(|condition| condition.resets += 1);
    }
}

async fn accept(
    listener: TcpListener,
    database: SocketAddr,
    seen: watch::Receiver<Condition>,
    accepted: &AtomicU64,
    mut random: Random,
) {
    loop {
        let (server, _) = listener.accept().await.unwrap();
        if seen.borrow().is_refusing {
            // If this fails the connection ends, which is a refusal as well.
            let _ = server.set_zero_linger();
            continue;
        }
        let number = accepted.fetch_add(1, Ordering::AcqRel);
        let random = Random(random.next());
        tokio::spawn(carry(number, server, database, seen.clone(), random));
    }
}

/// Carries one connection until it ends.
async fn carry(
    number: u64,
    mut server: TcpStream,
    database: SocketAddr,
    mut seen: watch::Receiver<Condition>,
    mut random: Random,
) {
    // The database may be down.
    let Ok(mut database) = TcpStream::connect(database).await else {
        return;
    };
    let _ = (server.set_nodelay(true), database.set_nodelay(true));
    let resets = seen.borrow().resets;
    let is_reset = {
        let (from_server, to_server) = server.split();
        let (from_database, to_database) = database.split();
        let randoms = (Random(random.next()), Random(random.next()));
        let lane = |is_to_database| Lane {
            number,
            is_to_database,
        };
        let there = pump(from_server, to_database, lane(true), seen.clone(), randoms.0);
        let back = pump(from_database, to_server, lane(false), seen.clone(), randoms.1);
        tokio::select! {
            ended = async { tokio::try_join!(there, back) } => ended.is_err(),
            _ = seen.wait_for(|condition| condition.resets != resets) => true,
        }
    };
    if is_reset {
        let _ = (server.set_zero_linger(), database.set_zero_linger());
    }
}

/// Moves the bytes of one direction, and its end.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    lane: Lane,
    mut seen: watch::Receiver<Condition>,
    mut random: Random,
) -> Result<(), Reset> {
    let (held, mut queue) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let now = seen.clone();
    let reading = async move {
        let mut due = Instant::now();
        loop {
            let mut chunk = vec![0; 16 << 10];
            let read = from.read(&mut chunk).await?;
            chunk.truncate(read);
            if let Flow::Late(most_ms) = now.borrow().flow(lane) {
                due = due.max(Instant::now() + Duration::from_millis(1 + random.below(most_ms)));
            }
            let _ = held.send((due, chunk));
            if read == 0 {
                return Ok::<(), Reset>(());
            }
        }
    };
    let writing = async {
        let mut passed = 0;
        while let Some((due, chunk)) = queue.recv().await {
            tokio::time::sleep_until(due).await;
            let passes = |condition: &Condition| condition.flow(lane) != Flow::Silent;
            let flow = seen.wait_for(passes).await.map_err(|_| Reset)?.flow(lane);
            match flow {
                Flow::Torn => {
                    to.write_all(&chunk[..chunk.len() / 2]).await?;
                    return Err(Reset);
                }
                Flow::Lost(after) if passed >= after => return Err(Reset),
                Flow::Unended => {
                    let (first, last) = chunk.split_at(chunk.len().saturating_sub(SYNC_BYTES));
                    to.write_all(first).await?;
                    let passes = |condition: &Condition| condition.flow(lane) == Flow::Open;
                    seen.wait_for(passes).await.map_err(|_| Reset)?;
                    to.write_all(last).await?;
                }
                Flow::Open | Flow::Late(_) | Flow::Silent | Flow::Lost(_) => to.write_all(&chunk).await?,
            }
            passed += 1;
            if chunk.is_empty() {
                to.shutdown().await?;
            }
        }
        Ok(())
    };
    tokio::try_join!(reading, writing).map(|_| ())
}
