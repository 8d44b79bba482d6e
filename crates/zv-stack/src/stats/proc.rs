//! The process table: who is whose child, and what each has used.

use std::fs::File;
use std::path::Path;

use super::{files, parse, read_bounded};

/// One line of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    pub group: u32,
    /// It has ended and waits for its parent to notice.
    pub ended: bool,
    /// Own time in user mode, and that of children it has waited for.
    pub user_ticks: u64,
    /// The same in kernel mode.
    pub system_ticks: u64,
    pub threads: u64,
    /// When it was started, in ticks since the host was.
    pub started: u64,
    pub resident_pages: u64,
}

/// Parses `/proc/PID/stat`. The name in parentheses may itself hold spaces and parentheses.
pub fn parse_stat(text: &[u8]) -> Option<Process> {
    let name_ends = text.iter().rposition(|byte| *byte == b')')?;
    let pid = parse::words(text).next().and_then(parse::number)?;
    let mut words = parse::words(&text[name_ends + 1..]);
    let state = words.next()?;
    // The third field is the first behind the name; some are negative and of no use here.
    let mut fields = [0_u64; 19];
    for field in &mut fields {
        *field = parse::number(words.next()?).unwrap_or_default();
    }
    let field = |number: usize| fields[number - 4];
    let small = |number: u64| u32::try_from(number).ok();
    let resident_pages = parse::number(words.nth(1)?)?;
    Some(Process {
        pid: small(pid)?,
        parent: small(field(4))?,
        group: small(field(5))?,
        ended: matches!(state, b"Z" | b"X"),
        user_ticks: field(14).checked_add(field(16))?,
        system_ticks: field(15).checked_add(field(17))?,
        threads: field(20),
        started: field(22),
        resident_pages,
    })
}

/// Reads the whole process table; a process that ends meanwhile is left out.
pub fn all() -> Vec<Process> {
    let mut table = Vec::new();
    read_table(Path::new("/"), &mut table);
    table
}

/// Reads the process table below `root` in place of the last one.
pub(super) fn read_table(root: &Path, table: &mut Vec<Process>) {
    table.clear();
    let Ok(entries) = std::fs::read_dir(root.join("proc")) else { return };
    let (mut path, mut buffer) = (root.join("proc"), [0; 2048]);
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        path.push(&name);
        path.push("stat");
        let length = File::open(&path).and_then(|file| files::read(&file, &mut buffer));
        table.extend(length.ok().and_then(|length| parse_stat(&buffer[..length])));
        path.pop();
        path.pop();
    }
}

/// Returns what is swapped out of a process, in bytes; absent where it has ended.
pub(super) fn swap_of(root: &Path, pid: u32) -> Option<u64> {
    let text = read_bounded(&root.join("proc").join(pid.to_string()).join("status"), 16 * 1024)?;
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("VmSwap:")?.strip_suffix("kB"))?;
    parse::number(kilobytes.as_bytes())?.checked_mul(1024)
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

    #[test]
    fn a_name_may_hold_anything() {
        let text = b"4242 (a) b (c) S 7 4242 4242 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 3 0 100 2000 345 18446744073709551615";
        let expected = Process {
            pid: 4242,
            parent: 7,
            group: 4242,
            ended: false,
            user_ticks: 40,
            system_ticks: 60,
            threads: 3,
            started: 100,
            resident_pages: 345,
        };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat(b"4242 (cut"), None);
        assert_eq!(parse_stat(b"4242 (a) S 1 2 3"), None);
    }

    #[test]
    fn kernel_kills_are_counted() {
        assert_eq!(parse_oom_kills("nr_free_pages 1\noom_kill 12\nballoon 3\n"), Some(12));
        assert_eq!(parse_oom_kills("nr_free_pages 1\n"), None);
    }
}
