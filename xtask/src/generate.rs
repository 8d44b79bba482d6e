//! Files that are made from the code and kept beside it.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::command::{cargo, output_of, root};
use crate::say;

/// What is to be done with the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    /// Fails where a file differs from what the code says.
    Check,
}

/// Each file with the arguments of `zv` that print it.
const FILES: &[(&str, &[&str])] =
    &[("docs/zv.schema.json", &["config", "schema"]), ("docs/cli.md", &["reference"])];

/// Makes or checks every file.
pub(crate) fn run(mode: Mode) -> Result<()> {
    let mut stale = Vec::new();
    for (path, args) in FILES {
        let mut command = vec!["run", "--quiet", "--package", "zv", "--"];
        command.extend_from_slice(args);
        let made = output_of(&mut cargo(&command))?;
        let file = root().join(path);
        let is_current = fs::read_to_string(&file).is_ok_and(|kept| kept == made);
        match mode {
            Mode::Write if !is_current => {
                fs::write(&file, &made).with_context(|| format!("cannot write {path}"))?;
                say(&format!("{path} was written"));
            }
            Mode::Check if !is_current => stale.push(*path),
            Mode::Write | Mode::Check => {}
        }
    }
    ensure!(stale.is_empty(), "out of date: {}; run `cargo xtask generate`", stale.join(", "));
    Ok(())
}
