//! The binary of the accounts service.

use std::process::ExitCode;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    main_server::run(std::env::args_os().skip(1)).await
}
