//! The faults of a plan, as the bands that they are drawn as.

use serde::Serialize;

use super::data::lane;
use crate::plan::{Act, Host, Plan};

/// A fault, for as long as it lasts.
#[derive(Serialize)]
pub(super) struct Band {
    lanes: Vec<usize>,
    at: u64,
    until: u64,
    text: String,
}

fn name(host: Host) -> String {
    match host {
        Host::Clients => "the clients".to_owned(),
        Host::Balancer => "the balancer".to_owned(),
        Host::Server(n) => format!("server {n}"),
        Host::Store => "the store".to_owned(),
        Host::Psp => "the PSP".to_owned(),
    }
}

/// The faults of a plan. None outlasts healing.
pub(super) fn bands(plan: &Plan) -> Vec<Band> {
    let servers = plan.world.clocks_ms.len();
    let heal_ms = plan.world.heal_ms;
    let mut bands = Vec::new();
    for step in &plan.steps {
        let mut add = |hosts: &[Host], for_ms: u64, text: String| {
            bands.push(Band {
                lanes: hosts.iter().map(|host| lane(*host, servers)).collect(),
                at: step.at_ms,
                until: (step.at_ms + for_ms).min(heal_ms).max(step.at_ms),
                text,
            });
        };
        let often = |permille: u16| match permille {
            1000 => String::new(),
            _ => format!(", {}.{} %", permille / 10, permille % 10),
        };
        match &step.act {
            Act::Pay(_) => {}
            Act::Crash {
                server,
                down_ms,
                silent,
            } => {
                let how = if *silent { "power loss" } else { "killed" };
                add(
                    &[Host::Server(*server)],
                    *down_ms,
                    format!("{how}, down {down_ms} ms"),
                );
            }
            Act::AtSend {
                server,
                nth,
                is_sent,
                for_ms,
            } => {
                let when = if *is_sent { "after" } else { "before" };
                let text = format!("paused {for_ms} ms right {when} sending {nth}");
                add(&[Host::Server(*server)], 0, text);
            }
            Act::SetClock { server, ahead_ms } => {
                let text = format!("its wall clock is set {ahead_ms} ms ahead");
                add(&[Host::Server(*server)], 0, text);
            }
            Act::Pause { server, for_ms } => {
                add(&[Host::Server(*server)], *for_ms, format!("paused {for_ms} ms"));
            }
            Act::Partition {
                from,
                to,
                one_way,
                for_ms,
            } => {
                let arrow = if *one_way { "cannot reach" } else { "cut off from" };
                let text = format!("{} {arrow} {}, {for_ms} ms", name(*from), name(*to));
                add(&[*from, *to], *for_ms, text);
            }
            Act::Hold { from, to, for_ms } => {
                let text = format!(
                    "messages between {} and {} wait, {for_ms} ms",
                    name(*from),
                    name(*to)
                );
                add(&[*from, *to], *for_ms, text);
            }
            Act::Store {
                fault,
                permille,
                for_ms,
            } => add(
                &[Host::Store],
                *for_ms,
                format!("store: {fault:?}, {for_ms} ms{}", often(*permille)),
            ),
            Act::Psp {
                fault,
                permille,
                for_ms,
            } => add(
                &[Host::Psp],
                *for_ms,
                format!("PSP: {fault:?}, {for_ms} ms{}", often(*permille)),
            ),
            Act::Replay { permille, for_ms, .. } => {
                let text = format!("balancer sends again, {for_ms} ms{}", often(*permille));
                add(&[Host::Balancer], *for_ms, text);
            }
            Act::Restore { age_ms, down_ms } => {
                let hosts: Vec<Host> = (0..servers).map(Host::Server).chain([Host::Store]).collect();
                add(
                    &hosts,
                    *down_ms,
                    format!("a backup of {age_ms} ms ago is restored"),
                );
            }
            Act::Die { server } => {
                let rest_ms = plan.world.heal_ms.saturating_sub(step.at_ms);
                add(&[Host::Server(*server)], rest_ms, "gone for good".to_owned());
            }
            Act::ByHand {
                payment,
                hand,
                foreign,
                extra,
            } => {
                let whose = match (*foreign, *extra) {
                    (true, _) => "another installation's object",
                    (false, true) => "the PSP's second execution",
                    (false, false) => "our object",
                };
                add(
                    &[Host::Psp],
                    0,
                    format!("{hand:?} by hand on {whose} of payment {payment}"),
                );
            }
            Act::Foreign { payment, .. } => {
                let text =
                    format!("another installation has an object with the reference of payment {payment}");
                add(&[Host::Psp], 0, text);
            }
            Act::Forge { payment, misdirected } => {
                let whose = if *misdirected { "another PSP's" } else { "a forged" };
                add(
                    &[Host::Balancer],
                    0,
                    format!("{whose} webhook for payment {payment}"),
                );
            }
        }
    }
    bands
}
