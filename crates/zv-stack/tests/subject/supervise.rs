//! A process that runs a local stack, for tests that kill it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use futures_util::StreamExt;
use zv_stack::local::{LocalOptions, LocalRuntime};
use zv_stack::{EventKind, Input, Runtime};

use crate::args::Args;
use crate::modes::fail;

/// `FILE STATE_DIR`: runs the stack until it is killed; prints `started NAME PID` for each process, and `starved NAME`
/// for each that the kernel killed for want of memory.
pub(crate) fn run(args: &Args) -> ExitCode {
    let (Some(file), Some(state_dir)) = (args.word(0), args.word(1)) else {
        return fail("needs FILE STATE_DIR");
    };
    let Ok(own) = std::env::current_exe() else { return fail("no path of its own") };
    let vars = BTreeMap::from([("SUBJECT".to_owned(), own.to_string_lossy().into_owned())]);
    let guard = vec![own.into_os_string(), "guard".into()];
    let options = LocalOptions { file: file.into(), state_dir: state_dir.into(), guard, vars };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    match (runtime, LocalRuntime::new(options)) {
        (Ok(runtime), Ok(local)) => runtime.block_on(report(&Runtime::Local(local))),
        (Err(error), _) => fail(&error.to_string()),
        (_, Err(error)) => fail(&error.to_string()),
    }
}

#[expect(clippy::print_stdout, reason = "the test that started this process reads it")]
async fn report(runtime: &Runtime) -> ExitCode {
    let mut inputs = runtime.watch();
    while let Some(input) = inputs.next().await {
        let Input::Happened(event) = input else { continue };
        match (&event.kind, &event.seen) {
            (EventKind::Started { pid: Some(pid) }, Some(seen)) => println!("started {} {pid}", seen.name),
            (EventKind::OutOfMemory, Some(seen)) => println!("starved {}", seen.name),
            _ => {}
        }
    }
    ExitCode::SUCCESS
}
