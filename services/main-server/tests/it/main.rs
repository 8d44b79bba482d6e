//! The real binary, as a supervisor runs it.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic, in its helpers too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Far beyond what anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// Returns the binary with nothing of the tests' environment.
fn main_server(variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_main-server"));
    command.env_clear().envs(variables.iter().copied()).args(arguments);
    command
}

/// A replica as a child process; it does not outlive its test.
struct Replica {
    child: Child,
    lines: Receiver<Value>,
    address: String,
}

impl Replica {
    fn start(variables: &[(&str, &str)]) -> Self {
        let mut command = main_server(variables, &[]);
        let mut child = command.env("PORT", "0").stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                let parsed = serde_json::from_str(&line.unwrap()).unwrap();
                if sender.send(parsed).is_err() {
                    return;
                }
            }
        });
        let mut replica = Self { child, lines, address: String::new() };
        replica.address = replica.line("listening")["address"].as_str().unwrap().to_owned();
        replica
    }

    fn line(&self, message: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).expect(message);
            if line["message"] == message {
                return line;
            }
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Sends a request and reads until the replica closes.
    fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Reads the log to its end, so that the process has closed it, and returns how it ended.
    fn ended(mut self) -> ExitStatus {
        while self.lines.recv_timeout(DEADLINE).is_ok() {}
        self.child.wait().unwrap()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // Both fail where the process is gone already.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn a_balancer_sees_which_replica_answered() {
    let replica = Replica::start(&[("ZV_REPLICA", "main-server-2")]);
    let request = "GET /v1/service HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: r-1\r\n\r\n";
    let answer = replica.ask(request);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let who = body(&answer);
    assert_eq!(who["service"], "main-server");
    assert_eq!(who["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(who["replica"], "main-server-2");
    assert_eq!(who["request_id"], "r-1");
    assert!(who["started_at"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn echo_gives_the_json_back_and_refuses_what_is_none() {
    let replica = Replica::start(&[]);
    let post = |kind: &str, body: &str| {
        let length = body.len();
        replica.ask(&format!(
            "POST /v1/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    };
    assert_eq!(body(&post("application/json", r#"{"a":[1,"b"]}"#)), serde_json::json!({"a": [1, "b"]}));
    assert!(post("text/plain", "{}").starts_with("HTTP/1.1 415 "));
    let deep = "[".repeat(100_000);
    assert!(post("application/json", &deep).starts_with("HTTP/1.1 400 "));
}

#[test]
fn sigterm_ends_it_with_0_also_while_clients_hold_connections() {
    for signal in [Signal::TERM, Signal::INT] {
        let replica = Replica::start(&[("DRAIN_GRACE", "1m")]);
        let mut idle = replica.connect();
        idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        assert_ne!(idle.read(&mut [0; 4096]).unwrap(), 0);
        replica.signal(signal);
        let asked = replica.line("asked to stop");
        assert_eq!(asked["signal"], if signal == Signal::TERM { "SIGTERM" } else { "SIGINT" });
        replica.line("stopped: every request was answered");
        assert_eq!(replica.ended().code(), Some(0));
    }
}

#[test]
fn a_second_signal_forces_the_end_and_says_so() {
    let replica = Replica::start(&[("DRAIN_GRACE", "1m"), ("REQUEST_TIMEOUT", "1m")]);
    let mut stuck = replica.connect();
    // The answer waits for a body that never comes: once the replica asks for it, the request is in flight.
    let head = "POST /v1/echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
    stuck.write_all(head.as_bytes()).unwrap();
    let mut more = [0; 25];
    stuck.read_exact(&mut more).unwrap();
    assert!(more.starts_with(b"HTTP/1.1 100 "));
    replica.signal(Signal::TERM);
    assert_eq!(replica.line("draining")["in_flight"], 1);
    replica.signal(Signal::TERM);
    assert_eq!(replica.line("stopped at once by a second signal")["cut_connections"], 1);
    assert_eq!(replica.ended().code(), Some(1));
}

fn output(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    main_server(variables, arguments).output().unwrap()
}

#[test]
fn a_port_in_use_is_an_error_that_says_what_to_do() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let failed = output(&[("LISTEN", &address)], &[]);
    assert_eq!(failed.status.code(), Some(1));
    let line: Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&"error".into(), &"cannot start".into()));
    let error = line["error"].as_str().unwrap();
    let advice = "; free it, or set `PORT`, `BIND` or `LISTEN` to another: Address already in use";
    assert!(error.starts_with(&format!("cannot listen on {address}{advice}")), "{error}");
}

#[test]
fn wrong_settings_are_all_told_and_exit_2() {
    let failed = output(&[("PORT", "http"), ("LOG_LEVEL", "loud"), ("DRAIN_GRACE", "5")], &[]);
    assert_eq!(failed.status.code(), Some(2));
    assert_eq!(String::from_utf8(failed.stdout).unwrap().lines().count(), 3);
}

#[test]
fn check_asks_the_replica_with_the_same_settings() {
    let replica = Replica::start(&[]);
    let port = replica.address.rsplit_once(':').unwrap().1.to_owned();
    let healthy = output(&[("BIND", "0.0.0.0"), ("PORT", &port)], &["check"]);
    assert_eq!((healthy.status.code(), healthy.stdout.as_slice()), (Some(0), b"healthy\n".as_slice()));
    let ready = format!("http://localhost:{port}/ready");
    assert_eq!(output(&[], &["check", "--url", &ready]).status.code(), Some(0));
    let missing = output(&[], &["check", "--url", &format!("http://127.0.0.1:{port}/nowhere")]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("answered 404"));
    drop(replica);
    let gone = output(&[("PORT", &port)], &["check"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8(gone.stderr).unwrap().contains("cannot connect"));
}

#[test]
fn help_and_version_are_printed_and_nonsense_is_usage() {
    let help = output(&[], &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8(help.stdout).unwrap().starts_with("Usage: main-server "));
    let version = output(&[], &["--version"]);
    assert_eq!(version.stdout, format!("main-server {}\n", env!("CARGO_PKG_VERSION")).as_bytes());
    let nonsense = output(&[], &["serve"]);
    assert_eq!(nonsense.status.code(), Some(2));
    assert!(String::from_utf8(nonsense.stderr).unwrap().contains("`serve` is no command"));
}
