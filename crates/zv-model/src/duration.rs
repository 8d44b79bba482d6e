//! Durations as Prometheus writes them: `1h30m`, `15s`, `250ms`, `1d`, `2w`, `1y`.

/// The units from the longest on, in milliseconds. A year has 365 days.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("a duration is missing: write it like `1h30m`")]
    Empty,
    #[error("`{0}` is no duration: write it like `1h30m`, `15s` or `250ms`")]
    Form(String),
    #[error("`{0}` is too long a duration")]
    TooLong(String),
}

/// Parses a duration into milliseconds. Units come from the longest to the shortest, each once; `0` needs none.
pub fn parse(text: &str) -> Result<i64, DurationError> {
    let form = || DurationError::Form(text.chars().take(40).collect());
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(0),
        _ => {}
    }
    let (mut rest, mut next_unit, mut sum) = (text, 0, 0_i64);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_lowercase()).len();
        let (unit, after) = after.split_at(letters);
        let at = UNITS[next_unit..].iter().position(|(name, _)| *name == unit).ok_or_else(form)?;
        if number.is_empty() {
            return Err(form());
        }
        let too_long = || DurationError::TooLong(text.chars().take(40).collect());
        let number: i64 = number.parse().map_err(|_| too_long())?;
        let part = number.checked_mul(UNITS[next_unit + at].1).ok_or_else(too_long)?;
        // Longer ones do not fit into Go's nanoseconds, and no peer could read them.
        sum = sum.checked_add(part).filter(|sum| *sum <= i64::MAX / 1_000_000).ok_or_else(too_long)?;
        next_unit += at + 1;
        rest = after;
    }
    Ok(sum)
}

/// Writes milliseconds as Prometheus does: weeks and years only where nothing is left over.
pub fn format(millis: i64) -> String {
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    let mut rest = millis.unsigned_abs();
    if millis < 0 {
        out.push('-');
    }
    for (name, length) in UNITS {
        let length = length.unsigned_abs();
        let only_whole = matches!(name, "y" | "w" | "d");
        if only_whole && name != "d" && !rest.is_multiple_of(length) {
            continue;
        }
        if rest >= length {
            out.push_str(&format!("{}{name}", rest / length));
            rest %= length;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis, written) in [
            ("0", 0, "0s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("90m", 5_400_000, "1h30m"),
            ("250ms", 250, "250ms"),
            ("1d12h", 129_600_000, "1d12h"),
            ("7d", 604_800_000, "1w"),
            ("8d", 691_200_000, "8d"),
            ("1y2w3d4h5m6s7ms", 33_019_506_007, "382d4h5m6s7ms"),
        ] {
            assert_eq!(parse(text), Ok(millis), "{text}");
            assert_eq!(format(millis), written);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", "5", "m", "1m1h", "1m1m", "1.5h", "-1m", "1 m", "1M", "300y", "99999999999999999999s"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(millis in 0..i64::MAX / 1_000_000) {
            prop_assert_eq!(parse(&format(millis)), Ok(millis));
        }
    }
}
