//! Ends what a killed guard or supervisor left behind, found by the mark in its environment.
//!
//! This is the second net: a guard that lives finds every descendant without it. Only a process that emptied its
//! environment and left its parents, and whose guard was then killed, slips through.

use std::fs::File;
use std::io::Read;

use rustix::process::{Pid, PidfdFlags, Signal};

use super::process::MARK;

/// Rounds until what keeps forking is given up; each kills all that is there.
const ROUNDS: usize = 100;

/// Kills every process that bears `mark`, again and again until none is left; a mark that starts with `@` stands for
/// all that end with it. Returns how many. Blocks.
pub(super) fn sweep(mark: &str) -> usize {
    let mut swept = 0;
    for _ in 0..ROUNDS {
        let killed = round(mark);
        if killed == 0 {
            break;
        }
        swept += killed;
        std::thread::yield_now();
    }
    swept
}

fn round(mark: &str) -> usize {
    let own = std::process::id();
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|&pid| pid != own && kill_marked(pid, mark)).count()
}

/// Kills one process if it bears the mark. The descriptor is opened first: the number cannot pass to another meanwhile.
fn kill_marked(pid: u32, mark: &str) -> bool {
    let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    let pidfd = rustix::process::pidfd_open(number, PidfdFlags::empty());
    let mut environment = Vec::new();
    let read = File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(1 << 20).read_to_end(&mut environment));
    if read.is_err() || !bears(&environment, mark) {
        return false;
    }
    match pidfd {
        Ok(pidfd) => rustix::process::pidfd_send_signal(pidfd, Signal::KILL).is_ok(),
        // Kernels before 5.3 have no descriptor to offer.
        Err(rustix::io::Errno::NOSYS) => rustix::process::kill_process(number, Signal::KILL).is_ok(),
        Err(_) => false,
    }
}

fn bears(environment: &[u8], mark: &str) -> bool {
    environment.split(|&byte| byte == 0).any(|variable| {
        let value = variable.strip_prefix(MARK.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        let whole_stack = mark.starts_with('@');
        value.is_some_and(|value| {
            if whole_stack { value.ends_with(mark.as_bytes()) } else { value == mark.as_bytes() }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_variable_is_a_mark() {
        assert!(bears(b"A=b\0ZV_REPLICA=local-x@1f\0", "@1f"));
        assert!(!bears(b"A=b\0NOT_ZV_REPLICA=local-x@1f\0", "@1f"));
        assert!(!bears(b"ZV_REPLICA=local-x@1f2\0", "@1f"));
        assert!(bears(b"ZV_REPLICA=local-x-1@1f\0", "local-x-1@1f"));
        assert!(!bears(b"ZV_REPLICA=local-local-x-1@1f\0", "local-x-1@1f"));
    }
}
