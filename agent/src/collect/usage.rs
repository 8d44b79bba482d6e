//! What a replica uses, from two measurements of it; and what all of a service does. Pure.

use chrono::TimeDelta;
use zv_api::Usage;
use zv_stack::stats::{Device, Interface, Measurement};

/// Two measurements must lie so far apart to tell a rate: below it, the grain of the kernel's counters is what one sees.
pub(super) const LEAST_SPAN: TimeDelta = TimeDelta::milliseconds(100);

/// Returns what is used now; rates are of the time since `before`, which must be of the same life of the replica.
pub fn usage(now: &Measurement, before: Option<&Measurement>) -> Usage {
    let pair = before.and_then(|before| Pair::new(now, before));
    let rate = |of: fn(&Measurement) -> Option<f64>| pair.as_ref()?.rate(of);
    Usage {
        at: now.at,
        cpu_cores: rate(|m| m.cpu.usage_seconds),
        cpu_limit_cores: limit_cores(now),
        cpu_throttled: pair.as_ref().and_then(Pair::throttled),
        memory_bytes: now.memory.working_set,
        memory_limit_bytes: now.memory.limit,
        network_receive_bytes_per_second: rate(|m| interfaces(m, |one| one.received.bytes)),
        network_transmit_bytes_per_second: rate(|m| interfaces(m, |one| one.transmitted.bytes)),
        read_bytes_per_second: rate(|m| devices(m, |one| one.read_bytes)),
        written_bytes_per_second: rate(|m| devices(m, |one| one.written_bytes)),
        processes: now.tasks.processes.or(now.tasks.threads),
    }
}

/// Returns what they use together. What is not known of one is not known of all: a sum without it would be too small.
/// Absent where there is none.
pub fn sum<'a>(usages: impl IntoIterator<Item = Option<&'a Usage>>) -> Option<Usage> {
    let mut all: Option<Usage> = None;
    let mut is_whole = true;
    for usage in usages {
        let Some(usage) = usage else {
            is_whole = false;
            continue;
        };
        all = Some(match all {
            None => usage.clone(),
            Some(sum) => add(&sum, usage),
        });
    }
    // Those of which nothing is known leave nothing to be known of all but when that was.
    all.map(|sum| if is_whole { sum } else { Usage { at: sum.at, ..Usage::default() } })
}

fn add(a: &Usage, b: &Usage) -> Usage {
    let rates = |of: fn(&Usage) -> Option<f64>| Some(of(a)? + of(b)?);
    let counts = |of: fn(&Usage) -> Option<u64>| Some(of(a)?.saturating_add(of(b)?));
    Usage {
        at: a.at.max(b.at),
        cpu_cores: rates(|u| u.cpu_cores),
        cpu_limit_cores: rates(|u| u.cpu_limit_cores),
        // Of several quotas, the one that hurts most.
        cpu_throttled: match (a.cpu_throttled, b.cpu_throttled) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (one, other) => one.or(other),
        },
        memory_bytes: counts(|u| u.memory_bytes),
        memory_limit_bytes: counts(|u| u.memory_limit_bytes),
        network_receive_bytes_per_second: rates(|u| u.network_receive_bytes_per_second),
        network_transmit_bytes_per_second: rates(|u| u.network_transmit_bytes_per_second),
        read_bytes_per_second: rates(|u| u.read_bytes_per_second),
        written_bytes_per_second: rates(|u| u.written_bytes_per_second),
        processes: counts(|u| u.processes),
    }
}

/// Two measurements far enough apart.
struct Pair<'a> {
    now: &'a Measurement,
    before: &'a Measurement,
    seconds: f64,
}

impl<'a> Pair<'a> {
    fn new(now: &'a Measurement, before: &'a Measurement) -> Option<Self> {
        let span = now.at - before.at;
        let seconds = span.num_microseconds()? as f64 / 1e6;
        (span >= LEAST_SPAN).then_some(Self { now, before, seconds })
    }

    /// Returns the growth of a counter per second; nothing where it began anew.
    fn rate(&self, of: impl Fn(&Measurement) -> Option<f64>) -> Option<f64> {
        let grown = of(self.now)? - of(self.before)?;
        (grown >= 0.0).then(|| grown / self.seconds)
    }

    fn throttled(&self) -> Option<f64> {
        let periods = self.rate(|m| m.cpu.periods.map(|count| count as f64))?;
        let throttled = self.rate(|m| m.cpu.throttled_periods.map(|count| count as f64))?;
        (periods > 0.0).then(|| (throttled / periods).min(1.0))
    }
}

fn limit_cores(now: &Measurement) -> Option<f64> {
    let (quota, period) = now.cpu.quota_micros.zip(now.cpu.period_micros)?;
    (period > 0).then(|| quota as f64 / period as f64)
}

fn interfaces(measurement: &Measurement, of: impl Fn(&Interface) -> u64) -> Option<f64> {
    // One that is in no network receives nothing, and not zero bytes.
    let all = measurement.network.as_ref().filter(|all| !all.is_empty())?;
    Some(all.iter().map(|one| of(one) as f64).sum())
}

fn devices(measurement: &Measurement, of: impl Fn(&Device) -> u64) -> Option<f64> {
    let all = measurement.io.as_ref()?;
    Some(all.iter().map(|one| of(one) as f64).sum())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;
    use zv_stack::stats::{Cpu, Flow, Memory};

    use super::*;

    fn measurement(milliseconds: i64, cpu: Option<f64>, received: Option<u64>) -> Measurement {
        Measurement {
            at: DateTime::from_timestamp_millis(milliseconds).unwrap(),
            cpu: Cpu { usage_seconds: cpu, ..Cpu::default() },
            network: received.map(|bytes| {
                let received = Flow { bytes, ..Flow::default() };
                vec![Interface { name: "eth0".into(), received, transmitted: Flow::default() }]
            }),
            ..Measurement::default()
        }
    }

    #[test]
    fn rates_are_of_the_time_between() {
        let (before, now) = (measurement(0, Some(1.0), Some(100)), measurement(2000, Some(4.0), Some(300)));
        let usage = usage(&now, Some(&before));
        assert_eq!(usage.cpu_cores, Some(1.5));
        assert_eq!(usage.network_receive_bytes_per_second, Some(100.0));
        assert_eq!(usage.network_transmit_bytes_per_second, Some(0.0));
        assert_eq!((usage.read_bytes_per_second, usage.memory_bytes), (None, None));
    }

    #[test]
    fn a_first_measurement_a_restart_and_a_moment_tell_no_rate() {
        let now = measurement(10_000, Some(4.0), None);
        assert_eq!(usage(&now, None).cpu_cores, None);
        for before in [
            measurement(0, Some(9.0), None),
            measurement(9_950, Some(4.0), None),
            measurement(20_000, Some(1.0), None),
            measurement(0, None, None),
        ] {
            assert_eq!(usage(&now, Some(&before)).cpu_cores, None, "{before:?}");
        }
    }

    #[test]
    fn a_quota_tells_its_cores_and_how_often_it_was_used_up() {
        let with = |at, periods, throttled_periods| Measurement {
            cpu: Cpu {
                periods: Some(periods),
                throttled_periods: Some(throttled_periods),
                quota_micros: Some(150_000),
                period_micros: Some(100_000),
                ..Cpu::default()
            },
            ..measurement(at, None, None)
        };
        let usage = usage(&with(10_000, 100, 25), Some(&with(0, 0, 0)));
        assert_eq!((usage.cpu_limit_cores, usage.cpu_throttled), (Some(1.5), Some(0.25)));
        let idle = super::usage(&with(10_000, 7, 2), Some(&with(0, 7, 2)));
        assert_eq!(idle.cpu_throttled, None, "no period passed");
    }

    #[test]
    fn a_sum_holds_what_is_known_of_all() {
        let with = |cpu_cores, working_set| Usage {
            cpu_cores,
            ..usage(
                &Measurement {
                    memory: Memory { working_set, limit: Some(10), ..Memory::default() },
                    ..measurement(0, None, None)
                },
                None,
            )
        };
        let (one, other) = (with(Some(0.5), Some(3)), with(None, Some(4)));
        let sum_of = |all: &[Option<&Usage>]| sum(all.iter().copied());
        let both = sum_of(&[Some(&one), Some(&other)]).unwrap();
        assert_eq!((both.cpu_cores, both.memory_bytes, both.memory_limit_bytes), (None, Some(7), Some(20)));
        let partly = sum_of(&[Some(&one), None]).unwrap();
        assert_eq!((partly.cpu_cores, partly.memory_bytes), (None, None));
        assert_eq!(sum_of(&[None]), None);
        assert_eq!(sum_of(&[]), None);
    }

    proptest! {
        #[test]
        fn no_rate_is_ever_negative_or_no_number(
            times in (0i64..100_000, 0i64..100_000),
            cpu in (proptest::option::of(0.0..1e9), proptest::option::of(0.0..1e9)),
            bytes in (proptest::option::of(any::<u64>()), proptest::option::of(any::<u64>())),
        ) {
            let (before, now) =
                (measurement(times.0, cpu.0, bytes.0), measurement(times.1, cpu.1, bytes.1));
            let usage = usage(&now, Some(&before));
            for rate in [usage.cpu_cores, usage.network_receive_bytes_per_second] {
                prop_assert!(rate.is_none_or(|rate| rate >= 0.0 && rate.is_finite()), "{rate:?}");
            }
            let grew = cpu.0.zip(cpu.1).is_some_and(|(before, now)| now >= before);
            prop_assert_eq!(usage.cpu_cores.is_some(), grew && times.1 - times.0 >= 100);
        }
    }
}
