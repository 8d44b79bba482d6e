//! Where a number or a duration ends.

use super::{Cut, Kind, Lexer, is_alphanumeric};
use crate::quote::quote;

impl Lexer<'_> {
    pub(super) fn number_at_start(&mut self) -> Cut {
        self.at = self.start;
        self.number_or_duration()
    }

    pub(super) fn number_or_duration(&mut self) -> Cut {
        if self.number() {
            self.push(Kind::Number);
            return Ok(());
        }
        if self.rest_of_duration() {
            self.push(Kind::Duration);
            return Ok(());
        }
        let read = &self.text[self.start..self.at];
        Err(format!("bad number or duration syntax: {}", quote(read)))
    }

    /// Reads a number; false where it is none, which may be because it is a duration.
    fn number(&mut self) -> bool {
        let mut is_hex = false;
        if self.accept(|c| c == '0') && self.accept(|c| matches!(c, 'x' | 'X')) {
            self.accept(|c| c == '_');
            is_hex = true;
        }
        let digit = |c: char| if is_hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        // A dot at the start does not count, as in Prometheus; reading the number refuses a second one.
        self.accept(|c| c == '.');
        let (mut has_dot, mut has_exponent) = (false, false);
        while let Some(next) = self.peek() {
            if digit(next) {
                self.accept_all(digit);
                continue;
            }
            match next {
                '.' => {
                    self.take();
                    if has_dot || is_hex || self.accept(|c| matches!(c, '_' | '.')) {
                        return false;
                    }
                    has_dot = true;
                }
                'e' | 'E' => {
                    self.take();
                    if has_exponent {
                        return false;
                    }
                    has_exponent = true;
                    self.accept(|c| matches!(c, '+' | '-'));
                    if self.accept(|c| matches!(c, '.' | '_' | 'e' | 'E')) || self.peek().is_none() {
                        return false;
                    }
                }
                '_' => {
                    self.take();
                    if self.accept(|c| matches!(c, '.' | '_' | 'e' | 'E')) || self.peek().is_none() {
                        return false;
                    }
                }
                _ => break,
            }
        }
        self.at > self.start && !self.peek().is_some_and(is_alphanumeric)
    }

    fn rest_of_duration(&mut self) -> bool {
        if !self.accept(|c| matches!(c, 's' | 'm' | 'h' | 'd' | 'w' | 'y')) {
            return false;
        }
        self.accept(|c| c == 's');
        while self.accept(|c| c.is_ascii_digit()) {
            self.accept_all(|c| c.is_ascii_digit());
            if !self.accept(|c| matches!(c, 's' | 'm' | 'h' | 'd' | 'w')) {
                return false;
            }
            self.accept(|c| c == 's');
        }
        if self.peek().is_some_and(is_alphanumeric) {
            self.take();
            return false;
        }
        true
    }
}
