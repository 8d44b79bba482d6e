//! Files that are made from the code and kept beside it. Tests compare them; run with `ZV_BLESS` they write them.

use anyhow::{Result, ensure};

use crate::command::cargo;

/// What is to be done with the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    /// Fails where a file differs from what the code says.
    Check,
}

/// Each file with the package and the test that holds it to the code.
const FILES: &[(&str, &str, &str)] =
    &[("docs/zv.schema.json", "zv-agent", "config::schema"), ("docs/cli.md", "zv", "generated")];

/// Makes or checks every file.
pub(crate) fn run(mode: Mode) -> Result<()> {
    for (path, package, test) in FILES {
        let mut command = cargo(&["test", "--quiet", "--package", package, "--test", "it", "--", test]);
        if mode == Mode::Write {
            command.env("ZV_BLESS", "1");
        }
        ensure!(command.status()?.success(), "{path} is out of date: run `cargo xtask generate`");
    }
    Ok(())
}
