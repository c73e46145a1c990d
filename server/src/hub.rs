//! Who is waiting for which attempt, and whose turn it is.
//!
//! The turn only saves work: within one process it keeps steps on one attempt from running into each other's swaps.
//! That money moves once rests on the swap alone.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use pay_once_core::AttemptId;
use tokio::sync::{Mutex, Notify};

/// One attempt that somebody is working on or waiting for.
#[derive(Debug, Default)]
pub struct Slot {
    /// Held for the length of one step: load, decide, swap. Never across a PSP call.
    pub turn: Arc<Mutex<()>>,
    /// Told whenever the record has changed.
    pub changed: Notify,
    /// How often the record has changed.
    pub changes: Cell<u64>,
}

impl Slot {
    /// The record has changed.
    pub fn has_changed(&self) {
        self.changes.set(self.changes.get().wrapping_add(1));
        self.changed.notify_waiters();
    }
}

/// All attempts in use.
#[derive(Debug, Default)]
pub struct Hub {
    slots: RefCell<BTreeMap<AttemptId, Weak<Slot>>>,
}

impl Hub {
    /// The slot of an attempt; it lives as long as anybody holds it.
    pub fn slot(self: &Rc<Self>, id: AttemptId) -> Guard {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get(&id).and_then(Weak::upgrade).unwrap_or_else(|| {
            let slot = Rc::new(Slot::default());
            slots.insert(id, Rc::downgrade(&slot));
            slot
        });
        Guard {
            hub: Rc::clone(self),
            id,
            slot,
        }
    }

    /// Another process has changed this record, or any one.
    pub fn changed_elsewhere(&self, id: Option<AttemptId>) {
        let slots = self.slots.borrow();
        match id {
            Some(id) => slots
                .get(&id)
                .and_then(Weak::upgrade)
                .iter()
                .for_each(|slot| slot.has_changed()),
            None => slots
                .values()
                .filter_map(Weak::upgrade)
                .for_each(|slot| slot.has_changed()),
        }
    }
}

/// A hold on a slot.
#[derive(Debug)]
pub struct Guard {
    hub: Rc<Hub>,
    id: AttemptId,
    /// The slot.
    pub slot: Rc<Slot>,
}

impl Guard {
    /// The attempt.
    #[must_use]
    pub fn id(&self) -> AttemptId {
        self.id
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // This hold is the last one.
        if Rc::strong_count(&self.slot) == 1 {
            self.hub.slots.borrow_mut().remove(&self.id);
        }
    }
}
