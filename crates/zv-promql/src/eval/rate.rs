//! Rates: how much values grow in a window, estimated as Prometheus does.

use zv_model::{Sample, TimeRange};

use super::window::Steps;

/// What is told of a growth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rate {
    /// Of a counter, per second.
    PerSecond,
    /// Of a counter, over the window.
    Increase,
    /// Of any value, over the window.
    Delta,
}

/// Writes the growth in each window. What the samples show is extended to the window's ends, where they are near.
pub(super) fn extrapolated(rate: Rate, samples: &[Sample], steps: &Steps, out: &mut [f64]) {
    let resets = if rate == Rate::Delta { Vec::new() } else { resets(samples) };
    let mut next_reset = 0;
    steps.each(samples, |step, window, low, high| {
        if high - low < 2 {
            return;
        }
        while next_reset < resets.len() && resets[next_reset] <= low {
            next_reset += 1;
        }
        let mut growth = samples[high - 1].value - samples[low].value;
        for reset in resets[next_reset..].iter().take_while(|reset| **reset < high) {
            growth += samples[*reset - 1].value;
        }
        let factor = extension(rate, &samples[low..high], window, growth);
        let per = if rate == Rate::PerSecond { steps.range as f64 / 1000.0 } else { 1.0 };
        out[step] = growth * (factor / per);
    });
}

/// Returns the places of samples that are lower than the one before: there a counter began anew.
fn resets(samples: &[Sample]) -> Vec<usize> {
    (1..samples.len()).filter(|at| samples[*at].value < samples[at - 1].value).collect()
}

/// Returns by how much the growth between the first and the last sample is to be multiplied.
#[inline]
fn extension(rate: Rate, samples: &[Sample], window: TimeRange, growth: f64) -> f64 {
    let (first, last) = (samples[0], samples[samples.len() - 1]);
    let mut to_start = (first.at - window.from) as f64 / 1000.0;
    let mut to_end = (window.to - last.at) as f64 / 1000.0;
    let sampled = (last.at - first.at) as f64 / 1000.0;
    let between = sampled / (samples.len() - 1) as f64;
    // Farther than this from the window's end, the series probably began or ended within it.
    let near = between * 1.1;
    if to_start >= near {
        to_start = between / 2.0;
    }
    if rate != Rate::Delta && growth > 0.0 && first.value >= 0.0 {
        // No counter was ever below zero.
        let to_zero = sampled * (first.value / growth);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    if to_end >= near {
        to_end = between / 2.0;
    }
    (sampled + to_start + to_end) / sampled
}

/// Returns the growth between the last two samples; of a counter per second.
#[inline]
pub(super) fn last_two(samples: &[Sample], is_counter: bool) -> Option<f64> {
    let [.., before, last] = samples else { return None };
    let between = last.at - before.at;
    if between == 0 {
        return None;
    }
    // A counter that began anew has grown by what it now is.
    let is_reset = is_counter && last.value < before.value;
    let growth = if is_reset { last.value } else { last.value - before.value };
    Some(if is_counter { growth / (between as f64 / 1000.0) } else { growth })
}
