//! Numbers as Go's `strconv` reads and writes them.

use super::error::{Fault, excerpt};

/// Reads a number. Taken are decimals, exponents, `Inf`, `Infinity` and, without a sign, `NaN`, in any case; refused is what
/// has no room in a number of 64 bits.
pub(super) fn read(text: &str) -> Result<f64, Fault> {
    if let Some(value) = small_integer(text.as_bytes()) {
        return Ok(value);
    }
    let value: f64 = text.parse().map_err(|_| Fault::Number(excerpt(text)))?;
    let fits = if value.is_nan() {
        !text.starts_with(['+', '-'])
    } else {
        !value.is_infinite() || !text.bytes().any(|byte| byte.is_ascii_digit())
    };
    if fits {
        Ok(if value.is_nan() { zv_model::NORMAL_NAN } else { value })
    } else {
        Err(Fault::Number(excerpt(text)))
    }
}

/// Reads digits alone: most numbers are of this kind.
fn small_integer(text: &[u8]) -> Option<f64> {
    // So many digits are exact.
    if text.is_empty() || text.len() > 15 {
        return None;
    }
    let mut value = 0_u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value as f64)
}

/// Reads seconds into milliseconds, the nearest.
pub(super) fn read_seconds(text: &str) -> Result<i64, Fault> {
    match read(text) {
        Ok(seconds) if seconds.is_finite() => Ok((seconds * 1000.0).round() as i64),
        _ => Err(Fault::Time(excerpt(text))),
    }
}

/// Writes a number as OpenMetrics' canonical form of `le` and `quantile`: Go's shortest form, with a point or an exponent.
pub(crate) fn go_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    // Go's `%g` decides as if six digits had been asked for.
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
    let mut out = format!("{value}");
    if !out.contains('.') {
        out.push_str(".0");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_does() {
        for (text, expected) in [
            ("0", 0.0),
            ("0000000000000000000000000000001.2e-1", 0.12),
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
            ("123456789012345", 123_456_789_012_345.0),
            ("-1", -1.0),
            ("+1", 1.0),
            (".5", 0.5),
            ("1.", 1.0),
            ("1E5", 1e5),
            ("1e-400", 0.0),
            ("iNf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        assert_eq!(read("nAn").map(f64::to_bits), Ok(0x7ff8_0000_0000_0001));
        for text in [
            "", ".", "+", "1e", "1e400", "-1e400", "+NaN", "-nan", "1_0", "0x10", "0x1p-2", "1\r", "infi",
            "١",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bounds_are_written_as_prometheus_does() {
        for (value, expected) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-1.0, "-1.0"),
            (0.5, "0.5"),
            (100_000.0, "100000.0"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (2.5e-7, "2.5e-07"),
            (1e300, "1e+300"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(go_float(value), expected);
        }
    }
}
