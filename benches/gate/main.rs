//! Fails when a hot path takes more instructions than it used to.
//!
//! Runs the benchmarks of `benches/instructions` under callgrind and compares their counts with the
//! committed ones. Counts do not depend on how busy the machine is; they do on the compiler, so
//! that a new one moves the baseline: `--accept`.

mod baseline;
mod measure;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use baseline::{Baseline, Verdict};
use clap::Parser;

/// More than this over the baseline fails, in percent.
const ALLOWED: u64 = 3;
/// The committed counts.
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions/baseline.json");

/// Compare instruction counts with the committed baseline; fail when one is over it by more than 3 %
#[derive(Debug, Parser)]
struct Arguments {
    /// Take what is measured now as the new baseline
    #[arg(long)]
    accept: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let measured = measure::all()?;
    let path = Path::new(BASELINE);
    if arguments.accept {
        Baseline::new(measured).write(path)?;
        println!("the counts of {path:?} are those of this run now");
        return Ok(ExitCode::SUCCESS);
    }
    let baseline = Baseline::read(path)?;
    let mut failed = Vec::new();
    println!("{:<40} {:>12} {:>12}", "benchmark", "baseline", "now");
    for (name, verdict) in baseline.compare(&measured, ALLOWED) {
        println!("{name:<40} {verdict}");
        if matches!(
            verdict,
            Verdict::Over { .. } | Verdict::New { .. } | Verdict::Missing { .. }
        ) {
            failed.push(name);
        }
    }
    if failed.is_empty() {
        println!("no benchmark is more than {ALLOWED} % over its baseline");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "instruction counts: {} differ from the baseline by more than allowed. Find out why; where it \
         is meant, run `cargo run --release -p afi-benches --bin gate -- --accept` and commit \
         benches/instructions/baseline.json with the reason.",
        failed.join(", ")
    );
    Ok(ExitCode::FAILURE)
}
