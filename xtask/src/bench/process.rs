//! What the kernel says of a process.

use std::fs;

use anyhow::{Context, Result};

/// Memory and threads of a process; sizes in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Status {
    pub(super) rss: f64,
    pub(super) anonymous: f64,
    pub(super) file: f64,
    /// The most it ever had.
    pub(super) peak: f64,
    pub(super) threads: f64,
}

/// Reads `/proc/PID/status`.
pub(super) fn status(pid: u32) -> Result<Status> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("a watched process is gone")?;
    parse_status(&text).context("`/proc/PID/status` lacks a field")
}

/// Returns the CPU seconds that a process has used, in user and in kernel mode.
pub(super) fn cpu_seconds(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("a watched process is gone")?;
    let ticks = parse_ticks(&text).context("`/proc/PID/stat` lacks a field")?;
    Ok(ticks / rustix::param::clock_ticks_per_second() as f64)
}

/// Counts the open files of a process.
pub(super) fn open_files(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd")).context("a watched process is gone")?.count())
}

/// Finds the processes with this name that `parent` started.
pub(super) fn children(parent: u32, name: &str) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot list the processes")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        // A process may end while the list is read.
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if parse_parent(&text).is_some_and(|(its_name, its_parent)| its_name == name && its_parent == parent)
        {
            found.push(pid);
        }
    }
    Ok(found)
}

fn parse_status(text: &str) -> Option<Status> {
    let field = |name: &str| -> Option<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Status {
        rss: field("VmRSS")?,
        anonymous: field("RssAnon")?,
        file: field("RssFile")?,
        peak: field("VmHWM")?,
        threads: field("Threads")?,
    })
}

/// The name may hold spaces and brackets: what follows begins behind the last bracket.
fn parse_ticks(text: &str) -> Option<f64> {
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn parse_parent(text: &str) -> Option<(&str, u32)> {
    let (before, after) = text.rsplit_once(')')?;
    let name = before.split_once('(')?.1;
    Some((name, after.split_whitespace().nth(1)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read() {
        let text =
            "Name:\tx\nVmHWM:\t 900 kB\nVmRSS:\t 800 kB\nRssAnon:\t 500 kB\nRssFile:\t 300 kB\nThreads:\t3\n";
        let expected = Status { rss: 800.0, anonymous: 500.0, file: 300.0, peak: 900.0, threads: 3.0 };
        assert_eq!(parse_status(text), Some(expected));
        assert_eq!(parse_status("Name:\tx\n"), None);
    }

    #[test]
    fn fields_follow_the_last_bracket_of_the_name() {
        let text = "7 (a) b) S 3 7 7 0 -1 4194560 500 0 0 0 250 50 0 0 20 0 3 0 100 0 0";
        assert_eq!(parse_ticks(text), Some(300.0));
        assert_eq!(parse_parent(text), Some(("a) b", 3)));
    }

    #[test]
    fn the_own_process_can_be_read() {
        let own = std::process::id();
        let status = status(own).unwrap();
        assert!(status.rss > 0.0 && status.peak >= status.rss && status.threads >= 1.0);
        assert!(cpu_seconds(own).unwrap() >= 0.0);
        assert!(open_files(own).unwrap() >= 3);
    }
}
