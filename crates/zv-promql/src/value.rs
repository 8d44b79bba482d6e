//! What a query answers.

use std::sync::Arc;

use zv_model::{Labels, Sample, Timestamp, is_stale};

/// The value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Scalar(Sample),
    Text {
        at: Timestamp,
        text: Arc<str>,
    },
    /// Elements at one time, in the order that the expression gives them.
    Vector(Vec<VectorElement>),
    /// Series over time, in the order of their labels.
    Matrix(Vec<WrittenSeries>),
}

/// An element of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorElement {
    pub labels: Labels,
    pub sample: Sample,
}

/// A series with its points, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenSeries {
    pub labels: Labels,
    pub points: Vec<Sample>,
}

impl Value {
    /// Returns the word that Prometheus' interface has for the type.
    pub fn type_word(&self) -> &'static str {
        match self {
            Value::Scalar(_) => "scalar",
            Value::Text { .. } => "string",
            Value::Vector(_) => "vector",
            Value::Matrix(_) => "matrix",
        }
    }
}

/// Says whether two values differ by rounding only, relative to their size. NaN is equal to NaN, a stale marker only to its
/// like.
pub fn almost_equal(a: f64, b: f64, epsilon: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < epsilon * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < epsilon
}
