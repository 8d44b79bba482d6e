//! A process that measures a container, and may have few files open.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zv_stack::docker::{DockerOptions, DockerRuntime};
use zv_stack::stats::{Meters, Running};
use zv_stack::{ReplicaId, Runtime};

use crate::args::Args;
use crate::modes::fail;

/// Three files that it may open at the same time are enough to go on.
const SPARE: usize = 3;

/// `ID PID --files N`: measures with as many files, then with none but [`SPARE`], and says how it went.
pub(crate) fn run(args: &Args) -> ExitCode {
    let (Some(id), Some(pid)) = (args.word(0), args.word(1)) else { return fail("needs ID PID") };
    let host = "unix:///nowhere".to_owned();
    let options =
        DockerOptions { host: Some(host), config_dir: Some(PathBuf::new()), ..DockerOptions::default() };
    let Ok(docker) = DockerRuntime::new(options) else { return fail("no runtime") };
    let limit = Rlimit { current: args.get("--files"), maximum: getrlimit(Resource::Nofile).maximum };
    if setrlimit(Resource::Nofile, limit).is_err() {
        return fail("the limit cannot be set");
    }
    let running = Running { id: ReplicaId::new(id), pid: pid.parse().ok() };
    let mut meters = Runtime::Docker(docker).meters();
    let before = open_files();
    tell("kept", &mut meters, &running, before);
    let mut all: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    all.truncate(all.len().saturating_sub(SPARE));
    // What it keeps is closed, and there is no room to open another reader's.
    let other = Running { id: ReplicaId::new("0".repeat(64)), pid: None };
    meters.round(&[other], zv_stack::clock::now());
    let room: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    all.extend(room);
    all.truncate(all.len().saturating_sub(SPARE));
    let before = before + all.len();
    tell("short", &mut meters, &running, before);
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "the test that started this process reads it")]
fn tell(how: &str, meters: &mut Meters, running: &Running, before: usize) {
    let round = meters.round(std::slice::from_ref(running), zv_stack::clock::now());
    let is_whole = round.measured.first().is_some_and(|(_, measurement)| {
        measurement.network.is_some()
            && measurement.memory.usage.is_some()
            && measurement.tasks.processes.is_some()
    });
    let whole = if is_whole { "whole" } else { "not whole" };
    let open = if open_files() > before { "more" } else { "as before" };
    println!("{how}: {whole}, open: {open}");
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
