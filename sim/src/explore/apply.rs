//! One step of the world around the real core. What a server does mirrors `server/src/server.rs`: load, decide,
//! persist (a swap whose end is unknown is read back), perform and arm, reply. What happens on the way to the PSP is `way`'s.

use std::sync::Arc;

use pay_once_core::host::turn;
use pay_once_core::{Call, CallResult, Entropy, Input, Outcome, Reply};

use super::action::{Action, Unknown};
use super::carry;
use super::digest;
use super::lab::Lab;
use super::mix::Budget;
use super::operator;
use super::oracle::{self, Violation};
use super::world::{Decision, Job, Known, Origin, Phase, Scene, Server, Then, World};

/// A step's outcome: the next state, or what is wrong with it.
pub(super) type Stepped = Result<World, Violation>;

/// Applies an action.
pub(super) fn apply(scene: &Scene, world: &World, action: Action, lab: &mut Lab) -> Stepped {
    let mut next = world.clone();
    let mut turn = Turn {
        scene,
        world: &mut next,
        lab,
    };
    match action {
        Action::Run { server, job } => turn.run(usize::from(server), usize::from(job))?,
        Action::Send { server, job, luck } => turn.send(usize::from(server), usize::from(job), luck)?,
        Action::SwapUnknown { server, job, how } => {
            turn.swap_unknown(usize::from(server), usize::from(job), how)?
        }
        Action::SlowSwap => turn.slow_swap()?,
        Action::Fire { server } => turn.fire(usize::from(server)),
        Action::Land { flying } => turn.land(usize::from(flying))?,
        Action::Ask { client, server } => turn.ask(client, usize::from(server), false)?,
        Action::AskAgain { client, server } => turn.ask(client, usize::from(server), true)?,
        Action::Notify { notice, server } => turn.notify(notice, usize::from(server))?,
        Action::Customer => turn.customer(),
        Action::Advance => {
            if let Some(at_ms) = turn.world.next_moment_ms() {
                turn.world.now_ms = at_ms;
            }
        }
        Action::Pause { server } => turn.pause(usize::from(server)),
        Action::Resume { server } => turn.server(usize::from(server)).paused = false,
        Action::Crash { server } => turn.crash(usize::from(server)),
        Action::ByHand(deed) => turn.by_hand(deed),
        Action::Stranger(what) => turn.stranger(what),
        Action::Hear { held } => turn.hear_late(usize::from(held))?,
        Action::Operator { server } => turn.operator(usize::from(server))?,
    }
    oracle::state(scene, &next)?;
    Ok(next)
}

/// A step in the making.
pub(super) struct Turn<'a> {
    pub(super) scene: &'a Scene,
    pub(super) world: &'a mut World,
    pub(super) lab: &'a mut Lab,
}

impl Turn<'_> {
    pub(super) fn server(&mut self, server: usize) -> &mut Server {
        let [first, second] = &mut self.world.servers;
        if server == 0 { first } else { second }
    }

    pub(super) fn take(&mut self, server: usize, job: usize) -> Result<Job, Violation> {
        let jobs = &mut self.server(server).jobs;
        if job < jobs.len() {
            return Ok(jobs.remove(job).1);
        }
        Err(Violation::new("explorer", "a step names a job that is not there"))
    }

    pub(super) fn run(&mut self, server: usize, job: usize) -> Result<(), Violation> {
        let Job { origin, phase } = self.take(server, job)?;
        match phase {
            Phase::Ready(input) | Phase::Waiting { input, .. } => self.decide(server, origin, input),
            Phase::Decided(input, decision) => {
                if self.world.store.as_ref().map(|record| record.version()) == decision.it.expected_version {
                    self.apply_swap(&decision)?;
                    return self.persisted(server, origin, &decision);
                }
                self.lab.covered.swap_conflict += 1;
                carry::conflicts(&decision.it, self.world.clock(server))?;
                self.ready(server, origin, input);
                Ok(())
            }
            Phase::ReadBack(input, decision) => {
                let (now, clock_ms) = (self.world.store.clone(), self.world.clock(server));
                if carry::is_applied(self.scene, &decision.it, now.as_deref(), clock_ms)? {
                    return self.persisted(server, origin, &decision);
                }
                self.ready(server, origin, input);
                Ok(())
            }
            Phase::Awaiting { call, .. } => {
                self.outcome(server, &call.it, unknown("timeout"));
                Ok(())
            }
            Phase::Given(_) => Err(Violation::new("explorer", "a call is sent, not run")),
        }
    }

    /// Load and decide.
    pub(super) fn decide(
        &mut self,
        server: usize,
        origin: Origin,
        input: Arc<Known<Input>>,
    ) -> Result<(), Violation> {
        let (clock_ms, base) = (self.world.clock(server), self.world.store.clone());
        let left = &self.world.left;
        // Equal states have equal futures; two decisions that could both become durable never share it.
        let salt = (left.ambiguous, left.crashes, server, clock_ms);
        let entropy = digest::of(&(base.as_ref().map(|record| record.head()), input.digest, salt));
        let scene = self.scene;
        let thought = match self.lab.recall(entropy) {
            Some(thought) => thought,
            None => {
                let mut turn = turn::Turn::of(scene.id, input.it.clone());
                turn.loaded(&scene.config, base.as_deref(), clock_ms, Entropy(entropy));
                let thought = Arc::new(carry::think(turn, clock_ms, entropy)?);
                if let Some(decision) = &thought.decision {
                    oracle::decision(&decision.it, base.as_deref())?;
                    oracle::foreign_is_left_alone(&self.world.ledger.it, decision.it.record.state())?;
                }
                self.lab.remember(entropy, &thought);
                thought
            }
        };
        if origin == Origin::Operator {
            let then = thought.decision.as_ref().map(|decision| &decision.it.then);
            if let Some(then) = then.or(thought.then.as_ref()) {
                operator::answer(base.as_deref(), &then.reply)?;
            }
        }
        if let Some(then) = &thought.then {
            self.follow(server, then);
            return self.reply(server, origin, &then.reply, base.as_deref());
        }
        let Some(decision) = &thought.decision else {
            return Ok(());
        };
        let phase = Phase::Decided(input, Arc::clone(decision));
        self.server(server).add(Job { origin, phase });
        Ok(())
    }

    /// The store takes a record in.
    fn apply_swap(&mut self, decision: &Known<Decision>) -> Result<(), Violation> {
        oracle::swap(self.world, &decision.it)?;
        self.lab.reached.insert(decision.it.shape);
        self.note_meeting(&decision.it);
        self.world.store = Some(Arc::clone(&decision.it.record));
        self.world.hint_ms = decision.it.wake_at_ms;
        self.world.writes = self.world.writes.saturating_add(1);
        Ok(())
    }

    /// A server knows its swap to be durable: it performs, arms and replies.
    fn persisted(
        &mut self,
        server: usize,
        origin: Origin,
        decision: &Known<Decision>,
    ) -> Result<(), Violation> {
        let at = self.server(server);
        at.timer_ms = decision.it.wake_at_ms;
        for (_, job) in &mut at.jobs {
            if let Phase::Waiting { changed, .. } = &mut job.phase {
                *changed = true;
            }
        }
        let jobs = std::mem::take(&mut at.jobs);
        jobs.into_iter().for_each(|(_, job)| at.add(job));
        self.follow(server, &decision.it.then);
        self.reply(server, origin, &decision.it.then.reply, Some(&decision.it.record))
    }

    fn follow(&mut self, server: usize, then: &Then) {
        let timer_ms = &mut self.server(server).timer_ms;
        if let Some((at_ms, is_latest)) = then.arm {
            let known = timer_ms.filter(|known_ms| !is_latest && *known_ms < at_ms);
            *timer_ms = Some(known.unwrap_or(at_ms));
        }
        self.give(server, &then.calls);
    }

    fn give(&mut self, server: usize, calls: &[Arc<Known<Call>>]) {
        for call in calls {
            let origin = Origin::Outcome {
                told: false,
                moves_money: call.it.moves_money,
            };
            let phase = Phase::Given(Arc::clone(call));
            self.server(server).add(Job { origin, phase });
        }
    }

    fn reply(
        &mut self,
        server: usize,
        origin: Origin,
        reply: &Reply,
        record: Option<&pay_once_core::Record>,
    ) -> Result<(), Violation> {
        match (reply, origin) {
            (Reply::Now(response), Origin::Client { client, at }) => self.hear(client, at, response, record),
            (Reply::Now(response), Origin::Operator) => oracle::shown(self.world, response),
            (Reply::Wait { until_ms, pending }, _) => {
                let input = known_input(Input::Request(pending.clone()));
                let phase = Phase::Waiting {
                    input,
                    until_ms: *until_ms,
                    changed: false,
                };
                self.server(server).add(Job { origin, phase });
                Ok(())
            }
            // Nobody looks in this tier.
            (Reply::Nothing | Reply::Now(_) | Reply::Look { .. }, _) => Ok(()),
        }
    }

    pub(super) fn ready(&mut self, server: usize, origin: Origin, input: Arc<Known<Input>>) {
        let phase = Phase::Ready(input);
        self.server(server).add(Job { origin, phase });
    }

    pub(super) fn outcome(&mut self, server: usize, call: &Call, result: CallResult) {
        let origin = Origin::Outcome {
            told: matches!(result, CallResult::Answered { .. }),
            moves_money: call.moves_money,
        };
        self.ready(server, origin, known_outcome(call, result));
    }

    fn swap_unknown(&mut self, server: usize, job: usize, how: Unknown) -> Result<(), Violation> {
        let Job { origin, phase } = self.take(server, job)?;
        let Phase::Decided(input, decision) = phase else {
            return Err(Violation::new("explorer", "only a decision is swapped"));
        };
        self.spend(|left| &mut left.ambiguous);
        let matches =
            self.world.store.as_ref().map(|record| record.version()) == decision.it.expected_version;
        match how {
            Unknown::Applied if matches => {
                self.lab.covered.ambiguous_swap_applied += 1;
                self.apply_swap(&decision)?;
            }
            Unknown::AppliesLater => self.world.slow_swap = Some(Arc::clone(&decision)),
            Unknown::Applied | Unknown::NotApplied => {}
        }
        if let Some(at_ms) = carry::ends_unknown(&decision.it, self.world.clock(server)) {
            let timer_ms = &mut self.server(server).timer_ms;
            *timer_ms = Some(timer_ms.map_or(at_ms, |known| known.min(at_ms)));
        }
        self.server(server).add(Job {
            origin,
            phase: Phase::ReadBack(input, decision),
        });
        Ok(())
    }

    fn slow_swap(&mut self) -> Result<(), Violation> {
        let Some(decision) = self.world.slow_swap.take() else {
            return Ok(());
        };
        if self.world.store.as_ref().map(|record| record.version()) == decision.it.expected_version {
            self.lab.covered.slow_swap_applied += 1;
            self.apply_swap(&decision)?;
        }
        Ok(())
    }

    pub(super) fn fire(&mut self, server: usize) {
        self.world.left.wakes = self.world.left.wakes.saturating_sub(1);
        self.server(server).timer_ms = None;
        self.ready(server, Origin::Timer, known_input(Input::Wake));
    }

    fn pause(&mut self, server: usize) {
        self.spend(|left| &mut left.pauses);
        self.server(server).paused = true;
    }

    fn crash(&mut self, server: usize) {
        self.spend(|left| &mut left.crashes);
        let unheard = Origin::Outcome {
            told: true,
            moves_money: true,
        };
        if self
            .server(server)
            .jobs
            .iter()
            .any(|(_, job)| job.origin == unheard)
        {
            self.lab.covered.crash_between_effect_and_persist += 1;
        }
        *self.server(server) = Server::default();
        self.world.held.retain(|held| usize::from(held.server) != server);
    }

    pub(super) fn spend(&mut self, of: impl FnOnce(&mut Budget) -> &mut u8) {
        let left = &mut self.world.left;
        left.faults = left.faults.saturating_sub(1);
        let kind = of(left);
        *kind = kind.saturating_sub(1);
    }
}

pub(super) fn known_input(input: Input) -> Arc<Known<Input>> {
    let body = match &input {
        Input::Outcome(outcome) => outcome.call.http.body.clone(),
        Input::Request(_) | Input::Webhook(_) | Input::Wake => Vec::new(),
    };
    let digest = digest::of(&(digest::of_shown(&input), body));
    Arc::new(Known { it: input, digest })
}

pub(super) fn known_call(call: Call) -> Arc<Known<Call>> {
    let digest = digest::of(&(digest::of_shown(&call), &call.http.headers, &call.http.body));
    Arc::new(Known { it: call, digest })
}

pub(super) fn known_outcome(call: &Call, result: CallResult) -> Arc<Known<Input>> {
    known_input(Input::Outcome(Box::new(Outcome {
        call: call.clone(),
        result,
    })))
}

pub(super) fn unknown(reason: &str) -> CallResult {
    CallResult::Unknown {
        reason: reason.to_owned(),
    }
}
