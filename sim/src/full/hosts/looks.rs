//! After healing: waiting until every attempt has come to an end, and then one look at each.

use pay_once_core::id::AttemptId;
use pay_once_core::record::Record;
use pay_once_core::status::Status;

use super::clients::{Buyer, Ways};
use crate::seen::Heard;

/// How often somebody looks whether it is time to look, in milliseconds.
const LOOK_EVERY_MS: u64 = 100;
/// How long an answer is waited for, in milliseconds.
const LOOK_LIMIT_MS: u64 = 2_000;

impl Ways {
    /// Waits until one payment's attempt has come to an end, and looks at it once when all is over. Until then it is
    /// only peeped at: a look is a request, and whatever a request sets going would hide that nothing else does (§1: the
    /// end comes without anybody's help).
    pub(super) async fn look_on(self, buyer: usize) {
        let stage = &self.stage;
        stage.sleep_until(stage.plan.world.heal_ms).await;
        let mut seen_version = None;
        loop {
            let is_last_round = stage.clients.borrow().is_last_round;
            if is_last_round && self.look(buyer).await {
                self.with(buyer, |buyer| buyer.is_done = true);
                return;
            }
            if let Some(id) = self.with(buyer, |buyer| buyer.shopper.payment().attempt_id()) {
                self.peep(buyer, id, &mut seen_version);
            }
            stage.sleep(LOOK_EVERY_MS).await;
        }
    }

    fn peep(&self, buyer: usize, id: AttemptId, seen_version: &mut Option<u64>) {
        let is_settled = {
            let rows = self.stage.rows.borrow();
            let row = rows.all.get(&id.to_bytes());
            let version = row.map_or(0, |row| row.version);
            if seen_version.replace(version) == Some(version) {
                return;
            }
            // What cannot be read is for the oracles; it will not get better by waiting.
            row.is_none_or(|row| Record::decode(id, &row.bytes).map_or(true, |record| is_end(&record)))
        };
        self.with(buyer, |buyer| buyer.is_settled = is_settled);
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
