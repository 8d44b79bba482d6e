//! Numbers and durations: what Go's library accepts, and where one may stand for the other.

use zv_model::duration::{self, DurationError};

use super::Parser;
use super::lexer::Kind;
use crate::ast::{BinaryOp, Number};
use crate::error::ParseError;
use crate::quote::quote;
use crate::span::Span;

/// The seconds that fit into Go's durations.
const LONGEST_SECONDS: f64 = 9_223_372_036.854_775;

impl Parser<'_> {
    /// Reads a number or a duration without a sign.
    pub(super) fn number(&mut self) -> Result<Number, ParseError> {
        let token = self.take();
        let text = self.slice(token.span);
        let is_duration = token.kind == Kind::Duration;
        let read = if is_duration {
            // Durations are shorter than 2^53 milliseconds.
            parse_duration(text).map(|millis| millis as f64 / 1000.0)
        } else {
            parse_number(text)
        };
        let value = read.map_err(|message| self.error(token.span, message))?;
        Ok(Number { value, is_duration, span: token.span })
    }

    /// Reads a time after `@`, in milliseconds.
    pub(super) fn timestamp(&mut self, of: Span) -> Result<i64, ParseError> {
        let is_minus = self.kind() == Kind::Op(BinaryOp::Sub);
        if is_minus || self.kind() == Kind::Op(BinaryOp::Add) {
            self.take();
        }
        if !matches!(self.kind(), Kind::Number | Kind::Duration) {
            return Err(self.unexpected("@", "timestamp"));
        }
        let number = self.number()?.value;
        let seconds = if is_minus { -number } else { number };
        // 2^63, as Prometheus compares.
        if !seconds.is_finite() || seconds.abs() >= 9_223_372_036_854_775_807.0 {
            let written = go_fixed(seconds);
            return Err(self.error(of, format!("timestamp out of bounds for @ modifier: {written}")));
        }
        // Halves are rounded away from zero on both sides; what is too large stays at the limit.
        Ok((seconds * 1000.0).round() as i64)
    }

    /// Reads an offset, in milliseconds.
    pub(super) fn offset(&mut self) -> Result<i64, ParseError> {
        let start = self.token().span;
        let is_minus = self.kind() == Kind::Op(BinaryOp::Sub);
        if is_minus || self.kind() == Kind::Op(BinaryOp::Add) {
            self.take();
        }
        match self.kind() {
            Kind::Number | Kind::Duration => {}
            Kind::LeftParen => return Err(self.error(start, NO_ARITHMETIC)),
            _ => return Err(self.unexpected("offset", "number or duration")),
        }
        let number = self.number()?;
        let seconds = if is_minus { -number.value } else { number.value };
        self.millis(seconds, start.to(number.span))
    }

    /// Reads the length of a range or the step of a subquery, in milliseconds.
    pub(super) fn length(&mut self) -> Result<i64, ParseError> {
        let start = self.token().span;
        let is_minus = self.kind() == Kind::Op(BinaryOp::Sub);
        if is_minus || self.kind() == Kind::Op(BinaryOp::Add) {
            self.take();
        }
        match self.kind() {
            Kind::Number | Kind::Duration => {}
            Kind::LeftParen => return Err(self.error(start, NO_ARITHMETIC)),
            _ => return Err(self.unexpected("subquery selector", "number or duration")),
        }
        let number = self.number()?;
        let span = start.to(number.span);
        if matches!(self.kind(), Kind::Op(_)) {
            return Err(self.error(span, NO_ARITHMETIC));
        }
        let seconds = if is_minus { -number.value } else { number.value };
        if seconds <= 0.0 || seconds.is_nan() {
            return Err(self.error(span, "duration must be greater than 0"));
        }
        self.millis(seconds, span)
    }

    fn millis(&self, seconds: f64, span: Span) -> Result<i64, ParseError> {
        if seconds.is_nan() || seconds.abs() > LONGEST_SECONDS {
            return Err(self.error(span, "duration out of range"));
        }
        // As Prometheus: to nanoseconds, then down to milliseconds. Nanoseconds fit, as was just looked at.
        Ok((seconds * 1e9).round() as i64 / 1_000_000)
    }
}

const NO_ARITHMETIC: &str = "experimental duration expression is not enabled";

fn parse_duration(text: &str) -> Result<i64, String> {
    duration::parse(text).map_err(|error| match error {
        DurationError::Empty => "empty duration string".to_owned(),
        DurationError::Form(_) => match unknown_unit(text) {
            Some(unit) => format!("unknown unit {} in duration {}", quote(unit), quote(text)),
            None => format!("not a valid duration string: {}", quote(text)),
        },
        DurationError::TooLong(_) => "duration out of range".to_owned(),
    })
}

/// Returns the first unit that is none, where nothing before it is wrong.
fn unknown_unit(text: &str) -> Option<&str> {
    const UNITS: [&str; 7] = ["y", "w", "d", "h", "m", "s", "ms"];
    let (mut rest, mut last) = (text, None);
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (name, after) = unit.split_at(end);
        let Some(place) = UNITS.iter().position(|unit| *unit == name) else { return Some(name) };
        if last.is_some_and(|last| place <= last) {
            return None;
        }
        (last, rest) = (Some(place), after);
    }
    None
}

/// Writes a number as Go's `%f`.
fn go_fixed(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    format!("{value:.6}")
}

/// Reads a number without a sign: as an integer of Go (with `0x`, a leading zero for octal, and underscores), else as a
/// floating-point number.
pub(crate) fn parse_number(text: &str) -> Result<f64, String> {
    let invalid =
        || format!("error parsing number: strconv.ParseFloat: parsing {}: invalid syntax", quote(text));
    if !underscores_fit(text) {
        return Err(invalid());
    }
    let plain = text.replace('_', "");
    let lower = plain.to_ascii_lowercase();
    let is_signed = |digits: &str| digits.starts_with(['+', '-']);
    let integer = match lower.strip_prefix("0x") {
        Some(digits) if is_signed(digits) => return Err(invalid()),
        Some(digits) => return i64::from_str_radix(digits, 16).map(|n| n as f64).map_err(|_| invalid()),
        None if lower.len() > 1 && lower.starts_with('0') && !is_signed(&lower[1..]) => {
            i64::from_str_radix(&lower[1..], 8)
        }
        None => lower.parse::<i64>(),
    };
    if let Ok(integer) = integer {
        return Ok(integer as f64);
    }
    let float: f64 = lower.parse().map_err(|_| invalid())?;
    if float.is_infinite() && !lower.starts_with("inf") {
        return Err(format!(
            "error parsing number: strconv.ParseFloat: parsing {}: value out of range",
            quote(text)
        ));
    }
    Ok(float)
}

/// Says whether each underscore stands between digits, or after a prefix.
fn underscores_fit(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_hex = text.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"));
    let is_digit = |at: usize| {
        bytes.get(at).is_some_and(|byte| byte.is_ascii_digit() || (is_hex && byte.is_ascii_hexdigit()))
    };
    (0..bytes.len()).filter(|at| bytes[*at] == b'_').all(|at| {
        let after_prefix = is_hex && at == 2;
        at > 0 && (after_prefix || is_digit(at - 1)) && is_digit(at + 1)
    })
}
