//! The healed continuation: from now on nothing goes wrong. Every state must come to rest by it, without clients and
//! without webhooks (`docs/promise.md`, “Liveness”).

use std::collections::HashSet;

use super::action::{Action, Luck, is_runnable};
use super::apply::{Turn, apply};
use super::digest::{ByDigest, Digest};
use super::lab::Lab;
use super::mix::{Budget, Mix};
use super::operator;
use super::oracle::Violation;
use super::rest::rest;
use super::world::{Phase, Scene, World};

/// Most steps from any state to its rest. A healthy world needs some dozens.
const STEPS_MAX: usize = 1_500;

/// Which states are known to come to rest well. Only ever asked whether it holds a digest.
#[derive(Default)]
pub(super) struct Healed {
    known: HashSet<Digest, ByDigest>,
    /// Steps taken, for the report.
    pub(super) steps: u64,
}

impl Healed {
    /// Lets the world come to rest.
    pub(super) fn check(&mut self, scene: &Scene, world: &World, lab: &mut Lab) -> Result<(), Violation> {
        let mut on_the_way = Vec::new();
        let mut world = at_peace(world);
        for _ in 0..STEPS_MAX {
            let digest = world.digest_of_rest();
            if self.known.contains(&digest) {
                self.known.extend(on_the_way);
                return Ok(());
            }
            on_the_way.push(digest);
            self.steps += 1;
            match step(scene, &world, lab)? {
                Some(next) => world = next,
                None => {
                    rest(scene, &world)?;
                    self.known.extend(on_the_way);
                    return Ok(());
                }
            }
        }
        Err(never_rests())
    }
}

/// The same, with every step in words.
pub(super) fn trace(
    scene: &Scene,
    world: &World,
    mut tell: impl FnMut(&World, Action, Option<&World>),
) -> Result<(), Violation> {
    let (mut world, mut lab) = (at_peace(world), Lab::default());
    for _ in 0..STEPS_MAX {
        let Some(action) = choose(scene, &world) else {
            return rest(scene, &world);
        };
        match carry_out(scene, &world, action, &mut lab) {
            Ok(next) => {
                tell(&world, action, Some(&next));
                world = next;
            }
            Err(violation) => {
                tell(&world, action, None);
                return Err(violation);
            }
        }
    }
    Err(never_rests())
}

fn never_rests() -> Violation {
    Violation::new(
        "promise: once faults stop it ends",
        format!("not at rest after {STEPS_MAX} steps"),
    )
}

/// Nothing more goes wrong, and what does not go wrong is not counted.
fn at_peace(world: &World) -> World {
    let mut world = world.clone();
    world.left = Budget::PEACE;
    world
}

fn step(scene: &Scene, world: &World, lab: &mut Lab) -> Result<Option<World>, Violation> {
    let Some(action) = choose(scene, world) else {
        return Ok(None);
    };
    // What a healed world meets does not count as met.
    let covered = lab.covered;
    let next = carry_out(scene, world, action, lab);
    lab.covered = covered;
    next.map(Some)
}

fn carry_out(scene: &Scene, world: &World, action: Action, lab: &mut Lab) -> Result<World, Violation> {
    if let Action::Fire { server } = action {
        let mut next = world.clone();
        let mut turn = Turn {
            scene,
            world: &mut next,
            lab,
        };
        turn.fire(usize::from(server));
        next.left = Budget::PEACE;
        return Ok(next);
    }
    let mut next = apply(scene, world, action, lab)?;
    next.left = Budget::PEACE;
    Ok(next)
}

/// What a world at peace does next: paused servers go on, everything lands, servers work, timers fire, time passes; when nothing else
/// is left, answers come that are long overdue, and an operator sees to what is parked.
fn choose(scene: &Scene, world: &World) -> Option<Action> {
    if let Some(server) = world.servers.iter().position(|server| server.paused) {
        return Some(Action::Resume { server: server as u8 });
    }
    if !world.flying.is_empty() {
        return Some(Action::Land { flying: 0 });
    }
    if world.slow_swap.is_some() {
        return Some(Action::SlowSwap);
    }
    for (index, server) in world.servers.iter().enumerate() {
        let number = index as u8;
        let found = server
            .jobs
            .iter()
            .position(|(_, job)| is_runnable(world, index, server, &job.phase));
        let Some(job) = found else { continue };
        let is_call = server
            .jobs
            .get(job)
            .is_some_and(|(_, job)| matches!(job.phase, Phase::Given(_)));
        let job = job as u8;
        return Some(if is_call {
            Action::Send {
                server: number,
                job,
                luck: Luck::Answered,
            }
        } else {
            Action::Run { server: number, job }
        });
    }
    let due = (0..world.servers.len()).find(|server| world.is_due(*server));
    match due {
        Some(server) => Some(Action::Fire { server: server as u8 }),
        None if world.next_moment_ms().is_some() => Some(Action::Advance),
        None if !world.held.is_empty() => Some(Action::Hear { held: 0 }),
        None => resolution(scene, world),
    }
}

fn resolution(scene: &Scene, world: &World) -> Option<Action> {
    let state = world.store.as_ref()?.state();
    let is_wanted = scene.cell.mix == Mix::Operator
        && operator::is_open(state)
        && world.resolved < operator::RESOLUTIONS_MAX
        && operator::may_ask(world, 0);
    is_wanted.then_some(Action::Operator { server: 0 })
}
