//! The `Date` of an answer (RFC 9110, §5.6.7): the one clock of a PSP that every answer shows.

use super::time::{Millis, UnixMillis};

/// How far a `Date` may be before the moment that it names: it is cut to whole seconds.
pub const GRANULARITY_MS: Millis = Millis::new(1_000);

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Reads an IMF-fixdate, such as `Sun, 06 Nov 1994 08:49:37 GMT`. The name of the day is not compared with the date. `None`: it is
/// no such date, or one before 1970; that is worth as much as no `Date`.
#[must_use]
pub fn read(text: &str) -> Option<UnixMillis> {
    let bytes: &[u8; 29] = text.as_bytes().try_into().ok()?;
    let [_, _, _, b',', b' ', rest @ ..] = bytes else {
        return None;
    };
    let [d0, d1, b' ', m0, m1, m2, b' ', y0, y1, y2, y3, b' ', time @ ..] = rest else {
        return None;
    };
    let [h0, h1, b':', n0, n1, b':', s0, s1, b' ', b'G', b'M', b'T'] = time else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == [*m0, *m1, *m2])?;
    let month = i8::try_from(month).ok()? + 1;
    let year = i16::try_from(number(&[*y0, *y1, *y2, *y3])?).ok()?;
    let small = |digits: [u8; 2]| i8::try_from(number(&digits)?).ok();
    // A leap second is the last second of its minute.
    let second = small([*s0, *s1]).filter(|second| *second <= 60)?.min(59);
    let civil = jiff::civil::DateTime::new(
        year,
        month,
        small([*d0, *d1])?,
        small([*h0, *h1])?,
        small([*n0, *n1])?,
        second,
        0,
    );
    let at = jiff::tz::Offset::UTC.to_timestamp(civil.ok()?).ok()?;
    UnixMillis::from_seconds(u64::try_from(at.as_second()).ok()?)
}

fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Writes one, cut to the second: for the simulator, which is the PSP.
#[must_use]
pub fn write(at: UnixMillis) -> String {
    let timestamp = i64::try_from(at.get() / 1_000).ok();
    let timestamp = timestamp.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let civil = jiff::tz::Offset::UTC.to_datetime(timestamp.unwrap_or(jiff::Timestamp::MAX));
    let weekday = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        .get(usize::try_from(civil.date().weekday().to_monday_zero_offset()).unwrap_or_default())
        .copied()
        .unwrap_or_default();
    let month = usize::try_from(civil.month() - 1)
        .ok()
        .and_then(|month| MONTHS.get(month));
    let month = String::from_utf8_lossy(month.copied().unwrap_or_default());
    format!(
        "{weekday}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT",
        civil.day(),
        civil.year(),
        civil.hour(),
        civil.minute(),
        civil.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_as_it_is_written() {
        // The example of RFC 9110.
        assert_eq!(
            read("Sun, 06 Nov 1994 08:49:37 GMT"),
            UnixMillis::from_seconds(784_111_777)
        );
        for seconds in [0, 951_782_400, 1_764_160_496, 4_102_444_799] {
            let at = UnixMillis::from_seconds(seconds).unwrap();
            assert_eq!(read(&write(at + Millis::new(999))), Some(at), "{}", write(at));
        }
        assert_eq!(
            read("Sat, 31 Dec 2016 23:59:60 GMT"),
            UnixMillis::from_seconds(1_483_228_799)
        );
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 6 Nov 1994 08:49:37 GMT ",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:+9:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 199\u{e9} 08:49:37 GM",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
