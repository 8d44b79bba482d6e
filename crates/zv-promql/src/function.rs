//! The functions there are: their names, the types of their arguments, and what they do.

use std::fmt;

use crate::ast::ValueType::{self, Matrix, Scalar, Text, Vector};
use crate::eval::civil::Civil;

/// A function of PromQL.
pub struct Function {
    pub name: &'static str,
    pub args: &'static [ValueType],
    /// 0: all arguments must be there. Above: the last may be left out, and so many may stand in its place. Below: any number.
    pub variadic: i8,
    pub returns: ValueType,
    pub is_experimental: bool,
    pub(crate) work: Work,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// What a function does.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// Each value for itself.
    Map(fn(f64) -> f64),
    /// A part of the date that a value is.
    Date(fn(&Civil) -> f64),
    /// The values in a window of time.
    Window(Window),
    Absent,
    AbsentOverTime,
    Clamp,
    ClampMin,
    ClampMax,
    Round,
    Scalar,
    Vector,
    Time,
    Pi,
    Timestamp,
    Sort {
        is_descending: bool,
    },
    SortByLabel {
        is_descending: bool,
    },
    LabelReplace,
    LabelJoin,
    HistogramQuantile,
    HistogramFraction,
    /// Looks at native histograms only, of which there are none.
    NoFloats,
}

/// What is made of the values in a window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    Rate,
    Increase,
    Delta,
    Irate,
    Idelta,
    Sum,
    Avg,
    Count,
    Min,
    Max,
    First,
    Last,
    Present,
    Quantile,
    Stddev,
    Stdvar,
    MedianDeviation,
    Changes,
    Resets,
    Deriv,
    PredictLinear,
    Smoothing,
    TimeOfFirst,
    TimeOfMax,
    TimeOfMin,
    TimeOfLast,
}

impl Window {
    /// Says whether the result is a value of the series itself, which then keeps its name.
    pub(crate) fn keeps_name(self) -> bool {
        matches!(self, Window::First | Window::Last)
    }
}

/// Returns the function of that name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|function| function.name.cmp(name)).ok().map(|at| &FUNCTIONS[at])
}

/// Returns all functions, by name.
pub fn all() -> &'static [Function] {
    FUNCTIONS
}

const fn plain(name: &'static str, args: &'static [ValueType], work: Work) -> Function {
    Function { name, args, variadic: 0, returns: Vector, is_experimental: false, work }
}

const fn map(name: &'static str, of: fn(f64) -> f64) -> Function {
    plain(name, &[Vector], Work::Map(of))
}

const fn window(name: &'static str, work: Window) -> Function {
    plain(name, &[Matrix], Work::Window(work))
}

const fn date(name: &'static str, of: fn(&Civil) -> f64) -> Function {
    variadic(plain(name, &[Vector], Work::Date(of)), 1)
}

const fn histogram(name: &'static str) -> Function {
    plain(name, &[Vector], Work::NoFloats)
}

const fn variadic(mut function: Function, variadic: i8) -> Function {
    function.variadic = variadic;
    function
}

const fn experimental(mut function: Function) -> Function {
    function.is_experimental = true;
    function
}

const fn scalar(name: &'static str, args: &'static [ValueType], work: Work) -> Function {
    Function { returns: Scalar, ..plain(name, args, work) }
}

/// Sorted by name.
static FUNCTIONS: &[Function] = &[
    map("abs", f64::abs),
    plain("absent", &[Vector], Work::Absent),
    plain("absent_over_time", &[Matrix], Work::AbsentOverTime),
    map("acos", f64::acos),
    map("acosh", f64::acosh),
    map("asin", f64::asin),
    map("asinh", f64::asinh),
    map("atan", f64::atan),
    map("atanh", f64::atanh),
    window("avg_over_time", Window::Avg),
    map("ceil", f64::ceil),
    window("changes", Window::Changes),
    plain("clamp", &[Vector, Scalar, Scalar], Work::Clamp),
    plain("clamp_max", &[Vector, Scalar], Work::ClampMax),
    plain("clamp_min", &[Vector, Scalar], Work::ClampMin),
    map("cos", f64::cos),
    map("cosh", cosh),
    window("count_over_time", Window::Count),
    date("day_of_month", Civil::day),
    date("day_of_week", Civil::weekday),
    date("day_of_year", Civil::day_of_year),
    date("days_in_month", Civil::days_in_month),
    map("deg", |v| v * 180.0 / std::f64::consts::PI),
    window("delta", Window::Delta),
    window("deriv", Window::Deriv),
    experimental(plain(
        "double_exponential_smoothing",
        &[Matrix, Scalar, Scalar],
        Work::Window(Window::Smoothing),
    )),
    map("exp", f64::exp),
    experimental(window("first_over_time", Window::First)),
    map("floor", f64::floor),
    histogram("histogram_avg"),
    histogram("histogram_count"),
    plain("histogram_fraction", &[Scalar, Scalar, Vector], Work::HistogramFraction),
    plain("histogram_quantile", &[Scalar, Vector], Work::HistogramQuantile),
    histogram("histogram_stddev"),
    histogram("histogram_stdvar"),
    histogram("histogram_sum"),
    date("hour", Civil::hour),
    window("idelta", Window::Idelta),
    window("increase", Window::Increase),
    window("irate", Window::Irate),
    variadic(plain("label_join", &[Vector, Text, Text, Text], Work::LabelJoin), -1),
    plain("label_replace", &[Vector, Text, Text, Text, Text], Work::LabelReplace),
    window("last_over_time", Window::Last),
    map("ln", f64::ln),
    map("log10", f64::log10),
    map("log2", f64::log2),
    experimental(window("mad_over_time", Window::MedianDeviation)),
    window("max_over_time", Window::Max),
    window("min_over_time", Window::Min),
    date("minute", Civil::minute),
    date("month", Civil::month),
    scalar("pi", &[], Work::Pi),
    plain("predict_linear", &[Matrix, Scalar], Work::Window(Window::PredictLinear)),
    window("present_over_time", Window::Present),
    plain("quantile_over_time", &[Scalar, Matrix], Work::Window(Window::Quantile)),
    map("rad", |v| v * std::f64::consts::PI / 180.0),
    window("rate", Window::Rate),
    window("resets", Window::Resets),
    variadic(plain("round", &[Vector, Scalar], Work::Round), 1),
    scalar("scalar", &[Vector], Work::Scalar),
    map("sgn", sign),
    map("sin", f64::sin),
    map("sinh", sinh),
    plain("sort", &[Vector], Work::Sort { is_descending: false }),
    experimental(variadic(
        plain("sort_by_label", &[Vector, Text], Work::SortByLabel { is_descending: false }),
        -1,
    )),
    experimental(variadic(
        plain("sort_by_label_desc", &[Vector, Text], Work::SortByLabel { is_descending: true }),
        -1,
    )),
    plain("sort_desc", &[Vector], Work::Sort { is_descending: true }),
    map("sqrt", f64::sqrt),
    window("stddev_over_time", Window::Stddev),
    window("stdvar_over_time", Window::Stdvar),
    window("sum_over_time", Window::Sum),
    map("tan", f64::tan),
    map("tanh", f64::tanh),
    scalar("time", &[], Work::Time),
    plain("timestamp", &[Vector], Work::Timestamp),
    experimental(window("ts_of_first_over_time", Window::TimeOfFirst)),
    experimental(window("ts_of_last_over_time", Window::TimeOfLast)),
    experimental(window("ts_of_max_over_time", Window::TimeOfMax)),
    experimental(window("ts_of_min_over_time", Window::TimeOfMin)),
    plain("vector", &[Scalar], Work::Vector),
    date("year", Civil::year),
];

fn sign(value: f64) -> f64 {
    match () {
        () if value < 0.0 => -1.0,
        () if value > 0.0 => 1.0,
        () => value,
    }
}

/// Beyond this, the smaller of the two exponentials is lost; the larger is infinite before its half is, as in Prometheus.
const LARGE: f64 = 21.0;

fn sinh(value: f64) -> f64 {
    if value.abs() > LARGE { (value.abs().exp() * 0.5).copysign(value) } else { value.sinh() }
}

fn cosh(value: f64) -> f64 {
    if value.abs() > LARGE { value.abs().exp() * 0.5 } else { value.cosh() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_name() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!(find("rate").map(|function| function.name), Some("rate"));
        assert!(find("Rate").is_none());
    }
}
