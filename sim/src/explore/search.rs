//! Breadth first, layer by layer, so that a counterexample is as short as any. The frontier holds states; what was
//! visited holds digests, each with its parent's digest and the step from there.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Instant;

use pay_once_core::AttemptId;

use super::action::{Action, enabled};
use super::apply::{Stepped, Turn, apply};
use super::cell::{Cell, MERCHANT};
use super::digest::{ByDigest, Digest};
use super::heal::{self, Healed};
use super::lab::Lab;
use super::oracle::Violation;
use super::people;
use super::report::{Counterexample, ScenarioReport};
use super::story;
use super::world::{Scene, World};
use crate::coverage::{Shape, line};

/// Parent and step; the root's parent is itself.
type Visited = HashMap<Digest, (Digest, u16), ByDigest>;

/// How far a search has come, for whoever watches.
pub(super) struct Layer {
    pub(super) depth: u32,
    pub(super) states: u64,
}

impl Scene {
    pub(super) fn new(cell: &Cell) -> Self {
        Self {
            config: cell.config(),
            id: AttemptId::derive("", MERCHANT, people::CREATE_KEY),
            cell: cell.clone(),
        }
    }

    /// Where a world begins: nothing is there for a charge; the attempt is created for anything else.
    pub(super) fn root(&self) -> Stepped {
        let mut lab = Lab::default();
        let mut world = World::new(&self.cell);
        let mut turn = Turn {
            scene: self,
            world: &mut world,
            lab: &mut lab,
        };
        turn.create()?;
        Ok(world)
    }
}

/// Explores one world. Stops at the first violation, or past `max_states` states.
pub(super) fn search(cell: &Cell, max_states: u64, watch: &mut dyn FnMut(Layer)) -> ScenarioReport {
    let began = Instant::now();
    let mut search = Search {
        scene: Scene::new(cell),
        visited: Visited::default(),
        healed: Healed::default(),
        lab: Lab::default(),
        report: ScenarioReport::new(cell),
        max_states,
    };
    search.run(watch);
    search.report.states = search.visited.len() as u64;
    search.report.healed_steps = search.healed.steps;
    search.report.covered = search.lab.covered;
    let class = cell.class.as_str();
    search.report.reached = search
        .lab
        .reached
        .iter()
        .map(|shape| line(class, shape))
        .collect();
    search.report.seconds = began.elapsed().as_secs_f64();
    search.report
}

struct Search {
    scene: Scene,
    visited: Visited,
    healed: Healed,
    lab: Lab,
    report: ScenarioReport,
    max_states: u64,
}

impl Search {
    fn run(&mut self, watch: &mut dyn FnMut(Layer)) {
        let root = match self.scene.root() {
            Ok(root) => root,
            Err(violation) => return self.found(&[], violation),
        };
        if let Some(record) = &root.store {
            self.lab.reached.insert(Shape::of(record));
        }
        let digest = root.digest();
        self.visited.insert(digest, (digest, 0));
        if let Err(violation) = self.healed.check(&self.scene, &root, &mut self.lab) {
            return self.found(&[], violation);
        }
        let mut frontier = vec![(digest, root)];
        while !frontier.is_empty() {
            watch(Layer {
                depth: self.report.depth,
                states: self.visited.len() as u64,
            });
            let mut next = Vec::new();
            for (digest, world) in &frontier {
                if let Err((path, violation)) = self.expand(*digest, world, &mut next) {
                    return self.found(&path, violation);
                }
                if self.visited.len() as u64 >= self.max_states {
                    self.report.complete = false;
                    return;
                }
            }
            if !next.is_empty() {
                self.report.depth += 1;
            }
            frontier = next;
        }
    }

    /// Every step from one state.
    fn expand(
        &mut self,
        from: Digest,
        world: &World,
        next: &mut Vec<(Digest, World)>,
    ) -> Result<(), (Vec<u16>, Violation)> {
        let mut actions = Vec::new();
        enabled(&self.scene, world, &mut actions);
        for (index, action) in actions.iter().enumerate() {
            let index = index as u16;
            self.report.transitions += 1;
            let after = apply(&self.scene, world, *action, &mut self.lab)
                .map_err(|violation| (self.path(from, Some(index)), violation))?;
            let digest = after.digest();
            if let Entry::Vacant(free) = self.visited.entry(digest) {
                free.insert((from, index));
                self.healed
                    .check(&self.scene, &after, &mut self.lab)
                    .map_err(|violation| (self.path(digest, None), violation))?;
                next.push((digest, after));
            }
        }
        Ok(())
    }

    /// The steps that lead to a state, and perhaps one more.
    fn path(&self, to: Digest, one_more: Option<u16>) -> Vec<u16> {
        let mut path: Vec<u16> = one_more.into_iter().collect();
        let mut at = to;
        while let Some((parent, step)) = self.visited.get(&at).filter(|(parent, _)| *parent != at) {
            path.push(*step);
            at = *parent;
        }
        path.reverse();
        path
    }

    fn found(&mut self, path: &[u16], violation: Violation) {
        let (again, steps) = retrace(&self.scene, path);
        let message = match again {
            Some(again) if again == violation => violation.message,
            again => format!(
                "{} (NOT REPRODUCED: re-executed it gives {again:?})",
                violation.message
            ),
        };
        self.report.complete = false;
        self.report.violation = Some(Counterexample {
            oracle: violation.oracle,
            message,
            steps,
            path: path.to_vec(),
        });
    }
}

/// Executes a path from the root again, in words, and then the healed continuation. What it ends in, if in a violation.
pub(super) fn retrace(scene: &Scene, path: &[u16]) -> (Option<Violation>, Vec<String>) {
    let mut steps = Vec::new();
    let mut world = match scene.root() {
        Ok(root) => root,
        Err(violation) => return (Some(violation), steps),
    };
    let (mut actions, mut lab) = (Vec::new(), Lab::default());
    for index in path {
        enabled(scene, &world, &mut actions);
        let Some(action) = actions.get(usize::from(*index)) else {
            return (Some(Violation::new("explorer", "the path names no step")), steps);
        };
        match apply(scene, &world, *action, &mut lab) {
            Ok(after) => {
                steps.push(story::line(scene, &world, *action, Some(&after)));
                world = after;
            }
            Err(violation) => {
                steps.push(story::line(scene, &world, *action, None));
                return (Some(violation), steps);
            }
        }
    }
    let healed = |before: &World, action: Action, after: Option<&World>| {
        steps.push(format!("(healed) {}", story::line(scene, before, action, after)));
    };
    let end = heal::trace(scene, &world, healed);
    (end.err(), steps)
}
