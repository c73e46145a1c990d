//! The steps that scenes are made of, and the scenes about the servers' own steps.

use super::{SPREAD_MS, Scene, Stage, THINK_MS};
use crate::plan::{Act, Class, Flow, ForeignObject, Hand, Payment, PspFault, Step, StoreFault, Token};

/// How long before and after the moments at which requests are expected a fault is on, in milliseconds.
const MARGIN_MS: u64 = 60;
/// How long an operation of a quiet world takes at most, in milliseconds.
const OPERATION_MS: u64 = 120;

/// A moment of all payments of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// The authorization is sent, and answered.
    Authorize,
    /// The capture is sent, and answered.
    Capture,
    /// The first sending again after a lost answer.
    Resend,
    /// The look that can prove absence, and the next number.
    Look,
    /// The end of a 3-D Secure's time.
    Deadline,
}

impl Moment {
    pub(super) const ALL: [Self; 5] = [
        Self::Authorize,
        Self::Capture,
        Self::Resend,
        Self::Look,
        Self::Deadline,
    ];
}

impl Stage<'_> {
    /// When a moment begins and how long it is, in milliseconds.
    pub(super) fn moment(&self, moment: Moment) -> (u64, u64) {
        let truth = &self.world.truth;
        // Who charges in one call is sent at once; the others when they have thought.
        let authorize_ms = self.from_ms;
        let spread_ms = SPREAD_MS + THINK_MS + OPERATION_MS;
        let (from_ms, for_ms) = match moment {
            Moment::Authorize => (authorize_ms, spread_ms),
            Moment::Capture => (authorize_ms + 2 * THINK_MS, SPREAD_MS + 3 * OPERATION_MS),
            Moment::Resend => (authorize_ms + THINK_MS + 500, spread_ms + 500),
            Moment::Look => (
                authorize_ms + truth.max_in_flight_ms + truth.lookup_lag_ms + truth.skew_ms,
                spread_ms + 2_000,
            ),
            Moment::Deadline => (authorize_ms + self.world.action_ms, spread_ms + 500),
        };
        (from_ms.saturating_sub(MARGIN_MS), for_ms + 2 * MARGIN_MS)
    }

    /// Something of the PSP's goes wrong at a moment.
    pub(super) fn psp(&mut self, moment: Moment, fault: PspFault, permille: u16) {
        let (at_ms, for_ms) = self.moment(moment);
        self.psp_at(at_ms, for_ms, fault, permille);
    }

    /// Something of the PSP's goes wrong for a while.
    pub(super) fn psp_at(&mut self, at_ms: u64, for_ms: u64, fault: PspFault, permille: u16) {
        self.steps.push(Step {
            at_ms,
            act: Act::Psp {
                fault,
                permille,
                for_ms,
            },
        });
    }

    /// Something of the store's goes wrong at a moment.
    pub(super) fn store(&mut self, moment: Moment, fault: StoreFault, permille: u16, for_ms: u64) {
        let (at_ms, _) = self.moment(moment);
        self.store_at(at_ms, fault, permille, for_ms);
    }

    /// Something of the store's goes wrong for a while.
    pub(super) fn store_at(&mut self, at_ms: u64, fault: StoreFault, permille: u16, for_ms: u64) {
        self.steps.push(Step {
            at_ms,
            act: Act::Store {
                fault,
                permille,
                for_ms,
            },
        });
    }

    /// Each server stands still at one of its first sendings.
    pub(super) fn stand_still(&mut self, is_sent: bool, for_ms: u64) {
        for server in 0..self.world.clocks_ms.len() {
            let nth = u32::try_from(self.draw.between(1, 3)).unwrap_or(1);
            self.stands_still(server, nth, is_sent, for_ms);
        }
    }

    /// A server stands still at one of its sendings.
    pub(super) fn stands_still(&mut self, server: usize, nth: u32, is_sent: bool, for_ms: u64) {
        self.steps.push(Step {
            at_ms: self.from_ms,
            act: Act::AtSend {
                server,
                nth,
                is_sent,
                for_ms,
            },
        });
    }

    /// The same happens to each payment.
    pub(super) fn at_each(&mut self, at_ms: u64, act: impl Fn(u32) -> Act) {
        let acts = self.payments.iter().map(|payment| Step {
            at_ms,
            act: act(payment.payment),
        });
        self.steps.extend(acts);
    }

    /// A person acts on what belongs to each payment; `extra`: on what the PSP made by executing a call a second time.
    pub(super) fn by_hand(&mut self, at_ms: u64, hand: Hand, extra: bool) {
        self.at_each(at_ms, |payment| Act::ByHand {
            payment,
            hand,
            foreign: false,
            extra,
        });
    }

    /// There are so many servers at least.
    pub(super) fn servers(&mut self, least: usize) {
        while self.world.clocks_ms.len() < least {
            self.world.clocks_ms.push(0);
        }
    }

    /// Every payment is done something to.
    pub(super) fn all(&mut self, mut change: impl FnMut(&mut Payment)) {
        for payment in self.payments.iter_mut() {
            change(payment);
        }
    }

    /// Every payment has one of these flows, and a card that approves.
    pub(super) fn flows(&mut self, flows: &[Flow]) {
        for payment in self.payments.iter_mut() {
            payment.flow = *self.draw.pick(flows);
            payment.token = Token::Good;
        }
    }
}

/// The store fails at a dispatch, or while the PSP is at work, so that its answer finds nobody who could keep it. Nothing else
/// tells at PSPs that cannot be asked.
pub(super) const LOST_SWAPS: Scene = Scene {
    classes: &[Class::Blind, Class::Blind, Class::Keyed, Class::Queryable],
    play: |stage| {
        stage.flows(&[Flow::Manual, Flow::Charge, Flow::Automatic]);
        let fault = *stage.draw.pick(&[
            StoreFault::AppliedUnknown,
            StoreFault::LostUnknown,
            StoreFault::Down,
            StoreFault::Down,
            StoreFault::NoWrites,
        ]);
        let permille = *stage.draw.pick(&[500, 1_000, 1_000]);
        let for_ms = stage.draw.between(100, 900);
        let is_while_psp_works = stage.draw.chance(600);
        stage.world.operator_ms = None;
        stage.world.webhooks = None;
        if is_while_psp_works {
            stage.world.psp_ms = (250, 600);
            stage.all(|payment| payment.flow = Flow::Charge);
            let at_ms = stage.from_ms + SPREAD_MS + OPERATION_MS / 2;
            stage.store_at(at_ms, fault, permille, for_ms);
        } else {
            stage.store(Moment::Authorize, fault, permille, for_ms);
        }
    },
};

/// Others write to the record of a payment at the moment at which its answer comes: each write of theirs is about an object that
/// is not the payment's, and tells nothing of it.
pub(super) const OTHERS_WRITE: Scene = Scene {
    classes: &[Class::Blind],
    play: |stage| {
        stage.flows(&[Flow::Charge]);
        stage.servers(2);
        stage.world.operator_ms = None;
        stage.world.webhooks = Some((0, 0));
        stage.world.store_ms = (3, 10);
        stage.world.installation = "eu".to_owned();
        let age_s = 10 + 2 * stage.world.truth.skew_ms / 1_000;
        for nth in 0..OTHERS {
            let object = ForeignObject {
                is_taken: false,
                amount_minor: 1_000 + nth,
                age_s,
            };
            let at_ms = stage.from_ms + (nth + 1) * OTHERS_EVERY_MS;
            stage.at_each(at_ms, |payment| Act::Foreign { payment, object });
        }
        // The payment's own events would tell what its answer tells.
        let from_ms = stage.from_ms;
        let for_ms = SPREAD_MS + 4 * OPERATION_MS;
        stage.psp_at(from_ms, for_ms, PspFault::WebhookLost, 500);
    },
};

/// How many objects of others there are for each payment.
const OTHERS: u64 = 10;
/// How far apart they are made, in milliseconds.
const OTHERS_EVERY_MS: u64 = 25;

/// Answers and webhooks that meet at the store: each finds that the other was faster.
pub(super) const BUSY_STORE: Scene = Scene {
    classes: &Class::ALL,
    play: |stage| {
        stage.flows(&[Flow::Manual, Flow::Charge, Flow::Automatic]);
        stage.servers(2);
        stage.world.operator_ms = None;
        let copies = u8::try_from(stage.draw.between(0, 3)).unwrap_or(0);
        stage.world.webhooks = Some((0, copies));
        let store_ms = stage.draw.between(4, 10);
        stage.world.store_ms = (1, store_ms);
        stage.all(|payment| {
            payment.copies = 3;
            payment.looks = 3;
            payment.reuse = true;
        });
    },
};
