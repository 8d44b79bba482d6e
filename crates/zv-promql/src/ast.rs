//! What an expression is made of.

use std::fmt;
use std::sync::Arc;

use zv_model::Matcher;

use crate::function::Function;
use crate::span::Span;

/// An expression. Two are equal when they mean the same, wherever they stand in their texts.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    Number(Number),
    Text(Text),
    Vector(VectorSelector),
    Matrix(MatrixSelector),
    Subquery(Box<Subquery>),
    Paren(Box<Paren>),
    Unary(Box<Unary>),
    Binary(Box<Binary>),
    Aggregate(Box<Aggregate>),
    Call(Call),
}

/// A number, or a duration in seconds.
#[derive(Debug, Clone)]
pub struct Number {
    pub value: f64,
    /// Whether it was written as a duration.
    pub is_duration: bool,
    pub span: Span,
}

/// NaN is equal to itself here: it is the same expression.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        let same_value = self.value == other.value || (self.value.is_nan() && other.value.is_nan());
        same_value && self.is_duration == other.is_duration
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    pub value: Arc<str>,
    pub span: Span,
}

/// Where `@` fixes an evaluation in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since 1970.
    Time(i64),
    /// The beginning of the query.
    Start,
    /// The end of the query.
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub struct VectorSelector {
    /// The name before the braces; empty where there is none. It is among the matchers, too.
    pub name: Arc<str>,
    pub matchers: Vec<Matcher>,
    /// Milliseconds back in time; negative: ahead.
    pub offset: i64,
    pub at: Option<At>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSelector {
    pub selector: VectorSelector,
    /// In milliseconds.
    pub range: i64,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    pub expr: Expr,
    /// In milliseconds, as those below.
    pub range: i64,
    pub step: Option<i64>,
    pub offset: i64,
    pub at: Option<At>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Paren {
    pub expr: Expr,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Unary {
    pub is_minus: bool,
    pub expr: Expr,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    pub op: BinaryOp,
    pub left: Expr,
    pub right: Expr,
    /// Comparisons give 0 and 1 instead of filtering.
    pub is_bool: bool,
    pub matching: Matching,
    /// Of the operator alone.
    pub op_span: Span,
}

/// How elements of two vectors find each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matching {
    pub is_on: bool,
    pub labels: Vec<Arc<str>>,
    pub group: Group,
    /// Labels that the result takes from the "one" side.
    pub include: Vec<Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Group {
    #[default]
    None,
    /// Many on the left: `group_left`.
    Left,
    /// Many on the right: `group_right`.
    Right,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    pub op: AggregateOp,
    pub param: Option<Expr>,
    pub expr: Expr,
    pub is_without: bool,
    pub labels: Vec<Arc<str>>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub function: &'static Function,
    pub args: Vec<Expr>,
    pub span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Unless,
}

impl BinaryOp {
    pub fn sign(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessOrEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterOrEqual => ">=",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
        }
    }

    pub fn is_comparison(self) -> bool {
        use BinaryOp::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
    }

    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }

    /// Returns how strongly it binds; more binds stronger.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And | BinaryOp::Unless => 2,
            BinaryOp::Add | BinaryOp::Sub => 4,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => 5,
            BinaryOp::Pow => 6,
            _ => 3,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    pub(crate) const ALL: [AggregateOp; 14] = [
        AggregateOp::Sum,
        AggregateOp::Avg,
        AggregateOp::Count,
        AggregateOp::Min,
        AggregateOp::Max,
        AggregateOp::Group,
        AggregateOp::Stddev,
        AggregateOp::Stdvar,
        AggregateOp::Topk,
        AggregateOp::Bottomk,
        AggregateOp::CountValues,
        AggregateOp::Quantile,
        AggregateOp::Limitk,
        AggregateOp::LimitRatio,
    ];

    pub fn name(self) -> &'static str {
        match self {
            AggregateOp::Sum => "sum",
            AggregateOp::Avg => "avg",
            AggregateOp::Count => "count",
            AggregateOp::Min => "min",
            AggregateOp::Max => "max",
            AggregateOp::Group => "group",
            AggregateOp::Stddev => "stddev",
            AggregateOp::Stdvar => "stdvar",
            AggregateOp::Topk => "topk",
            AggregateOp::Bottomk => "bottomk",
            AggregateOp::CountValues => "count_values",
            AggregateOp::Quantile => "quantile",
            AggregateOp::Limitk => "limitk",
            AggregateOp::LimitRatio => "limit_ratio",
        }
    }

    pub fn has_param(self) -> bool {
        self.picks() || matches!(self, AggregateOp::CountValues | AggregateOp::Quantile)
    }

    /// Says whether it gives some of the elements themselves.
    pub(crate) fn picks(self) -> bool {
        use AggregateOp::{Bottomk, LimitRatio, Limitk, Topk};
        matches!(self, Topk | Bottomk | Limitk | LimitRatio)
    }

    pub(crate) fn is_experimental(self) -> bool {
        matches!(self, AggregateOp::Limitk | AggregateOp::LimitRatio)
    }
}

/// The type of an expression's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    Scalar,
    Vector,
    Matrix,
    Text,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
            ValueType::Text => "string",
        })
    }
}

impl Expr {
    /// Returns the type of its value.
    pub fn value_type(&self) -> ValueType {
        match self {
            Expr::Number(_) => ValueType::Scalar,
            Expr::Text(_) => ValueType::Text,
            Expr::Vector(_) | Expr::Aggregate(_) => ValueType::Vector,
            Expr::Matrix(_) | Expr::Subquery(_) => ValueType::Matrix,
            Expr::Paren(paren) => paren.expr.value_type(),
            Expr::Unary(unary) => unary.expr.value_type(),
            Expr::Binary(binary) => binary.value_type(),
            Expr::Call(call) => call.function.returns,
        }
    }

    /// Returns where it stands in the text.
    pub fn span(&self) -> Span {
        match self {
            Expr::Number(number) => number.span,
            Expr::Text(text) => text.span,
            Expr::Vector(selector) => selector.span,
            Expr::Matrix(matrix) => matrix.span,
            Expr::Subquery(subquery) => subquery.span,
            Expr::Paren(paren) => paren.span,
            Expr::Unary(unary) => unary.span,
            Expr::Binary(binary) => binary.span(),
            Expr::Aggregate(aggregate) => aggregate.span,
            Expr::Call(call) => call.span,
        }
    }

    /// Visits all its parts, itself first.
    pub fn each_part<'e>(&'e self, visit: &mut impl FnMut(&'e Expr)) {
        visit(self);
        match self {
            Expr::Number(_) | Expr::Text(_) | Expr::Vector(_) | Expr::Matrix(_) => {}
            Expr::Subquery(subquery) => subquery.expr.each_part(visit),
            Expr::Paren(paren) => paren.expr.each_part(visit),
            Expr::Unary(unary) => unary.expr.each_part(visit),
            Expr::Binary(binary) => {
                let mut binary = binary;
                // A long chain leans to the left: it is walked, not climbed.
                while let Expr::Binary(left) = &binary.left {
                    binary.right.each_part(visit);
                    visit(&binary.left);
                    binary = left;
                }
                binary.left.each_part(visit);
                binary.right.each_part(visit);
            }
            Expr::Aggregate(aggregate) => {
                aggregate.param.iter().for_each(|param| param.each_part(visit));
                aggregate.expr.each_part(visit);
            }
            Expr::Call(call) => call.args.iter().for_each(|arg| arg.each_part(visit)),
        }
    }

    /// Returns what is in its parentheses.
    pub(crate) fn inner(&self) -> &Expr {
        let mut expr = self;
        while let Expr::Paren(paren) = expr {
            expr = &paren.expr;
        }
        expr
    }
}

impl Binary {
    fn value_type(&self) -> ValueType {
        // A long chain leans to the left: it is walked, not climbed.
        let mut binary = self;
        loop {
            if binary.right.value_type() != ValueType::Scalar {
                return ValueType::Vector;
            }
            match &binary.left {
                Expr::Binary(left) => binary = left,
                left if left.value_type() == ValueType::Scalar => return ValueType::Scalar,
                _ => return ValueType::Vector,
            }
        }
    }

    pub(crate) fn span(&self) -> Span {
        let mut first = &self.left;
        while let Expr::Binary(binary) = first {
            first = &binary.left;
        }
        first.span().to(self.right.span())
    }
}
