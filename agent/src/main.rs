//! The binary `zv-agent`: the agent alone, for images and service managers. `zv agent` is the same with more options.

use std::ffi::OsString;
use std::process::ExitCode;

use zv_agent::agent::Surroundings;
use zv_agent::config::{Environment, LoadOptions, Overrides, Purpose};

const HELP: &str = "\
Watches the stacks of this host and serves what it sees.

Usage: zv-agent [OPTIONS]          runs the agent
       zv-agent check [OPTIONS]    asks the one that runs with these options whether it answers, for health checks

  --config FILE        the configuration [default: ./zv.yaml or /etc/zv/zv.yaml, where they exist]
  --listen ADDR        where to listen [default: 127.0.0.1:9780]
  --store DIR          where death records and the token are kept
  --runtime RUNTIME    auto, docker or local
  --file FILE          the stack file with `x-zv.local`
  --log-level LEVEL    error, warn, info, debug or trace
  -V, --version        print the version
  -h, --help           print this

Examples:
  zv-agent
  zv-agent --config /etc/zv/zv.yaml
  DOCKER_HOST=tcp://socket-proxy:2375 zv-agent --listen 0.0.0.0:9780";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.peek().is_some_and(|first| first == "guard") {
        return zv_stack::local::guard::main(args.skip(1));
    }
    let checks = args.next_if(|first| first == "check").is_some();
    match parse(args) {
        Ok(Wanted::Run(load)) if checks => check(*load),
        Ok(Wanted::Run(load)) => run(*load),
        Ok(Wanted::Print(text)) => {
            print(text);
            ExitCode::SUCCESS
        }
        Err(mistake) => {
            complain(&format!("zv-agent: {mistake}; `zv-agent --help` tells what there is"));
            ExitCode::from(2)
        }
    }
}

enum Wanted {
    Run(Box<LoadOptions>),
    Print(&'static str),
}

fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Wanted, String> {
    let mut overrides = Overrides::default();
    let mut file = None;
    while let Some(arg) = args.next() {
        let text = arg.into_string().map_err(|arg| format!("`{}` is not text", arg.display()))?;
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (text, None),
        };
        let mut value = || match inline.clone() {
            Some(value) => Ok(value),
            None => args
                .next()
                .and_then(|v| v.into_string().ok())
                .ok_or_else(|| format!("`{name}` needs a value")),
        };
        match name.as_str() {
            "-h" | "--help" => return Ok(Wanted::Print(HELP)),
            "-V" | "--version" => return Ok(Wanted::Print(concat!("zv-agent ", env!("CARGO_PKG_VERSION")))),
            "--config" | "--config.file" => file = Some(value()?.into()),
            "--listen" => overrides.listen.push(value()?),
            "--store" => overrides.store = Some(value()?),
            "--runtime" => overrides.runtime = Some(value()?),
            "--file" => overrides.stack_file = Some(value()?),
            "--log-level" => overrides.log_level = Some(value()?),
            other => return Err(format!("`{other}` is not an option")),
        }
    }
    let environment = Environment::of_process();
    Ok(Wanted::Run(Box::new(LoadOptions { file, overrides, environment, purpose: Purpose::Run })))
}

fn run(load: LoadOptions) -> ExitCode {
    let guard = match std::env::current_exe() {
        Ok(exe) => vec![exe.into_os_string(), "guard".into()],
        Err(_) => Vec::new(),
    };
    match zv_agent::process::run(load, Surroundings { guard, ..Surroundings::default() }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("zv-agent: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn check(load: LoadOptions) -> ExitCode {
    match zv_agent::check::run(load) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("zv-agent: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a person asked for it")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "there is no log yet, or none any more")]
fn complain(text: &str) {
    eprintln!("{text}");
}
