//! Times in the words of RFC 3339.

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// `2026-11-29T06:54:53.123Z` for milliseconds since the Unix epoch.
pub(crate) fn of(at_ms: u64) -> String {
    let (days, in_day_ms) = (at_ms / DAY_MS, at_ms % DAY_MS);
    let (year, month, day) = date(days);
    let in_day_s = in_day_ms / 1000;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        in_day_s / 3600,
        in_day_s / 60 % 60,
        in_day_s % 60,
        in_day_ms % 1000
    )
}

/// The Gregorian date that many days after 1970-01-01. Years are counted from March, so that the leap day ends one.
fn date(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01.
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn times_are_written_as_date_does() {
        // From `date -u -d @<seconds> +%FT%TZ`.
        for (at_s, written) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_700_000_000, "2023-11-14T22:13:20.007Z"),
            (1_709_251_199, "2024-02-29T23:59:59.007Z"),
            (1_709_251_200, "2024-03-01T00:00:00.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(of(at_s * 1000 + 7), written);
        }
    }
}
