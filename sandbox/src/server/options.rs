//! What the server needs to know.

use std::path::PathBuf;

use crate::base::settings::Settings;

/// What [`serve`](super::serve) needs to know.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The sandbox's settings. An empty `public_url` becomes `http://` and the listener's address.
    pub settings: Settings,
    /// Where the ledger's log lives; made if missing. `None`: in memory, and gone with the process.
    pub data_dir: Option<PathBuf>,
    /// Seed of latencies, faults and identifiers; `None` draws one.
    pub seed: Option<u64>,
}
