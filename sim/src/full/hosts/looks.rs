//! After healing: waiting until every attempt has come to an end, and then one look at each.

use pay_once_core::{AttemptId, Record, Status};

use super::clients::{Buyer, Ways};
use crate::met::Sometimes;
use crate::operator;
use crate::seen::Heard;
use crate::shopper::Todo;

/// How often somebody looks whether it is time to look, in milliseconds.
const LOOK_EVERY_MS: u64 = 100;
/// How long an answer is waited for, in milliseconds.
const LOOK_LIMIT_MS: u64 = 2_000;

/// What was seen of a record: it is decoded again only after it has changed.
#[derive(Default)]
struct Seen {
    version: Option<u64>,
    is_parked: bool,
}

impl Ways {
    /// Waits until one payment's attempt has come to an end, and looks at it once when all is over. Until then it is
    /// only peeped at: a look is a request, and whatever a request sets going would hide that nothing else does
    /// (`docs/promise.md`, “Liveness”: the end comes without anybody's help).
    pub(super) async fn look_on(self, buyer: usize) {
        let stage = &self.stage;
        stage.sleep_until(stage.plan.world.heal_ms).await;
        let mut seen = Seen::default();
        loop {
            let is_last_round = stage.clients.borrow().is_last_round;
            if is_last_round && self.look(buyer).await {
                self.once_more(buyer).await;
                self.with(buyer, |buyer| buyer.is_done = true);
                return;
            }
            if let Some(id) = self.with(buyer, |buyer| stage.plan.attempt_of(buyer.shopper.payment())) {
                self.peep(buyer, id, &mut seen);
                if seen.is_parked {
                    self.operate(buyer, id);
                }
            }
            stage.sleep(LOOK_EVERY_MS).await;
        }
    }

    fn peep(&self, buyer: usize, id: AttemptId, seen: &mut Seen) {
        let record = {
            let rows = self.stage.rows.borrow();
            let row = rows.all.get(&id.to_bytes());
            let version = row.map_or(0, |row| row.version.get());
            if seen.version.replace(version) == Some(version) {
                return;
            }
            row.and_then(|row| Record::decode(id, &row.bytes).ok())
        };
        seen.is_parked = record.as_ref().is_some_and(operator::is_parked);
        let waits_for_operator = seen.is_parked && self.stage.plan.world.operator_ms.is_some();
        // What cannot be read is for the oracles; it will not get better by waiting.
        let is_settled = record.is_none_or(|record| is_end(&record) && !waits_for_operator);
        self.with(buyer, |buyer| buyer.is_settled = is_settled);
    }

    /// An operator comes for what is parked, and says what the PSP's books say.
    fn operate(&self, buyer: usize, id: AttemptId) {
        let stage = &self.stage;
        let Some(after_ms) = stage.plan.world.operator_ms else {
            return;
        };
        let record = {
            let rows = stage.rows.borrow();
            let row = rows.all.get(&id.to_bytes());
            row.and_then(|row| Record::decode(id, &row.bytes).ok())
        };
        let Some(record) = record.filter(operator::is_parked) else {
            return;
        };
        let now_ms = stage.now_ms();
        let is_there = self.with(buyer, |buyer| {
            let after_ms = after_ms * buyer.shopper.operator_factor();
            let at_ms = *buyer.operator_at_ms.get_or_insert(now_ms + after_ms);
            at_ms <= now_ms
        });
        if is_there != Some(true) {
            return;
        }
        let word = operator::word(&stage.bank.borrow().sandbox, &id.to_string(), &record);
        let asks = self.with(buyer, |buyer| {
            buyer.operator_at_ms = None;
            word.map(|body| buyer.shopper.resolve(&body)).unwrap_or_default()
        });
        let asks = asks.unwrap_or_default();
        if !asks.is_empty() {
            stage.meet(Sometimes::OperatorResolves);
            let todo = asks.into_iter().map(|ask| Todo::Ask { at_ms: now_ms, ask });
            self.take_on(buyer, todo.collect());
        }
    }

    /// Every request of the client's own once more.
    async fn once_more(&self, buyer: usize) {
        for ask in self
            .with(buyer, |buyer| buyer.shopper.once_more())
            .unwrap_or_default()
        {
            let began_ms = self.stage.now_ms();
            let told = self.exchange(&ask).await;
            let ended_ms = self.stage.now_ms();
            self.with(buyer, |buyer| {
                buyer.once_more.push(Heard {
                    ask,
                    began_ms,
                    ended_ms,
                    told,
                });
            });
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
fn is_end(record: &Record) -> bool {
    let state = record.state();
    let is_parked = state
        .running
        .as_ref()
        .is_some_and(|running| running.parked.is_some());
    state.status.is_final() || state.status == Status::Created || is_parked
}
