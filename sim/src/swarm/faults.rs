//! The faults that a seed turns on or off.

use super::{LATENCY_MS_MAX, PAYMENTS_MIN};
use crate::plan::{Act, Calls, Host, PspFault, StoreFault, World};
use crate::rng::Draw;

pub(super) type Fault = fn(&mut Draw, &World) -> Act;

/// Every fault that a plan can hold. Only ever appended to.
pub(super) const FAULTS: &[Fault] = &[
    |d, w| Act::Crash {
        server: server(d, w),
        down_ms: d.between(50, 1_500),
        silent: d.chance(300),
    },
    |d, w| Act::Pause {
        server: server(d, w),
        // Past every window, now and then.
        for_ms: match d.chance(250) {
            true => d.between(3_000, 6_000),
            false => d.between(200, 3_000),
        },
    },
    |d, w| {
        let (from, to) = link(d, w);
        Act::Partition {
            from,
            to,
            one_way: d.chance(400),
            for_ms: d.between(50, 1_500),
        }
    },
    |d, w| {
        let (from, to) = link(d, w);
        Act::Hold {
            from,
            to,
            for_ms: d.between(40, w.truth.max_in_flight_ms - w.psp_late_ms - LATENCY_MS_MAX),
        }
    },
    |d, _| store(d, StoreFault::AppliedUnknown),
    |d, _| store(d, StoreFault::LostUnknown),
    |d, _| store(d, StoreFault::LateUnknown),
    |d, _| store(d, StoreFault::Down),
    |d, _| store(d, StoreFault::Slow),
    |d, _| psp(d, PspFault::HangBefore),
    |d, _| psp(d, PspFault::HangAfter),
    |d, _| psp(d, PspFault::ErrorBefore),
    |d, _| psp(d, PspFault::ErrorAfter),
    |d, _| psp(d, PspFault::Garbage),
    |d, _| psp(d, PspFault::Throttle),
    |d, _| psp(d, PspFault::Late),
    |d, _| psp(d, PspFault::WebhookLost),
    |d, _| Act::Replay {
        permille: permille(d),
        later_ms: d.between(0, 3_000),
        for_ms: d.between(500, 4_000),
    },
    |d, _| Act::Forge {
        payment: u32::try_from(d.between(0, PAYMENTS_MIN - 1)).unwrap_or(0),
        misdirected: false,
    },
    |d, w| match (server(d, w), w.clocks_ms.len()) {
        // The only server had better come back.
        (_, 1) => Act::Crash {
            server: 0,
            down_ms: 2_000,
            silent: false,
        },
        (server, _) => Act::Die {
            server: server.max(1),
        },
    },
    |d, _| rejected(d),
    |d, _| rejected(d),
    |d, _| Act::Psp {
        fault: PspFault::Twice,
        permille: permille(d),
        for_ms: d.between(100, 1_500),
    },
    |d, _| store(d, StoreFault::NoWrites),
    |d, w| at_send(d, w),
    |d, w| at_send(d, w),
    |d, _| psp(d, PspFault::Redelivered { status: 0 }),
    |d, _| psp(d, PspFault::ReadMissing),
    |d, _| psp(d, PspFault::Declines),
    |d, _| psp(d, PspFault::ListStuck),
    |d, _| Act::Forge {
        payment: u32::try_from(d.between(0, PAYMENTS_MIN - 1)).unwrap_or(0),
        misdirected: true,
    },
];

/// Past the time to send in, past an answer's time-out, past a flight.
const STILL_MS: [u64; 4] = [700, 1_500, 4_000, 6_000];

fn at_send(draw: &mut Draw, world: &World) -> Act {
    Act::AtSend {
        server: server(draw, world),
        nth: u32::try_from(draw.between(1, 12)).unwrap_or(1),
        is_sent: draw.chance(500),
        for_ms: *draw.pick(&STILL_MS),
    }
}

/// Credentials, accounts or requests are refused for a while.
fn rejected(draw: &mut Draw) -> Act {
    let status = *draw.pick(&[400, 401, 403]);
    let calls = *draw.pick(&[Calls::All, Calls::Money, Calls::Money, Calls::Reads, Calls::Lists]);
    psp(draw, PspFault::Rejected { status, calls })
}

fn server(draw: &mut Draw, world: &World) -> usize {
    usize::try_from(draw.between(0, world.clocks_ms.len() as u64 - 1)).unwrap_or(0)
}

fn link(draw: &mut Draw, world: &World) -> (Host, Host) {
    let server = Host::Server(server(draw, world));
    *draw.pick(&[
        (Host::Balancer, server),
        (server, Host::Psp),
        (server, Host::Psp),
        (server, Host::Store),
        (Host::Psp, server),
    ])
}

fn permille(draw: &mut Draw) -> u16 {
    u16::try_from(*draw.pick(&[50, 200, 500, 1000])).unwrap_or(50)
}

fn store(draw: &mut Draw, fault: StoreFault) -> Act {
    Act::Store {
        fault,
        permille: permille(draw),
        for_ms: draw.between(50, 1_200),
    }
}

fn psp(draw: &mut Draw, fault: PspFault) -> Act {
    Act::Psp {
        fault,
        permille: permille(draw),
        for_ms: draw.between(100, 2_500),
    }
}
