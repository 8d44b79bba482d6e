//! `/proc/pressure/*`: how long work waited for what there was not enough of.

/// Microseconds since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pressure {
    /// Something waited.
    pub(crate) some: Option<u64>,
    /// Nothing went on.
    pub(crate) full: Option<u64>,
}

impl Pressure {
    pub(super) fn parse(text: &str) -> Self {
        let mut pressure = Self::default();
        for line in text.lines() {
            let Some((kind, rest)) = line.split_once(' ') else { continue };
            let total = rest.rsplit_once("total=").and_then(|(_, total)| total.trim().parse().ok());
            match kind {
                "some" => pressure.some = total,
                "full" => pressure.full = total,
                _ => {}
            }
        }
        pressure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read() {
        let text = "some avg10=41.91 avg60=13.75 avg300=4.40 total=4562672759\nfull avg10=0.00 total=x\n";
        assert_eq!(Pressure::parse(text), Pressure { some: Some(4_562_672_759), full: None });
    }
}
