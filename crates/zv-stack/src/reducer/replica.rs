//! One replica over time: what was seen of it, what it went through, what can be said of it now.

use chrono::{DateTime, TimeDelta, Utc};

use super::crashes::{CRASH_LOOP_RESTARTS, Crashes};
use super::text::exit_text;
use crate::input::EventKind;
use crate::model::{
    Details, Exit, Happening, HappeningKind, Health, Intent, RestartPolicy, Seen, State, Verdict,
};

/// The engine and its events may disagree by so much on when something ended.
const CLOCK_SLACK: TimeDelta = TimeDelta::seconds(5);

/// A replica and its history.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) seen: Seen,
    /// What was said of it is known to be true still.
    pub(super) certain: bool,
    /// The kernel reported the end of this process, and nobody has told of another since.
    pub(super) ended_pid: Option<u32>,
    /// A person asked the runtime to stop it, and it was not started since.
    pub(super) stop_asked: bool,
    /// A person had the runtime send it a signal in this life.
    pub(super) kill_asked: bool,
    /// It ended with its runtime, which nobody asked for as far as it goes.
    pub(super) swept: bool,
    /// The runtime told of the stop before it told of the death.
    stop_told: bool,
    /// An inspection showed the restart as counted before it was told.
    restart_counted: bool,
    /// The kernel killed something in it for want of memory in this life.
    oom: bool,
    /// Its last death was watched, so that a stop would have been noticed.
    pub(super) witnessed: bool,
    /// It was seen alive in this life and then, without an event, not any more.
    fell: bool,
    /// It was healthy at some time.
    pub(super) was_healthy: bool,
    /// Counts its starts, as far as they were noticed.
    pub(super) life: u64,
    /// The end of this life has been told.
    death_told: bool,
    /// It was looked at: whether it has a health check is known.
    pub(super) looked: bool,
    /// The state comes from a look at the replica, not from an event alone.
    pub(super) inspected: bool,
    pub(super) crashes: Crashes,
}

/// What came of an update.
#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) changed: bool,
    pub(super) memory: bool,
    pub(super) happenings: Vec<Happening>,
    /// A death to gather evidence of, and whether it is noticed late.
    pub(super) died: Option<(Exit, bool)>,
}

impl Tracked {
    pub(super) fn new(now: DateTime<Utc>, seen: Seen) -> Self {
        let mut crashes = Crashes::default();
        // Met in the middle of a loop, it is one: waiting for three more restarts would take minutes.
        let restarts = seen.details.as_ref().map_or(0, |d| d.restart_count);
        if seen.state == State::Restarting {
            (0..restarts.min(CRASH_LOOP_RESTARTS)).for_each(|_| crashes.note(now));
        }
        crashes.judge(now);
        let inspected = seen.details.is_some();
        let was_healthy = seen.verdict == Verdict::Healthy;
        Self {
            seen,
            certain: true,
            ended_pid: None,
            stop_asked: false,
            kill_asked: false,
            swept: false,
            stop_told: false,
            restart_counted: false,
            oom: false,
            witnessed: false,
            fell: false,
            was_healthy,
            life: 1,
            death_told: false,
            looked: true,
            inspected,
            crashes,
        }
    }

    /// Returns what the first look at a replica tells: it is new, and a death may have been missed.
    pub(super) fn first_noted(&mut self) -> Noted {
        let mut noted = Noted { changed: true, ..Noted::default() };
        self.note_late_death(&mut noted);
        noted
    }

    /// Takes a newer look at the replica.
    pub(super) fn update(&mut self, now: DateTime<Utc>, mut seen: Seen) -> Noted {
        let mut noted = Noted { changed: !self.certain, ..Noted::default() };
        let was_up = self.seen.state.is_up();
        let is_inspection = seen.details.is_some();
        self.certain = true;
        noted.changed |= !std::mem::replace(&mut self.looked, true);
        self.complete(now, &mut seen);
        self.note_verdict(seen.verdict, now, &mut noted);
        let missed = missed_death(&self.seen, &seen);
        let lives_anew =
            seen.state.is_up() && (!was_up || missed.is_some() || is_other_process(&self.seen, &seen));
        noted.changed |= self.seen != seen;
        self.seen = seen;
        if let Some(exit) = missed {
            self.tell_death(&exit, false, &mut noted);
        }
        if lives_anew {
            self.new_life();
        }
        self.fell |= was_up && !self.seen.state.is_up();
        self.inspected |= is_inspection;
        if is_inspection && !self.seen.state.is_up() {
            self.note_exit_seen(&mut noted);
        }
        noted.changed |= self.crashes.judge(now);
        noted
    }

    /// Fills a newer look with what it cannot know or knows less well than we do.
    fn complete(&mut self, now: DateTime<Utc>, seen: &mut Seen) {
        let pid = seen.details.as_ref().map(|details| details.pid);
        let ended = self.ended_pid.filter(|ended| pid.is_none_or(|pid| pid == Some(*ended)));
        if seen.state.is_up() && ended.is_some() {
            // The runtime lags behind the kernel: only another process disproves a death.
            seen.state = State::Exited;
        }
        let old = self.seen.details.as_ref();
        match &mut seen.details {
            Some(details) => {
                let count = old.map_or(details.restart_count, |old| old.restart_count);
                for _ in count..details.restart_count.min(count.saturating_add(CRASH_LOOP_RESTARTS)) {
                    self.crashes.note(details.started_at.unwrap_or(now).min(now));
                }
                self.restart_counted |= details.restart_count > count;
                // The verdict of the list and of the inspection are one thing; the inspection knows better.
                seen.verdict = details.health.verdict;
                let old_exit = old.and_then(|old| old.exit.as_ref());
                if seen.state.is_up() || ended.is_some() {
                    // A running container has forgotten how it ended before.
                    details.exit = match (details.exit.take(), old_exit) {
                        (Some(new), Some(old)) if new.at - old.at > CLOCK_SLACK => {
                            Some(Exit { code: None, ..new })
                        }
                        (Some(new), None) => Some(Exit { code: None, ..new }),
                        (_, old) => old.cloned(),
                    };
                } else if let Some(exit) = &mut details.exit {
                    exit.oom |= self.oom;
                }
            }
            None => {
                seen.details = old.cloned();
                if let Some(details) = &mut seen.details {
                    details.health.verdict = seen.verdict;
                    details.pid = details.pid.filter(|_| seen.state.is_up());
                }
                if seen.image_id.is_empty() {
                    seen.image_id.clone_from(&self.seen.image_id);
                }
            }
        }
    }

    /// Takes an event of the runtime.
    pub(super) fn take_event(&mut self, at: DateTime<Utc>, kind: EventKind) -> Noted {
        let mut noted = Noted { changed: true, ..Noted::default() };
        match kind {
            EventKind::Created => {
                noted.happenings.push(self.happening(at, HappeningKind::Created, "created".to_owned()));
            }
            EventKind::Started { pid } => self.started(at, pid, &mut noted),
            EventKind::Died { code } => self.died(at, code, &mut noted),
            EventKind::OutOfMemory => {
                self.oom = true;
                // Engines tell of it after the death at times, and then never mark the exit themselves.
                let is_up = self.seen.state.is_up();
                if let Some(exit) = self.details().exit.as_mut().filter(|_| !is_up) {
                    exit.oom = true;
                }
                let text = "the kernel killed a process in it for want of memory".to_owned();
                noted.happenings.push(self.happening(at, HappeningKind::OutOfMemory, text));
            }
            EventKind::Killed => self.kill_asked = true,
            EventKind::Stopped => self.stopped(at, &mut noted),
            EventKind::Paused => self.paused(at, true, &mut noted),
            EventKind::Unpaused => self.paused(at, false, &mut noted),
            EventKind::Health(verdict) => {
                self.note_verdict(verdict, at, &mut noted);
                self.seen.verdict = verdict;
                if let Some(details) = &mut self.seen.details {
                    details.health.verdict = verdict;
                }
            }
            EventKind::Renamed(name) => self.seen.name = name,
            EventKind::Removed => {}
        }
        noted
    }

    /// The kernel says the first process ended. While the runtime answers it tells the rest in a moment.
    pub(super) fn process_ended(&mut self, now: DateTime<Utc>, pid: u32, runtime_answers: bool) -> Noted {
        let is_current = self.seen.details.as_ref().is_some_and(|d| d.pid == Some(pid));
        if !is_current || !self.seen.state.is_up() {
            return Noted::default();
        }
        self.ended_pid = Some(pid);
        self.witnessed = true;
        self.inspected = false;
        self.seen.state = State::Exited;
        let exit = Exit { at: now, code: None, oom: self.oom };
        self.set_exit(exit.clone());
        let mut noted = Noted { changed: true, ..Noted::default() };
        if !runtime_answers {
            self.tell_death(&exit, false, &mut noted);
        }
        noted
    }

    /// Says whether it has ended, and between these times.
    pub(super) fn ended_within(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
        let at = self.exit().map(|exit| exit.at);
        !self.seen.state.is_up() && at.is_some_and(|at| (from..=to).contains(&at))
    }

    /// It ended with its runtime: whatever was told of a stop was the runtime's own doing.
    pub(super) fn sweep(&mut self) {
        self.swept = true;
        self.stop_asked = false;
        self.kill_asked = false;
        self.stop_told = false;
    }

    /// Returns a line of the timeline about this replica.
    pub(super) fn happening(&self, at: DateTime<Utc>, kind: HappeningKind, text: String) -> Happening {
        Happening {
            at,
            key: Some(self.seen.key.clone()),
            replica: Some(self.seen.id.clone()),
            name: self.seen.name.clone(),
            kind,
            text,
        }
    }

    /// The details so far; a replica that is known by events alone has none yet.
    fn details(&mut self) -> &mut Details {
        self.seen.details.get_or_insert_with(|| Details {
            pid: None,
            started_at: None,
            exit: None,
            restart_count: 0,
            restart_policy: RestartPolicy::No,
            health: Health { verdict: self.seen.verdict, ..Health::default() },
            tty: false,
        })
    }

    fn set_exit(&mut self, exit: Exit) {
        self.details().exit = Some(exit);
    }

    /// It runs again: what was said of the life before does not count any more.
    fn new_life(&mut self) {
        self.life += 1;
        self.ended_pid = None;
        self.stop_asked = false;
        self.kill_asked = false;
        self.swept = false;
        self.stop_told = false;
        self.restart_counted = false;
        self.oom = false;
        self.witnessed = false;
        self.fell = false;
        self.death_told = false;
        self.inspected = false;
    }

    fn note_verdict(&mut self, verdict: Verdict, at: DateTime<Utc>, noted: &mut Noted) {
        self.was_healthy |= verdict == Verdict::Healthy;
        if self.seen.verdict == verdict || !self.seen.state.is_up() {
            return;
        }
        match verdict {
            Verdict::Healthy => {
                noted.happenings.push(self.happening(at, HappeningKind::Healthy, "healthy".to_owned()));
            }
            Verdict::Unhealthy => {
                noted.happenings.push(self.happening(at, HappeningKind::Unhealthy, "unhealthy".to_owned()));
            }
            Verdict::None | Verdict::Starting => {}
        }
    }

    /// An inspection shows the replica ended: either it completes what an event told, or the event was missed.
    fn note_exit_seen(&mut self, noted: &mut Noted) {
        let Some(exit) = self.exit().cloned() else { return };
        if self.death_told || self.seen.state == State::Created {
            return;
        }
        if self.fell || self.witnessed {
            self.tell_death(&exit, false, noted);
        } else {
            self.note_late_death(noted);
        }
    }

    fn note_late_death(&mut self, noted: &mut Noted) {
        let Some(exit) = self.exit().cloned() else { return };
        let is_over = matches!(self.seen.state, State::Exited | State::Dead | State::Restarting);
        if is_over && !self.death_told && self.intent() == Intent::Run {
            self.death_told = true;
            noted.died = Some((exit, true));
        }
    }

    fn started(&mut self, at: DateTime<Utc>, pid: Option<u32>, noted: &mut Noted) {
        // A job that ended well and is run once more has not crashed.
        let is_restart = self.witnessed
            && !matches!(self.intent(), Intent::Stopped | Intent::Finished)
            && self.death_told
            && !self.restart_counted;
        noted.memory |= self.stop_asked;
        if is_restart {
            self.crashes.note(at);
        }
        self.seen.state = State::Running;
        let has_check = self.seen.verdict != Verdict::None;
        if has_check {
            self.seen.verdict = Verdict::Starting;
        }
        let verdict = self.seen.verdict;
        let details = self.details();
        details.pid = pid;
        details.started_at = Some(at);
        details.restart_count = details.restart_count.saturating_add(u32::from(is_restart));
        details.health.verdict = verdict;
        self.new_life();
        noted.happenings.push(self.happening(at, HappeningKind::Started, "started".to_owned()));
        if self.crashes.judge(at) && self.crashes.is_looping() {
            let text = format!("restarted {CRASH_LOOP_RESTARTS} times in five minutes");
            noted.happenings.push(self.happening(at, HappeningKind::CrashLoop, text));
        }
    }

    fn died(&mut self, at: DateTime<Utc>, code: Option<i32>, noted: &mut Noted) {
        let exit = Exit { at, code, oom: self.oom };
        self.seen.state = State::Exited;
        self.witnessed = true;
        self.inspected = false;
        self.set_exit(exit.clone());
        self.ended_pid = None;
        if !self.death_told {
            self.tell_death(&exit, false, noted);
        }
        if self.stop_told {
            self.stopped(at, noted);
        }
    }

    fn stopped(&mut self, at: DateTime<Utc>, noted: &mut Noted) {
        if self.seen.state.is_up() {
            // Either the death it speaks of is yet to be told, or the replica was started again before this arrived:
            // then nobody has sent a signal to this life.
            self.stop_told |= self.kill_asked;
            return;
        }
        noted.memory |= !self.stop_asked;
        self.stop_asked = true;
        self.crashes = Crashes::default();
        noted.happenings.push(self.happening(at, HappeningKind::Stopped, "stopped on request".to_owned()));
    }

    fn paused(&mut self, at: DateTime<Utc>, paused: bool, noted: &mut Noted) {
        if !self.seen.state.is_up() {
            return;
        }
        let (state, kind, text) = if paused {
            (State::Paused, HappeningKind::Paused, "paused")
        } else {
            (State::Running, HappeningKind::Unpaused, "goes on")
        };
        self.seen.state = state;
        noted.happenings.push(self.happening(at, kind, text.to_owned()));
    }

    /// The runtime went away: a death that only the kernel told of will not be told by anyone else.
    pub(super) fn runtime_lost(&mut self) -> Noted {
        self.certain = false;
        let mut noted = Noted { changed: true, ..Noted::default() };
        if self.ended_pid.is_some()
            && !self.death_told
            && let Some(exit) = self.exit().cloned()
        {
            self.tell_death(&exit, false, &mut noted);
        }
        noted
    }

    fn tell_death(&mut self, exit: &Exit, late: bool, noted: &mut Noted) {
        self.death_told = true;
        let finished = self.intent() == Intent::Finished;
        let kind = if finished { HappeningKind::Finished } else { HappeningKind::Died };
        noted.happenings.push(self.happening(exit.at, kind, exit_text(exit)));
        noted.died = Some((exit.clone(), late));
    }
}

/// Says whether both are up, but as different processes.
fn is_other_process(old: &Seen, new: &Seen) -> bool {
    let pid = |seen: &Seen| seen.details.as_ref().and_then(|details| details.pid);
    pid(old).zip(pid(new)).is_some_and(|(old, new)| old != new)
}

/// Returns the end of a life that began and ended between two looks, if there was one.
fn missed_death(old: &Seen, new: &Seen) -> Option<Exit> {
    let (old_details, new_details) = (old.details.as_ref()?, new.details.as_ref()?);
    let exit = new_details.exit.as_ref()?;
    let is_missed = old.state.is_up() && new.state.is_up() && exit.at > old_details.started_at?;
    is_missed.then(|| exit.clone())
}
