//! `afi-sim serve`: an instance that stays up.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::InstanceArgs;
use super::start::start;
use crate::custom_logic::ModelRegistry;

/// Serves until a signal ends it.
pub(super) fn serve(
    args: &InstanceArgs,
    models: ModelRegistry,
    directory: &Path,
) -> Result<ExitCode> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let directory = directory
        .canonicalize()
        .with_context(|| format!("cannot find {}", directory.display()))?;
    let _lock = lock(&directory)?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let running = start(args, models, &directory)?;
    let mut out = std::io::stdout();
    out.write_all(running.environment.exports().as_bytes())?;
    out.flush()?;
    eprintln!(
        "serving {} {} slot{} in {}; Ctrl-C ends it",
        args.slots,
        args.family,
        if args.slots == 1 { "" } else { "s" },
        directory.display()
    );
    let signal = signals.forever().next();
    tracing::debug!(?signal, "ending");
    Ok(ExitCode::SUCCESS)
}

/// Makes sure that one instance uses a directory. The kernel lets go of the lock when its holder
/// dies.
fn lock(directory: &Path) -> Result<File> {
    let path = directory.join("instance.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another instance is served in {}; use another --dir",
                directory.display()
            )
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}
