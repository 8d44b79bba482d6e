//! `/proc/stat` and `/proc/loadavg`.

/// The modes of a processor, in the kernel's order; the last two are contained in `user` and `nice`.
pub(crate) const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

const IDLE: usize = 3;
const WAITING: usize = 4;
const STOLEN: usize = 7;

/// The kernel counts idle time down by a little now and then; by more than this many seconds only where a processor was
/// taken away and put back, when all begins anew.
const SETBACK_SECONDS: u64 = 3;

/// The time that one processor spent, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Processor {
    pub(crate) number: u32,
    /// By [`MODES`].
    pub(crate) ticks: [u64; 8],
    /// As a guest's, with and without priority lowered.
    pub(crate) guest: [u64; 2],
}

impl Processor {
    /// Returns the ticks in which it worked for somebody here.
    pub(super) fn busy(&self) -> u64 {
        let working = self.ticks.iter().enumerate();
        let working = working.filter(|(mode, _)| ![IDLE, WAITING, STOLEN].contains(mode));
        working.map(|(_, ticks)| ticks).fold(0, |sum, ticks| sum.saturating_add(*ticks))
    }

    /// Keeps what was counted before where the kernel counted down, so that a counter is one.
    fn never_less_than(&mut self, before: &Processor, ticks_per_second: u64) {
        if self.ticks[IDLE].saturating_add(SETBACK_SECONDS * ticks_per_second) < before.ticks[IDLE] {
            return;
        }
        let now = self.ticks.iter_mut().chain(&mut self.guest);
        for (now, before) in now.zip(before.ticks.iter().chain(&before.guest)) {
            *now = (*now).max(*before);
        }
    }
}

/// What `/proc/stat` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Activity {
    pub(crate) processors: Vec<Processor>,
    pub(crate) booted_at: Option<i64>,
    pub(crate) context_switches: Option<u64>,
    pub(crate) forks: Option<u64>,
    pub(crate) interrupts: Option<u64>,
    pub(crate) running: Option<u64>,
    pub(crate) blocked: Option<u64>,
}

impl Activity {
    pub(super) fn parse(text: &str) -> Self {
        let mut activity = Self::default();
        for line in text.lines() {
            let Some((key, rest)) = line.split_once(' ') else { continue };
            // The line of interrupts is long: only its first number is looked at.
            let first = || rest.split_ascii_whitespace().next().and_then(|number| number.parse().ok());
            match key {
                "btime" => activity.booted_at = first().and_then(|at: u64| at.try_into().ok()),
                "ctxt" => activity.context_switches = first(),
                "processes" => activity.forks = first(),
                "intr" => activity.interrupts = first(),
                "procs_running" => activity.running = first(),
                "procs_blocked" => activity.blocked = first(),
                _ => activity.processors.extend(processor(key, rest)),
            }
        }
        activity
    }

    /// Mends counters of the kernel that went down a little since the measurement before.
    pub(super) fn after(&mut self, before: &Activity, ticks_per_second: u64) {
        // Both are in order of their numbers.
        let mut earlier = before.processors.iter().peekable();
        for processor in &mut self.processors {
            while earlier.next_if(|earlier| earlier.number < processor.number).is_some() {}
            if let Some(before) = earlier.next_if(|earlier| earlier.number == processor.number) {
                processor.never_less_than(before, ticks_per_second);
            }
        }
    }
}

/// Reads `cpu0 …`; the line of all processors together, `cpu …`, is none of one.
fn processor(key: &str, rest: &str) -> Option<Processor> {
    let number = key.strip_prefix("cpu")?.parse().ok()?;
    let mut numbers = rest.split_ascii_whitespace().map(|number| number.parse().unwrap_or(0));
    // Kernels of old have fewer columns.
    let mut next = || numbers.next().unwrap_or(0);
    Some(Processor { number, ticks: std::array::from_fn(|_| next()), guest: std::array::from_fn(|_| next()) })
}

/// Reads the three averages.
pub(super) fn load(text: &str) -> Option<[f64; 3]> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<f64>);
    let mut next = || numbers.next()?.ok().filter(|load| load.is_finite());
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(ticks: [u64; 8]) -> Activity {
        let processors = vec![Processor { number: 2, ticks, guest: [0, 0] }];
        Activity { processors, ..Activity::default() }
    }

    #[test]
    fn idle_time_that_went_down_a_little_stays() {
        let before = one([10, 0, 0, 1000, 50, 0, 0, 0]);
        let mut now = one([12, 0, 0, 999, 48, 0, 0, 0]);
        now.after(&before, 100);
        assert_eq!(now, one([12, 0, 0, 1000, 50, 0, 0, 0]));
    }

    #[test]
    fn a_processor_that_was_taken_away_begins_anew() {
        let before = one([10, 0, 0, 1000, 50, 0, 0, 0]);
        let mut now = one([1, 0, 0, 2, 0, 0, 0, 0]);
        now.after(&before, 100);
        assert_eq!(now, one([1, 0, 0, 2, 0, 0, 0, 0]));
    }

    #[test]
    fn waiting_and_what_others_took_is_not_work() {
        assert_eq!(one([1, 2, 4, 8, 16, 32, 64, 128]).processors[0].busy(), 1 + 2 + 4 + 32 + 64);
    }

    #[test]
    fn a_kernel_with_fewer_columns() {
        let activity = Activity::parse("cpu  1 2 3 4\ncpu0 1 2 3 4\nintr 9 1 1\nbtime -3\n");
        assert_eq!(activity.processors[0].ticks, [1, 2, 3, 4, 0, 0, 0, 0]);
        assert_eq!((activity.interrupts, activity.booted_at), (Some(9), None));
    }
}
