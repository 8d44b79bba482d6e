//! The command line `zv` as a library: the binary calls [`main`] and nothing else.
//!
//! Commands are made of pure parts: arguments in ([`args`]), text out ([`paint`], [`table`]). The modules that touch
//! the world are few: [`connect`] speaks to an agent, [`embedded`] builds one in this process, [`linked`] holds the
//! calls into the other crates, [`console`] writes, [`environment`] and [`clock`] read.

pub mod actions;
pub mod agent;
pub mod args;
pub mod clock;
pub mod config;
pub mod connect;
pub mod console;
#[cfg(feature = "demo")]
pub mod demo;
pub mod doctor;
pub mod embedded;
pub mod environment;
pub mod failure;
pub mod generate;
pub mod health_check;
pub mod linked;
pub mod logs;
pub mod names;
pub mod paint;
pub mod ps;
pub mod reference;
#[cfg(test)]
mod samples;
pub mod span;
pub mod table;
pub mod text;
pub mod why;
pub mod words;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::actions::Typed;
use crate::args::{Cli, Command};
use crate::console::Console;
use crate::environment::Environment;
use crate::failure::{Failure, Outcome};

/// Parses the arguments of this process, carries out what they say and returns the exit code.
pub fn main() -> ExitCode {
    if let Some(code) = linked::other_program(std::env::args_os().skip(1)) {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and end with 0; a reader that is gone is no failure.
            error.print().ok();
            if error.exit_code() != 0 && health_check::is_meant(std::env::args_os()) {
                return ExitCode::from(health_check::MISUNDERSTOOD);
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(failure::USAGE));
        }
    };
    let environment = Environment::read();
    let mut console = Console::of_process(&environment, cli.globals.no_color);
    let state_home = environment.state_home.clone();
    let options = connect::Options::new(cli.globals, environment);
    let outcome =
        carry_out(&cli.command, &options, state_home.as_deref(), &mut console).and_then(|()| console.flush());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let told = failure.to_string();
            // What was printed before the failure is printed all the same.
            let flushed = console.flush();
            if !told.is_empty() {
                console.error(&told);
            }
            match flushed {
                Err(Failure::ReaderGone) => Failure::ReaderGone.exit_code(),
                _ => failure.exit_code(),
            }
        }
    }
}

fn carry_out(
    command: &Command,
    options: &connect::Options,
    state_home: Option<&Path>,
    console: &mut Console,
) -> Outcome {
    match command {
        Command::HealthCheck(args) => wait(health_check::run(args, options, state_home, console)),
        Command::Doctor(args) => wait(doctor::run(args, options, console)),
        Command::Ps(args) => wait(ps::run(args, options, console)),
        Command::Why(args) => wait(why::run(args, options, console)),
        Command::Logs(args) => wait(logs::run(args, options, console)),
        Command::Stop(args) => wait(actions::run(Typed::Stop(args), options, console)),
        Command::Start(args) => wait(actions::run(Typed::Start(args), options, console)),
        Command::Restart(args) => wait(actions::run(Typed::Restart(args), options, console)),
        Command::Scale(args) => wait(actions::run(Typed::Scale(args), options, console)),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args, options, console),
        Command::Agent(args) => agent::run(args, options),
        Command::Config(args) => config::run(args, options, console),
        Command::Completions(args) => generate::completions(args, console),
        Command::Man(args) => generate::man(args, options, console),
    }
}

/// Runs a command that waits for an agent. One thread is enough: it speaks to one.
fn wait(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(command);
    // A name that still is being looked up must not hold up the end.
    runtime.shutdown_background();
    outcome
}
