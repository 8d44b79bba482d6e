//! From text to expression: the grammar, the checks and the words of Prometheus 3.5.
//!
//! Operators are read by precedence. The first mistake ends the reading, and its place and text are those that Prometheus
//! prints first. Nesting and length are bounded, so that no text exhausts the stack.

mod check;
mod lexer;
mod number;
mod selector;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Expr, Group, Matching, Paren, Text, Unary, ValueType,
};
use crate::error::ParseError;
use crate::function;
use crate::quote::{quote, unquote};
use crate::span::Span;
use lexer::{Kind, Token};

pub(crate) use number::parse_number;
pub use selector::{labels, matchers};

/// The longest text that is read, in bytes.
const LONGEST: usize = 256 * 1024;
/// How deep expressions may stand in each other.
const DEEPEST: usize = 100;
/// How many operators an expression may have.
const MOST_OPERATORS: usize = 1000;

/// What is accepted.
#[derive(Debug, Clone, Copy)]
pub struct ParseOptions {
    /// Functions and aggregations that Prometheus has behind a switch.
    pub experimental: bool,
}

/// Reads an expression.
pub(crate) fn parse(text: &str, options: ParseOptions) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text, options)?;
    if parser.kind() == Kind::EndOfInput {
        return Err(ParseError::new(text, Span::default(), "no expression found in input"));
    }
    let expr = parser.expr(0)?;
    if parser.kind() != Kind::EndOfInput {
        return Err(parser.unexpected("", ""));
    }
    check::check(text, &expr)?;
    Ok(expr)
}

/// Whether it is `without`, and the labels.
type Grouping = (bool, Vec<Arc<str>>);

pub(crate) struct Parser<'a> {
    text: &'a str,
    options: ParseOptions,
    tokens: Vec<Token>,
    at: usize,
    wrong: Option<String>,
    depth: usize,
    operators: usize,
    /// How many aggregations are open: mistakes in them are told as theirs.
    aggregations: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, options: ParseOptions) -> Result<Self, ParseError> {
        if text.len() > LONGEST {
            let message = format!("the expression is too long: {LONGEST} bytes are allowed");
            return Err(ParseError::new(text, Span::default(), message));
        }
        let lexer::Tokens { list, wrong } = lexer::lex(text);
        Ok(Self { text, options, tokens: list, at: 0, wrong, depth: 0, operators: 0, aggregations: 0 })
    }

    fn token(&self) -> Token {
        // The last token is the end or what is wrong, and nobody goes on after it.
        self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn kind(&self) -> Kind {
        self.token().kind
    }

    fn kind_after(&self) -> Kind {
        self.tokens[(self.at + 1).min(self.tokens.len() - 1)].kind
    }

    fn take(&mut self) -> Token {
        let token = self.token();
        self.at += 1;
        token
    }

    fn accept(&mut self, kind: Kind) -> bool {
        let is_it = self.kind() == kind;
        if is_it {
            self.at += 1;
        }
        is_it
    }

    fn slice(&self, span: Span) -> &'a str {
        &self.text[span.start..span.end]
    }

    /// The end of what was taken last.
    fn end(&self) -> usize {
        self.tokens[self.at.saturating_sub(1).min(self.tokens.len() - 1)].span.end
    }

    fn error(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, span, message)
    }

    /// Says that the next token does not belong there.
    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let token = self.token();
        if let (Kind::Wrong, Some(message)) = (token.kind, &self.wrong) {
            return self.error(token.span, message.clone());
        }
        let mut message = format!("unexpected {}", self.describe(token));
        let context = if context.is_empty() && self.aggregations > 0 { "aggregation" } else { context };
        if !context.is_empty() {
            message.push_str(&format!(" in {context}"));
        }
        if !expected.is_empty() {
            message.push_str(&format!(", expected {expected}"));
        }
        self.error(token.span, message)
    }

    fn describe(&self, token: Token) -> String {
        let text = self.slice(token.span);
        let short = || match text.chars().count() > 10 {
            true => format!("{}...", quote(&text.chars().take(10).collect::<String>())),
            false => quote(text),
        };
        match token.kind {
            Kind::EndOfInput => "end of input".to_owned(),
            Kind::Identifier => format!("identifier {}", quote(text)),
            Kind::MetricIdentifier => format!("metric identifier {}", quote(text)),
            Kind::Number => format!("number {}", short()),
            Kind::Duration => format!("duration {}", short()),
            Kind::Text => format!("string {}", short()),
            Kind::Op(_) | Kind::Matches | Kind::MatchesNot | Kind::At => format!("<op:{text}>"),
            Kind::Aggregate(_) => format!("<aggr:{text}>"),
            Kind::Bool | Kind::By | Kind::GroupLeft | Kind::GroupRight => format!("<{text}>"),
            Kind::Ignoring | Kind::Offset | Kind::On | Kind::Without => format!("<{text}>"),
            _ => short(),
        }
    }

    /// Reads an expression whose operators bind at least as strongly as `weakest`.
    fn expr(&mut self, weakest: u8) -> Result<Expr, ParseError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            let message = format!("the expression is nested too deeply: {DEEPEST} levels are allowed");
            return Err(self.error(self.token().span, message));
        }
        let mut left = self.operand()?;
        while let Kind::Op(op) = self.kind() {
            let precedence = op.precedence();
            if precedence < weakest {
                break;
            }
            let op_span = self.take().span;
            self.operators += 1;
            if self.operators > MOST_OPERATORS {
                let message = format!("the expression has too many operators: {MOST_OPERATORS} are allowed");
                return Err(self.error(op_span, message));
            }
            let (is_bool, matching) = self.modifiers()?;
            let right = self.expr(if op == BinaryOp::Pow { precedence } else { precedence + 1 })?;
            // Between scalars nothing is matched; labels are kept, so that the checks refuse them.
            let has_scalar = [&left, &right].iter().any(|side| side.value_type() == ValueType::Scalar);
            let matching =
                if has_scalar && matching.labels.is_empty() { Matching::default() } else { matching };
            left = Expr::Binary(Box::new(Binary { op, left, right, is_bool, matching, op_span }));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operand(&mut self) -> Result<Expr, ParseError> {
        let Kind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) = self.kind() else {
            let primary = self.primary()?;
            return self.suffixes(primary);
        };
        let is_minus = op == BinaryOp::Sub;
        let start = self.take().span;
        // A sign binds like a multiplication: only powers bind stronger.
        let expr = self.expr(BinaryOp::Pow.precedence())?;
        let span = start.to(expr.span());
        Ok(match expr {
            Expr::Number(mut number) => {
                number.value = if is_minus { -number.value } else { number.value };
                number.span = span;
                Expr::Number(number)
            }
            expr => Expr::Unary(Box::new(Unary { is_minus, expr, span })),
        })
    }

    fn primary(&mut self) -> Result<Expr, ParseError> {
        match self.kind() {
            Kind::Number | Kind::Duration => Ok(Expr::Number(self.number()?)),
            Kind::Text => {
                let span = self.take().span;
                Ok(Expr::Text(Text { value: unquote(self.slice(span)).into(), span }))
            }
            Kind::LeftParen => {
                let start = self.take().span;
                let expr = self.expr(0)?;
                let end = self.token().span;
                if !self.accept(Kind::RightParen) {
                    return Err(self.unexpected("", ""));
                }
                Ok(Expr::Paren(Box::new(Paren { expr, span: start.to(end) })))
            }
            Kind::Identifier if self.kind_after() == Kind::LeftParen => self.call(),
            Kind::Aggregate(op)
                if matches!(self.kind_after(), Kind::LeftParen | Kind::By | Kind::Without) =>
            {
                self.aggregation(op)
            }
            _ => self.vector_selector(),
        }
    }

    fn call(&mut self) -> Result<Expr, ParseError> {
        let name = self.take().span;
        let args = self.arguments()?;
        let span = Span::new(name.start, self.end());
        let Some(function) = function::find(self.slice(name)) else {
            let message = format!("unknown function with name {}", quote(self.slice(name)));
            return Err(self.error(name, message));
        };
        if function.is_experimental && !self.options.experimental {
            let message = format!("function {} is not enabled", quote(function.name));
            return Err(self.error(name, message));
        }
        Ok(Expr::Call(Call { function, args, span }))
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, ParseError> {
        let mut args = Vec::new();
        if !self.accept(Kind::LeftParen) {
            return Err(self.unexpected("", ""));
        }
        if self.accept(Kind::RightParen) {
            return Ok(args);
        }
        loop {
            args.push(self.expr(0)?);
            if self.accept(Kind::RightParen) {
                return Ok(args);
            }
            let comma = self.token().span;
            if !self.accept(Kind::Comma) {
                return Err(self.unexpected("", ""));
            }
            if !starts_expression(self.kind()) {
                return Err(self.error(comma, "trailing commas not allowed in function call args"));
            }
        }
    }

    fn aggregation(&mut self, op: AggregateOp) -> Result<Expr, ParseError> {
        let start = self.take().span;
        self.aggregations += 1;
        let mut grouping = self.grouping()?;
        let mut args = self.arguments()?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        self.aggregations -= 1;
        let span = Span::new(start.start, self.end());
        let (is_without, labels) = grouping.unwrap_or_default();
        if args.is_empty() {
            return Err(self.error(span, "no arguments for aggregate expression provided"));
        }
        if op.is_experimental() && !self.options.experimental {
            let flag = "must be enabled with --enable-feature=promql-experimental-functions";
            return Err(self.error(span, format!("{}() is experimental and {flag}", op.name())));
        }
        let wanted = if op.has_param() { 2 } else { 1 };
        if args.len() != wanted {
            let message = "wrong number of arguments for aggregate expression provided";
            return Err(self.error(span, format!("{message}, expected {wanted}, got {}", args.len())));
        }
        let expr = args.remove(wanted - 1);
        Ok(Expr::Aggregate(Box::new(Aggregate { op, param: args.pop(), expr, is_without, labels, span })))
    }

    /// Reads `by (…)` or `without (…)`, where it is there.
    fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        let is_without = match self.kind() {
            Kind::By => false,
            Kind::Without => true,
            _ => return Ok(None),
        };
        self.take();
        Ok(Some((is_without, self.label_names()?)))
    }

    /// Reads what stands between a binary operator and its right side.
    fn modifiers(&mut self) -> Result<(bool, Matching), ParseError> {
        let is_bool = self.accept(Kind::Bool);
        let mut matching = Matching::default();
        matching.is_on = match self.kind() {
            Kind::On => true,
            Kind::Ignoring => false,
            _ => return Ok((is_bool, matching)),
        };
        self.take();
        matching.labels = self.label_names()?;
        matching.group = match self.kind() {
            Kind::GroupLeft => Group::Left,
            Kind::GroupRight => Group::Right,
            _ => return Ok((is_bool, matching)),
        };
        self.take();
        if self.kind() == Kind::LeftParen {
            matching.include = self.label_names()?;
        }
        Ok((is_bool, matching))
    }

    fn label_names(&mut self) -> Result<Vec<Arc<str>>, ParseError> {
        const CONTEXT: &str = "grouping opts";
        let mut names = Vec::new();
        if !self.accept(Kind::LeftParen) {
            return Err(self.unexpected(CONTEXT, "\"(\""));
        }
        while !self.accept(Kind::RightParen) {
            let token = self.token();
            let text = self.slice(token.span);
            match token.kind {
                Kind::Text => names.push(unquote(text).into()),
                _ if zv_model::labels::is_plain_label_name(text) && is_word(token.kind) => {
                    names.push(text.into());
                }
                _ => return Err(self.unexpected(CONTEXT, "label")),
            }
            self.take();
            if self.kind() != Kind::RightParen && !self.accept(Kind::Comma) {
                return Err(self.unexpected(CONTEXT, "\",\" or \")\""));
            }
        }
        Ok(names)
    }
}

/// Says whether an expression may begin with a token; what cannot be cut is told by whoever reads it.
fn starts_expression(kind: Kind) -> bool {
    match kind {
        Kind::Wrong | Kind::Number | Kind::Duration | Kind::Text | Kind::LeftParen | Kind::LeftBrace => true,
        Kind::Op(BinaryOp::Add | BinaryOp::Sub) => true,
        _ => selector::is_name(kind),
    }
}

/// Says whether a token is an identifier or a keyword that may stand for one.
fn is_word(kind: Kind) -> bool {
    use Kind::{
        Aggregate, Bool, By, End, GroupLeft, GroupRight, Identifier, Ignoring, MetricIdentifier, Offset, On,
    };
    matches!(
        kind,
        Identifier
            | MetricIdentifier
            | Aggregate(_)
            | Bool
            | By
            | GroupLeft
            | GroupRight
            | Ignoring
            | Offset
            | On
    ) || matches!(kind, Kind::Without | Kind::Start | End)
        || matches!(kind, Kind::Op(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless | BinaryOp::Atan2))
}
