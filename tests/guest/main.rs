//! `afi` on a real Linux kernel: a guest in QEMU that has the simulated FPGAs plugged in as PCI
//! functions, so that sysfs, hot removal, rescans and mappings of BARs are the kernel's own.
//!
//! `tests/guest/setup` fetches QEMU and a kernel. Without them nothing is run, and the last line says
//! so: `GUEST TESTS NOT RUN: why`. Checks that share a guest run in order, each on slots of its own;
//! one that fails does not stop the others. Words on the command line choose checks by their names.

mod archive;
mod checks;
mod guest;
mod instance;
mod kit;

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::time::Instant;

use instance::Instance;
use kit::Kit;

/// A check, with its name.
type Check = (&'static str, fn(&mut Instance));

/// Checks that share a guest.
struct Boot {
    /// What it is like, in a word.
    name: &'static str,
    start: fn(&Kit) -> Instance,
    checks: &'static [Check],
}

/// What became of the checks.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
    ignored: usize,
    left_out: usize,
}

fn main() -> ExitCode {
    let began = Instant::now();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let names: Vec<&String> = arguments
        .iter()
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(*part));
    if arguments.iter().any(|argument| argument == "--list") {
        for (boot, (name, _)) in all() {
            println!("{}::{name}: test", boot.name);
        }
        return ExitCode::SUCCESS;
    }
    let count = all()
        .filter(|(boot, (name, _))| wanted(&full(boot, name)))
        .count();
    println!("\nrunning {count} tests");
    let mut tally = Tally {
        left_out: all().count() - count,
        ..Tally::default()
    };
    let kit = match kit::find() {
        _ if count == 0 => Err(None),
        Ok(kit) => Ok(kit),
        Err(why) => Err(Some(why)),
    };
    match &kit {
        Ok(kit) => {
            println!("in a guest: {}", kit.versions);
            for boot in checks::BOOTS {
                run(boot, kit, &wanted, &mut tally);
            }
        }
        Err(_) => tally.ignored = count,
    }
    for name in &tally.failed {
        println!("failed: {name}");
    }
    println!(
        "\ntest result: {}. {} passed; {} failed; {} ignored; 0 measured; {} filtered out; \
         finished in {:.2}s",
        if tally.failed.is_empty() {
            "ok"
        } else {
            "FAILED"
        },
        tally.passed,
        tally.failed.len(),
        tally.ignored,
        tally.left_out,
        began.elapsed().as_secs_f64()
    );
    if let Err(Some(why)) = kit {
        println!("\nGUEST TESTS NOT RUN: {why}\n");
    }
    match tally.failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Boots, and runs the checks that are wanted.
fn run(boot: &Boot, kit: &Kit, wanted: &dyn Fn(&str) -> bool, tally: &mut Tally) {
    let chosen = boot
        .checks
        .iter()
        .filter(|(name, _)| wanted(&full(boot, name)));
    let chosen: Vec<&Check> = chosen.collect();
    if chosen.is_empty() {
        return;
    }
    let began = Instant::now();
    let Ok(mut instance) = panic::catch_unwind(|| (boot.start)(kit)) else {
        for (name, _) in chosen {
            tally.failed.push(full(boot, name));
        }
        println!("test {} ... no boot", boot.name);
        return;
    };
    println!(
        "booted {} in {:.1} s",
        boot.name,
        began.elapsed().as_secs_f64()
    );
    for (name, check) in chosen {
        let name = full(boot, name);
        let began = Instant::now();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| check(&mut instance)));
        let took = began.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => {
                tally.passed += 1;
                println!("test {name} ... ok ({took:.2} s)");
            }
            Err(_) => {
                println!("test {name} ... FAILED ({took:.2} s)");
                tally.failed.push(name);
            }
        }
    }
}

fn all() -> impl Iterator<Item = (&'static Boot, &'static Check)> {
    let of = |boot: &'static Boot| boot.checks.iter().map(move |check| (boot, check));
    checks::BOOTS.iter().flat_map(of)
}

fn full(boot: &Boot, name: &str) -> String {
    format!("{}::{name}", boot.name)
}
