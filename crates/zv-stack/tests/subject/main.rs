//! The program that the tests run as a replica, as a process and in an image made from scratch. Also the tests' guard.
//!
//! `print`, `exit`, `serve`, `check`, `sleep`, `stubborn`, `fork`, `oom`, `burn`, `take` and `write` do what their names say (see [`modes`]);
//! `meters ID PID` measures a container with hardly a file to spare;
//! `supervise FILE STATE_DIR` runs a local stack until it is killed; `guard …` is [`zv_stack::local::guard`].

mod args;
mod meters;
mod modes;
mod supervise;

use std::ffi::OsString;
use std::process::ExitCode;

use args::Args;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let mode = words.next().and_then(|mode| mode.into_string().ok()).unwrap_or_default();
    let words: Vec<OsString> = words.collect();
    if mode == "guard" {
        return zv_stack::local::guard::main(words);
    }
    let args = Args::new(words);
    match mode.as_str() {
        "print" => modes::print(&args),
        "exit" => modes::exit(&args),
        "serve" => modes::serve(&args),
        "check" => modes::check(&args),
        "sleep" => modes::sleep(),
        "stubborn" => modes::stubborn(),
        "fork" => modes::fork(),
        "idle" => modes::idle(),
        "oom" => modes::oom(&args),
        "burn" => modes::burn(&args),
        "take" => modes::take(&args),
        "write" => modes::write(&args),
        "meters" => meters::run(&args),
        "supervise" => supervise::run(&args),
        _ => modes::fail(&format!("unknown mode `{mode}`")),
    }
}
