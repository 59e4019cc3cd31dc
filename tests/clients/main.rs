//! The simulated cloud, asked by clients that nobody here wrote: boto3 and the AWS command line, both
//! from PyPI, over every operation and its documented errors.
//!
//! The clients live in a virtual environment that the first run makes. Without Python, its `venv` or a
//! package index nothing is run, and the last line says so: `CLIENT TESTS NOT RUN: why`. Each check is
//! a function of a script here, with a simulated instance of its own. Words on
//! the command line choose checks by their names.

mod venv;

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use afi_rig::{Sim, program};
use venv::Venv;

/// A check: its script, its name, and arguments of `afi-sim serve`.
type Check = (&'static str, &'static str, &'static [&'static str]);

const IMAGES: &str = "boto_images.py";
const MACHINES: &str = "boto_machines.py";
const OTHERS: &str = "boto_others.py";
const CLI: &str = "cli_checks.py";
/// Long enough to be seen pending by a client that asks at once.
const QUICK: &[&str] = &[
    "--require-signatures",
    "--create-time=1500",
    "--copy-time=1500",
    "--ami-time=1500",
];

const CHECKS: &[Check] = &[
    (IMAGES, "image_lifecycle", QUICK),
    (IMAGES, "image_that_slots_load", &["--create-time=0"]),
    (IMAGES, "tarballs_that_fail", &["--create-time=0"]),
    (IMAGES, "inaccessible_input", &["--create-time=0"]),
    (IMAGES, "copies", QUICK),
    (IMAGES, "attributes_and_permissions", QUICK),
    (IMAGES, "tags", QUICK),
    (MACHINES, "machine_images", QUICK),
    (MACHINES, "block_device_rules", QUICK),
    (IMAGES, "parameter_errors", QUICK),
    (MACHINES, "dry_runs", QUICK),
    (IMAGES, "pages_and_filters", &["--create-time=0"]),
    (OTHERS, "objects", QUICK),
    (OTHERS, "signatures", QUICK),
    (OTHERS, "throttled", &["--fault=api-throttled=1"]),
    (OTHERS, "internal_error", &["--fault=api-5xx=1"]),
    (OTHERS, "denied", &["--fault=api-denied"]),
    (OTHERS, "expired", &["--fault=api-expired"]),
    (OTHERS, "store_denied", &["--fault=s3-denied"]),
    (OTHERS, "store_throttled", &["--fault=s3-throttled=1"]),
    (
        OTHERS,
        "store_elsewhere",
        &["--fault=s3-other-region=1", "--create-time=0"],
    ),
    (
        OTHERS,
        "creation_fails",
        &["--fault=create-fails=DCP_NOT_ENCRYPTED", "--create-time=0"],
    ),
    (
        OTHERS,
        "copy_source_gone",
        &[
            "--fault=copy-source-gone",
            "--create-time=0",
            "--copy-time=0",
        ],
    ),
    (OTHERS, "instance_stopping", &["--fault=instance-stopping"]),
    (CLI, "images_by_command_line", QUICK),
    (CLI, "errors_by_command_line", QUICK),
    (CLI, "machine_images_by_command_line", QUICK),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let wanted =
        |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    if arguments.iter().any(|argument| argument == "--list") {
        for (_, name, _) in CHECKS {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let venv = match Venv::make() {
        Ok(venv) => venv,
        Err(why) => {
            println!("\nCLIENT TESTS NOT RUN: {why}");
            return ExitCode::SUCCESS;
        }
    };
    let chosen: Vec<&Check> = CHECKS.iter().filter(|(_, name, _)| wanted(name)).collect();
    let left_out = CHECKS.len() - chosen.len();
    println!("\nrunning {} tests", chosen.len());
    let (mut passed, mut failed) = (0, 0);
    for (script, name, args) in chosen {
        let began = Instant::now();
        let works = run(&venv, script, name, args);
        let word = if works { "ok" } else { "FAILED" };
        let seconds = began.elapsed().as_secs_f64();
        println!("test {name} ... {word} ({seconds:.1} s)");
        *(if works { &mut passed } else { &mut failed }) += 1;
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {left_out} filtered out"
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs one check; what it says goes where this program's output goes.
fn run(venv: &Venv, script: &str, name: &str, args: &[&str]) -> bool {
    let sim = Sim::f1().args(args).start();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let command = sim.command("afi-sim");
    // The same environment, for another program.
    let mut python = Command::new(venv.python());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    let status = python
        .arg(folder.join(script))
        .arg(name)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AWS_BIN", venv.program("aws"))
        .env("AFI_BIN", program("afi"))
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) => status.success(),
        Err(error) => {
            println!("{}: {error}", venv.python().display());
            false
        }
    }
}
