//! The store: one register per attempt with a linearizable compare-and-swap, and the faults of the plan.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use pay_once_core::{AttemptId, RecordVersion, UnixMillis};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::spawn_local;
use turmoil::net::{TcpListener, TcpStream};

use crate::full::stage::Stage;
use crate::full::wire::{PORT, hung_up};
use crate::met::Sometimes;
use crate::plan::{Host, StoreFault};
use crate::rng::{Concern, Draw};
use crate::trace::Kind;

/// What a slow operation takes longer, in milliseconds.
const SLOW_MS: u64 = 500;
/// After how long a late swap applies, in milliseconds.
const LATE_MS: u64 = 1_000;
/// Most bytes of a message: far more than any record.
const FRAME_MAX: usize = 4 * 1024 * 1024;

/// An attempt's id.
pub(in crate::full) type Id = [u8; 16];

/// It in words.
pub(in crate::full) fn attempt(id: Id) -> String {
    AttemptId::from_bytes(id).to_string()
}

/// What a server asks of the store.
#[derive(Serialize, Deserialize)]
pub(super) enum Asked {
    Load(Id),
    Swap(Swapping),
    Due { until_ms: UnixMillis, limit: u64 },
}

/// A compare-and-swap.
#[derive(Serialize, Deserialize)]
pub(super) struct Swapping {
    pub(super) id: Id,
    pub(super) expected: Option<RecordVersion>,
    pub(super) version: RecordVersion,
    pub(super) bytes: Vec<u8>,
    pub(super) wake_at_ms: Option<UnixMillis>,
    /// The server's clock, and its process: for the notebook alone.
    pub(super) now_ms: UnixMillis,
    pub(super) writer: (u64, u64),
}

/// What the store says.
#[derive(Serialize, Deserialize)]
pub(super) enum Said {
    Record(Option<Vec<u8>>),
    Applied,
    Conflict,
    Due(Vec<(Id, UnixMillis)>),
    Down,
}

/// A register.
pub(in crate::full) struct Row {
    /// Its version.
    pub(in crate::full) version: RecordVersion,
    /// The record.
    pub(in crate::full) bytes: Vec<u8>,
    /// When it wants to be woken, in milliseconds since the Unix epoch.
    pub(in crate::full) wake_at_ms: Option<UnixMillis>,
    /// How often it was written.
    pub(in crate::full) writes: u64,
    writer: (u64, u64),
}

/// Everything that is durable.
pub(in crate::full) struct Rows {
    /// The registers.
    pub(in crate::full) all: BTreeMap<Id, Row>,
    /// Faults that are on, and how often they strike in a thousand operations.
    pub(in crate::full) faults: Vec<(StoreFault, u16)>,
    /// Swaps that will apply late.
    pub(in crate::full) late: usize,
    draw: Draw,
}

impl Rows {
    /// Nothing yet.
    pub(in crate::full) fn new(seed: u64) -> Self {
        Self {
            all: BTreeMap::new(),
            faults: Vec::new(),
            late: 0,
            draw: Draw::new(seed, Concern::Store),
        }
    }

    /// The faults that strike one operation.
    fn strike(&mut self) -> Vec<StoreFault> {
        let draw = &mut self.draw;
        let struck = self.faults.iter().filter(|(_, permille)| draw.chance(*permille));
        struck.map(|(fault, _)| *fault).collect()
    }
}

/// What a fault leaves of an answer.
enum Fate {
    Answer,
    /// The connection closes.
    Close,
    /// Nothing ever comes.
    Silence,
}

/// Serves for ever.
pub(in crate::full) async fn run(stage: Rc<Stage>) -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let stage = Rc::clone(&stage);
        spawn_local(async move {
            // A broken connection is its server's to notice.
            let _ = serve(&stage, stream).await;
        });
    }
}

async fn serve(stage: &Rc<Stage>, mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let asked: Asked = receive(&mut stream).await?;
        let (struck, latency_ms) = {
            let mut rows = stage.rows.borrow_mut();
            let (min, max) = stage.plan.world.store_ms;
            let latency_ms = rows.draw.between(min, max);
            (rows.strike(), latency_ms)
        };
        // Finer than a step: it is the order of operations that this shakes.
        tokio::time::sleep(Duration::from_millis(latency_ms)).await;
        let is_write = matches!(asked, Asked::Swap(_));
        if is_write && struck.contains(&StoreFault::NoWrites) {
            stage.meet(Sometimes::StoreTakesNoWrites);
            // Nobody learns whether it applied.
            return Ok(());
        }
        if struck.contains(&StoreFault::Down) {
            stage.meet(Sometimes::StoreDown);
            stage.note(Host::Store, Kind::Lost, || "down".to_owned());
            send(&mut stream, &Said::Down).await?;
            continue;
        }
        if struck.contains(&StoreFault::Slow) {
            stage.sleep(SLOW_MS).await;
        }
        let (said, fate) = match asked {
            Asked::Load(id) => (load(stage, id), Fate::Answer),
            Asked::Due { until_ms, limit } => (due(stage, until_ms, limit), Fate::Answer),
            Asked::Swap(swapping) => swap(stage, &struck, swapping),
        };
        match fate {
            Fate::Answer => send(&mut stream, &said).await?,
            Fate::Close => return Ok(()),
            Fate::Silence => {
                hung_up(&mut stream).await;
                return Ok(());
            }
        }
    }
}

fn load(stage: &Stage, id: Id) -> Said {
    let rows = stage.rows.borrow();
    Said::Record(rows.all.get(&id).map(|row| row.bytes.clone()))
}

fn due(stage: &Stage, until_ms: UnixMillis, limit: u64) -> Said {
    let rows = stage.rows.borrow();
    let mut due: Vec<(Id, UnixMillis)> = rows
        .all
        .iter()
        .filter_map(|(id, row)| Some((*id, row.wake_at_ms.filter(|at_ms| *at_ms <= until_ms)?)))
        .collect();
    due.sort_by_key(|(id, at_ms)| (*at_ms, *id));
    due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Said::Due(due)
}

fn swap(stage: &Rc<Stage>, struck: &[StoreFault], swapping: Swapping) -> (Said, Fate) {
    let unknown = |rows: &mut Rows| match rows.draw.chance(500) {
        true => Fate::Close,
        false => Fate::Silence,
    };
    for fault in struck {
        match fault {
            StoreFault::AppliedUnknown => {
                let said = apply(stage, swapping, "applied, untold");
                if matches!(said, Said::Applied) {
                    stage.meet(Sometimes::SwapAppliedUnknown);
                }
                return (said, unknown(&mut stage.rows.borrow_mut()));
            }
            // Looked at before.
            StoreFault::NoWrites => {}
            StoreFault::LostUnknown => {
                stage.meet(Sometimes::SwapLostUnknown);
                stage.note(Host::Store, Kind::Lost, || "a swap is lost, untold".to_owned());
                return (Said::Conflict, unknown(&mut stage.rows.borrow_mut()));
            }
            StoreFault::LateUnknown => {
                let late = Rc::clone(stage);
                stage.rows.borrow_mut().late += 1;
                spawn_local(async move {
                    late.sleep(LATE_MS).await;
                    late.rows.borrow_mut().late -= 1;
                    if matches!(apply(&late, swapping, "applied late"), Said::Applied) {
                        late.meet(Sometimes::SwapAppliedLate);
                    }
                });
                return (Said::Conflict, unknown(&mut stage.rows.borrow_mut()));
            }
            StoreFault::Down | StoreFault::Slow => {}
        }
    }
    (apply(stage, swapping, "applied"), Fate::Answer)
}

/// The compare-and-swap itself.
fn apply(stage: &Stage, swapping: Swapping, how: &'static str) -> Said {
    let id = AttemptId::from_bytes(swapping.id);
    if is_dead(stage, &swapping) {
        stage.note(Host::Store, Kind::Lost, || {
            format!("{id}: version {} dies with its process", swapping.version)
        });
        return Said::Conflict;
    }
    let mut rows = stage.rows.borrow_mut();
    let before = rows.all.get(&swapping.id);
    if before.map(|row| row.version) != swapping.expected {
        stage.meet(Sometimes::SwapConflict);
        stage.note(Host::Store, Kind::Note, || {
            format!("{id}: version {} conflicts", swapping.version)
        });
        return Said::Conflict;
    }
    let is_due = |row: &Row| row.wake_at_ms.is_some_and(|at_ms| at_ms <= swapping.now_ms);
    if let Some(row) = before.filter(|row| is_due(row)) {
        // What was due and is now written was, as good as always, found by its timer.
        stage.meet(Sometimes::TimerFired);
        let is_gone = usize::try_from(row.writer.0)
            .ok()
            .and_then(|server| stage.processes.get(server))
            .is_some_and(|process| process.incarnation.get() != row.writer.1);
        if is_gone {
            stage.meet(Sometimes::RecoveredAfterRestart);
        }
    }
    let writes = before.map_or(0, |row| row.writes) + 1;
    crate::coverage::note_bytes(id, &swapping.bytes);
    stage.note(Host::Store, Kind::Write, || {
        format!("{id}: version {} {how}", swapping.version)
    });
    rows.all.insert(
        swapping.id,
        Row {
            version: swapping.version,
            bytes: swapping.bytes,
            wake_at_ms: swapping.wake_at_ms,
            writes,
            writer: swapping.writer,
        },
    );
    Said::Applied
}

/// Whether a swap comes from a process that is no more, in a store of its own: one that nobody else writes to cannot
/// outlive it with a write.
fn is_dead(stage: &Stage, swapping: &Swapping) -> bool {
    match stage.processes.as_slice() {
        [only] => only.incarnation.get() != swapping.writer.1,
        _ => false,
    }
}

/// Sends one message: four bytes of length, then postcard.
pub(super) async fn send<T: Serialize>(stream: &mut TcpStream, message: &T) -> std::io::Result<()> {
    let room = vec![0; 4];
    let mut bytes = postcard::to_extend(message, room).map_err(std::io::Error::other)?;
    let len = u32::try_from(bytes.len() - 4).map_err(std::io::Error::other)?;
    if let Some(head) = bytes.first_chunk_mut::<4>() {
        *head = len.to_be_bytes();
    }
    stream.write_all(&bytes).await
}

/// Receives one message.
pub(super) async fn receive<T: for<'a> Deserialize<'a>>(stream: &mut TcpStream) -> std::io::Result<T> {
    let len = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if len > FRAME_MAX {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).await?;
    postcard::from_bytes(&bytes).map_err(std::io::Error::other)
}
