//! Time is an argument. A point in time and a duration are types of their own, so that neither is taken for the other, nor for
//! a count or an amount.

use std::ops::{Add, Div, Sub};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since the Unix epoch. Stored and sent as that number.
///
/// Arithmetic saturates: a point before the epoch is the epoch, a point beyond the largest number is [`UnixMillis::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(u64);

/// A duration in milliseconds. Stored and sent as that number. Arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(u64);

impl UnixMillis {
    /// The Unix epoch: before anything that a clock shows.
    pub const EPOCH: Self = Self(0);
    /// The last point in time: what is due then is never due.
    pub const MAX: Self = Self(u64::MAX);

    /// The point that is so many milliseconds after the Unix epoch.
    #[must_use]
    pub const fn new(ms: u64) -> Self {
        Self(ms)
    }

    /// The point that is so many seconds after the Unix epoch, as PSPs count. `None`: there is no such point.
    #[must_use]
    pub fn from_seconds(seconds: u64) -> Option<Self> {
        seconds.checked_mul(1000).map(Self)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// How far the two are apart, whichever is later.
    #[must_use]
    pub const fn abs_diff(self, other: Self) -> Millis {
        Millis(self.0.abs_diff(other.0))
    }
}

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest duration.
    pub const MAX: Self = Self(u64::MAX);

    /// So many milliseconds.
    #[must_use]
    pub const fn new(ms: u64) -> Self {
        Self(ms)
    }

    /// So many seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// The number of milliseconds.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The whole seconds that it takes up, the last one perhaps in part.
    #[must_use]
    pub const fn seconds_rounded_up(self) -> u64 {
        self.0.div_ceil(1000)
    }

    /// It, doubled so many times.
    #[must_use]
    pub fn doubled(self, times: u32) -> Self {
        Self(
            self.0
                .saturating_mul(1_u64.checked_shl(times).unwrap_or(u64::MAX)),
        )
    }
}

impl From<Millis> for std::time::Duration {
    fn from(duration: Millis) -> Self {
        Self::from_millis(duration.0)
    }
}

impl Add<Millis> for UnixMillis {
    type Output = Self;
    fn add(self, duration: Millis) -> Self {
        Self(self.0.saturating_add(duration.0))
    }
}

impl Sub<Millis> for UnixMillis {
    type Output = Self;
    fn sub(self, duration: Millis) -> Self {
        Self(self.0.saturating_sub(duration.0))
    }
}

/// From `earlier` on; nothing if it is later.
impl Sub for UnixMillis {
    type Output = Millis;
    fn sub(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Millis {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Millis {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// One of so many equal parts, rounded down. Of no part it is whole.
impl Div<u32> for Millis {
    type Output = Self;
    fn div(self, parts: u32) -> Self {
        Self(self.0 / u64::from(parts.max(1)))
    }
}

/// RFC 3339 to the second, as in the contract's first examples (`2025-11-26T12:34:56Z`).
#[must_use]
pub fn rfc3339_s(at: UnixMillis) -> String {
    format!("{:.0}", timestamp(UnixMillis(at.0 - at.0 % 1000)))
}

/// RFC 3339 with milliseconds, for the timeline.
#[must_use]
pub fn rfc3339_ms(at: UnixMillis) -> String {
    format!("{:.3}", timestamp(at))
}

fn timestamp(at: UnixMillis) -> Timestamp {
    // A clock beyond the year 9999 is shown as the last moment that can be written.
    i64::try_from(at.0)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_seed_writes_them() {
        let at = UnixMillis::new(1_764_160_496_789);
        assert_eq!(rfc3339_s(at), "2025-11-26T12:34:56Z");
        assert_eq!(rfc3339_ms(at), "2025-11-26T12:34:56.789Z");
        assert_eq!(rfc3339_ms(at - Millis::new(789)), "2025-11-26T12:34:56.000Z");
        assert_eq!(
            rfc3339_ms(UnixMillis::MAX),
            rfc3339_ms(UnixMillis::MAX - Millis::new(1))
        );
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let (one, two) = (UnixMillis::new(1), UnixMillis::new(2));
        assert_eq!(two - one, Millis::new(1));
        assert_eq!(one - two, Millis::ZERO);
        assert_eq!(one - Millis::new(2), UnixMillis::EPOCH);
        assert_eq!(UnixMillis::MAX + Millis::new(1), UnixMillis::MAX);
        assert_eq!(Millis::MAX + Millis::new(1), Millis::MAX);
        assert_eq!(Millis::new(1) - Millis::new(2), Millis::ZERO);
        assert_eq!(Millis::from_seconds(u64::MAX), Millis::MAX);
        assert_eq!(UnixMillis::from_seconds(u64::MAX), None);
        assert_eq!(
            (one.abs_diff(two), two.abs_diff(one)),
            (Millis::new(1), Millis::new(1))
        );
    }

    #[test]
    fn a_pause_doubles_and_is_divided_within_bounds() {
        assert_eq!(Millis::new(500).doubled(0), Millis::new(500));
        assert_eq!(Millis::new(500).doubled(3), Millis::new(4_000));
        for times in [62, 63, 64, u32::MAX] {
            assert_eq!(Millis::new(500).doubled(times), Millis::MAX, "{times}");
        }
        assert_eq!(Millis::new(7) / 2, Millis::new(3));
        assert_eq!(Millis::new(7) / 0, Millis::new(7));
        assert_eq!(Millis::new(1_001).seconds_rounded_up(), 2);
    }

    #[test]
    fn times_are_stored_and_read_as_their_numbers() {
        let number = 1_764_160_496_789_u64;
        let bytes = postcard::to_stdvec(&number).unwrap();
        assert_eq!(postcard::to_stdvec(&UnixMillis::new(number)).unwrap(), bytes);
        assert_eq!(postcard::to_stdvec(&Millis::new(number)).unwrap(), bytes);
        assert_eq!(serde_json::to_string(&UnixMillis::new(5)).unwrap(), "5");
        assert_eq!(serde_json::from_str::<Millis>("5").unwrap(), Millis::new(5));
        assert!(serde_json::from_str::<Millis>("-5").is_err());
    }
}
