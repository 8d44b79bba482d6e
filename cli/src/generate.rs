//! `zv completions` and `zv man`: what is made from the definition of the command line.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use clap_complete::Shell;

use crate::args;
use crate::connect;
use crate::console::Console;
use crate::failure::Outcome;

const COMPLETIONS_HELP: &str = "\
Examples:
  zv completions bash > ~/.local/share/bash-completion/completions/zv
  zv completions zsh > ~/.zfunc/_zv
  zv completions fish > ~/.config/fish/completions/zv.fish";

const MAN_HELP: &str = "\
Examples:
  zv man | man -l -
  zv man ~/.local/share/man/man1";

/// Print the completions for a shell
#[derive(Debug, Clone, Args)]
#[command(after_help = COMPLETIONS_HELP)]
pub struct CompletionsArgs {
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Print the manual page, or write those of all commands to a folder
#[derive(Debug, Clone, Args)]
#[command(after_help = MAN_HELP)]
pub struct ManArgs {
    /// The folder to write to; it is made where it does not exist
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Prints the completions.
pub fn completions(args: &CompletionsArgs, console: &mut Console) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::definition(), "zv", &mut script);
    console.raw(&script)
}

/// Prints or writes the manual pages.
pub fn man(args: &ManArgs, options: &connect::Options, console: &mut Console) -> Outcome {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(args::definition()).render(&mut page)?;
        return console.raw(&page);
    };
    let failed = || format!("cannot write the manual pages to `{}`", dir.display());
    std::fs::create_dir_all(dir).with_context(failed)?;
    clap_mangen::generate_to(args::definition(), dir).with_context(failed)?;
    if options.json {
        return console.json(&serde_json::json!({ "dir": dir }));
    }
    console.tell(&format!("The manual pages are in {}.", dir.display()));
    Ok(())
}
