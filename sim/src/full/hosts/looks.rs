//! After healing: looking at an attempt until it shows an end, and once more when all is over.

use super::clients::{Buyer, Ways};
use crate::seen::{Doubt, Heard, Shown, Status};

/// How often somebody looks whether it is time to look, in milliseconds.
const LOOK_EVERY_MS: u64 = 100;
/// How long an answer is waited for, in milliseconds.
const LOOK_LIMIT_MS: u64 = 2_000;

impl Ways {
    /// Looks at one payment's attempt, as far as its client knows it. A look costs a request, so it is only taken
    /// when the record has changed; what it shows is what counts.
    pub(super) async fn look_on(self, buyer: usize) {
        let stage = &self.stage;
        stage.sleep_until(stage.plan.world.heal_ms).await;
        let mut seen_version = None;
        loop {
            let is_last_round = stage.clients.borrow().is_last_round;
            let (is_busy, id) = self
                .with(buyer, |buyer| {
                    (buyer.todo > 0, Some(buyer.shopper.payment().attempt_id()))
                })
                .unwrap_or((false, None));
            let version = id.and_then(|id| {
                let rows = stage.rows.borrow();
                rows.all.get(&id.to_bytes()).map(|row| row.version)
            });
            if !is_busy && (is_last_round || seen_version != Some(version)) {
                let is_answered = self.look(buyer).await;
                if is_answered {
                    seen_version = Some(version);
                    self.with(buyer, |buyer| {
                        buyer.is_settled = buyer.last.as_ref().is_none_or(is_end);
                        buyer.is_done = is_last_round;
                    });
                }
                if is_answered && is_last_round {
                    self.with(buyer, |buyer| buyer.is_done = true);
                    return;
                }
            }
            stage.sleep(LOOK_EVERY_MS).await;
        }
    }

    fn with<R>(&self, buyer: usize, what: impl FnOnce(&mut Buyer) -> R) -> Option<R> {
        self.stage.clients.borrow_mut().buyers.get_mut(buyer).map(what)
    }

    /// One look; whether it was answered.
    async fn look(&self, buyer: usize) -> bool {
        let Some(mut ask) = self.with(buyer, |buyer| buyer.shopper.last_look()) else {
            return false;
        };
        ask.timeout_ms = LOOK_LIMIT_MS;
        ask.tries_left = 0;
        let began_ms = self.stage.now_ms();
        let told = self.exchange(&ask).await;
        let Some(told) = told.filter(|told| matches!(told.status, 200 | 404)) else {
            return false;
        };
        let ended_ms = self.stage.now_ms();
        self.with(buyer, |buyer| {
            buyer.last = Some(Heard {
                ask,
                began_ms,
                ended_ms,
                told: Some(told),
            });
        });
        true
    }
}

/// Whether nothing more will happen of itself.
fn is_end(heard: &Heard) -> bool {
    if heard.told.as_ref().is_some_and(|told| told.status == 404) {
        return true;
    }
    let shown = heard.told.as_ref().and_then(|told| told.shown.as_ref());
    shown.is_some_and(|shown: &Shown| {
        let is_parked = shown
            .operation
            .as_ref()
            .is_some_and(|op| op.state == Doubt::Parked);
        shown.status.is_final() || shown.status == Status::Created || is_parked
    })
}
