//! `afi-sim demo`: the main job, shown on a new instance with the real `afi`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use afi_proto::{AgfiId, Family};
use anyhow::{Context, Result};

use super::InstanceArgs;
use super::run::exit_code;
use super::start::start;
use crate::catalog::SharedCatalog;
use crate::custom_logic::ModelRegistry;

/// A step: what it shows, and the arguments of `afi`.
type Step = (&'static str, Vec<String>);

/// Runs the steps; the first that fails ends it.
pub(super) fn demo(args: &InstanceArgs, models: ModelRegistry) -> Result<ExitCode> {
    let directory = tempfile::Builder::new()
        .prefix("afi-sim-")
        .tempdir()
        .context("cannot make a directory for the instance")?;
    let began = Instant::now();
    let running = start(args, models, directory.path())?;
    let steps = match args.family {
        Family::F1 => f1(image(&running.catalog, "cl_hello_world")?),
        Family::F2 => f2(image(&running.catalog, "cl_axil_reg_access")?),
    };
    let afi = program();
    println!(
        "A simulated {} instance with {} slot{}: ready in {:.1} ms.",
        args.family,
        args.slots,
        if args.slots == 1 { "" } else { "s" },
        began.elapsed().as_secs_f64() * 1e3
    );
    for (what, arguments) in &steps {
        println!("\n# {what}\n$ afi {}", arguments.join(" "));
        let mut command = Command::new(&afi);
        command.args(arguments);
        running.environment.apply(&mut command);
        let began = Instant::now();
        let status = command.status();
        let status = status.with_context(|| format!("cannot run {}", afi.display()))?;
        println!("({:.1} ms)", began.elapsed().as_secs_f64() * 1e3);
        if !status.success() {
            return Ok(exit_code(status));
        }
    }
    println!(
        "\nDone in {:.1} ms. Now yours: afi-sim run -- bash",
        began.elapsed().as_secs_f64() * 1e3
    );
    Ok(ExitCode::SUCCESS)
}

fn image(catalog: &SharedCatalog, name: &str) -> Result<AgfiId> {
    let catalog = catalog.read();
    let found = catalog
        .images()
        .find(|image| image.name.as_deref() == Some(name));
    found
        .and_then(|image| image.agfi)
        .with_context(|| format!("the catalogue has no image named {name}"))
}

/// cl_hello_world: a register that swaps bytes, LEDs behind DIP switches
/// (`hdk/cl/examples/cl_hello_world` on the `master` branch).
fn f1(image: AgfiId) -> Vec<Step> {
    vec![
        step("Find the slot.", "list"),
        step(
            "Resolve the image, check it, load it, verify it on the bus.",
            &format!("load 0 {image}"),
        ),
        step("See what the slot runs.", "describe 0"),
        step(
            "Write a register of the design ...",
            "poke 0 0x500 0xefbeadde",
        ),
        step(
            "... and read it back: the design swaps its bytes.",
            "peek 0 0x500",
        ),
        step(
            "Let the virtual LEDs through with the virtual DIP switches.",
            "dip set 0 0xffff",
        ),
        step("The LEDs show the low half of the register.", "led 0"),
        step("Clear the slot.", "clear 0"),
    ]
}

/// cl_axil_reg_access: two registers and their sum (`hdk/cl/examples` on the `f2` branch).
fn f2(image: AgfiId) -> Vec<Step> {
    vec![
        step("Find the slot.", "list"),
        step(
            "Resolve the image, check it, load it, verify it on the bus.",
            &format!("load 0 {image}"),
        ),
        step("See what the slot runs.", "describe 0"),
        step("Give the design two numbers ...", "poke 0 0x0 40"),
        step("...", "poke 0 0x4 2"),
        step("... start it ...", "poke 0 0x10 1"),
        step("... and read their sum.", "peek 0 0x8"),
        step("See the virtual LEDs.", "led 0"),
        step("Clear the slot.", "clear 0"),
    ]
}

fn step(what: &'static str, arguments: &str) -> Step {
    (what, arguments.split(' ').map(str::to_owned).collect())
}

/// The `afi` beside this program, or else the one on the path.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|path| {
        let path = path.parent().map(|directory| directory.join("afi"))?;
        path.exists().then_some(path)
    });
    beside.unwrap_or_else(|| Path::new(OsStr::new("afi")).to_owned())
}
