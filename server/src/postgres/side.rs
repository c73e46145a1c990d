//! Everything beside loads and swaps, on one connection: notifications both ways, what is due, and the sign of life.

use std::sync::Arc;
use std::time::Duration;

use pay_once_core::{AttemptId, UnixMillis};
use pay_once_postgres_sql::{CHANNEL, DUE, NOTIFY, TAKEN_FOR_MS, signed};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::ToSql;

use crate::ports::{Changed, Unavailable};
use crate::postgres::connect::{Link, reason};
use crate::postgres::link::{RECONNECT_MS, Shared, alive, bounded, connect, id_of};
use crate::store::health::now_ms;

/// Most groups of changes that one statement tells of.
const GROUP_MAX: usize = 256;
/// How often a server writes down that it is alive, in milliseconds.
const ALIVE_EVERY_MS: u64 = 1_000;
/// How often waiting requests look at the store while no notifications come, in milliseconds.
const POLL_MS: u64 = 50;
/// Most ids of one notification: 32 digits each, in 8,000 bytes.
const NOTIFIED_MAX: usize = 240;

/// What is due is asked for.
pub(super) struct Due {
    pub(super) until_ms: UnixMillis,
    pub(super) limit: usize,
    pub(super) done: oneshot::Sender<Result<Vec<(AttemptId, UnixMillis)>, Unavailable>>,
}

/// Everything beside loads and swaps, on one connection: notifications both ways, what is due, and the sign of life.
pub(super) async fn side(
    shared: Arc<Shared>,
    mut dues: mpsc::UnboundedReceiver<Due>,
    mut to_tell: mpsc::UnboundedReceiver<Vec<AttemptId>>,
    changed: mpsc::UnboundedSender<Changed>,
) {
    let mut told = Vec::new();
    loop {
        let (notified, mut notifications) = mpsc::unbounded_channel();
        let listening = async {
            let link = connect(&shared, Some(notified)).await?;
            let ours = bounded(listen(&link)).await.map_err(Unavailable)?;
            Ok((link, ours))
        };
        let (link, ours) = match polling(&changed, listening).await {
            Ok(listening) => listening,
            Err(error) => {
                tracing::warn!(%error, "no notifications come; waiting requests poll");
                shared.health.commit_failed();
                if !without_link(&mut dues, &mut to_tell, &changed, &error).await {
                    return;
                }
                continue;
            }
        };
        // What changed until now was not notified.
        let _ = changed.send(Changed::Unheard);
        let mut beat = tokio::time::interval(Duration::from_millis(ALIVE_EVERY_MS));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                notification = notifications.recv() => match notification {
                    Some(notification) => {
                        if notification.process_id() != ours {
                            tell(&changed, notification.payload());
                        }
                        Ok(())
                    }
                    // The connection has ended.
                    None => break,
                },
                count = to_tell.recv_many(&mut told, GROUP_MAX) => {
                    if count == 0 {
                        return;
                    }
                    let sent = bounded(notify(&link, told.iter().flatten().copied())).await;
                    told.clear();
                    sent
                }
                due = dues.recv() => {
                    let Some(due) = due else { return };
                    bounded(take_due(&link, due)).await
                }
                _ = beat.tick() => {
                    let done = bounded(alive(&link)).await;
                    match &done {
                        Ok(()) => shared.health.reached(),
                        Err(_) => shared.health.commit_failed(),
                    }
                    done
                }
            };
            if let Err(error) = done {
                tracing::warn!(error, "a statement failed; its connection is opened again");
                break;
            }
        }
    }
}

/// Has waiting requests poll until this is done.
async fn polling<T>(changed: &mpsc::UnboundedSender<Changed>, work: impl Future<Output = T>) -> T {
    let every = Duration::from_millis(POLL_MS);
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(every, work.as_mut()).await {
            Ok(done) => return done,
            // If nobody listens any more, the store is closed, and its owner ends this task.
            Err(_) => drop(changed.send(Changed::Unheard)),
        }
    }
}

/// Waits until the next attempt to connect, and has waiting requests poll. Whether the store is still open.
async fn without_link(
    dues: &mut mpsc::UnboundedReceiver<Due>,
    to_tell: &mut mpsc::UnboundedReceiver<Vec<AttemptId>>,
    changed: &mpsc::UnboundedSender<Changed>,
    why: &Unavailable,
) -> bool {
    for _ in 0..RECONNECT_MS / POLL_MS {
        tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        if changed.send(Changed::Unheard).is_err() {
            return false;
        }
        while let Ok(due) = dues.try_recv() {
            let _ = due.done.send(Err(why.clone()));
        }
        while to_tell.try_recv().is_ok() {}
    }
    true
}

/// Listens, and returns the number of the session that listens.
async fn listen(link: &Link) -> Result<i32, tokio_postgres::Error> {
    // Nothing rests on what this connection writes: hints, and a sign of life that may be lost with what it stands behind in the log. Each
    // NOTIFY is a commit, and would wait for a sync of the log.
    let settings = format!("SET synchronous_commit = off; LISTEN {CHANNEL}");
    link.client.batch_execute(&settings).await?;
    // What this server could not tell the others while it had no connection: any record may have changed.
    link.client.query(NOTIFY, &[&""]).await?;
    link.client
        .query_one("SELECT pg_backend_pid()", &[])
        .await?
        .try_get(0)
}

fn tell(changed: &mpsc::UnboundedSender<Changed>, payload: &str) {
    for id in payload.split(' ') {
        let told = match u128::from_str_radix(id, 16) {
            Ok(id) => Changed::Record(AttemptId::from_bytes(id.to_be_bytes())),
            Err(_) => Changed::Unnamed,
        };
        let _ = changed.send(told);
    }
}

async fn notify(link: &Link, ids: impl Iterator<Item = AttemptId>) -> Result<(), tokio_postgres::Error> {
    let words: Vec<String> = ids
        .map(|id| format!("{:032x}", u128::from_be_bytes(id.to_bytes())))
        .collect();
    for words in words.chunks(NOTIFIED_MAX) {
        link.client.query(NOTIFY, &[&words.join(" ")]).await?;
    }
    Ok(())
}

async fn take_due(link: &Link, due: Due) -> Result<(), tokio_postgres::Error> {
    let now_ms = now_ms();
    let limit = i64::try_from(due.limit).unwrap_or(i64::MAX);
    let (until, now) = (signed(due.until_ms.get()), signed(now_ms));
    let taken_until = now.saturating_add(TAKEN_FOR_MS);
    let arguments: [&(dyn ToSql + Sync); 4] = [&until, &now, &taken_until, &limit];
    let rows = match link.client.query(DUE, &arguments).await {
        Ok(rows) => rows,
        Err(error) => {
            let _ = due.done.send(Err(Unavailable(reason(&error))));
            return Err(error);
        }
    };
    let mut found: Vec<(AttemptId, UnixMillis)> = rows
        .iter()
        .filter_map(|row| {
            let id = id_of(row.try_get(0).ok()?)?;
            let at_ms: i64 = row.try_get(1).ok()?;
            Some((
                AttemptId::from_bytes(id),
                UnixMillis::new(u64::try_from(at_ms).unwrap_or_default()),
            ))
        })
        .collect();
    found.sort_by_key(|(_, at_ms)| *at_ms);
    let _ = due.done.send(Ok(found));
    Ok(())
}
