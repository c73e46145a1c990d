//! `machine`: sequences of inputs in any order, with crashes, stale servers, lost and late answers and replays, around
//! core's entry point. What is true is the ledger's ([`pay_once_psp_model`]); what must hold of records is core's own `invariant`.
//!
//! An input is three bytes that choose a story's beginning (the PSP's class, the card, how far the payment has come)
//! and two bytes for each thing that then happens. Beginnings are made once and kept, so that an execution costs what
//! happens in it and nothing else.

mod act;
mod requests;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Unstructured};

pub use self::act::Act;
pub use self::world::World;
use crate::setup::Kind;

/// Most things that happen in one execution.
pub const ACTS_MAX: usize = 64;

/// From this value of its third byte on, a story is ended.
const ENDED: u8 = 0xe0;

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// How it begins.
    pub opening: Opening,
    /// What happens then.
    pub acts: Vec<Act>,
    /// Whether faults then stop and everything must come to its end (liveness), which takes longer.
    pub is_ended: bool,
}

/// How a story begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opening {
    /// Index into [`Kind::ALL`].
    pub kind: u8,
    /// Index into [`TOKENS`].
    pub token: u8,
    /// `capture_method: automatic`.
    pub automatic: bool,
    /// Whether the PSP's listing lags.
    pub lags: bool,
    /// Whether an authorization is tried for a day, not for two minutes.
    pub patient: bool,
    /// How far the payment has come: index into `STAGES`.
    pub stage: u8,
}

/// What the card does.
pub const TOKENS: [&str; 3] = ["pm_card_visa", "pm_card_declined", "pm_card_3ds"];

/// What has happened before the first act, in acts.
const STAGES: [&[Act]; 14] = {
    use Act::{Advance, Answer, Due, Land, Request, Send, Wake, Webhook};
    const AUTHORIZE: Act = Request(0, 0);
    const CAPTURE: Act = Request(2, 0);
    const VOID: Act = Request(5, 0);
    const CREATE: Act = Request(7, 0);
    const CHARGE: Act = Request(12, 0);
    const TRUE: Act = Send(0, 0);
    const LOST: Act = Send(0, 2);
    const DUE: Act = Due(0, 2);
    [
        &[],
        &[CREATE],
        &[CREATE, AUTHORIZE],
        &[CREATE, AUTHORIZE, LOST],
        &[CREATE, AUTHORIZE, TRUE, TRUE],
        &[CREATE, AUTHORIZE, TRUE, TRUE, CAPTURE],
        &[CREATE, AUTHORIZE, TRUE, TRUE, CAPTURE, LOST],
        &[
            CREATE,
            AUTHORIZE,
            TRUE,
            TRUE,
            CAPTURE,
            LOST,
            Land(0, 0),
            Advance(15, 255),
            Wake(0, 0),
        ],
        &[
            CREATE,
            AUTHORIZE,
            TRUE,
            TRUE,
            CAPTURE,
            TRUE,
            Webhook(0, 0),
            Answer(0, 0),
        ],
        &[CREATE, AUTHORIZE, TRUE, TRUE, VOID],
        &[CHARGE],
        &[CREATE, AUTHORIZE, LOST, Land(0, 0), Advance(15, 255), Wake(0, 0)],
        &[CREATE, AUTHORIZE, LOST, DUE, LOST, DUE, LOST, DUE, LOST, DUE],
        &[
            CREATE, AUTHORIZE, TRUE, TRUE, CAPTURE, LOST, DUE, LOST, DUE, LOST, DUE, LOST, DUE, LOST, DUE,
        ],
    ]
};

impl Opening {
    /// A manual payment at this stage, its PSP as plain as its class allows.
    #[must_use]
    pub fn at(kind: u8, token: u8, stage: u8) -> Self {
        Self {
            kind,
            token,
            automatic: false,
            lags: false,
            patient: false,
            stage,
        }
    }

    /// The story so far, with nothing after it.
    #[must_use]
    pub fn told(self) -> World {
        let story = Story {
            opening: self,
            acts: Vec::new(),
            is_ended: false,
        };
        story.play()
    }

    fn from_bytes([a, b, c]: [u8; 3]) -> (Self, bool) {
        let opening = Self {
            kind: a % 7,
            token: b % 3,
            automatic: b & 0x20 != 0,
            lags: b & 0x40 != 0,
            patient: b & 0x80 != 0,
            stage: (c & 0x1f) % STAGES.len() as u8,
        };
        // Coming to an end takes longer than all that went before: one story in eight does.
        (opening, c >= ENDED)
    }

    fn to_bytes(self, is_ended: bool) -> [u8; 3] {
        // The flags leave `token` as it is: 0x20, 0x40 and 0x80 are 2, 1 and 2 modulo 3.
        let flags =
            u8::from(self.automatic) * 0x20 + u8::from(self.lags) * 0x40 + u8::from(self.patient) * 0x80;
        let low = (0..3).find(|low| (flags | low) % 3 == self.token).unwrap_or(0);
        [self.kind, flags | low, self.stage | (u8::from(is_ended) * ENDED)]
    }

    /// The world at the end of the beginning.
    fn world(self) -> World {
        let kind = Kind::ALL
            .get(usize::from(self.kind))
            .copied()
            .unwrap_or(Kind::Stripe);
        let token = TOKENS
            .get(usize::from(self.token))
            .copied()
            .unwrap_or("pm_card_visa");
        let mut world = World::new(kind, token, self.automatic, self.lags, self.patient);
        for act in STAGES.get(usize::from(self.stage)).copied().unwrap_or_default() {
            act.happen(&mut world);
        }
        world
    }
}

impl<'a> Arbitrary<'a> for Story {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let (opening, is_ended) = Opening::from_bytes(<[u8; 3]>::arbitrary(bytes)?);
        let mut acts = Vec::with_capacity(bytes.len() / 2);
        while acts.len() < ACTS_MAX && bytes.len() >= 2 {
            acts.push(Act::from_bytes(<[u8; 2]>::arbitrary(bytes)?));
        }
        Ok(Self {
            opening,
            acts,
            is_ended,
        })
    }
}

impl Story {
    /// The bytes that are read as this story.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.opening.to_bytes(self.is_ended).to_vec();
        bytes.extend(self.acts.iter().flat_map(|act| act.to_bytes()));
        bytes
    }

    /// Plays it.
    ///
    /// # Panics
    /// If anything is not as it must be: a finding.
    #[must_use]
    pub fn play(&self) -> World {
        let mut world = BEGUN.with_borrow_mut(|begun| {
            let opening = self.opening;
            begun.entry(opening).or_insert_with(|| opening.world()).clone()
        });
        for act in &self.acts {
            act.happen(&mut world);
        }
        if self.is_ended {
            world.end();
        }
        world.check_record();
        world
    }
}

thread_local! {
    static BEGUN: RefCell<BTreeMap<Opening, World>> = const { RefCell::new(BTreeMap::new()) };
}

/// Makes every beginning, so that no execution pays for it.
pub fn prepare() {
    for kind in 0..7 {
        for flags in 0..24_u8 {
            for stage in 0..STAGES.len() as u8 {
                let opening = Opening {
                    kind,
                    token: flags % 3,
                    automatic: flags & 4 != 0,
                    lags: flags & 8 != 0,
                    patient: flags & 16 != 0,
                    stage,
                };
                BEGUN.with_borrow_mut(|begun| {
                    begun.entry(opening).or_insert_with(|| opening.world()).version()
                });
            }
        }
    }
}

/// One execution.
///
/// # Panics
/// On a finding.
pub fn run(bytes: &[u8]) {
    if let Ok(story) = Story::arbitrary(&mut Unstructured::new(bytes)) {
        let _ = story.play();
    }
}
