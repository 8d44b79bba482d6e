//! Selectors: names, matchers, ranges, offsets and `@`.

use std::sync::Arc;

use zv_model::labels::METRIC_NAME;
use zv_model::{Labels, LabelsBuilder, MatchOp, Matcher};

use super::lexer::Kind;
use super::{ParseOptions, Parser};
use crate::ast::{At, BinaryOp, Expr, MatrixSelector, Subquery, VectorSelector};
use crate::error::ParseError;
use crate::quote::unquote;
use crate::span::Span;

/// Reads a selector alone, as in `match[]`: its matchers, of which one must not accept the empty text.
pub fn matchers(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(text, ParseOptions { experimental: false })?;
    let Expr::Vector(selector) = parser.vector_selector()? else { return Err(parser.unexpected("", "")) };
    if parser.kind() != Kind::EndOfInput {
        return Err(parser.unexpected("", ""));
    }
    if !selector.matchers.iter().any(|matcher| !matcher.accepts("")) {
        return Err(parser.error(selector.span, "match[] must contain at least one non-empty matcher"));
    }
    Ok(selector.matchers)
}

/// Reads a series' name and labels: `up{job="zv"}`.
pub fn labels(text: &str) -> Result<Labels, ParseError> {
    let mut parser = Parser::new(text, ParseOptions { experimental: false })?;
    let mut builder = LabelsBuilder::default();
    if is_name(parser.kind()) {
        let span = parser.take().span;
        builder.set(METRIC_NAME, parser.slice(span));
    }
    if parser.accept(Kind::LeftBrace) {
        while !parser.accept(Kind::RightBrace) {
            parser.label(&mut builder)?;
            if parser.kind() != Kind::RightBrace && !parser.accept(Kind::Comma) {
                return Err(parser.unexpected("label set", "\",\" or \"}\""));
            }
        }
    }
    if parser.kind() != Kind::EndOfInput {
        return Err(parser.unexpected("", ""));
    }
    Ok(builder.finish())
}

impl Parser<'_> {
    fn label(&mut self, builder: &mut LabelsBuilder) -> Result<(), ParseError> {
        let name = match self.kind() {
            Kind::Identifier => {
                let span = self.take().span;
                self.slice(span).to_owned()
            }
            Kind::Text => {
                let span = self.take().span;
                unquote(self.slice(span))
            }
            _ => return Err(self.unexpected("label set", "identifier or \"}\"")),
        };
        if !self.accept(Kind::Assign) {
            // A quoted name alone is the metric's.
            builder.set(METRIC_NAME, name);
            return Ok(());
        }
        let value = self.token();
        if value.kind != Kind::Text {
            return Err(self.unexpected("label set", "string"));
        }
        self.take();
        builder.set(name, unquote(self.slice(value.span)));
        Ok(())
    }

    pub(super) fn vector_selector(&mut self) -> Result<Expr, ParseError> {
        let start = self.token().span;
        let mut name: Arc<str> = Arc::from("");
        if is_name(self.kind()) {
            self.take();
            name = self.slice(start).into();
        } else if self.kind() != Kind::LeftBrace {
            return Err(self.unexpected("", ""));
        }
        let mut matchers = Vec::new();
        if self.accept(Kind::LeftBrace) {
            while !self.accept(Kind::RightBrace) {
                matchers.push(self.matcher()?);
                if self.kind() != Kind::RightBrace && !self.accept(Kind::Comma) {
                    return Err(self.unexpected(MATCHING, "\",\" or \"}\""));
                }
            }
        }
        if !name.is_empty() {
            matchers.push(Matcher::equal(METRIC_NAME, name.clone()));
        }
        let span = Span::new(start.start, self.end());
        Ok(Expr::Vector(VectorSelector { name, matchers, offset: 0, at: None, span }))
    }

    fn matcher(&mut self) -> Result<Matcher, ParseError> {
        let label = self.token();
        let is_quoted = label.kind == Kind::Text;
        if label.kind != Kind::Identifier && !is_quoted {
            return Err(self.unexpected(MATCHING, "identifier or \"}\""));
        }
        self.take();
        let name =
            if is_quoted { unquote(self.slice(label.span)) } else { self.slice(label.span).to_owned() };
        let op = match self.kind() {
            Kind::Assign => MatchOp::Equal,
            Kind::Op(BinaryOp::NotEqual) => MatchOp::NotEqual,
            Kind::Matches => MatchOp::Matches,
            Kind::MatchesNot => MatchOp::MatchesNot,
            // A quoted name alone is the metric's.
            _ if is_quoted => return Ok(Matcher::equal(METRIC_NAME, name)),
            _ => return Err(self.unexpected(MATCHING, "label matching operator")),
        };
        self.take();
        let value = self.token();
        if value.kind != Kind::Text {
            return Err(self.unexpected(MATCHING, "string"));
        }
        self.take();
        Matcher::new(name, op, unquote(self.slice(value.span))).map_err(|error| {
            let cause = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
            let pattern = unquote(self.slice(value.span));
            self.error(label.span.to(value.span), format!("error parsing regexp: {cause}: `{pattern}`"))
        })
    }

    /// Reads what may follow an expression: ranges, subqueries, offsets, `@`.
    pub(super) fn suffixes(&mut self, mut expr: Expr) -> Result<Expr, ParseError> {
        let mut length = 0;
        loop {
            match self.kind() {
                Kind::LeftBracket => expr = self.range(expr)?,
                Kind::Offset => {
                    self.take();
                    let offset = self.offset()?;
                    self.set_offset(&mut expr, offset)?;
                }
                Kind::At => {
                    self.take();
                    let at = self.at(expr.span())?;
                    self.set_at(&mut expr, at)?;
                }
                _ => return Ok(expr),
            }
            length += 1;
            if length > 100 {
                return Err(
                    self.error(expr.span(), "the expression is nested too deeply: 100 levels are allowed")
                );
            }
        }
    }

    fn range(&mut self, expr: Expr) -> Result<Expr, ParseError> {
        let bracket = self.take().span;
        let range = self.length()?;
        let start = expr.span().start;
        if self.accept(Kind::Colon) {
            let step = if self.kind() == Kind::RightBracket { None } else { Some(self.length()?) };
            if !self.accept(Kind::RightBracket) {
                return Err(self.unexpected("subquery selector", "\"]\""));
            }
            let span = Span::new(start, self.end());
            return Ok(Expr::Subquery(Box::new(Subquery { expr, range, step, offset: 0, at: None, span })));
        }
        if !self.accept(Kind::RightBracket) {
            return Err(self.unexpected("subquery or range", "\":\" or \"]\""));
        }
        let mistake = match expr {
            Expr::Vector(selector) if selector.offset == 0 && selector.at.is_none() => {
                let span = Span::new(start, self.end());
                return Ok(Expr::Matrix(MatrixSelector { selector, range, span }));
            }
            Expr::Vector(selector) if selector.offset != 0 => "no offset modifiers allowed before range",
            Expr::Vector(_) => "no @ modifiers allowed before range",
            _ => "ranges only allowed for vector selectors",
        };
        Err(self.error(Span::new(bracket.start, self.end()), mistake))
    }

    fn at(&mut self, of: Span) -> Result<At, ParseError> {
        let at = match self.kind() {
            Kind::Start => At::Start,
            Kind::End => At::End,
            _ => return Ok(At::Time(self.timestamp(of)?)),
        };
        self.take();
        if self.accept(Kind::LeftParen) && self.accept(Kind::RightParen) {
            return Ok(at);
        }
        Err(self.unexpected("@", "timestamp"))
    }

    fn set_offset(&self, expr: &mut Expr, offset: i64) -> Result<(), ParseError> {
        const WANTS: &str = "offset modifier must be preceded by an instant vector selector or range vector selector or a \
                             subquery";
        let place = expr.span();
        let (known, _, span) = timing(expr).ok_or_else(|| self.error(place, WANTS))?;
        if *known != 0 {
            return Err(self.error(place, "offset may not be set multiple times"));
        }
        *known = offset;
        span.end = self.end();
        Ok(())
    }

    fn set_at(&self, expr: &mut Expr, at: At) -> Result<(), ParseError> {
        const WANTS: &str = "@ modifier must be preceded by an instant vector selector or range vector selector or a \
                             subquery";
        let place = expr.span();
        let (_, known, span) = timing(expr).ok_or_else(|| self.error(place, WANTS))?;
        if known.is_some() {
            return Err(self.error(place, "@ <timestamp> may not be set multiple times"));
        }
        *known = Some(at);
        span.end = self.end();
        Ok(())
    }
}

const MATCHING: &str = "label matching";

/// Returns the offset, the `@` and the place of an expression that may have them.
fn timing(expr: &mut Expr) -> Option<(&mut i64, &mut Option<At>, &mut Span)> {
    match expr {
        Expr::Vector(selector) => Some((&mut selector.offset, &mut selector.at, &mut selector.span)),
        Expr::Matrix(matrix) => {
            Some((&mut matrix.selector.offset, &mut matrix.selector.at, &mut matrix.span))
        }
        Expr::Subquery(subquery) => Some((&mut subquery.offset, &mut subquery.at, &mut subquery.span)),
        _ => None,
    }
}

/// Says whether a token can be a metric's name.
pub(super) fn is_name(kind: Kind) -> bool {
    match kind {
        Kind::Identifier | Kind::MetricIdentifier | Kind::Aggregate(_) => true,
        Kind::By | Kind::Offset | Kind::Without | Kind::Start | Kind::End => true,
        Kind::Op(op) => op.is_set(),
        _ => false,
    }
}
