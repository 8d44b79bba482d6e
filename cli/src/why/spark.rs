//! A curve in one line of text, and the curves of a replica's last minutes.

use zv_api::Stats;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The points a curve has at most.
pub const POINTS: usize = 24;

/// Draws values between 0 and `top` as bars, at most [`POINTS`] of them: of several values in one bar the highest is
/// shown. A missing value is a space.
pub fn line(values: &[Option<f64>], top: f64) -> String {
    let bars = values.len().min(POINTS);
    let highest = |bar: usize| {
        let part = &values[bar * values.len() / bars..(bar + 1) * values.len() / bars];
        part.iter().flatten().copied().filter(|value| value.is_finite()).reduce(f64::max)
    };
    (0..bars).map(|bar| highest(bar).map_or(' ', |value| glyph(value, top))).collect()
}

fn glyph(value: f64, top: f64) -> char {
    let share = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
    // The cast cannot leave 0 to 7: the share lies between 0 and 1.
    BARS[(share * (BARS.len() - 1) as f64).round() as usize]
}

/// Returns the share of one processor in use between each measurement and the one before, where both are known.
pub fn processor(stats: &[Stats]) -> Vec<Option<f64>> {
    let shares = stats.windows(2).map(|pair| {
        let seconds = (pair[1].at - pair[0].at).as_seconds_f64();
        let used = pair[1].cpu_seconds? - pair[0].cpu_seconds?;
        // The clock or the counter went back: a restart in between.
        (seconds > 0.0 && used >= 0.0).then_some(used / seconds)
    });
    shares.collect()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::samples;

    #[test]
    fn values_become_bars_up_to_the_top() {
        for (values, top, expected) in [
            (&[Some(0.0), Some(50.0), Some(100.0)][..], 100.0, "▁▅█"),
            (&[Some(1.0), None, Some(1.0)], 1.0, "█ █"),
            (&[Some(5.0)], 0.0, "▁"),
            (&[Some(f64::NAN), Some(f64::INFINITY)], 1.0, "  "),
            (&[Some(-3.0), Some(9.0)], 3.0, "▁█"),
            (&[], 1.0, ""),
        ] {
            assert_eq!(line(values, top), expected);
        }
    }

    #[test]
    fn many_values_share_bars_and_peaks_survive() {
        let mut values = vec![Some(0.0); 1_000];
        values[500] = Some(1.0);
        let drawn = line(&values, 1.0);
        assert_eq!(drawn.chars().count(), POINTS);
        assert_eq!(drawn.matches('█').count(), 1);
    }

    #[test]
    fn processor_time_becomes_shares_and_a_reset_is_a_gap() {
        let at = |seconds: i64, cpu: Option<f64>| Stats {
            at: samples::now() + TimeDelta::seconds(seconds),
            cpu_seconds: cpu,
            memory_bytes: None,
            memory_limit_bytes: None,
            network_receive_bytes: None,
            network_transmit_bytes: None,
            processes: None,
        };
        let stats =
            [at(0, Some(10.0)), at(10, Some(15.0)), at(20, Some(1.0)), at(30, None), at(30, Some(2.0))];
        assert_eq!(processor(&stats), [Some(0.5), None, None, None]);
        assert!(processor(&[]).is_empty());
    }
}
