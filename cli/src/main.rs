//! The binary `zv`: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    zv_cli::main()
}
