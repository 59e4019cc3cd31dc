//! The `afi` command line; `afi_agent::cli` is all of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    afi_agent::cli::main()
}
