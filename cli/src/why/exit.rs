//! What an exit code means, in words.

use zv_api::Exit;

use crate::words;

/// Returns a sentence without a full stop on how a process ended. `wanted`: somebody asked it to stop.
pub fn meaning(exit: &Exit, wanted: bool) -> String {
    if exit.oom {
        return match exit.code {
            Some(code) => format!("it ran out of memory and the kernel killed it (exit code {code})"),
            None => "it ran out of memory and the kernel killed it".to_owned(),
        };
    }
    let Some(code) = exit.code else {
        return "its process ended; the exit code is not known, because only the death itself was seen"
            .to_owned();
    };
    let text = match (code, wanted) {
        (0, true) => "it was asked to stop and ended with success",
        (0, false) => "it ended by itself, with success",
        (1, _) => "the program ended with an error of its own; its last log lines should say which",
        (2, _) => "the program ended with an error of its own, often a wrong option or argument",
        (125, _) => "the engine could not start it",
        (126, _) => "its command was found but could not be executed: look at its permissions and its format",
        (127, _) => {
            "its command was not found: look at the command, the entrypoint and what the image contains"
        }
        (134, _) => "the program gave up by itself (SIGABRT): a failed assertion or a panic",
        (132 | 135 | 136 | 139, _) => return crash(code),
        (137, true) => "it did not end within its grace after being asked, so it was killed (SIGKILL)",
        (137, false) => {
            "it was killed (SIGKILL) without running out of its memory limit: by `kill -9`, by the engine, or by the kernel when the whole host ran out of memory"
        }
        (143, true) => "it was asked to stop (SIGTERM) and did",
        (143, false) => "something sent it SIGTERM, and it ended",
        (130, _) => "it was interrupted (SIGINT)",
        (255, _) => "the program ended with an error it did not name (255), often one that nobody caught",
        _ => return other(code),
    };
    if matches!(code, 0 | 255) { text.to_owned() } else { format!("{text} (exit code {code})") }
}

fn crash(code: i32) -> String {
    let what = match code {
        139 => {
            "it touched memory that is not its own (SIGSEGV), a defect of the program or of a library it uses"
        }
        132 => {
            "it met an instruction this processor does not have (SIGILL), often an image for another processor"
        }
        135 => "it touched memory that is not there (SIGBUS), often a file that was cut or a full /dev/shm",
        _ => "it divided by zero or the like (SIGFPE)",
    };
    format!("{what} (exit code {code})")
}

fn other(code: i32) -> String {
    match words::signal(code) {
        Some(signal) => format!("it was ended by {signal} (exit code {code})"),
        None => format!("the program ended with an error of its own (exit code {code})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn codes_are_explained() {
        for (code, wanted, expected) in [
            (0, false, "by itself, with success"),
            (0, true, "asked to stop and ended with success"),
            (1, false, "error of its own"),
            (126, false, "could not be executed"),
            (127, false, "was not found"),
            (137, false, "whole host ran out of memory"),
            (137, true, "did not end within its grace"),
            (139, false, "SIGSEGV"),
            (143, true, "was asked to stop (SIGTERM) and did"),
            (143, false, "something sent it SIGTERM"),
            (129, false, "SIGHUP"),
            (42, false, "exit code 42"),
            (-1, false, "exit code -1"),
        ] {
            let text = meaning(&Exit { at: samples::now(), code: Some(code), oom: false }, wanted);
            assert!(text.contains(expected), "{code}: {text}");
        }
    }

    #[test]
    fn memory_is_the_cause_whatever_the_code_says() {
        let text = meaning(&Exit { at: samples::now(), code: Some(137), oom: true }, false);
        assert_eq!(text, "it ran out of memory and the kernel killed it (exit code 137)");
    }

    #[test]
    fn an_unknown_code_is_not_guessed() {
        let text = meaning(&Exit { at: samples::now(), code: None, oom: false }, false);
        assert!(text.contains("not known"), "{text}");
    }
}
