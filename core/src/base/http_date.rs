//! The `Date` of an answer (RFC 9110, §5.6.7): the one clock of a PSP that every answer shows.

use jiff::fmt::rfc2822::DateTimeParser;

use super::time::{Millis, UnixMillis};

/// How far a `Date` may be before the moment that it names: it is cut to whole seconds.
pub const GRANULARITY_MS: Millis = Millis::new(1_000);

/// Reads one, such as `Sun, 06 Nov 1994 08:49:37 GMT`. What HTTP writes is a date of RFC 2822. `None`: it is no such date, or one
/// before 1970; that is worth as much as no `Date`.
#[must_use]
pub fn read(text: &str) -> Option<UnixMillis> {
    let at = DateTimeParser::new().parse_timestamp(text).ok()?;
    UnixMillis::from_seconds(u64::try_from(at.as_second()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read() {
        for (text, seconds) in [
            // The example of RFC 9110.
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Mon, 28 Feb 2000 23:59:59 GMT", 951_782_399),
            // A leap second is the last second of its minute.
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_799),
        ] {
            assert_eq!(read(text), UnixMillis::from_seconds(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:+9:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Nov 199\u{e9} 08:49:37 GM",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
