//! Copies of attempts that have ended, in `spin:key-value`. An answer that is finalized never changes, so a copy may give
//! it though it is old, and any backend will do: none of the faults of its compare-and-swap matter here.

use pay_once_core::AttemptId;
use spin_sdk::key_value::Store;

use crate::ports::{Finals, FinalsWhen};
use crate::stores::DEFAULT_LABEL;

/// A [`Finals`] in the key-value store with the default label.
#[derive(Clone, Copy, Debug)]
pub struct SpinFinals {
    when: FinalsWhen,
}

impl SpinFinals {
    /// Copies that are asked for at these times.
    #[must_use]
    pub fn new(when: FinalsWhen) -> Self {
        Self { when }
    }
}

impl Finals for SpinFinals {
    fn when(&self) -> FinalsWhen {
        self.when
    }

    async fn get(&self, id: AttemptId) -> Option<Vec<u8>> {
        let store = Store::open(DEFAULT_LABEL).await.ok()?;
        store.get(name(id)).await.ok()?
    }

    async fn put(&self, id: AttemptId, bytes: Vec<u8>) {
        if let Ok(store) = Store::open(DEFAULT_LABEL).await {
            // Without a copy the store answers.
            let _ = store.set(name(id), bytes).await;
        }
    }
}

fn name(id: AttemptId) -> String {
    format!("final-{id}")
}
