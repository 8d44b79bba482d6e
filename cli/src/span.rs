//! Spans of time and points in time, as people type and read them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// Parses `10m`, `1h30m`, `2d`, `500ms`. A number needs its unit, and the units go from the largest to the smallest.
pub fn parse(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a span of time: write it like `30s`, `10m`, `1h30m` or `2d`");
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut smallest = u64::MAX;
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        let after = &rest[digits..];
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let unit = UNITS.iter().find(|(name, _)| *name == &after[..unit_end]).ok_or_else(bad)?.1;
        if unit >= smallest {
            return Err(bad());
        }
        smallest = unit;
        total = number.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(bad)?;
        rest = &after[unit_end..];
    }
    Ok(Duration::from_millis(total))
}

/// Parses a span of time that must not be nothing.
pub fn positive(text: &str) -> Result<Duration, String> {
    parse(text).and_then(|time| {
        if time.is_zero() { Err("it takes some time: write `10s`, for example".to_owned()) } else { Ok(time) }
    })
}

/// A point in time as it is typed: an age, or the moment itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Ago(Duration),
    At(DateTime<Utc>),
}

impl Moment {
    /// Returns the moment, seen from `now`.
    pub fn resolve(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Moment::At(at) => at,
            Moment::Ago(age) => TimeDelta::from_std(age)
                .ok()
                .and_then(|age| now.checked_sub_signed(age))
                .unwrap_or(DateTime::<Utc>::UNIX_EPOCH),
        }
    }
}

/// Parses an age (`10m`) or an RFC 3339 time (`2026-03-01T09:30:00Z`, the time of day may be left out).
pub fn parse_moment(text: &str) -> Result<Moment, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Moment::At(at.with_timezone(&Utc)));
    }
    if let Ok(day) = text.parse::<chrono::NaiveDate>() {
        return Ok(Moment::At(day.and_time(chrono::NaiveTime::MIN).and_utc()));
    }
    parse(text).map(Moment::Ago).map_err(|_| {
        format!(
            "`{text}` is not a time: write an age like `10m` or `2h`, or a time like `2026-03-01T09:30:00Z`"
        )
    })
}

/// Writes a span in its two largest units: `45s`, `2m`, `3h 20m`, `5d 4h`.
pub fn short(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        // Seconds are noise once there are minutes, but for the first few.
        (0, 0, minutes) if minutes < 5 && seconds % 60 != 0 => format!("{minutes}m {}s", seconds % 60),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, 0) => format!("{hours}h"),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, 0, _) => format!("{days}d"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// Writes a span in its largest unit alone, for tables: `45s`, `2m`, `3h`, `5d`.
pub fn brief(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, seconds) in
            [("10m", 600), ("1h30m", 5_400), ("2d", 172_800), ("90s", 90), ("1w", 604_800), ("0", 0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("1s500ms"), Ok(Duration::from_millis(1_500)));
    }

    #[test]
    fn what_is_no_span_is_refused_with_an_example() {
        for text in [
            "",
            "10",
            "m",
            "10x",
            "-5m",
            "5m1h",
            "1m1m",
            "1.5h",
            "99999999999999999999w",
            "9999999999999999w",
        ] {
            let refused = parse(text).expect_err(text);
            assert!(refused.contains("`1h30m`"), "{refused}");
        }
    }

    #[test]
    fn a_moment_is_an_age_or_a_time() {
        let now: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("10m", "2026-03-01T11:50:00Z"),
            ("2026-03-01T09:30:00+01:00", "2026-03-01T08:30:00Z"),
            ("2026-02-28", "2026-02-28T00:00:00Z"),
            ("20000w", "1970-01-01T00:00:00Z"),
        ] {
            let resolved = parse_moment(text).unwrap().resolve(now).max(DateTime::UNIX_EPOCH);
            assert_eq!(resolved, expected.parse::<DateTime<Utc>>().unwrap(), "{text}");
        }
        assert!(parse_moment("yesterday").unwrap_err().contains("`10m`"));
    }

    #[test]
    fn spans_are_written_in_at_most_two_units() {
        for (seconds, long, table) in [
            (-5, "0s", "0s"),
            (45, "45s", "45s"),
            (62, "1m 2s", "1m"),
            (620, "10m", "10m"),
            (12_000, "3h 20m", "3h"),
            (446_400, "5d 4h", "5d"),
        ] {
            assert_eq!(short(TimeDelta::seconds(seconds)), long);
            assert_eq!(brief(TimeDelta::seconds(seconds)), table);
        }
    }
}
