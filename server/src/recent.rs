//! Records held in memory: a copy of what is durable, for a store that nobody else can write to. Only a step that saw
//! its swap applied may put one in; a swap that ended otherwise takes it out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use pay_once_core::{AttemptId, Record};

/// Most records held in each of two generations.
const GENERATION_MAX: usize = 1_024;

/// Two generations: when the young one is full it becomes the old one, and what was old is let go.
#[derive(Debug, Default)]
pub struct Recent {
    young: RefCell<BTreeMap<AttemptId, Arc<Record>>>,
    old: RefCell<BTreeMap<AttemptId, Arc<Record>>>,
}

impl Recent {
    /// The record, if it is held.
    pub fn get(&self, id: AttemptId) -> Option<Arc<Record>> {
        if let Some(record) = self.young.borrow().get(&id) {
            return Some(Arc::clone(record));
        }
        let record = self.old.borrow_mut().remove(&id)?;
        self.put(Arc::clone(&record));
        Some(record)
    }

    /// Holds a record that is durable.
    pub fn put(&self, record: Arc<Record>) {
        let mut young = self.young.borrow_mut();
        if young.len() >= GENERATION_MAX {
            self.old.replace(std::mem::take(&mut *young));
        }
        self.old.borrow_mut().remove(&record.id());
        young.insert(record.id(), record);
    }

    /// Lets a record go: what is durable is not known.
    pub fn forget(&self, id: AttemptId) {
        self.young.borrow_mut().remove(&id);
        self.old.borrow_mut().remove(&id);
    }
}
