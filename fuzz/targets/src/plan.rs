//! `plan`: bytes as a plan of the simulator, carried out in its model tier, which judges it by every one of its oracles:
//! several payments, servers with clocks of their own, a store, a network, the sandbox PSP.

use arbitrary::Unstructured;
use pay_once_sim::plan::{
    Act, Calls, Class, Constants, Flow, Hand, Host, PLAN_VERSION, Payment, Plan, PspFault, Shape, Step,
    StoreFault, Token, World,
};
use pay_once_sim::tier::{Tier, carry_out};

use crate::bytes::{Coder, Reader, Writer};

/// Most payments in a plan: a plan is to be small, and its execution short.
pub const PAYMENTS_MAX: u64 = 4;
/// Most faults in a plan.
pub const FAULTS_MAX: u64 = 8;
/// Most rejections, double executions and deeds by hand in a plan.
const STRANGE_MAX: u64 = 4;
/// How long after healing everything may take to end, in milliseconds.
const PATIENCE_MS: u64 = 600_000;
/// When faults end, in milliseconds from the start.
const HEAL_MS: u64 = 5_000;
/// The constants as they are, and as core is told: the promise holds.
const TRUTH: Constants = Constants {
    horizon_ms: 5_000,
    max_in_flight_ms: 2_000,
    lookup_lag_ms: 1_000,
    skew_ms: 150,
};
/// Longest that messages wait: what is left of a flight is for the PSP's lateness and their own latency.
const HOLD_MS_MAX: u64 = 700;
const LATE_MS: u64 = 1_200;

/// The plan that the bytes are.
#[must_use]
pub fn from_bytes(bytes: &[u8]) -> Plan {
    plan(&mut Reader(&mut Unstructured::new(bytes)), None)
}

/// Bytes that are read as the plan most like this one, and that plan.
#[must_use]
pub fn to_bytes(like: &Plan) -> (Vec<u8>, Plan) {
    let mut writer = Writer::default();
    let plan = plan(&mut writer, Some(like));
    (writer.0, plan)
}

fn plan(code: &mut impl Coder, like: Option<&Plan>) -> Plan {
    let mut world = world(code, like.map(|plan| &plan.world));
    let (strange, like_steps): (Vec<&Step>, Vec<&Step>) = like
        .iter()
        .flat_map(|plan| &plan.steps)
        .partition(|step| is_strange(&step.act));
    let (pays, faults): (Vec<&Step>, Vec<&Step>) = like_steps
        .into_iter()
        .partition(|step| matches!(step.act, Act::Pay(_)));
    let mut steps = Vec::new();
    for number in 0..code.number(pays.len() as u64, 1, PAYMENTS_MAX) {
        let like = usize::try_from(number).ok().and_then(|at| pays.get(at));
        let at_ms = code.number(like.map_or(0, |step| step.at_ms), 0, HEAL_MS - 1_500);
        let payment = match like.map(|step| &step.act) {
            Some(Act::Pay(payment)) => payment.clone(),
            _ => Payment::usual(0),
        };
        let number = u32::try_from(number).unwrap_or(0);
        let act = Act::Pay(payment_of(code, &payment, world.class, number));
        steps.push(Step { at_ms, act });
    }
    for at in 0..code.number(faults.len() as u64, 0, FAULTS_MAX) {
        let like = usize::try_from(at).ok().and_then(|at| faults.get(at));
        let at_ms = code.number(like.map_or(0, |step| step.at_ms), 0, HEAL_MS - 500);
        let act = fault(code, like.map(|step| &step.act), world.clocks_ms.len());
        steps.push(Step { at_ms, act });
    }
    // What came to be known later is read last: where bytes end, there is none of it.
    around(code, like.map(|plan| &plan.world), &mut world);
    for at in 0..code.number(strange.len() as u64, 0, STRANGE_MAX) {
        let like = usize::try_from(at).ok().and_then(|at| strange.get(at));
        let at_ms = code.number(like.map_or(0, |step| step.at_ms), 0, HEAL_MS - 500);
        let act = strange_act(code, like.map(|step| &step.act));
        steps.push(Step { at_ms, act });
    }
    steps.sort_by_key(|step| step.at_ms);
    Plan { world, steps }
}

fn world(code: &mut impl Coder, like: Option<&World>) -> World {
    let servers = code.number(like.map_or(1, |world| world.clocks_ms.len() as u64), 1, 3);
    let off = |at: u64| {
        let clocks = like.map(|world| &world.clocks_ms);
        let clock = clocks.and_then(|clocks| clocks.get(usize::try_from(at).unwrap_or(0)));
        clock.map_or(75, |clock| u64::try_from(clock + 75).unwrap_or(0))
    };
    let clocks_ms = (0..servers)
        .map(|at| i64::try_from(code.number(off(at), 0, TRUTH.skew_ms)).unwrap_or(0) - 75)
        .collect();
    let webhooks = like.and_then(|world| world.webhooks);
    let (later_ms, copies) = webhooks.unwrap_or((0, 0));
    let sends_webhooks = code.flag(webhooks.is_some());
    let webhooks = (
        code.number(later_ms, 0, 400),
        u8::try_from(code.number(copies.into(), 0, 2)).unwrap_or(0),
    );
    World {
        plan: PLAN_VERSION,
        seed: code.number(like.map_or(0, |world| world.seed), 0, 0xffff),
        class: code.pick(like.map_or(Class::Stripe, |world| world.class), &Class::ALL),
        truth: TRUTH,
        declared: TRUTH,
        clocks_ms,
        psp_ms: code.pick(like.map_or((5, 60), |world| world.psp_ms), &[(5, 60), (100, 800)]),
        store_ms: (1, 4),
        net_ms: (0, 2),
        authorization_ms: 7_000,
        action_ms: 3_000,
        psp_late_ms: LATE_MS,
        webhooks: sends_webhooks.then_some(webhooks),
        heal_ms: HEAL_MS,
        patience_ms: PATIENCE_MS,
        installation: String::new(),
        second: None,
        page_max: 100,
        crowd: 0,
        operator_ms: None,
        copies_ms: None,
        thin_webhooks: false,
        lists_forbidden: false,
        refund_ms: None,
        refunds_fail_late: false,
        shape: Shape::Servers,
        deaths_permille: 0,
        no_place_permille: 0,
        dates: false,
        no_refund_updates: false,
        captures_once: false,
        min_minor: 0,
        second_secret: false,
        created_webhooks: false,
        two_operators: false,
        policy: None,
    }
}

/// What is around one payment: a busy account, operators, copies of final records.
fn around(code: &mut impl Coder, like: Option<&World>, world: &mut World) {
    let is = |holds: fn(&World) -> bool| like.is_some_and(holds);
    if code.flag(is(|world| !world.installation.is_empty())) {
        "eu".clone_into(&mut world.installation);
    }
    world.page_max = code.pick(like.map_or(100, |world| world.page_max), &[100, 1, 2, 3]);
    world.crowd = code.pick(like.map_or(0, |world| world.crowd), &[0, 1, 2, 4]);
    world.operator_ms = code
        .flag(is(|world| world.operator_ms.is_some()))
        .then_some(5_000);
    world.copies_ms = code.flag(is(|world| world.copies_ms.is_some())).then_some(10_000);
    world.thin_webhooks = code.flag(is(|world| world.thin_webhooks)) && world.class.is_stripe();
    world.refund_ms = code
        .flag(is(|world| world.refund_ms.is_some()))
        .then_some((1_000, true));
    if !world.class.is_stripe() {
        world.crowd = 0;
    }
}

/// Whether a step is read after the others.
fn is_strange(act: &Act) -> bool {
    match act {
        Act::Psp { fault, .. } => matches!(fault, PspFault::Rejected { .. } | PspFault::Twice),
        Act::Store { fault, .. } => *fault == StoreFault::NoWrites,
        Act::ByHand { foreign, .. } => !foreign,
        _ => false,
    }
}

const STATUSES: [u16; 3] = [401, 403, 400];
const CALLS: [Calls; 4] = [Calls::Money, Calls::All, Calls::Reads, Calls::Lists];

fn strange_act(code: &mut impl Coder, like: Option<&Act>) -> Act {
    let (which, permille, for_ms) = match like {
        Some(Act::Psp {
            fault: PspFault::Twice,
            permille,
            for_ms,
        }) => (1, *permille, *for_ms),
        Some(Act::Psp { permille, for_ms, .. }) => (0, *permille, *for_ms),
        Some(Act::Store { permille, for_ms, .. }) => (2, *permille, *for_ms),
        Some(Act::ByHand { .. }) => (3, 1_000, 500),
        _ => (0, 1_000, 500),
    };
    let which = code.number(which, 0, 3);
    let permille = code.pick(permille, &PERMILLE);
    let for_ms = code.number(for_ms, 100, 2_500);
    match which {
        0 => {
            let (status, calls) = match like {
                Some(Act::Psp {
                    fault: PspFault::Rejected { status, calls },
                    ..
                }) => (*status, *calls),
                _ => (401, Calls::Money),
            };
            let fault = PspFault::Rejected {
                status: code.pick(status, &STATUSES),
                calls: code.pick(calls, &CALLS),
            };
            Act::Psp {
                fault,
                permille,
                for_ms,
            }
        }
        1 => Act::Psp {
            fault: PspFault::Twice,
            permille,
            for_ms,
        },
        2 => Act::Store {
            fault: StoreFault::NoWrites,
            permille,
            for_ms,
        },
        _ => {
            let (payment, hand) = match like {
                Some(Act::ByHand { payment, hand, .. }) => (*payment, *hand),
                _ => (0, Hand::Cancel),
            };
            Act::ByHand {
                payment: u32::try_from(code.number(payment.into(), 0, PAYMENTS_MAX - 1)).unwrap_or(0),
                hand: code.pick(hand, &Hand::ALL),
                foreign: false,
                extra: false,
            }
        }
    }
}

const TOKENS: [Token; 10] = [
    Token::Good,
    Token::Declined,
    Token::CaptureDeclined,
    Token::WebhookFirst,
    Token::ErrorKept,
    Token::CaptureErrorKept,
    Token::AnswerCut,
    Token::Secure(400),
    Token::SecureFails(300),
    Token::SecureAbandoned,
];

fn payment_of(code: &mut impl Coder, like: &Payment, class: Class, payment: u32) -> Payment {
    let mut small =
        |like: u8, min: u64, max: u64| u8::try_from(code.number(like.into(), min, max)).unwrap_or(1);
    let (copies, tries, looks) = (
        small(like.copies, 1, 3),
        small(like.tries, 1, 8),
        small(like.looks, 0, 3),
    );
    // How 3-D Secure ended, a PSP that is only keyed, or nothing, tells by webhook alone, which may be lost.
    let tells = !matches!(class, Class::Keyed | Class::Blind);
    let token = code.pick(like.token, &TOKENS);
    let is_secure = matches!(
        token,
        Token::Secure(_) | Token::SecureFails(_) | Token::SecureAbandoned
    );
    Payment {
        payment,
        flow: code.pick(like.flow, &Flow::ALL),
        // Of 1, two thirds are 1, which is what a client that reuses a capture's key asks for: no reuse then.
        amount_minor: code.number(like.amount_minor, 2, 65_536),
        token: if is_secure && !tells { Token::Good } else { token },
        copies,
        tries,
        timeout_ms: code.number(like.timeout_ms, 200, 2_000),
        pause_ms: code.number(like.pause_ms, 100, 1_400),
        think_ms: code.number(like.think_ms, 0, 600),
        wait_s: code.flag(like.wait_s.is_some()).then_some(2),
        rival: code.flag(like.rival),
        reuse: code.flag(like.reuse),
        looks,
        ..Payment::usual(0)
    }
}

const STORE_FAULTS: [StoreFault; 5] = [
    StoreFault::AppliedUnknown,
    StoreFault::LostUnknown,
    StoreFault::LateUnknown,
    StoreFault::Down,
    StoreFault::Slow,
];

const PSP_FAULTS: [PspFault; 8] = [
    PspFault::HangBefore,
    PspFault::HangAfter,
    PspFault::ErrorBefore,
    PspFault::ErrorAfter,
    PspFault::Garbage,
    PspFault::Throttle,
    PspFault::Late,
    PspFault::WebhookLost,
];

fn fault(code: &mut impl Coder, like: Option<&Act>, servers: usize) -> Act {
    let which = match like {
        None | Some(Act::Pay(_) | Act::Crash { .. }) => 0,
        Some(Act::Pause { .. } | Act::AtSend { .. }) => 1,
        Some(Act::Partition { .. }) => 2,
        Some(Act::Hold { .. }) => 3,
        Some(Act::Store { .. }) => 4,
        Some(Act::Psp { .. }) => 5,
        Some(Act::Replay { .. }) => 6,
        Some(Act::Forge { .. }) => 7,
        Some(Act::Die { .. }) => 8,
        // What another installation or an operator did, and set clocks, are not written.
        Some(Act::ByHand { .. } | Act::Foreign { .. } | Act::Restore { .. } | Act::SetClock { .. }) => 7,
    };
    match code.number(which, 0, 8) {
        0 => {
            let (server, down_ms, silent) = match like {
                Some(Act::Crash {
                    server,
                    down_ms,
                    silent,
                }) => (*server, *down_ms, *silent),
                _ => (0, 500, false),
            };
            Act::Crash {
                server: server_of(code, server, servers),
                down_ms: code.number(down_ms, 50, 1_500),
                silent: code.flag(silent),
            }
        }
        1 => {
            let (server, for_ms) = match like {
                Some(Act::Pause { server, for_ms }) => (*server, *for_ms),
                _ => (0, 500),
            };
            Act::Pause {
                server: server_of(code, server, servers),
                for_ms: code.number(for_ms, 200, 3_000),
            }
        }
        2 => {
            let (ends, one_way, for_ms) = match like {
                Some(Act::Partition {
                    from,
                    to,
                    one_way,
                    for_ms,
                }) => ((*from, *to), *one_way, *for_ms),
                _ => ((Host::Balancer, Host::Server(0)), false, 500),
            };
            let (from, to) = link(code, ends, servers);
            Act::Partition {
                from,
                to,
                one_way: code.flag(one_way),
                for_ms: code.number(for_ms, 50, 1_500),
            }
        }
        3 => {
            let (ends, for_ms) = match like {
                Some(Act::Hold { from, to, for_ms }) => ((*from, *to), *for_ms),
                _ => ((Host::Balancer, Host::Server(0)), 300),
            };
            let (from, to) = link(code, ends, servers);
            let for_ms = code.number(for_ms, 40, HOLD_MS_MAX);
            Act::Hold { from, to, for_ms }
        }
        4 => {
            let (fault, permille, for_ms) = match like {
                Some(Act::Store {
                    fault,
                    permille,
                    for_ms,
                }) => (*fault, *permille, *for_ms),
                _ => (StoreFault::AppliedUnknown, 1_000, 300),
            };
            Act::Store {
                fault: code.pick(fault, &STORE_FAULTS),
                permille: code.pick(permille, &PERMILLE),
                for_ms: code.number(for_ms, 50, 1_200),
            }
        }
        5 => {
            let (fault, permille, for_ms) = match like {
                Some(Act::Psp {
                    fault,
                    permille,
                    for_ms,
                }) => (*fault, *permille, *for_ms),
                _ => (PspFault::HangBefore, 1_000, 300),
            };
            Act::Psp {
                fault: code.pick(fault, &PSP_FAULTS),
                permille: code.pick(permille, &PERMILLE),
                for_ms: code.number(for_ms, 100, 2_500),
            }
        }
        6 => {
            let (permille, later_ms, for_ms) = match like {
                Some(Act::Replay {
                    permille,
                    later_ms,
                    for_ms,
                }) => (*permille, *later_ms, *for_ms),
                _ => (1_000, 500, 500),
            };
            Act::Replay {
                permille: code.pick(permille, &PERMILLE),
                later_ms: code.number(later_ms, 0, 3_000),
                for_ms: code.number(for_ms, 500, 4_000),
            }
        }
        7 => Act::Forge {
            payment: u32::try_from(code.number(0, 0, PAYMENTS_MAX - 1)).unwrap_or(0),
            misdirected: false,
        },
        // The only server had better come back.
        _ => match u64::try_from(servers).unwrap_or(1) - 1 {
            0 => Act::Crash {
                server: 0,
                down_ms: 1_500,
                silent: false,
            },
            last => Act::Die {
                server: usize::try_from(code.number(1, 1, last)).unwrap_or(1),
            },
        },
    }
}

const PERMILLE: [u16; 4] = [1_000, 500, 200, 50];

fn server_of(code: &mut impl Coder, like: usize, servers: usize) -> usize {
    usize::try_from(code.number(like as u64, 0, servers as u64 - 1)).unwrap_or(0)
}

fn link(code: &mut impl Coder, like: (Host, Host), servers: usize) -> (Host, Host) {
    let server = match like {
        (Host::Server(server), _) | (_, Host::Server(server)) => server,
        _ => 0,
    };
    let server = Host::Server(server_of(code, server, servers));
    let links = [
        (Host::Balancer, server),
        (server, Host::Psp),
        (server, Host::Store),
        (Host::Psp, server),
    ];
    code.pick(like, &links)
}

/// Nothing is to be prepared.
pub fn prepare() {}

/// One execution.
///
/// # Panics
/// On a violation, with the plan as text: what the simulator's own commands take.
pub fn run(bytes: &[u8]) {
    let plan = from_bytes(bytes);
    let judged = carry_out(&plan, Tier::Model, false);
    if let Some(violation) = judged.violation {
        panic!("{violation:?}\n{}", plan.to_text());
    }
}
