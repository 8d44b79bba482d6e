//! The words of the wire with the glyph and the style they are shown in: never colour alone.

use zv_api::{Exit, Replica};

use crate::paint::Style;

/// How a word is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub glyph: &'static str,
    pub style: Style,
}

/// Returns the mark of a service's or a replica's status. A word from a newer agent is shown as something to look at.
pub fn mark(status: &str) -> Mark {
    let (glyph, style) = match status {
        "ok" | "healthy" => ("✓", Style::Good),
        "running" => ("●", Style::Good),
        "starting" | "created" => ("◌", Style::Warn),
        "finished" => ("▪", Style::Faint),
        "stopped" => ("■", Style::Faint),
        "paused" => ("‖", Style::Warn),
        "degraded" => ("▲", Style::Warn),
        "restarting" => ("↻", Style::Warn),
        "unhealthy" | "down" | "exited" | "crash-loop" => ("✖", Style::Bad),
        _ => ("?", Style::Warn),
    };
    Mark { glyph, style }
}

/// Returns the glyph and the word: `✓ ok`.
pub fn marked(status: &str) -> String {
    format!("{} {status}", mark(status).glyph)
}

/// Says whether nobody expects this service to run.
pub fn is_idle(status: &str) -> bool {
    matches!(status, "stopped" | "finished")
}

/// Says whether a service with this status needs somebody to look at it.
pub fn is_problem(status: &str) -> bool {
    !matches!(status, "ok" | "starting" | "stopped" | "finished")
}

/// Returns what ended a process, in a few words: `code 137 (out of memory)`.
pub fn exit(exit: &Exit) -> String {
    let code = exit.code.map_or_else(|| "an unknown code".to_owned(), |code| format!("code {code}"));
    match (exit.oom, exit.code.and_then(signal)) {
        (true, _) => format!("{code} (out of memory)"),
        (false, Some(signal)) => format!("{code} ({signal})"),
        (false, None) => code,
    }
}

/// Returns the name of the signal that an exit code stands for.
pub fn signal(code: i32) -> Option<&'static str> {
    Some(match code - 128 {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

/// Returns the replica's health in a word and its count: `unhealthy ×5`.
pub fn health(replica: &Replica) -> String {
    match (replica.health.verdict.as_str(), replica.health.failing_streak) {
        ("none" | "", _) => "no check".to_owned(),
        (verdict, 0) => verdict.to_owned(),
        (verdict, streak) => format!("{verdict} ×{streak}"),
    }
}

/// Returns an image as it is known to people: a digest is cut, a version that the name lacks is added.
pub fn image(replica: &Replica) -> String {
    let image = match replica.image.split_once("@sha256:") {
        Some((name, digest)) => format!("{name}@{}", digest.get(..12).unwrap_or(digest)),
        None => match replica.image.strip_prefix("sha256:") {
            Some(digest) => digest.get(..12).unwrap_or(digest).to_owned(),
            None => replica.image.clone(),
        },
    };
    match replica.version.as_deref() {
        Some(version) if !version.is_empty() && !image.contains(version) => format!("{image} ({version})"),
        _ => image,
    }
}

/// Writes bytes in the unit people think in: `312M`, `1.2G`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 1023.5 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit != "B" && value < 9.95 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_the_wire_has_a_mark_of_its_own_kind() {
        for status in
            ["ok", "starting", "finished", "stopped", "degraded", "down", "healthy", "running", "created"]
        {
            assert_ne!(mark(status).glyph, "?", "{status}");
        }
        assert_eq!(marked("unknown"), "? unknown");
        assert_eq!(marked("something new"), "? something new");
    }

    #[test]
    fn exits_name_their_signal_and_memory_comes_first() {
        let exit_of = |code, oom| exit(&Exit { at: crate::samples::now(), code, oom });
        assert_eq!(exit_of(Some(137), true), "code 137 (out of memory)");
        assert_eq!(exit_of(Some(137), false), "code 137 (SIGKILL)");
        assert_eq!(exit_of(Some(1), false), "code 1");
        assert_eq!(exit_of(None, false), "an unknown code");
    }

    #[test]
    fn images_are_cut_at_their_digest_and_get_the_version_they_lack() {
        let mut replica = crate::samples::replica("a", 1);
        for (image_name, version, expected) in [
            ("shop/orders:1.4", Some("1.4"), "shop/orders:1.4"),
            ("shop/orders:latest", Some("1.4"), "shop/orders:latest (1.4)"),
            ("nginx@sha256:0123456789abcdef", None, "nginx@0123456789ab"),
            ("sha256:0123456789abcdef", None, "0123456789ab"),
            ("nginx@sha256:0", None, "nginx@0"),
        ] {
            replica.image = image_name.into();
            replica.version = version.map(str::to_owned);
            assert_eq!(image(&replica), expected);
        }
    }

    #[test]
    fn bytes_have_two_or_three_digits() {
        for (count, expected) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.0K"),
            (327_155_712, "312M"),
            (1_288_490_189, "1.2G"),
            (u64::MAX, "16384P"),
        ] {
            assert_eq!(bytes(count), expected);
        }
    }
}
