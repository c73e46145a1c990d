//! Two or three faults, drawn freely, at moments of all payments.

use super::steps::Moment;
use super::{Scene, Stage};
use crate::plan::{Act, Calls, Class, Flow, Hand, PspFault, Step, StoreFault, Token};

pub(super) const PAIR: Scene = Scene {
    classes: &Class::ALL,
    play,
};

const FAULTS: [PspFault; 16] = [
    PspFault::Declines,
    PspFault::HangBefore,
    PspFault::HangAfter,
    PspFault::ErrorBefore,
    PspFault::ErrorAfter,
    PspFault::Garbage,
    PspFault::Throttle,
    PspFault::ReadOnly,
    PspFault::Late,
    PspFault::Twice,
    PspFault::FormRefused,
    PspFault::Redelivered { status: 0 },
    PspFault::ReadMissing,
    PspFault::ListStuck,
    PspFault::WebhookLost,
    PspFault::TryAgain,
];

fn play(stage: &mut Stage<'_>) {
    let flow = *stage.draw.pick(&Flow::ALL);
    let is_one = stage.draw.chance(500);
    let after_ms = stage.draw.between(200, stage.world.action_ms + 2_000);
    let token = *stage.draw.pick(&[
        Token::Good,
        Token::Good,
        Token::Good,
        Token::Declined,
        Token::CaptureDeclined,
        Token::Secure(after_ms),
        Token::SecureAbandoned,
        Token::WebhookFirst,
        Token::CapturesAll,
    ]);
    let tells = !matches!(stage.world.class, Class::Keyed | Class::Blind);
    let token = match token {
        Token::Secure(_) | Token::SecureAbandoned if !tells => Token::Good,
        token => token,
    };
    stage.all(|payment| {
        if is_one {
            payment.flow = flow;
        }
        payment.token = token;
    });
    let is_twice = stage.draw.chance(500);
    for _ in 0..2 + u64::from(is_twice) {
        fault(stage);
    }
}

fn fault(stage: &mut Stage<'_>) {
    let moment = *stage.draw.pick(&Moment::ALL);
    let permille = *stage.draw.pick(&[500, 1_000, 1_000]);
    let status = *stage.draw.pick(&[400, 401, 403]);
    let calls = *stage
        .draw
        .pick(&[Calls::All, Calls::Money, Calls::Reads, Calls::Lists]);
    let psp = *stage.draw.pick(&FAULTS);
    let store = *stage.draw.pick(&[
        StoreFault::AppliedUnknown,
        StoreFault::LostUnknown,
        StoreFault::LateUnknown,
        StoreFault::Down,
        StoreFault::Slow,
    ]);
    let (is_sent, for_ms) = (stage.draw.chance(500), stage.draw.between(300, 6_000));
    let hand = *stage.draw.pick(&Hand::ALL);
    match stage.draw.between(0, 9) {
        0 => stage.stand_still(is_sent, for_ms),
        1 => stage.store(moment, store, permille, for_ms.min(1_500)),
        2 | 3 => stage.psp(moment, PspFault::Rejected { status, calls }, permille),
        4 => {
            let (at_ms, spread_ms) = stage.moment(moment);
            let at_ms = at_ms + stage.draw.between(0, spread_ms);
            stage.by_hand(at_ms, hand, false);
        }
        5 => {
            let (at_ms, _) = stage.moment(moment);
            let act = Act::Crash {
                server: 0,
                down_ms: for_ms.min(1_500),
                silent: is_sent,
            };
            stage.steps.push(Step { at_ms, act });
        }
        _ => stage.psp(moment, psp, permille),
    }
}
