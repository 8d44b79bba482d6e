//! The process table: who is whose child, and what each has used.

use std::collections::HashSet;
use std::path::Path;

use super::read_bounded;

/// One line of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    pub group: u32,
    /// It has ended and waits for its parent to notice.
    pub ended: bool,
    /// Own time in user and kernel mode, and that of children it has waited for.
    pub cpu_ticks: u64,
    pub resident_pages: u64,
}

/// Parses `/proc/PID/stat`. The name in parentheses may itself hold spaces and parentheses.
pub fn parse_stat(text: &str) -> Option<Process> {
    let (pid, rest) = text.split_once(' ')?;
    let fields: Vec<&str> = rest.get(rest.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    Some(Process {
        pid: pid.parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        ended: matches!(*fields.first()?, "Z" | "X"),
        cpu_ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        resident_pages: number(21)?,
    })
}

/// Reads the whole process table; a process that ends meanwhile is left out.
pub fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .filter_map(|entry| parse_stat(&read_bounded(&entry.path().join("stat"), 4096)?))
        .collect()
}

/// Returns `root`, its descendants and the members of its process group, as far as they have not ended.
pub fn tree_of(root: u32, table: &[Process]) -> Vec<Process> {
    let mut members: HashSet<u32> =
        table.iter().filter(|process| process.pid == root || process.group == root).map(|p| p.pid).collect();
    loop {
        let before = members.len();
        members.extend(
            table
                .iter()
                .filter(|process| members.contains(&process.parent))
                .map(|p| p.pid)
                .collect::<Vec<_>>(),
        );
        if members.len() == before {
            break;
        }
    }
    table.iter().filter(|process| members.contains(&process.pid) && !process.ended).copied().collect()
}

/// Returns the numbers of the direct children of `parent`, ended ones too.
pub fn children_of(parent: u32) -> Vec<u32> {
    // Only some kernels list the children of a task; the table is complete on every one.
    all().into_iter().filter(|process| process.parent == parent).map(|process| process.pid).collect()
}

/// Reads the count of processes that the kernel has killed on this host for want of memory.
pub fn oom_kills() -> Option<u64> {
    parse_oom_kills(&read_bounded(Path::new("/proc/vmstat"), 64 * 1024)?)
}

fn parse_oom_kills(vmstat: &str) -> Option<u64> {
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|count| count.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32, group: u32) -> Process {
        Process { pid, parent, group, ended: false, cpu_ticks: 1, resident_pages: 1 }
    }

    #[test]
    fn a_name_may_hold_anything() {
        let text = "4242 (a) b (c) S 7 4242 4242 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 100 2000 345 18446744073709551615";
        let expected =
            Process { pid: 4242, parent: 7, group: 4242, ended: false, cpu_ticks: 100, resident_pages: 345 };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat("4242 (cut"), None);
    }

    #[test]
    fn a_tree_is_descendants_and_group() {
        let table = [
            process(10, 1, 10),
            process(11, 10, 11),
            process(12, 11, 12),
            process(13, 1, 10),
            process(20, 1, 20),
            Process { ended: true, ..process(14, 10, 10) },
        ];
        let pids: Vec<u32> = tree_of(10, &table).iter().map(|process| process.pid).collect();
        assert_eq!(pids, [10, 11, 12, 13]);
    }

    #[test]
    fn kernel_kills_are_counted() {
        assert_eq!(parse_oom_kills("nr_free_pages 1\noom_kill 12\nballoon 3\n"), Some(12));
        assert_eq!(parse_oom_kills("nr_free_pages 1\n"), None);
    }
}
