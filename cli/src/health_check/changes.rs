//! The memory behind --only-changes: what was told of each target. A file that is replaced as a whole, under a lock, so
//! that neither a crash nor another run at the same time leaves half of it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use zv_probe::Verdict;

use super::finding::{Finding, Summary};
use crate::failure::{Failure, Outcome};

const FILE: &str = "zv/health-check.json";
/// Where the agent keeps its things, too.
const ROOTS_FILE: &str = "/var/lib/zv/health-check.json";
const VERSION: u32 = 1;
/// Whoever holds the lock needs it for a moment.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(20);
/// What nobody checks any more is forgotten.
const FORGOTTEN: TimeDelta = TimeDelta::days(30);

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct State {
    version: u32,
    targets: BTreeMap<String, Known>,
}

/// What is remembered of one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// The word for its verdict.
    status: String,
    since: DateTime<Utc>,
    told_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) finding: Finding,
    pub(super) kind: Kind,
}

/// Why it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is seen for the first time, and not up.
    First,
    /// It was otherwise for so long.
    Changed { from: String, stood: TimeDelta },
    /// It is as it was, for so long, and somebody wants to be reminded.
    Still { stands: TimeDelta },
}

/// What a run changes.
#[derive(Debug, PartialEq)]
pub(super) struct Changes {
    pub(super) told: Vec<Change>,
    pub(super) state: State,
}

/// The place of the memory.
#[derive(Debug)]
pub(super) struct Memory {
    file: PathBuf,
}

impl Memory {
    /// Returns the memory at `file`, else at this user's usual place.
    pub(super) fn at(file: Option<&Path>, state_home: Option<&Path>) -> Outcome<Self> {
        let file = match (file, state_home) {
            (Some(file), _) => file.to_owned(),
            (None, Some(home)) => home.join(FILE),
            (None, None) if rustix::process::geteuid().is_root() => PathBuf::from(ROOTS_FILE),
            (None, None) => {
                return Err(Failure::Usage("say where to remember: --only-changes --state FILE".to_owned()));
            }
        };
        Ok(Self { file })
    }

    /// Waits until no other run has it, and reads it.
    pub(super) async fn lock(self) -> Outcome<Locked> {
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let lock_file = with_end(&self.file, ".lock");
        let cannot_lock = || format!("cannot lock {}", lock_file.display());
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_file);
        let lock = lock.with_context(cannot_lock)?;
        let begun = Instant::now();
        while let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(anyhow::Error::new(error).context(cannot_lock()).into());
            }
            if begun.elapsed() >= PATIENCE {
                return Err(Failure::new(format!("{}: another run keeps it", cannot_lock())));
            }
            sleep(RETRY).await;
        }
        let (state, warning) = match read(&self.file)? {
            Ok(state) => (state, None),
            Err(why) => {
                let file = self.file.display();
                (State::default(), Some(format!("Warning: {file} is not what zv wrote ({why}): begun anew.")))
            }
        };
        Ok(Locked { file: self.file, state, warning, _lock: lock })
    }
}

fn with_end(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Reads the state; nothing is a state, garbage is not.
fn read(file: &Path) -> Outcome<Result<State, String>> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(State::default())),
        Err(error) => {
            return Err(anyhow::Error::new(error).context(format!("cannot read {}", file.display())).into());
        }
    };
    Ok(match serde_json::from_slice::<State>(&text) {
        Ok(state) if state.version == VERSION => Ok(state),
        Ok(state) => Err(format!("version {}", state.version)),
        Err(error) => Err(error.to_string()),
    })
}

/// The memory, while no other run can touch it.
#[derive(Debug)]
pub(super) struct Locked {
    file: PathBuf,
    state: State,
    warning: Option<String>,
    _lock: File,
}

impl Locked {
    /// Returns what a person should know of the memory itself.
    pub(super) fn warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    /// Returns what is new.
    pub(super) fn compare(&self, summary: &Summary, remind: Option<Duration>) -> Changes {
        compare(&self.state, summary, remind.and_then(|remind| TimeDelta::from_std(remind).ok()))
    }

    /// Replaces what is remembered, as a whole or not at all.
    pub(super) fn save(&mut self, state: State) -> Outcome {
        let file = &self.file;
        let write = || -> io::Result<()> {
            let draft = with_end(file, ".tmp");
            let options = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).to_owned();
            let mut writer = options.open(&draft)?;
            writer.write_all(&serde_json::to_vec(&state)?)?;
            writer.sync_all()?;
            fs::rename(&draft, file)
        };
        write().with_context(|| format!("cannot remember in {}", file.display()))?;
        self.state = state;
        Ok(())
    }
}

/// Compares a run with what is known. Pure: the time is the run's.
fn compare(state: &State, summary: &Summary, remind: Option<TimeDelta>) -> Changes {
    let now = summary.at;
    let mut targets = state.targets.clone();
    targets.retain(|_, known| now - known.seen_at < FORGOTTEN);
    let mut told = Vec::new();
    let mut times_seen: BTreeMap<&str, u32> = BTreeMap::new();
    for finding in &summary.findings {
        let count = times_seen.entry(&finding.target).or_default();
        *count += 1;
        // Two targets may differ in a secret alone, which is not shown.
        let key = if *count == 1 { finding.target.clone() } else { format!("{} ({count})", finding.target) };
        let before = targets.get(&key);
        let kind = kind(before, finding, now, remind);
        let status = finding.verdict.word().to_owned();
        let since = before.filter(|known| known.status == status).map_or(now, |known| known.since);
        let told_at = match (&kind, before) {
            (None, Some(known)) => known.told_at,
            _ => now,
        };
        targets.insert(key, Known { status, since, told_at, seen_at: now });
        told.extend(kind.map(|kind| Change { finding: finding.clone(), kind }));
    }
    Changes { told, state: State { version: VERSION, targets } }
}

fn kind(
    before: Option<&Known>,
    finding: &Finding,
    now: DateTime<Utc>,
    remind: Option<TimeDelta>,
) -> Option<Kind> {
    let is_up = finding.verdict == Verdict::Up;
    match before {
        None => (!is_up).then_some(Kind::First),
        Some(known) if known.status != finding.verdict.word() => {
            Some(Kind::Changed { from: known.status.clone(), stood: now - known.since })
        }
        Some(known) => {
            let is_due = remind.is_some_and(|remind| now - known.told_at >= remind);
            (!is_up && is_due).then(|| Kind::Still { stands: now - known.since })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn summary(minutes: i64, verdicts: &[(&str, Verdict)]) -> Summary {
        let findings =
            verdicts.iter().map(|(target, verdict)| Finding::seen(*target, *verdict, "")).collect();
        Summary { at: samples::now() + TimeDelta::minutes(minutes), seconds: 0.1, findings }
    }

    /// Returns what each of these runs of one target tells.
    fn told(remind: Option<TimeDelta>, runs: &[(i64, Verdict)]) -> Vec<Option<Kind>> {
        let mut state = State::default();
        let kinds = runs.iter().map(|(minutes, verdict)| {
            let changes = compare(&state, &summary(*minutes, &[("a", *verdict)]), remind);
            state = changes.state;
            changes.told.into_iter().next().map(|change| change.kind)
        });
        kinds.collect()
    }

    #[test]
    fn each_change_is_told_once() {
        let runs =
            [(0, Verdict::Up), (5, Verdict::Down), (10, Verdict::Down), (15, Verdict::Up), (20, Verdict::Up)];
        let changed = |from: &str, minutes| {
            Some(Kind::Changed { from: from.to_owned(), stood: TimeDelta::minutes(minutes) })
        };
        assert_eq!(told(None, &runs), [None, changed("up", 5), None, changed("down", 10), None]);
        assert_eq!(told(None, &[(0, Verdict::Down), (5, Verdict::Down)]), [Some(Kind::First), None]);
    }

    #[test]
    fn what_lasts_is_told_again_on_demand() {
        let runs = [
            (0, Verdict::Down),
            (30, Verdict::Down),
            (60, Verdict::Down),
            (90, Verdict::Down),
            (120, Verdict::Down),
        ];
        let still = |minutes| Some(Kind::Still { stands: TimeDelta::minutes(minutes) });
        let hourly = told(Some(TimeDelta::hours(1)), &runs);
        assert_eq!(hourly, [Some(Kind::First), None, still(60), None, still(120)]);
        let up = [(0, Verdict::Up), (600, Verdict::Up)];
        assert_eq!(told(Some(TimeDelta::hours(1)), &up), [None, None]);
    }

    #[test]
    fn targets_of_other_runs_are_kept_for_a_while() {
        let first = compare(&State::default(), &summary(0, &[("a", Verdict::Down)]), None);
        let second = compare(&first.state, &summary(5, &[("b", Verdict::Up), ("b", Verdict::Down)]), None);
        assert_eq!(second.state.targets.keys().collect::<Vec<_>>(), ["a", "b", "b (2)"]);
        let later = compare(&second.state, &summary(60 * 24 * 31, &[("c", Verdict::Up)]), None);
        assert_eq!(later.state.targets.len(), 1);
    }

    #[tokio::test]
    async fn the_file_is_replaced_as_a_whole_and_garbage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/state.json");
        let memory = || Memory::at(Some(&file), None).unwrap();
        let mut locked = memory().lock().await.unwrap();
        let changes = locked.compare(&summary(0, &[("a", Verdict::Down)]), None);
        locked.save(changes.state.clone()).unwrap();
        drop(locked);
        assert_eq!(memory().lock().await.unwrap().state, changes.state);
        // A crash left a draft; it is nobody's state.
        fs::write(with_end(&file, ".tmp"), "{").unwrap();
        assert_eq!(memory().lock().await.unwrap().state, changes.state);
        fs::write(&file, "{\"version\":").unwrap();
        let mut locked = memory().lock().await.unwrap();
        assert!(locked.warning().unwrap().contains("begun anew"));
        assert_eq!(locked.state, State::default());
    }
}
