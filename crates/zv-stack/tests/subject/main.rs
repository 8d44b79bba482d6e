//! The program that the tests run as a replica: it prints, serves, sleeps, refuses to end, or eats memory, as told.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::exit;
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value =
        |name: &str| arguments.iter().position(|one| one == name).and_then(|at| arguments.get(at + 1));
    let number =
        |name: &str, default: u64| value(name).map_or(default, |text| text.parse().expect("a number"));
    match arguments.get(1).map(String::as_str) {
        Some("print") => print(&arguments, &number),
        Some("exit") => {
            pause(number("--after-ms", 0));
            exit(i32::try_from(number("--code", 0)).expect("a small code"));
        }
        Some("serve") => serve(&number),
        // The first process of a container gets no signal that it does not handle: it says so itself.
        Some("sleep") => sleep(true),
        Some("stubborn") => sleep(false),
        Some("oom") => eat(),
        _ => exit(2),
    }
}

fn pause(milliseconds: u64) {
    std::thread::park_timeout(Duration::from_millis(milliseconds));
}

fn print(arguments: &[String], number: &dyn Fn(&str, u64) -> u64) {
    let (every, long) = (number("--every-ms", 0), number("--long", 0));
    let stderr = arguments.iter().any(|one| one == "--stderr");
    for n in 0..number("--lines", 1) {
        let line =
            if long > 0 { "x".repeat(usize::try_from(long).expect("fits")) } else { format!("line {n}") };
        let line = format!("{line}\n");
        if stderr {
            std::io::stderr().write_all(line.as_bytes()).expect("stderr is open");
        } else {
            std::io::stdout().write_all(line.as_bytes()).expect("stdout is open");
        }
        pause(every);
    }
}

fn serve(number: &dyn Fn(&str, u64) -> u64) {
    let port = u16::try_from(number("--port", 80)).expect("a port");
    let (listener, sick_after) =
        (TcpListener::bind(("0.0.0.0", port)).expect("the port is free"), number("--sick-after", u64::MAX));
    for (n, connection) in listener.incoming().enumerate() {
        let Ok(mut connection) = connection else { continue };
        let _ = connection.read(&mut [0; 4096]);
        let status = if n as u64 >= sick_after { "503 Service Unavailable" } else { "200 OK" };
        let _ = write!(connection, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
}

fn sleep(polite: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut terminations =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).expect("a handler");
        loop {
            terminations.recv().await;
            if polite {
                return;
            }
        }
    });
}

fn eat() {
    let mut eaten = Vec::new();
    loop {
        eaten.push(vec![1u8; 1 << 20]);
    }
}
