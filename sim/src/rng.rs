//! Randomness: one stream per concern, so that a new draw in one concern moves nothing in the others. Streams are
//! only ever appended to [`Concern`].

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What the draws of a stream are for.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub enum Concern {
    /// Which faults a seed turns on, and the world's constants.
    Swarm = 1,
    /// What clients do.
    Workload = 2,
    /// When faults strike.
    Faults = 3,
    /// Identifiers that servers make.
    Entropy = 4,
    /// The PSP's latency, faults and identifiers.
    Psp = 5,
    /// The store's latency and faults.
    Store = 6,
    /// Message latency and loss.
    Network = 7,
    /// Which server the load balancer chooses, and what it replays.
    Balancer = 8,
    /// Which paused servers are killed.
    Killed = 9,
    /// Which habits clients have.
    Habits = 10,
    /// Whether the PSP has an outage of a minute.
    Outage = 11,
    /// What kind of world it is.
    World = 12,
    /// What strangers do at the PSP.
    Strangers = 13,
    /// What payments have beyond their flow.
    Extras = 14,
    /// Which moments faults are aimed at.
    Aim = 15,
    /// At what pace the plan of a deployment goes.
    Deployment = 16,
    /// What a PSP does that is worse than declared.
    Limits = 17,
    /// Whether faults come together on purpose, and how.
    Scene = 18,
    /// What of a world and its payments was thought of later than the rest.
    Later = 19,
    /// How core is hosted.
    Shape = 20,
    /// At which answer of the store a process ends.
    Deaths = 21,
    /// Whether clocks are set, and whether answers have a `Date`.
    Clocks = 22,
    /// Whether a backup of the store is restored.
    Restore = 23,
    /// How often a server has no place for a call.
    Places = 24,
    /// At which calls it has none.
    NoPlace = 25,
}

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream of one concern under a seed.
    #[must_use]
    pub fn new(seed: u64, concern: Concern) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(concern as u64);
        Self(rng)
    }

    /// 64 random bits.
    pub fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `min..=max`; `min` if the range is empty.
    pub fn between(&mut self, min: u64, max: u64) -> u64 {
        let word = self.word();
        match max.checked_sub(min).and_then(|width| width.checked_add(1)) {
            // The bias is below 2^-40 for every range used here.
            Some(width) => min + word % width,
            None => min,
        }
    }

    /// True `permille` times in a thousand. Takes one word, whatever the chance.
    pub fn chance(&mut self, permille: u16) -> bool {
        self.word() % 1000 < u64::from(permille)
    }

    /// One of `items`, of which there must be some.
    #[allow(clippy::indexing_slicing)] // An empty list is a bug of the simulator's, and says so.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[usize::try_from(self.between(0, items.len() as u64 - 1)).unwrap_or(0)]
    }
}
