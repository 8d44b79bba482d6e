//! One value at one time.

/// Milliseconds since 1970; before that, negative.
pub type Timestamp = i64;

/// The NaN by which a scraper says that a series ended. Only these bits mean it: any other NaN is a value.
pub const STALE_NAN: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// The NaN that is a value, in the bits by which every peer writes it.
pub const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// Says whether a value marks the end of a series.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN.to_bits()
}

/// One value at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    pub at: Timestamp,
    pub value: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_nan_is_a_value() {
        assert!(is_stale(STALE_NAN));
        assert!(!is_stale(f64::NAN));
        assert!(NORMAL_NAN.is_nan() && !is_stale(NORMAL_NAN));
    }
}
