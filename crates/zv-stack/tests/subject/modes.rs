//! What the subject can do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::event::Timespec;

use crate::args::Args;

/// Says what is wrong and ends with 2.
pub(crate) fn fail(text: &str) -> ExitCode {
    line(true, text);
    ExitCode::from(2)
}

/// Writes one line; a reader that has left is no concern of the subject.
fn line(to_stderr: bool, text: &str) {
    let text = format!("{text}\n");
    let _left = if to_stderr {
        std::io::stderr().write_all(text.as_bytes())
    } else {
        std::io::stdout().write_all(text.as_bytes())
    };
}

fn pause(time: Duration) {
    let time = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
    let _interrupted = rustix::event::poll(&mut [], Some(&time));
}

fn for_ever() -> ! {
    loop {
        pause(Duration::from_secs(3600));
    }
}

/// `--lines N [--every-ms M] [--stderr] [--long BYTES] [--then-sleep] [--then-exit C]`: `line 1`, `line 2`, …
pub(crate) fn print(args: &Args) -> ExitCode {
    let filler = "x".repeat(args.get("--long").unwrap_or(0));
    let every = args.get("--every-ms").map(Duration::from_millis);
    for number in 1..=args.get::<u64>("--lines").unwrap_or(1) {
        line(args.has("--stderr"), format!("line {number} {filler}").trim_end());
        if let Some(every) = every {
            pause(every);
        }
    }
    if args.has("--then-sleep") {
        return sleep();
    }
    ExitCode::from(args.get("--then-exit").unwrap_or(0))
}

/// `--code C [--after-ms M]`.
pub(crate) fn exit(args: &Args) -> ExitCode {
    pause(Duration::from_millis(args.get("--after-ms").unwrap_or(0)));
    ExitCode::from(args.get("--code").unwrap_or(0))
}

/// `[--port P] [--sick-after N] [--sick-file PATH]`: any path answers `ok`, or 503 `sick` after N requests or while the
/// file exists. The port is `PORT` of the environment, or 8080, where it is not given.
pub(crate) fn serve(args: &Args) -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "the subject has no configuration but this")]
    let given = std::env::var("PORT").ok().and_then(|port| port.parse().ok());
    let port: u16 = args.get("--port").or(given).unwrap_or(8080);
    let sick_after: u64 = args.get("--sick-after").unwrap_or(u64::MAX);
    let sick_file: Option<PathBuf> = args.get("--sick-file");
    let listener = match TcpListener::bind(("0.0.0.0", port)) {
        Ok(listener) => listener,
        Err(error) => return fail(&format!("cannot listen on {port}: {error}")),
    };
    line(false, &format!("listening on {port}"));
    let mut requests = 0;
    for stream in listener.incoming().flatten() {
        requests += 1;
        let sick = requests > sick_after || sick_file.as_ref().is_some_and(|file| file.exists());
        // A client that leaves early is its own affair.
        let _answered = respond(stream, sick);
    }
    ExitCode::FAILURE
}

fn respond(mut stream: TcpStream, sick: bool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut head = BufReader::new(&stream).take(16 * 1024);
    let mut text = String::new();
    while head.read_line(&mut text)? > 2 {
        text.clear();
    }
    let (status, body) = if sick { ("503 Service Unavailable", "sick") } else { ("200 OK", "ok") };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// `[--port P] [--path /]`: exits 0 where the answer is 200, and prints what it got. A health check where there is no curl.
pub(crate) fn check(args: &Args) -> ExitCode {
    let path = args.get::<String>("--path").unwrap_or_else(|| "/".into());
    let exchange = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", args.get("--port").unwrap_or(8080)))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    match exchange() {
        Ok(answer) => {
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
            line(false, &format!("{}: {body}", head.lines().next().unwrap_or_default()));
            if head.contains(" 200 ") { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            line(false, &error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Sleeps until SIGTERM, then ends with 0.
pub(crate) fn sleep() -> ExitCode {
    until_term(|| {
        line(false, "ending");
        true
    })
}

/// Takes note of SIGTERM and goes on.
pub(crate) fn stubborn() -> ExitCode {
    line(false, "stubborn");
    until_term(|| {
        line(false, "ignored");
        false
    })
}

/// Waits for SIGTERM until `ends` says that it is enough.
fn until_term(ends: impl Fn() -> bool) -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return fail("no runtime");
    };
    runtime.block_on(async {
        let Ok(mut terms) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
            return fail("no signals");
        };
        // What is printed now is printed by a process that heeds its signals.
        line(false, "ready");
        while terms.recv().await.is_some() {
            if ends() {
                break;
            }
        }
        ExitCode::SUCCESS
    })
}

/// Leaves a grandchild in a session of its own behind, prints its number, and sleeps.
pub(crate) fn fork() -> ExitCode {
    let Ok(own) = std::env::current_exe() else { return fail("no path of its own") };
    // The middle process ends at once, so the grandchild is adopted by whoever takes orphans.
    let script = Command::new(own).arg("idle").arg0("middle").stdin(Stdio::null()).spawn();
    match script.map(|mut middle| middle.wait()) {
        Ok(Ok(_)) => sleep(),
        Ok(Err(error)) | Err(error) => fail(&error.to_string()),
    }
}

/// The middle process of `fork` (by its name), or the grandchild that sleeps for ever.
pub(crate) fn idle() -> ExitCode {
    if std::env::args_os().next().is_some_and(|name| name == "middle") {
        let Ok(own) = std::env::current_exe() else { return fail("no path of its own") };
        let grandchild = Command::new(own).arg("idle").arg0("grandchild").stdin(Stdio::null()).spawn();
        return match grandchild {
            Ok(_orphaned) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string()),
        };
    }
    match rustix::process::setsid() {
        Ok(session) => line(false, &format!("grandchild {}", session.as_raw_nonzero())),
        Err(error) => return fail(&error.to_string()),
    }
    for_ever()
}

/// `[--up-to-mib N]`: takes memory and touches it, then sleeps; without a bound until it is killed.
pub(crate) fn oom(args: &Args) -> ExitCode {
    let up_to: usize = args.get("--up-to-mib").unwrap_or(usize::MAX);
    let mut taken: Vec<Vec<u8>> = Vec::new();
    while taken.len() < up_to {
        taken.push(vec![1; 1 << 20]);
    }
    line(false, "taken");
    let ended = sleep();
    drop(taken);
    ended
}

/// `[--threads N]`: uses all the processor time it gets.
pub(crate) fn burn(args: &Args) -> ExitCode {
    for _ in 1..args.get("--threads").unwrap_or(1) {
        std::thread::spawn(spin);
    }
    line(false, "burning");
    spin();
    ExitCode::SUCCESS
}

fn spin() {
    let mut number = 0_u64;
    while std::hint::black_box(number) < u64::MAX {
        number += 1;
    }
}

/// `[--port P]`: reads all that is sent, says how much it was, and waits for more.
pub(crate) fn take(args: &Args) -> ExitCode {
    let listener = match TcpListener::bind(("0.0.0.0", args.get("--port").unwrap_or(8080))) {
        Ok(listener) => listener,
        Err(error) => return fail(&error.to_string()),
    };
    line(false, "listening");
    for mut stream in listener.incoming().flatten() {
        match std::io::copy(&mut stream, &mut std::io::sink()) {
            Ok(bytes) => line(false, &format!("took {bytes}")),
            Err(error) => return fail(&error.to_string()),
        }
    }
    ExitCode::FAILURE
}

/// `FILE [--mib N]`: writes it to the disk, then sleeps.
pub(crate) fn write(args: &Args) -> ExitCode {
    let Some(path) = args.word(0) else { return fail("needs FILE") };
    let written = std::fs::File::create(path).and_then(|mut file| {
        for _ in 0..args.get::<u64>("--mib").unwrap_or(1) {
            file.write_all(&vec![1; 1 << 20])?;
        }
        file.sync_all()
    });
    match written {
        Ok(()) => line(false, "written"),
        Err(error) => return fail(&error.to_string()),
    }
    sleep()
}
