//! Cuts a query into tokens, in the way and with the words of Prometheus.

mod number;

use crate::ast::{AggregateOp, BinaryOp};
use crate::quote::quote;
use crate::span::Span;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Identifier,
    /// An identifier with a colon.
    MetricIdentifier,
    Number,
    Duration,
    Text,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`, which is no operator.
    Assign,
    Matches,
    MatchesNot,
    At,
    Op(BinaryOp),
    Aggregate(AggregateOp),
    Bool,
    By,
    GroupLeft,
    GroupRight,
    Ignoring,
    Offset,
    On,
    Without,
    Start,
    End,
    EndOfInput,
    /// What cannot be cut; the message is kept beside the tokens.
    Wrong,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

/// The tokens of a query; the last is the end of input or what is wrong.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) list: Vec<Token>,
    pub(crate) wrong: Option<String>,
}

/// Cuts a text into tokens; comments are left out.
pub(crate) fn lex(text: &str) -> Tokens {
    let mut lexer =
        Lexer { text, at: 0, start: 0, tokens: Vec::new(), parens: 0, in_braces: false, bracket: None };
    let wrong = loop {
        match lexer.next_token() {
            Ok(true) => {}
            Ok(false) => {
                lexer.start = text.len();
                lexer.push(Kind::EndOfInput);
                break None;
            }
            Err(message) => {
                lexer.at = text.len();
                lexer.push(Kind::Wrong);
                break Some(message);
            }
        }
    };
    Tokens { list: lexer.tokens, wrong }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Where the token begins that is being cut.
    start: usize,
    tokens: Vec<Token>,
    parens: usize,
    in_braces: bool,
    bracket: Option<Bracket>,
}

/// What was seen since a bracket was opened.
#[derive(Default)]
struct Bracket {
    number: bool,
    colon: bool,
}

type Cut = Result<(), String>;

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += next.map_or(0, char::len_utf8);
        next
    }

    fn accept(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let is_wanted = self.peek().is_some_and(wanted);
        if is_wanted {
            self.take();
        }
        is_wanted
    }

    fn accept_all(&mut self, wanted: impl Fn(char) -> bool) {
        while self.accept(&wanted) {}
    }

    fn push(&mut self, kind: Kind) {
        self.tokens.push(Token { kind, span: Span::new(self.start, self.at) });
        self.start = self.at;
    }

    /// Cuts the next token; false at the end.
    fn next_token(&mut self) -> Result<bool, String> {
        loop {
            self.accept_all(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            if self.peek() != Some('#') {
                break;
            }
            self.accept_all(|c| !matches!(c, '\n' | '\r'));
        }
        self.start = self.at;
        let Some(next) = self.take() else {
            return match () {
                () if self.in_braces => Err("unexpected end of input inside braces".to_owned()),
                () if self.before_number() => {
                    Err("unexpected end of input in duration expression".to_owned())
                }
                () if self.parens > 0 => Err("unclosed left parenthesis".to_owned()),
                () if self.bracket.is_some() => Err("unclosed left bracket".to_owned()),
                () => Ok(false),
            };
        };
        match next {
            '"' | '\'' | '`' if self.before_number() => self.inside_brackets(next)?,
            '"' | '\'' => self.quoted(next)?,
            '`' => self.raw()?,
            ',' if !self.before_number() => self.push(Kind::Comma),
            _ if self.in_braces => self.inside_braces(next)?,
            _ if self.bracket.is_some() => self.inside_brackets(next)?,
            _ => self.outside(next)?,
        }
        Ok(true)
    }

    /// Says whether a bracket was opened and nothing but signs seen since.
    fn before_number(&self) -> bool {
        self.bracket.as_ref().is_some_and(|bracket| !bracket.number)
    }

    fn inside_braces(&mut self, next: char) -> Cut {
        let kind = match next {
            _ if is_alpha(next) => {
                self.accept_all(is_alphanumeric);
                Kind::Identifier
            }
            '=' if self.accept(|c| c == '~') => Kind::Matches,
            '=' => Kind::Assign,
            '!' if self.accept(|c| c == '~') => Kind::MatchesNot,
            '!' if self.accept(|c| c == '=') => Kind::Op(BinaryOp::NotEqual),
            '!' => {
                return Err(format!("unexpected character after '!' inside braces: {}", rune(self.peek())));
            }
            '{' => return Err("unexpected left brace '{'".to_owned()),
            '}' => {
                self.in_braces = false;
                Kind::RightBrace
            }
            _ => return Err(format!("unexpected character inside braces: {}", rune(Some(next)))),
        };
        self.push(kind);
        Ok(())
    }

    fn inside_brackets(&mut self, next: char) -> Cut {
        let seen = self.bracket.as_mut().map(|bracket| (bracket.number, bracket.colon));
        let (number, colon) = seen.unwrap_or_default();
        match next {
            '0'..='9' | '.' => {
                if let Some(bracket) = self.bracket.as_mut() {
                    bracket.number = true;
                }
                self.at = self.start;
                self.number_or_duration()
            }
            ':' if !number => Err("unexpected colon before duration in duration expression".to_owned()),
            ':' if colon => Err("unexpected repeated colon in duration expression".to_owned()),
            ':' => {
                if let Some(bracket) = self.bracket.as_mut() {
                    bracket.colon = true;
                }
                self.push(Kind::Colon);
                Ok(())
            }
            _ if is_alpha(next) && colon => Err(format!("unexpected colon {}", rune(Some(next)))),
            _ if is_alpha(next) && number => {
                Err(format!("unexpected character: {}, expected ':'", rune(Some(next))))
            }
            ']' | '(' | ')' | '+' | '-' | '*' | '/' | '%' | '^' => self.outside(next),
            '[' if number => Err("unexpected left bracket '['".to_owned()),
            _ if number => Err(format!("unexpected character: {}", rune(Some(next)))),
            _ => Err(format!("unexpected character in duration expression: {}", rune(Some(next)))),
        }
    }

    fn outside(&mut self, next: char) -> Cut {
        let kind = match next {
            '0'..='9' => return self.number_at_start(),
            '.' if self.peek().is_some_and(|c| c.is_ascii_digit()) => return self.number_at_start(),
            _ if is_alpha(next) || next == ':' => self.word(),
            '*' => Kind::Op(BinaryOp::Mul),
            '/' => Kind::Op(BinaryOp::Div),
            '%' => Kind::Op(BinaryOp::Mod),
            '+' => Kind::Op(BinaryOp::Add),
            '-' => Kind::Op(BinaryOp::Sub),
            '^' => Kind::Op(BinaryOp::Pow),
            '=' if self.peek() == Some('~') => return Err("unexpected character after '=': '~'".to_owned()),
            '=' if self.accept(|c| c == '=') => Kind::Op(BinaryOp::Equal),
            '=' => Kind::Assign,
            '!' if self.accept(|c| c == '=') => Kind::Op(BinaryOp::NotEqual),
            '!' => return Err(format!("unexpected character after '!': {}", rune(self.peek()))),
            '<' if self.accept(|c| c == '=') => Kind::Op(BinaryOp::LessOrEqual),
            '<' => Kind::Op(BinaryOp::Less),
            '>' if self.accept(|c| c == '=') => Kind::Op(BinaryOp::GreaterOrEqual),
            '>' => Kind::Op(BinaryOp::Greater),
            '@' => Kind::At,
            '(' => {
                self.parens += 1;
                Kind::LeftParen
            }
            ')' if self.parens == 0 => {
                self.start = self.at;
                return Err("unexpected right parenthesis ')'".to_owned());
            }
            ')' => {
                self.parens -= 1;
                Kind::RightParen
            }
            '{' => {
                self.in_braces = true;
                Kind::LeftBrace
            }
            '[' => {
                self.bracket = Some(Bracket::default());
                Kind::LeftBracket
            }
            ']' if self.bracket.take().is_none() => return Err("unexpected right bracket ']'".to_owned()),
            ']' => Kind::RightBracket,
            _ => return Err(format!("unexpected character: {}", rune(Some(next)))),
        };
        self.push(kind);
        Ok(())
    }

    fn word(&mut self) -> Kind {
        self.accept_all(|c| is_alphanumeric(c) || c == ':');
        let word = &self.text[self.start..self.at];
        keyword(&word.to_ascii_lowercase()).unwrap_or(match word.contains(':') {
            true => Kind::MetricIdentifier,
            false => Kind::Identifier,
        })
    }

    fn quoted(&mut self, mark: char) -> Cut {
        loop {
            match self.take() {
                None | Some('\n') => return Err("unterminated quoted string".to_owned()),
                Some('\\') => self.escape(mark)?,
                Some(c) if c == mark => break,
                Some(_) => {}
            }
        }
        self.push(Kind::Text);
        Ok(())
    }

    fn raw(&mut self) -> Cut {
        loop {
            match self.take() {
                None => return Err("unterminated raw string".to_owned()),
                Some('`') => break,
                Some(_) => {}
            }
        }
        self.push(Kind::Text);
        Ok(())
    }

    fn escape(&mut self, mark: char) -> Cut {
        let unterminated = || "escape sequence not terminated".to_owned();
        let next = self.take().ok_or_else(unterminated)?;
        let (digits, radix, largest) = match next {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            _ if next == mark => return Ok(()),
            '0'..='7' => {
                self.at -= 1;
                (3, 8, 255)
            }
            'x' => (2, 16, 255),
            'u' => (4, 16, 0x10_ffff),
            'U' => (8, 16, 0x10_ffff),
            _ => return Err(format!("unknown escape sequence {}", code_point(next))),
        };
        let mut code = 0_u32;
        for _ in 0..digits {
            let next = self.take().ok_or_else(unterminated)?;
            let illegal = || format!("illegal character {} in escape sequence", code_point(next));
            code = code.wrapping_mul(radix).wrapping_add(next.to_digit(radix).ok_or_else(illegal)?);
        }
        if code > largest || (0xd800..0xe000).contains(&code) {
            return Err("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }
}

fn keyword(word: &str) -> Option<Kind> {
    if let Some(op) = AggregateOp::ALL.into_iter().find(|op| op.name() == word) {
        return Some(Kind::Aggregate(op));
    }
    Some(match word {
        "and" => Kind::Op(BinaryOp::And),
        "or" => Kind::Op(BinaryOp::Or),
        "unless" => Kind::Op(BinaryOp::Unless),
        "atan2" => Kind::Op(BinaryOp::Atan2),
        "offset" => Kind::Offset,
        "by" => Kind::By,
        "without" => Kind::Without,
        "on" => Kind::On,
        "ignoring" => Kind::Ignoring,
        "group_left" => Kind::GroupLeft,
        "group_right" => Kind::GroupRight,
        "bool" => Kind::Bool,
        "start" => Kind::Start,
        "end" => Kind::End,
        "inf" | "nan" => Kind::Number,
        _ => return None,
    })
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}

/// Writes a character as Go does; the end of input is a character there, too.
fn rune(c: Option<char>) -> String {
    match c {
        None => "'\u{fffd}'".to_owned(),
        Some('\'') => r"'\''".to_owned(),
        Some('"') => "'\"'".to_owned(),
        Some(c) => {
            let quoted = quote(&c.to_string());
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    }
}

fn code_point(c: char) -> String {
    format!("U+{:04X} '{c}'", u32::from(c))
}
