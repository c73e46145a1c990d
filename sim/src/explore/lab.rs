//! What an exploration keeps beside the states: what it has seen, and what the core has decided already.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::digest::{ByDigest, Digest};
use super::report::Covered;
use super::world::{Decision, Known, Then};
use crate::coverage::Shape;

/// Decisions kept in one generation. Two are kept, some hundred megabytes at most.
const KEPT_MAX: usize = 30_000;

/// What the core said to one input on one record at one time: with a decision where there is something to write.
pub(super) struct Thought {
    pub(super) decision: Option<Arc<Known<Decision>>>,
    /// Where there is nothing to write.
    pub(super) then: Option<Then>,
}

/// `handle` is a function, so the same decision is not taken twice: most states differ in what other servers, clients
/// and the PSP are at.
#[derive(Default)]
pub(super) struct Lab {
    pub(super) covered: Covered,
    /// The shapes of every record that a swap made durable, on healed ways as well.
    pub(super) reached: BTreeSet<Shape>,
    new: HashMap<Digest, Arc<Thought>, ByDigest>,
    old: HashMap<Digest, Arc<Thought>, ByDigest>,
}

impl Lab {
    /// What was decided before on the same arguments; their digest is also their entropy.
    pub(super) fn recall(&mut self, entropy: Digest) -> Option<Arc<Thought>> {
        if let Some(thought) = self.new.get(&entropy) {
            return Some(Arc::clone(thought));
        }
        let thought = self.old.get(&entropy).cloned()?;
        self.remember(entropy, &thought);
        Some(thought)
    }

    pub(super) fn remember(&mut self, entropy: Digest, thought: &Arc<Thought>) {
        if self.new.len() >= KEPT_MAX {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(entropy, Arc::clone(thought));
    }
}
