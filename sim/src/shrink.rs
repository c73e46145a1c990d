//! From a failing plan to a small one that fails in the same way: delta debugging over the steps, then over what each
//! step is made of.

use crate::plan::{Act, Payment, Plan, Step};
use crate::tier::{Tier, carry_out};

/// A smaller plan, and how many were tried to find it.
#[derive(Debug)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// Runs it took.
    pub tried: u32,
}

/// Makes a plan smaller as long as the same oracle still fails. `None` if it does not fail at all.
#[must_use]
pub fn shrink(plan: &Plan, tier: Tier, tell: &dyn Fn(usize, u32)) -> Option<Shrunk> {
    let oracle = carry_out(plan, tier, false).violation?.oracle;
    let mut shrinking = Shrinking {
        plan: plan.clone(),
        tier,
        oracle,
        tried: 1,
        tell,
    };
    loop {
        let before = shrinking.plan.clone();
        shrinking.fewer_steps();
        shrinking.simpler_steps();
        shrinking.simpler_world();
        if shrinking.plan == before {
            break;
        }
    }
    Some(Shrunk {
        plan: shrinking.plan,
        tried: shrinking.tried,
    })
}

struct Shrinking<'a> {
    plan: Plan,
    tier: Tier,
    oracle: &'static str,
    tried: u32,
    tell: &'a dyn Fn(usize, u32),
}

impl Shrinking<'_> {
    /// Takes the candidate if it still fails in the same way.
    fn offer(&mut self, candidate: Plan) -> bool {
        if candidate == self.plan {
            return false;
        }
        self.tried += 1;
        let fails = carry_out(&candidate, self.tier, false)
            .violation
            .is_some_and(|violation| violation.oracle == self.oracle);
        if fails {
            self.plan = candidate;
        }
        (self.tell)(self.plan.steps.len(), self.tried);
        fails
    }

    /// Drops halves, quarters, … single steps.
    fn fewer_steps(&mut self) {
        let mut chunk = self.plan.steps.len().div_ceil(2);
        while chunk > 0 {
            let mut at = 0;
            while at < self.plan.steps.len() {
                let mut steps = self.plan.steps.clone();
                steps.drain(at..(at + chunk).min(self.plan.steps.len()));
                let candidate = Plan {
                    world: self.plan.world.clone(),
                    steps,
                };
                if !self.offer(candidate) {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
    }

    fn simpler_steps(&mut self) {
        for at in 0..self.plan.steps.len() {
            let Some(step) = self.plan.steps.get(at).cloned() else {
                continue;
            };
            for simpler in simpler(&step) {
                let mut candidate = self.plan.clone();
                if let Some(place) = candidate.steps.get_mut(at) {
                    *place = simpler;
                }
                self.offer(candidate);
            }
        }
    }

    fn simpler_world(&mut self) {
        let mut one_server = self.plan.clone();
        one_server.world.clocks_ms.truncate(1);
        let fits = Plan::from_text(&one_server.to_text()).is_ok();
        if fits {
            self.offer(one_server);
        }
        let mut no_skew = self.plan.clone();
        no_skew.world.clocks_ms.iter_mut().for_each(|skew| *skew = 0);
        self.offer(no_skew);
        let mut no_webhooks = self.plan.clone();
        no_webhooks.world.webhooks = None;
        self.offer(no_webhooks);
    }
}

/// The same step with one thing less.
fn simpler(step: &Step) -> Vec<Step> {
    let at_ms = step.at_ms;
    let Act::Pay(payment) = &step.act else {
        return Vec::new();
    };
    let with = |change: fn(&mut Payment)| {
        let mut simpler = payment.clone();
        change(&mut simpler);
        Step {
            at_ms,
            act: Act::Pay(simpler),
        }
    };
    vec![
        with(|payment| payment.copies = 1),
        with(|payment| payment.tries = 1),
        with(|payment| payment.looks = 0),
        with(|payment| payment.rival = false),
        with(|payment| payment.rival_takes_half = false),
        with(|payment| payment.reuse = false),
        with(|payment| payment.wait_s = None),
        with(|payment| payment.think_ms = 0),
        with(|payment| payment.amount_minor = 100),
    ]
}
