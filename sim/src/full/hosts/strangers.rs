//! Everybody but the merchants' clients who acts at the PSP: persons at its dashboard, other programs of the account.

use std::rc::Rc;

use tokio::task::spawn_local;

use super::psp::by_hand;
use crate::full::stage::Stage;
use crate::full::wire::Pool;
use crate::hands;
use crate::met::Sometimes;
use crate::plan::Act;

/// Does what the plan says, step by step.
pub(super) async fn run(stage: Rc<Stage>, pool: Rc<Pool>) {
    if stage.plan.world.crowd > 0 {
        spawn_local(crowd(Rc::clone(&stage), Rc::clone(&pool)));
    }
    for step in &stage.plan.steps {
        if matches!(step.act, Act::ByHand { .. } | Act::Foreign { .. }) {
            stage.sleep_until(step.at_ms).await;
            act(&stage, &pool, &step.act);
        }
    }
}

async fn crowd(stage: Rc<Stage>, pool: Rc<Pool>) {
    let request = hands::crowd(stage.plan.world.crowd);
    while hands::is_crowded(&stage.plan.world, stage.now_ms()) {
        by_hand(&stage, &pool, &request);
        stage.sleep(hands::CROWD_EVERY_MS).await;
    }
}

fn act(stage: &Rc<Stage>, pool: &Rc<Pool>, act: &Act) {
    let (Act::ByHand { payment, .. } | Act::Foreign { payment, .. }) = act else {
        return;
    };
    let Some(paid) = stage.plan.payment(*payment) else {
        return;
    };
    let (id, class) = (
        stage.plan.attempt_of(paid).to_string(),
        stage.plan.world.class_of(paid.merchant),
    );
    let request = match act {
        Act::ByHand {
            hand, foreign, extra, ..
        } => {
            let bank = stage.bank.borrow();
            let request = hands::act(&bank.sandbox, class, &id, *hand, hands::whose(*foreign, *extra));
            if request.is_some() {
                stage.meet(Sometimes::ByHand);
            }
            request
        }
        Act::Foreign { object, .. } => {
            Some(hands::foreign(class, &id, &paid.currency, object, stage.now_ms()))
        }
        _ => None,
    };
    if let Some(request) = request {
        by_hand(stage, pool, &request);
    }
}

/// Stripe's refunds that have just begun and are pending end after a while.
pub(super) fn end_refunds(stage: &Rc<Stage>, pool: &Rc<Pool>) {
    let Some((after_ms, succeeds)) = stage.plan.world.refund_ms else {
        return;
    };
    let ids = hands::refunds_begun(&stage.bank.borrow().sandbox, stage.now_ms());
    for id in ids {
        let (stage, pool) = (Rc::clone(stage), Rc::clone(pool));
        spawn_local(async move {
            stage.sleep(after_ms).await;
            let is_healed = stage.now_ms() >= stage.plan.world.heal_ms;
            by_hand(&stage, &pool, &hands::end_refund(&id, succeeds || is_healed));
        });
    }
}
