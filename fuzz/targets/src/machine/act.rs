//! What can happen between clients, servers and a PSP, within the fault model (`docs/faults.md`). Each act is two bytes: what
//! and a small choice, and a larger choice.

use pay_once_core::{Input, Outcome};

use super::world::{Flying, World};

/// One thing that happens; the numbers are choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A client sends a request: which, and whether a server that has fallen behind gets it as well.
    Request(u8, u8),
    /// A held call leaves: which, and how well that goes.
    Send(u8, u8),
    /// The server that held a call is gone, and so is all memory.
    Crash(u8, u8),
    /// A flying call lands at the PSP.
    Land(u8, u8),
    /// A late answer arrives, perhaps not for the last time.
    Answer(u8, u8),
    /// The PSP's webhook arrives, perhaps twice.
    Webhook(u8, u8),
    /// A timer fires, due or not.
    Wake(u8, u8),
    /// Time passes.
    Advance(u8, u8),
    /// Time passes until the next wake-up, which comes.
    Due(u8, u8),
    /// The customer finishes 3-D Secure.
    Finish(u8, u8),
    /// A client's request whose swap applies, and the server does not learn of it.
    Doubt(u8, u8),
    /// A webhook that nobody signed.
    Forge(u8, u8),
}

impl Act {
    /// Reads two bytes; any two are an act.
    #[must_use]
    pub fn from_bytes([first, b]: [u8; 2]) -> Self {
        let a = first & 15;
        match first >> 4 {
            0..=2 => Self::Request(a, b),
            3 | 4 => Self::Send(a, b),
            5 => Self::Crash(a, b),
            6 => Self::Land(a, b),
            7 => Self::Answer(a, b),
            8 => Self::Webhook(a, b),
            9 => Self::Wake(a, b),
            10 => Self::Advance(a, b),
            11 | 12 => Self::Due(a, b),
            13 => Self::Finish(a, b),
            14 => Self::Doubt(a, b),
            _ => Self::Forge(a, b),
        }
    }

    /// The bytes that are read as this act.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 2] {
        let (what, a, b) = match self {
            Self::Request(a, b) => (0, a, b),
            Self::Send(a, b) => (3, a, b),
            Self::Crash(a, b) => (5, a, b),
            Self::Land(a, b) => (6, a, b),
            Self::Answer(a, b) => (7, a, b),
            Self::Webhook(a, b) => (8, a, b),
            Self::Wake(a, b) => (9, a, b),
            Self::Advance(a, b) => (10, a, b),
            Self::Due(a, b) => (11, a, b),
            Self::Finish(a, b) => (13, a, b),
            Self::Doubt(a, b) => (14, a, b),
            Self::Forge(a, b) => (15, a, b),
        };
        [what << 4 | (a & 15), b]
    }

    /// It happens.
    pub(super) fn happen(self, world: &mut World) {
        match self {
            Self::Request(a, b) => {
                world.clock(b);
                let is_twice = b % 5 == 4;
                world.request(usize::from(a), is_twice.then_some(b / 5));
            }
            Self::Send(a, b) => {
                world.clock(a);
                send(world, usize::from(a), b);
            }
            Self::Crash(a, b) => {
                if let Some(call) = world.take_held(usize::from(a))
                    && b % 2 == 1
                {
                    world.outcome(call, super::world::not_sent());
                }
                world.reload();
            }
            Self::Land(a, _) => world.land(usize::from(a)),
            Self::Answer(a, b) => world.answer(usize::from(a), b % 3 == 1),
            Self::Webhook(a, b) => {
                world.clock(b);
                for _ in 0..=b % 2 {
                    world.webhook(usize::from(a));
                }
            }
            Self::Wake(_, b) => {
                world.clock(b);
                world.input(&Input::Wake);
            }
            // From milliseconds to hours.
            Self::Advance(a, b) => world.advance(u64::from(b) << a),
            Self::Due(_, b) => {
                let pause_ms = world
                    .due_ms()
                    .map_or(0, |at_ms| at_ms.saturating_sub(world.true_ms()));
                world.advance(pause_ms.min(600_000));
                world.clock(b);
                world.input(&Input::Wake);
            }
            Self::Finish(..) => world.finish_action(),
            Self::Doubt(a, b) => {
                world.clock(b);
                world.request_in_doubt(usize::from(a));
            }
            Self::Forge(a, _) => world.forged(usize::from(a)),
        }
        world.check();
    }
}

/// A held call leaves, if it still may. `b` says how well that goes.
fn send(world: &mut World, a: usize, b: u8) {
    let Some(call) = world.take_held(a) else { return };
    if !world.may_send(&call) {
        return world.outcome(call, super::world::not_sent());
    }
    match b % 8 {
        // There and back.
        0 | 1 => {
            let result = world.arrives(&call);
            world.outcome(call, result);
        }
        // The server gives up; the request lands when it lands.
        2 => {
            world.fly(Flying::new(call.clone(), world.lands_by_ms()));
            world.outcome(call, super::world::timeout());
        }
        // The server is gone before it hears; the request lands when it lands.
        3 => world.fly(Flying::new(call, world.lands_by_ms())),
        // It lands, and the answer comes later, or never.
        4 => {
            let result = world.arrives(&call);
            world.keep_answer(Outcome { call, result });
        }
        // It lands, and what comes back says nothing.
        5 => {
            world.arrives(&call);
            let status = [429, 500, 409, 200].get(a % 4).copied().unwrap_or(500);
            world.outcome(call, super::world::busy(status));
        }
        // It does not land, and what comes back says nothing.
        6 => {
            let status = [429, 500, 409, 503].get(a % 4).copied().unwrap_or(500);
            world.outcome(call, super::world::busy(status));
        }
        // It lands twice: a network may do that.
        _ => {
            world.arrives_twice(&call);
            world.outcome(call, super::world::timeout());
        }
    }
}
