//! The `afi` command line, `afi_agent::cli`; and the vendor's tools, `afi_agent::dropin`, when the
//! program is called by one of their names.

use std::process::ExitCode;

fn main() -> ExitCode {
    match afi_agent::dropin::called() {
        Some(tool) => afi_agent::dropin::main(tool),
        None => afi_agent::cli::main(),
    }
}
