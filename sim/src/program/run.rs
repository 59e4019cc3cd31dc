//! `afi-sim run`: a command in an instance of its own.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::thread;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::InstanceArgs;
use super::start::start;
use crate::custom_logic::ModelRegistry;

/// Runs a command in a new instance; its status is the answer.
pub(super) fn run(
    args: &InstanceArgs,
    models: ModelRegistry,
    command: &[String],
) -> Result<ExitCode> {
    let directory = tempfile::Builder::new()
        .prefix("afi-sim-")
        .tempdir()
        .context("cannot make a directory for the instance")?;
    let running = start(args, models, directory.path())?;
    let (program, arguments) = command.split_first().context("no command was given")?;
    let mut command = Command::new(program);
    command.args(arguments);
    running.environment.apply(&mut command);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let child = command.spawn();
    let mut child = child.with_context(|| format!("cannot run {program}"))?;
    let handle = signals.handle();
    let status = thread::scope(|scope| {
        let pid = pid(&child);
        scope.spawn(move || {
            for signal in signals.forever() {
                // Ctrl-C reaches the whole foreground group, so the command has it already.
                if signal != SIGINT {
                    forward(signal, pid);
                }
            }
        });
        let status = child.wait();
        handle.close();
        status
    })?;
    Ok(exit_code(status))
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

fn forward(signal: i32, pid: Pid) {
    let sent = Signal::try_from(signal).and_then(|signal| kill(pid, signal));
    if let Err(error) = sent {
        tracing::debug!(%pid, %error, "forwarding a signal");
    }
}

/// A status as a shell tells it: 128 and the signal for a command that one ended.
pub(super) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    ExitCode::from(code as u8)
}
