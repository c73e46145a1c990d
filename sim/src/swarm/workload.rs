//! What customers and clients of a seed do.

use super::{LAST_PAYMENT_MS, PAYMENTS_MAX, PAYMENTS_MIN};
use crate::plan::{Act, Class, Flow, Payment, Step, Token, World};
use crate::rng::{Concern, Draw};

/// From which time for 3-D Secure on customers come back to a page that asks, in milliseconds.
const SLOW_ACTION_MS: u64 = 20_000;

/// What clients of a seed do beyond asking and asking again.
pub(super) struct Habits {
    double_click: bool,
    rival: bool,
    reuse: bool,
    look: bool,
    hurry: bool,
    hang_up: bool,
    stranger: bool,
    hasty: bool,
    units: bool,
    returns: bool,
}

impl Habits {
    pub(super) fn new(draw: &mut Draw) -> Self {
        Self {
            double_click: draw.chance(400),
            rival: draw.chance(400),
            reuse: draw.chance(300),
            look: draw.chance(400),
            hurry: draw.chance(300),
            hang_up: draw.chance(250),
            stranger: draw.chance(200),
            hasty: draw.chance(200),
            units: draw.chance(300),
            returns: draw.chance(300),
        }
    }
}

/// What customers and clients of a seed do.
pub(super) fn workload(seed: u64, world: &World) -> Vec<Step> {
    let draw = &mut Draw::new(seed, Concern::Workload);
    let habits = Habits::new(&mut Draw::new(seed, Concern::Habits));
    let extras = &mut Draw::new(seed, Concern::Extras);
    let has_second = extras.chance(250) || world.second.is_some();
    let count = draw.between(PAYMENTS_MIN, PAYMENTS_MAX);
    let mut payments: Vec<Payment> = Vec::new();
    let mut steps = Vec::new();
    for number in 0..u32::try_from(count).unwrap_or(0) {
        let at_ms = draw.between(0, LAST_PAYMENT_MS);
        let plain = payment_of(draw, &habits, number);
        let payment = with_extras(extras, &habits, world, has_second, payments.last(), plain);
        payments.push(payment.clone());
        steps.push(Step {
            at_ms,
            act: Act::Pay(payment),
        });
    }
    steps
}

fn payment_of(draw: &mut Draw, habits: &Habits, payment: u32) -> Payment {
    let flow = *draw.pick(&Flow::ALL);
    // Half of all cards are good.
    let token = *draw.pick(&[
        Token::Good,
        Token::Good,
        Token::Good,
        Token::Good,
        Token::Declined,
        Token::CaptureDeclined,
        Token::WebhookFirst,
        Token::Secure(400),
        Token::SecureFails(300),
        Token::SecureAbandoned,
        Token::ErrorKept,
        Token::CaptureErrorKept,
        Token::AnswerCut,
    ]);
    let (copies, looks) = (*draw.pick(&[1, 2, 2, 3]), *draw.pick(&[0, 1, 2, 3]));
    let (rival, reuse) = (draw.chance(500), draw.chance(400));
    let pause_ms = draw.between(100, 1_000);
    Payment {
        flow,
        amount_minor: draw.between(1, 500_000),
        token,
        copies: if habits.double_click { copies } else { 1 },
        tries: u8::try_from(draw.between(1, 8)).unwrap_or(1),
        timeout_ms: draw.between(200, 2_000),
        pause_ms: if habits.hurry { pause_ms } else { pause_ms + 400 },
        think_ms: draw.between(0, 600),
        wait_s: draw.chance(200).then_some(2),
        rival: rival && habits.rival,
        reuse: reuse && habits.reuse,
        looks: if habits.look { looks } else { 0 },
        ..Payment::usual(payment)
    }
}

/// What a payment has beyond its flow: another merchant, other units, strangers, customers who take their time.
fn with_extras(
    draw: &mut Draw,
    habits: &Habits,
    world: &World,
    has_second: bool,
    before: Option<&Payment>,
    plain: Payment,
) -> Payment {
    let (is_second, shares_keys) = (draw.chance(400), draw.chance(500));
    let merchant = u8::from(is_second && has_second);
    let shared = before.filter(|before| merchant == 1 && before.merchant == 0 && shares_keys);
    let (hangs_up, hang_up_ms) = (draw.chance(500), draw.between(0, 20));
    let (stranger, hasty) = (draw.chance(400), draw.chance(400));
    let rival_takes_half = plain.rival && habits.returns && plain.flow == Flow::Manual;
    let returns = habits.returns && draw.chance(500);
    let (has_units, currency) = (draw.chance(400), *draw.pick(&["JPY", "ISK", "KWD", "UGX", "USD"]));
    let currency = if has_units && habits.units {
        currency
    } else {
        "EUR"
    };
    let class = world.class_of(merchant);
    let other_token = match draw.between(0, 19) {
        0 => Some(Token::PartialApproval),
        1 | 2 => Some(Token::CapturesAll),
        _ => None,
    };
    let is_secure = |token: Token| {
        matches!(
            token,
            Token::Secure(_) | Token::SecureFails(_) | Token::SecureAbandoned
        )
    };
    // How 3-D Secure ended, a PSP that is only keyed, or nothing, tells by webhook alone.
    let tells = !matches!(class, Class::Keyed | Class::Blind) && !world.lists_forbidden;
    let late_ms = draw.between(world.action_ms / 2, world.action_ms + 400);
    let is_late = draw.chance(500);
    let is_slow = world.action_ms > SLOW_ACTION_MS;
    let token = match (other_token, plain.token) {
        // Where customers are slow, many of them are asked.
        (_, Token::Good) if is_slow && is_late && tells => Token::Secure(late_ms),
        (_, token) if is_secure(token) && !tells => Token::Good,
        // The last moments before the deadline are the ones that matter.
        (_, Token::Secure(_)) if is_late => Token::Secure(late_ms),
        (Some(other), Token::Good) => other,
        (_, token) => token,
    };
    Payment {
        // In the third decimal of a dinar there is nothing that Stripe could express.
        amount_minor: match currency {
            "KWD" => plain.amount_minor.div_ceil(10) * 10,
            _ => plain.amount_minor,
        },
        token,
        merchant,
        keys_of: shared.map(|before| before.payment),
        hang_up_ms: (hangs_up && habits.hang_up).then_some(hang_up_ms),
        stranger: stranger && habits.stranger,
        hasty: hasty && habits.hasty,
        returns,
        rival_takes_half: rival_takes_half && token != Token::CapturesAll,
        currency: currency.to_owned(),
        // A return page asks every second.
        looks: if is_slow && is_secure(token) {
            60
        } else {
            plain.looks
        },
        ..plain
    }
}
