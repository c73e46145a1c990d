//! Time is an argument: milliseconds since the Unix epoch. This module only writes it down.

use jiff::Timestamp;

/// RFC 3339 to the second, as in the contract's first examples (`2025-11-26T12:34:56Z`).
#[must_use]
pub fn rfc3339_s(at_ms: u64) -> String {
    format!("{:.0}", timestamp(at_ms - at_ms % 1000))
}

/// RFC 3339 with milliseconds, for the timeline.
#[must_use]
pub fn rfc3339_ms(at_ms: u64) -> String {
    format!("{:.3}", timestamp(at_ms))
}

fn timestamp(at_ms: u64) -> Timestamp {
    // A clock beyond the year 9999 is shown as the last moment that can be written.
    i64::try_from(at_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_seed_writes_them() {
        assert_eq!(rfc3339_s(1_764_160_496_789), "2025-11-26T12:34:56Z");
        assert_eq!(rfc3339_ms(1_764_160_496_789), "2025-11-26T12:34:56.789Z");
        assert_eq!(rfc3339_ms(1_764_160_496_000), "2025-11-26T12:34:56.000Z");
        assert_eq!(rfc3339_ms(u64::MAX), rfc3339_ms(u64::MAX - 1));
    }
}
