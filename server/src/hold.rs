//! What a turn holds while it is carried out.

use std::rc::Rc;
use std::sync::Arc;

use pay_once_core::AttemptId;
use tokio::sync::OwnedMutexGuard;

use crate::bounds::admission::Permit;
use crate::bounds::psp_places::Place;
use crate::hub::{Guard, Hub};

/// What a turn holds: nothing at first.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// The attempt, once it is known.
    guard: Option<Guard>,
    /// Held from the load to the end of what it leads to: nobody else of this process swaps in between.
    mine: Option<OwnedMutexGuard<()>>,
    /// How often the record had changed when it was loaded.
    changes: u64,
    /// The place of the call that the decided step makes.
    pub(crate) place: Option<Place>,
    /// A client's request was taken on.
    permit: Option<Permit>,
}

impl Hold {
    /// Of a client's request.
    pub(crate) fn of(permit: Permit) -> Self {
        Self {
            permit: Some(permit),
            ..Self::default()
        }
    }

    /// Keeps others of this process off the attempt, and listens for changes from here on.
    pub(crate) async fn attempt(&mut self, hub: &Rc<Hub>, id: AttemptId) {
        let guard = self.guard.get_or_insert_with(|| hub.slot(id));
        if self.mine.is_none() {
            let turn = Arc::clone(&guard.slot.turn);
            let mine = match Arc::clone(&turn).try_lock_owned() {
                Ok(mine) => mine,
                Err(_) => {
                    // Duplicates of one request wait for it in any number: they are no work until their turn.
                    if let Some(permit) = &mut self.permit {
                        permit.pause();
                    }
                    let mine = turn.lock_owned().await;
                    if let Some(permit) = &mut self.permit {
                        permit.resume();
                    }
                    mine
                }
            };
            self.mine = Some(mine);
        }
        self.changes = guard.slot.changes.get();
    }

    /// Tells other turns that the record has changed. This turn knows it already.
    pub(crate) fn has_changed(&mut self) {
        if let Some(guard) = &self.guard {
            guard.slot.has_changed();
            self.changes = self.changes.wrapping_add(1);
        }
    }

    /// Returns once the record may have changed since it was loaded. Others may work on the attempt from here on.
    pub(crate) async fn changed(&mut self) {
        self.mine = None;
        let Some(guard) = &self.guard else {
            return std::future::pending().await;
        };
        if guard.slot.changes.get() == self.changes {
            guard.slot.changed.notified().await;
        }
    }

    /// Whether the turn waits for a PSP. While it waits, it is not counted as work, holds no place for a call, and keeps nobody off the
    /// attempt.
    pub(crate) fn waits(&mut self, waits: bool) {
        self.place = None;
        if waits {
            self.mine = None;
        }
        match &mut self.permit {
            Some(permit) if waits => permit.pause(),
            Some(permit) => permit.resume(),
            None => {}
        }
    }
}
