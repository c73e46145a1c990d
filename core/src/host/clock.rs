//! The clock of a process: what time it is, from a wall clock that anybody may set and a monotonic clock that nobody sets
//! (`docs/rules.md`, rules 6 and 11).
//!
//! The times in a journal are compared with each other, with those of other processes and with a PSP's. A wall clock that is set by an
//! hour would make a request of a moment ago an hour old, and its absence would be believed while the request is under way. So the
//! host reads both clocks at every step. While they agree within the declared skew, the time is the wall clock's. When they disagree,
//! the time goes on by the monotonic clock, and the clock is *in doubt*: no read or look-up that is asked for then proves absence. The
//! `Date` of a PSP's answer ends the doubt, if it agrees with one of the two.
//!
//! | what happened | the `Date` agrees with | so the times before were | and from then on |
//! |---|---|---|---|
//! | the wall clock was right, and was set wrong | the time that went on | right | the time goes on; how far the wall clock is off is remembered, and it is right by that |
//! | the wall clock was wrong, and was set right | the wall clock | wrong | the wall clock is adopted. What was dispatched may be younger than its entry says: nothing is proven absent until all of it has landed and is listed, counted from the adoption. Objects are looked for in a window that is wider by the difference |
//! | the machine stood still and its monotonic clock did not count it, then the wall clock was set right | the wall clock | wrong since then | as above |
//! | both are wrong, or the PSP's clock is | neither | unknown | the doubt stays |
//! | the answer was so slow that its `Date` may be of either time | both, which are apart | unknown | the doubt stays until another answer |
//! | nothing can be told: answers have no `Date` | | unknown | the doubt stays until the process is started again |
//!
//! A wall clock that is set back to where it was agrees again, and the doubt stays all the same until a `Date` ends it.
//!
//! The two are compared over a minute at least. The time that is compared with follows the wall clock by one part in a thousand at most:
//! a clock that is slewed never adds up to a step, and many small steps in a row do. A process that has just started has no history: its wall clock is taken for right. A look that it asks for counts only if the
//! `Date` of its answer does not contradict it (`machine/look.rs`).

use std::collections::VecDeque;

use crate::base::clock::{Now, Reading, Trust};
use crate::base::config::{Config, Psp};
use crate::base::http_date::GRANULARITY_MS;
use crate::base::time::{Millis, UnixMillis};
use crate::psp::call::CallResult;

/// Over how long the two clocks are compared, in milliseconds. A clock that is slewed by 500 ppm is off by 30 ms after it.
const COMPARED_OVER_MS: Millis = Millis::new(60_000);
/// How fast a clock may be slewed: one part in so many. NTP clients slew by 500 ppm at most.
const DRIFT_PARTS: u32 = 1_000;
/// How far the clocks of a deployment without PSPs may disagree, in milliseconds.
const SKEW_MS: Millis = Millis::new(1_000);

/// What became of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClockNote {
    /// The wall clock was set, so far from the time that went on: the clock is in doubt.
    Stepped {
        /// How far, in milliseconds.
        by_ms: Millis,
        /// Whether it was set forward.
        is_ahead: bool,
    },
    /// A PSP's `Date` agrees with the time that went on: the wall clock is wrong.
    Kept,
    /// A PSP's `Date` agrees with the wall clock: the time before was wrong.
    Adopted,
}

impl ClockNote {
    /// The line for the log.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Stepped { by_ms, is_ahead } => format!(
                "the wall clock was set {} by {} ms; nothing is proven absent until the Date of a PSP's answer tells the time",
                if *is_ahead { "forward" } else { "back" },
                by_ms.get()
            ),
            Self::Kept => {
                "the Date of a PSP's answer agrees with the time before the wall clock was set; the wall clock is wrong"
                    .to_owned()
            }
            Self::Adopted => {
                "the Date of a PSP's answer agrees with the wall clock; the time before it was set was wrong".to_owned()
            }
        }
    }
}

/// The clock of one process. It is not durable, and each process has its own.
#[derive(Clone, Debug)]
pub struct Clock {
    /// How far the clocks may disagree.
    skew_ms: Millis,
    /// A moment at which the time was known.
    anchor: Option<Anchor>,
    wall: Wall,
    is_in_doubt: bool,
    /// When the wall clock was last adopted, on the monotonic clock, and how far the times before may be off.
    adopted: Option<(Millis, Millis)>,
    notes: VecDeque<ClockNote>,
}

/// A moment on the monotonic clock, and the time then.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    since_boot_ms: Millis,
    at_ms: UnixMillis,
}

/// How far the wall clock is known to be off.
#[derive(Clone, Copy, Debug)]
enum Wall {
    AheadBy(Millis),
    BehindBy(Millis),
}

impl Wall {
    const RIGHT: Self = Self::AheadBy(Millis::ZERO);

    /// How far it is off if it shows `wall_ms` at `at_ms`.
    fn off(wall_ms: UnixMillis, at_ms: UnixMillis) -> Self {
        if wall_ms >= at_ms {
            Self::AheadBy(wall_ms - at_ms)
        } else {
            Self::BehindBy(at_ms - wall_ms)
        }
    }

    /// The time when it shows `wall_ms`.
    fn at(self, wall_ms: UnixMillis) -> UnixMillis {
        match self {
            Self::AheadBy(off_ms) => wall_ms - off_ms,
            Self::BehindBy(off_ms) => wall_ms + off_ms,
        }
    }
}

impl Clock {
    /// The clock of a process that has just started.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            skew_ms: least_skew_ms(config),
            anchor: None,
            wall: Wall::RIGHT,
            is_in_doubt: false,
            adopted: None,
            notes: VecDeque::new(),
        }
    }

    /// Another configuration is in force.
    pub fn reconfigured(&mut self, config: &Config) {
        self.skew_ms = least_skew_ms(config);
    }

    /// The time at this moment.
    pub fn now(&mut self, reading: Reading) -> Now {
        let Reading {
            wall_ms,
            since_boot_ms,
        } = reading;
        let Some(since_boot_ms) = since_boot_ms else {
            return wall_ms.into();
        };
        let anchor = self.anchor.unwrap_or(Anchor {
            since_boot_ms,
            at_ms: self.wall.at(wall_ms),
        });
        self.anchor = Some(anchor);
        let passed_ms = since_boot_ms - anchor.since_boot_ms;
        let continued_ms = anchor.at_ms + passed_ms;
        let agrees = |wall: Wall| wall.at(wall_ms).abs_diff(continued_ms) <= self.skew_ms;
        // It may have been known to be off, and have been set right.
        let wall = [self.wall, Wall::RIGHT].into_iter().find(|wall| agrees(*wall));
        let at_ms = match wall {
            Some(wall) if !self.is_in_doubt => {
                self.wall = wall;
                let at_ms = wall.at(wall_ms);
                if passed_ms >= COMPARED_OVER_MS {
                    // The anchor follows a clock that is slewed, and no step: steps that are small add up to a large one.
                    let most_ms = passed_ms / DRIFT_PARTS;
                    let at_ms = at_ms.clamp(continued_ms - most_ms, continued_ms + most_ms);
                    self.anchor = Some(Anchor { since_boot_ms, at_ms });
                }
                at_ms
            }
            Some(_) => continued_ms,
            None => {
                if !self.is_in_doubt {
                    let told_ms = self.wall.at(wall_ms);
                    self.notes.push_back(ClockNote::Stepped {
                        by_ms: told_ms.abs_diff(continued_ms),
                        is_ahead: told_ms > continued_ms,
                    });
                }
                self.is_in_doubt = true;
                continued_ms
            }
        };
        Now {
            at_ms,
            trust: self.trust(reading, since_boot_ms),
        }
    }

    fn trust(&self, reading: Reading, since_boot_ms: Millis) -> Trust {
        let sure_for_ms = match self.adopted {
            _ if self.is_in_doubt => Millis::ZERO,
            Some((adopted_ms, _)) => since_boot_ms - adopted_ms,
            None => Millis::MAX,
        };
        Trust {
            reading,
            sure_for_ms,
            corrected_ms: self.adopted.map_or(Millis::ZERO, |(_, off_ms)| off_ms),
        }
    }

    /// What came of a call to a PSP that left at `sent` and ended at `ended`. A `Date` may end a doubt.
    pub fn answered(&mut self, psp: &Psp, result: &CallResult, sent: Reading, ended: Reading) {
        let now = self.now(ended);
        let (Some(date_ms), Some(sent_ms), Some(ended_ms), true) = (
            result.date_ms(),
            sent.since_boot_ms,
            ended.since_boot_ms,
            self.is_in_doubt,
        ) else {
            return;
        };
        let skew_ms = psp.timing.max_clock_skew_ms;
        let took_ms = ended_ms - sent_ms;
        // The PSP wrote it at some time between the two.
        let agrees = |at_ms: UnixMillis| {
            date_ms + GRANULARITY_MS + skew_ms + took_ms >= at_ms && date_ms <= at_ms + skew_ms
        };
        // A slow answer may agree with two times that are apart. The next one tells.
        let is_between = agrees(now.at_ms) && agrees(ended.wall_ms);
        if is_between && now.at_ms.abs_diff(ended.wall_ms) > skew_ms {
            return;
        }
        if agrees(now.at_ms) {
            self.wall = Wall::off(ended.wall_ms, now.at_ms);
            self.notes.push_back(ClockNote::Kept);
        } else if agrees(ended.wall_ms) {
            let off_ms = ended.wall_ms.abs_diff(now.at_ms);
            let before_ms = self.adopted.map_or(Millis::ZERO, |(_, off_ms)| off_ms);
            self.wall = Wall::RIGHT;
            self.adopted = Some((ended_ms, before_ms + off_ms));
            self.anchor = Some(Anchor {
                since_boot_ms: ended_ms,
                at_ms: ended.wall_ms,
            });
            self.notes.push_back(ClockNote::Adopted);
        } else {
            return;
        }
        self.is_in_doubt = false;
    }

    /// Whether it is in doubt: nothing that is asked for proves absence.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.is_in_doubt
    }

    /// What operators are to be told of it, each once.
    pub fn take_note(&mut self) -> Option<ClockNote> {
        self.notes.pop_front()
    }
}

/// The least of the declared skews: what is within it is within all of them.
fn least_skew_ms(config: &Config) -> Millis {
    let skews = config.psps.values().map(|psp| psp.timing.max_clock_skew_ms);
    skews.min().unwrap_or(SKEW_MS)
}
