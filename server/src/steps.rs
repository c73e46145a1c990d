//! Steps whose writing has begun: a process that ends waits for them.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

/// All such steps of a process.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    under_way: Cell<usize>,
    ended: Notify,
}

impl Steps {
    /// A step, until it is dropped.
    pub(crate) fn begin(self: &Rc<Self>) -> Step {
        self.under_way.set(self.under_way.get() + 1);
        Step(Rc::clone(self))
    }

    /// Returns once there is none.
    pub(crate) async fn ended(&self) {
        while self.under_way.get() > 0 {
            self.ended.notified().await;
        }
    }
}

/// A step whose writing has begun, until nothing of it is left to do.
#[derive(Debug)]
pub(crate) struct Step(Rc<Steps>);

impl Drop for Step {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
        self.0.ended.notify_waiters();
    }
}
