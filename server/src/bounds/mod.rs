//! Limits on the work of one process, so that no client, merchant or PSP can use up what the others need.

pub mod admission;
pub mod connections;
pub mod limits;
pub mod metered;
pub mod names;
pub mod psp_places;
pub mod stream;

use std::sync::Arc;

use admission::{Admission, AdmissionState};
use connections::{Connections, ConnectionsState};
use limits::Budget;
use psp_places::{PspPlaces, PspState};
use serde::Serialize;

/// The bounds of one server.
#[derive(Debug)]
pub struct Bounds {
    /// Client connections.
    pub connections: Arc<Connections>,
    /// Requests in work.
    pub admission: Arc<Admission>,
    /// Calls to PSPs.
    pub psps: PspPlaces,
}

/// A snapshot of the bounds, for readiness, metrics and `/status`.
#[derive(Clone, Debug, Serialize)]
pub struct BoundsState {
    /// Client connections.
    pub connections: ConnectionsState,
    /// Requests in work.
    pub requests: AdmissionState,
    /// Each PSP that was called since the start.
    pub psps: Vec<PspState>,
}

impl Bounds {
    /// The bounds of a budget.
    #[must_use]
    pub fn of(budget: &Budget) -> Self {
        Self {
            connections: Connections::new(budget.connections, budget.connections_per_address),
            admission: Arc::new(Admission::new(budget.requests, budget.work, budget.work_delay)),
            psps: PspPlaces::new(budget.psp_calls, true),
        }
    }

    /// No bounds, for hosts that limit the work in another way.
    #[must_use]
    pub fn none() -> Self {
        Self {
            connections: Connections::new(usize::MAX, usize::MAX),
            admission: Arc::new(Admission::unbounded()),
            psps: PspPlaces::new(tokio::sync::Semaphore::MAX_PERMITS, false),
        }
    }

    /// A snapshot.
    #[must_use]
    pub fn state(&self) -> BoundsState {
        BoundsState {
            connections: self.connections.state(),
            requests: self.admission.state(),
            psps: self.psps.state(),
        }
    }
}
