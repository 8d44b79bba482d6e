//! Checks that need logic, generated files and benchmarks. `cargo xtask help` lists them.

mod bench;
mod command;
mod generate;
mod graph;
mod readme;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
Usage: cargo xtask COMMAND

  check             all checks below
  graph             dependencies between the crates point downwards only
  tidy              rules for source files that no lint knows
  generate [--check]
                    writes what is made from the code (docs/cli.md, docs/zv.schema.json), or fails where it differs
  readme            runs the commands of README.md, all but the tests
  bench agent [--containers N] [--minutes M] [--engine unix:///PATH] [--force] [--write]
                    what the agent costs and how fast it is, beside N containers; see docs/benchmarks.md
  bench hour [--containers N] [--minutes M] [--engine unix:///PATH] [--force] [--write]
                    how the agent's memory grows beside `docker stats`
  bench probe [--seconds S] [--blackbox PROGRAM] [--write]
                    probes for a second of CPU, beside blackbox_exporter; targets that hang
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<()> {
    match args {
        ["check"] => {
            graph::check()?;
            tidy::check()?;
            generate::run(generate::Mode::Check)
        }
        ["graph"] => graph::check(),
        ["tidy"] => tidy::check(),
        ["generate"] => generate::run(generate::Mode::Write),
        ["generate", "--check"] => generate::run(generate::Mode::Check),
        ["readme"] => readme::run(),
        ["bench", "agent", rest @ ..] => bench::agent(rest),
        ["bench", "hour", rest @ ..] => bench::hour(rest),
        ["bench", "probe", rest @ ..] => bench::probe(rest),
        ["help" | "--help" | "-h"] => {
            say(HELP);
            Ok(())
        }
        _ => bail!("no such command\n\n{HELP}"),
    }
}

/// Prints a line for the person who called.
#[expect(clippy::print_stdout, reason = "this is a program for a terminal")]
fn say(text: &str) {
    println!("{text}");
}
