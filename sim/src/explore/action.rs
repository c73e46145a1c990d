//! What can happen next, in a fixed order: an index into that list names a step for ever.

use pay_once_psp_model::{Deed, Strange};

use super::operator;
use super::world::{Phase, Scene, Server, World, asked};

/// What becomes of a request to the PSP, and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Luck {
    /// It lands, and its answer comes.
    Answered,
    /// It lands, and its answer is lost.
    AnswerLost,
    /// It does not land, and nobody is told.
    RequestLost,
    /// It lands later, whenever the PSP likes.
    Late,
    /// It is answered with a definite 4xx, and has no effect.
    Rejected(Refusal),
    /// The PSP executes it twice, and answers the second time.
    Twice,
    /// It lands, and whoever sent it gets the answer long after.
    AnswerHeld,
}

/// A definite 4xx of one sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 401 in the PSP's own words: the credentials.
    Unauthorized,
    /// 403 that something in front of the PSP wrote.
    Gateway,
    /// 400 in the PSP's own form, without a code.
    Bare,
}

impl Refusal {
    const ALL: [Self; 3] = [Self::Unauthorized, Self::Gateway, Self::Bare];
}

/// How a swap ends whose end is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It applied.
    Applied,
    /// It did not.
    NotApplied,
    /// It has not, and still may.
    AppliesLater,
}

/// One step of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A server goes on with a job: loads and decides, swaps, reads back, hands a ticket in again, gives up waiting.
    Run { server: u8, job: u8 },
    /// A server sends a call.
    Send { server: u8, job: u8, luck: Luck },
    /// A server's swap ends unknown.
    SwapUnknown { server: u8, job: u8, how: Unknown },
    /// A swap that was given up as unknown reaches the store.
    SlowSwap,
    /// A server's timer fires.
    Fire { server: u8 },
    /// A request that was late lands.
    Land { flying: u8 },
    /// A client sends the request that it is at.
    Ask { client: u8, server: u8 },
    /// A client sends it once more, while the first is still open.
    AskAgain { client: u8, server: u8 },
    /// The PSP delivers a notice.
    Notify { notice: u8, server: u8 },
    /// The customer finishes 3-D Secure.
    Customer,
    /// Time goes on to the next moment at which something becomes due.
    Advance,
    /// A server stops in the middle of what it does.
    Pause { server: u8 },
    /// And goes on.
    Resume { server: u8 },
    /// A server crashes, and starts again.
    Crash { server: u8 },
    /// Somebody does something at the PSP's dashboard to the attempt's own object.
    ByHand(Deed),
    /// Another installation does something under the attempt's reference.
    Stranger(Strange),
    /// An answer comes long after.
    Hear { held: u8 },
    /// An operator reads the PSP's books and says what is true there.
    Operator { server: u8 },
}

/// Whether a job can be taken further by its server now.
pub(super) fn is_runnable(world: &World, server: usize, of: &Server, phase: &Phase) -> bool {
    match phase {
        Phase::Ready(_) => !of.has_turn(),
        Phase::Decided(..) | Phase::ReadBack(..) | Phase::Given(_) => true,
        Phase::Waiting {
            until_ms, changed, ..
        } => (*changed || world.clock(server) >= *until_ms) && !of.has_turn(),
        Phase::Awaiting { until_ms, .. } => world.clock(server) >= *until_ms,
    }
}

/// Everything that can happen next.
pub(super) fn enabled(scene: &Scene, world: &World, out: &mut Vec<Action>) {
    out.clear();
    let mut busy = false;
    for (index, server) in world.servers.iter().enumerate() {
        if server.paused {
            out.push(Action::Resume { server: index as u8 });
            continue;
        }
        busy |= of_server(world, index, server, out);
    }
    for flying in 0..world.flying.len() {
        out.push(Action::Land { flying: flying as u8 });
    }
    if world.slow_swap.is_some() {
        out.push(Action::SlowSwap);
    }
    if world.ledger.it.waits_for_customer() {
        out.push(Action::Customer);
    }
    of_people(world, out);
    of_clients(scene, world, out);
    of_psp(world, out);
    // Time stands still while anybody has something to do: that it does not is a pause, which is a fault. A request
    // that is due to land lands first.
    let must_land = world
        .flying
        .iter()
        .any(|flying| flying.lands_by_ms <= world.now_ms);
    if !busy && !must_land && world.next_moment_ms().is_some() {
        out.push(Action::Advance);
    }
}

/// What a server can do, and what can befall it. Whether it has something to do now.
fn of_server(world: &World, index: usize, server: &Server, out: &mut Vec<Action>) -> bool {
    let (left, number) = (&world.left, index as u8);
    let mut busy = false;
    for (job, (_, at)) in server.jobs.iter().enumerate() {
        if !is_runnable(world, index, server, &at.phase) {
            continue;
        }
        busy = true;
        let job = job as u8;
        let Phase::Given(call) = &at.phase else {
            out.push(Action::Run { server: number, job });
            if matches!(at.phase, Phase::Decided(..)) && left.ambiguous > 0 && left.faults > 0 {
                for how in [Unknown::Applied, Unknown::NotApplied, Unknown::AppliesLater] {
                    out.push(Action::SwapUnknown {
                        server: number,
                        job,
                        how,
                    });
                }
            }
            continue;
        };
        let mut send = |luck| {
            out.push(Action::Send {
                server: number,
                job,
                luck,
            });
        };
        send(Luck::Answered);
        if !call.it.may_send(world.clock(index)) {
            continue;
        }
        let is_question = call.it.http.method == "GET";
        if left.lost > 0 && left.faults > 0 {
            send(Luck::RequestLost);
            if !is_question {
                send(Luck::AnswerLost);
            }
        }
        if left.late > 0 && left.faults > 0 && !is_question {
            send(Luck::Late);
        }
        if left.rejected > 0 {
            Refusal::ALL.into_iter().map(Luck::Rejected).for_each(&mut send);
        }
        if left.twice > 0 && asked(&call.it).makes_anew() {
            send(Luck::Twice);
        }
        if left.late_answers > 0 {
            send(Luck::AnswerHeld);
        }
    }
    if world.is_due(index) && left.wakes > 0 && !server.has_timer_under_way() {
        busy = true;
        out.push(Action::Fire { server: number });
    }
    if !server.jobs.is_empty() && left.faults > 0 {
        if left.crashes > 0 {
            out.push(Action::Crash { server: number });
        }
        if left.pauses > 0 && busy {
            out.push(Action::Pause { server: number });
        }
    }
    busy || (world.is_due(index) && left.wakes == 0)
}

/// What people do who are no clients, and what comes of it late.
fn of_people(world: &World, out: &mut Vec<Action>) {
    let ledger = &world.ledger.it;
    if world.left.by_hand > 0 {
        let possible = Deed::ALL.into_iter().filter(|deed| ledger.can_be_done(*deed));
        out.extend(possible.map(Action::ByHand));
    }
    if world.left.foreign > 0 {
        let possible = Strange::ALL.into_iter().filter(|what| ledger.can_happen(*what));
        out.extend(possible.map(Action::Stranger));
    }
    for (index, held) in world.held.iter().enumerate() {
        let server = world.servers.get(usize::from(held.server));
        if server.is_some_and(|server| !server.paused) {
            out.push(Action::Hear { held: index as u8 });
        }
    }
    if world.left.operators > 0 && operator::may_ask(world, 0) {
        out.push(Action::Operator { server: 0 });
    }
}

fn of_clients(scene: &Scene, world: &World, out: &mut Vec<Action>) {
    let left = &world.left;
    for (number, (client, asks)) in world.clients.iter().zip(scene.cell.plot.asks()).enumerate() {
        if usize::from(client.at) >= asks.len() {
            continue;
        }
        let number = number as u8;
        let is_open = world.has_open(number, client.at);
        let may_ask = match client.told_at {
            None => !is_open,
            Some(version) => {
                let is_new = version != world.version();
                let may_repeat = client.again_ms.is_some_and(|at_ms| world.now_ms >= at_ms);
                !is_open && left.polls > 0 && (is_new || may_repeat)
            }
        };
        // A is at home at server 0, B at server 1; a request sent twice comes to both.
        let (home, other) = (number, 1 - number);
        let is_up = |server: u8| {
            world
                .servers
                .get(usize::from(server))
                .is_some_and(|server| !server.paused)
        };
        if may_ask && is_up(home) {
            out.push(Action::Ask {
                client: number,
                server: home,
            });
        } else if is_open && is_up(other) && left.duplicates > 0 && left.faults > 0 {
            out.push(Action::AskAgain {
                client: number,
                server: other,
            });
        }
    }
}

fn of_psp(world: &World, out: &mut Vec<Action>) {
    let left = &world.left;
    for notice in 0..world.ledger.it.notices.len().min(32) {
        let notice = notice as u8;
        let again = world.delivered >> notice & 1 == 1;
        if left.webhooks == 0 || again && (left.duplicates == 0 || left.faults == 0) {
            continue;
        }
        // To the server that did not send the first call: there it races.
        if world.servers.get(1).is_some_and(|server| !server.paused) {
            out.push(Action::Notify { notice, server: 1 });
        }
    }
}
