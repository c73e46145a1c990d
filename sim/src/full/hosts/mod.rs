//! The hosts of a run.

pub(super) mod balancer;
pub(super) mod clients;
pub(super) mod looks;
pub(super) mod psp;
mod psp_wire;
pub(super) mod server;
pub(super) mod store;
pub(super) mod store_client;
mod strangers;

use crate::plan::Host;

/// A host's name in the network.
pub(super) fn name(host: Host) -> String {
    match host {
        Host::Clients => "clients".to_owned(),
        Host::Balancer => "balancer".to_owned(),
        Host::Server(n) => format!("server-{n}"),
        Host::Store => "store".to_owned(),
        Host::Psp => "psp".to_owned(),
    }
}
