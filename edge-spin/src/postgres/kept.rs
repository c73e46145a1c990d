//! The connection that an instance has open, for as long as it uses it.
//!
//! Spin has 64 connections for an address, and an instance that waits for a PSP needs none.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use pay_once_core::Millis;

use crate::ports::World;
use crate::postgres::link::Link;
use crate::wasi::WasiWorld;

/// How long a connection is kept that nobody uses, in milliseconds. A request reads a record and writes it within less.
const KEPT_MS: Millis = Millis::new(50);

/// The open connection, if there is one.
#[derive(Default)]
pub(super) struct Kept(Rc<Slot>);

#[derive(Default)]
struct Slot {
    link: RefCell<Option<Rc<Link>>>,
    uses: Cell<u64>,
}

impl Kept {
    /// The open connection, for one use.
    pub(super) fn get(&self) -> Option<Rc<Link>> {
        self.0.uses.set(self.0.uses.get().wrapping_add(1));
        self.0.link.borrow().clone()
    }

    /// Keeps a connection until nobody uses it any more.
    pub(super) fn keep(&self, link: &Rc<Link>) {
        self.0.link.replace(Some(Rc::clone(link)));
        let (slot, link) = (Rc::clone(&self.0), Rc::downgrade(link));
        WasiWorld::default().spawn(async move {
            let mut seen = slot.uses.get();
            loop {
                WasiWorld::default().sleep_ms(KEPT_MS).await;
                let Some(link) = link.upgrade() else { return };
                let uses = slot.uses.get();
                // The slot has one, and this task.
                if uses == seen && Rc::strong_count(&link) <= 2 {
                    slot.drop_if(&link);
                    return;
                }
                seen = uses;
            }
        });
    }

    /// The next use gets another connection.
    pub(super) fn forget(&self) {
        self.0.link.replace(None);
    }
}

impl Slot {
    fn drop_if(&self, link: &Rc<Link>) {
        let mut kept = self.link.borrow_mut();
        if kept.as_ref().is_some_and(|kept| Rc::ptr_eq(kept, link)) {
            *kept = None;
        }
    }
}
