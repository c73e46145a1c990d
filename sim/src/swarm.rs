//! From a seed to a plan. Each seed turns on a random subset of the faults and of the clients' habits (a swarm), so that
//! some runs are quiet enough for one of them to be seen alone, and others are a storm.

use crate::plan::{
    Act, Class, Constants, Flow, Host, PLAN_VERSION, Payment, Plan, PspFault, Step, StoreFault, Token, World,
};
use crate::rng::{Concern, Draw};

/// How late a late request lands, in milliseconds. What is left of `max_in_flight_ms` is for messages that wait.
const LATENESS_MS: [u64; 2] = [1_200, 1_900];
/// What of a flight is for the messages' own latency, in milliseconds.
const LATENCY_MS_MAX: u64 = 60;
/// When faults end, in milliseconds from the start.
const HEAL_MS: u64 = 5_000;
/// How long the PSP is read-only in one seed of 32, in milliseconds: longer than it takes to prove eight effects absent, one
/// after the other.
const OUTAGE_MS: u64 = 60_000;
/// How long an authorization lives then, in milliseconds: past the outage and the third try, and not so long that nobody would
/// see it released.
const OUTLIVES_OUTAGE_MS: u64 = 90_000;
/// Payments in a plan: at least, at most.
const PAYMENTS: (u64, u64) = (10, 14);
/// The constants as they are.
const TRUTH: Constants = Constants {
    horizon_ms: 5_000,
    max_in_flight_ms: 2_000,
    lookup_lag_ms: 1_000,
    skew_ms: 150,
};

/// The plan of a seed.
#[must_use]
pub fn plan(seed: u64) -> Plan {
    let mut swarm = Draw::new(seed, Concern::Swarm);
    let class = *swarm.pick(&Class::ALL);
    let mut world = world(seed, class, &mut swarm);
    let mut steps = workload(
        &mut Draw::new(seed, Concern::Workload),
        &Habits::new(&mut Draw::new(seed, Concern::Habits)),
        class,
    );
    // One run in eight has no faults at all: what is slow there is slow of itself.
    let calm = swarm.between(0, 7) == 0;
    let turned_on: Vec<bool> = FAULTS.iter().map(|_| swarm.chance(350)).collect();
    if !calm {
        let mut faults = Draw::new(seed, Concern::Faults);
        for (fault, on) in FAULTS.iter().zip(turned_on) {
            let times = faults.between(1, 3);
            for _ in 0..times {
                let at_ms = faults.between(0, HEAL_MS - 500);
                let act = fault(&mut faults, &world);
                if on {
                    steps.push(Step { at_ms, act });
                }
            }
        }
    }
    // A process that is paused may well be killed before it goes on.
    let mut killed = Draw::new(seed, Concern::Killed);
    let kills: Vec<Step> = steps.iter().filter_map(|step| kill(step, &mut killed)).collect();
    steps.extend(kills);
    steps.extend(outage(&mut world, &mut Draw::new(seed, Concern::Outage)));
    steps.sort_by_key(|step| step.at_ms);
    Plan { world, steps }
}

/// The PSP takes nothing for a minute, and answers questions all the while.
fn outage(world: &mut World, draw: &mut Draw) -> Option<Step> {
    let (is_on, at_ms) = (draw.between(0, 31) == 0, draw.between(500, 3_000));
    is_on.then(|| {
        world.heal_ms = HEAL_MS + OUTAGE_MS;
        world.authorization_ms = OUTLIVES_OUTAGE_MS;
        Step {
            at_ms,
            act: Act::Psp {
                fault: PspFault::ReadOnly,
                permille: 1_000,
                for_ms: OUTAGE_MS,
            },
        }
    })
}

fn kill(step: &Step, draw: &mut Draw) -> Option<Step> {
    let Act::Pause { server, for_ms } = step.act else {
        return None;
    };
    let (is_killed, after_ms, silent) = (draw.chance(400), draw.between(1, for_ms), draw.chance(300));
    is_killed.then_some(Step {
        at_ms: step.at_ms + after_ms,
        act: Act::Crash {
            server,
            down_ms: 500,
            silent,
        },
    })
}

fn world(seed: u64, class: Class, draw: &mut Draw) -> World {
    let servers = draw.between(1, 3);
    let skew = i64::try_from(TRUTH.skew_ms / 2).unwrap_or(0);
    let clocks_ms = (0..servers)
        .map(|_| i64::try_from(draw.between(0, TRUTH.skew_ms)).unwrap_or(0) - skew)
        .collect();
    let slow_psp = draw.chance(500);
    let webhooks = draw.chance(700).then_some((
        draw.between(0, 400),
        u8::try_from(draw.between(0, 2)).unwrap_or(0),
    ));
    World {
        plan: PLAN_VERSION,
        seed,
        class,
        truth: TRUTH,
        declared: TRUTH,
        clocks_ms,
        psp_ms: if slow_psp { (100, 800) } else { (5, 60) },
        store_ms: (1, 4),
        net_ms: (0, 2),
        psp_late_ms: *draw.pick(&LATENESS_MS),
        authorization_ms: 7_000,
        action_ms: 3_000,
        webhooks,
        heal_ms: HEAL_MS,
    }
}

/// What clients of a seed do beyond asking and asking again.
struct Habits {
    double_click: bool,
    rival: bool,
    reuse: bool,
    look: bool,
    hurry: bool,
}

impl Habits {
    fn new(draw: &mut Draw) -> Self {
        Self {
            double_click: draw.chance(400),
            rival: draw.chance(400),
            reuse: draw.chance(300),
            look: draw.chance(400),
            hurry: draw.chance(300),
        }
    }
}

fn workload(draw: &mut Draw, habits: &Habits, class: Class) -> Vec<Step> {
    let payments = draw.between(PAYMENTS.0, PAYMENTS.1);
    (0..payments)
        .map(|payment| Step {
            at_ms: draw.between(0, HEAL_MS - 1_500),
            act: Act::Pay(payment_of(
                draw,
                habits,
                class,
                u32::try_from(payment).unwrap_or(0),
            )),
        })
        .collect()
}

fn payment_of(draw: &mut Draw, habits: &Habits, class: Class, payment: u32) -> Payment {
    let flow = *draw.pick(&Flow::ALL);
    // Half of all cards are good.
    let token = *draw.pick(&[
        Token::Good,
        Token::Good,
        Token::Good,
        Token::Good,
        Token::Declined,
        Token::CaptureDeclined,
        Token::WebhookFirst,
        Token::Secure(400),
        Token::SecureFails(300),
        Token::SecureAbandoned,
        Token::ErrorKept,
        Token::CaptureErrorKept,
        Token::AnswerCut,
    ]);
    // How 3-D Secure ended, a PSP that is only keyed, or nothing, tells by webhook alone.
    let tells = !matches!(class, Class::Keyed | Class::Blind);
    let secure = matches!(
        token,
        Token::Secure(_) | Token::SecureFails(_) | Token::SecureAbandoned
    );
    let (copies, looks) = (*draw.pick(&[1, 2, 2, 3]), *draw.pick(&[0, 1, 2, 3]));
    let (rival, reuse) = (draw.chance(500), draw.chance(400));
    let pause_ms = draw.between(100, 1_000);
    Payment {
        payment,
        flow,
        amount_minor: draw.between(1, 500_000),
        token: if secure && !tells { Token::Good } else { token },
        copies: if habits.double_click { copies } else { 1 },
        tries: u8::try_from(draw.between(1, 8)).unwrap_or(1),
        timeout_ms: draw.between(200, 2_000),
        pause_ms: if habits.hurry { pause_ms } else { pause_ms + 400 },
        think_ms: draw.between(0, 600),
        wait_s: draw.chance(200).then_some(2),
        rival: rival && habits.rival,
        reuse: reuse && habits.reuse,
        looks: if habits.look { looks } else { 0 },
    }
}

type Fault = fn(&mut Draw, &World) -> Act;

/// Every fault of DESIGN §6 that a plan can hold. Only ever appended to.
const FAULTS: &[Fault] = &[
    |d, w| Act::Crash {
        server: server(d, w),
        down_ms: d.between(50, 1_500),
        silent: d.chance(300),
    },
    |d, w| Act::Pause {
        server: server(d, w),
        for_ms: d.between(200, 3_000),
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
        payment: u32::try_from(d.between(0, PAYMENTS.0 - 1)).unwrap_or(0),
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
];

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
