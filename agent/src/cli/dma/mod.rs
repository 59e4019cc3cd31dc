//! `afi dma`: one file for each of its commands.

mod bench;
mod error;
mod files;
mod fill;
mod pattern;
mod plot;
mod read;
mod report;
mod target;
#[cfg(test)]
mod tests;
mod verify;
mod write;

use afi_pcie::Deadline;
use clap::{Args, Subcommand};

use super::environment::Environment;
use crate::instance::Instance;
use crate::output::progress::Progress;
use crate::output::{Answer, ErrorReport};

/// Bytes of a file that are held at once.
const BLOCK: usize = 16 << 20;

/// Move data to and from the memory of a slot's card
///
/// By the best way that the slot and the host have: the DMA engine of the shell, the device files of
/// the kernel driver, or copies through BAR4 (PCIS). Addresses are checked against the memory of the
/// loaded design. The slot's lock is held meanwhile.
#[derive(Debug, Args)]
pub(super) struct Dma {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Write(write::Write),
    Read(read::Read),
    Fill(fill::Fill),
    Verify(verify::Verify),
    Bench(bench::Bench),
}

/// What the commands work with.
struct Context<'a> {
    instance: &'a Instance,
    deadline: &'a Deadline,
    /// The command line, for the lock.
    command: &'a str,
    progress: &'a Progress,
}

impl Dma {
    pub(super) fn run(&self, environment: &Environment) -> Result<Answer, Box<ErrorReport>> {
        let context = Context {
            instance: &environment.instance()?,
            deadline: &environment.deadline,
            command: &environment.command,
            progress: &environment.progress(),
        };
        self.run_on(&context)
    }

    fn run_on(&self, context: &Context<'_>) -> Result<Answer, Box<ErrorReport>> {
        match &self.command {
            Command::Write(command) => command.run(context),
            Command::Read(command) => command.run(context),
            Command::Fill(command) => command.run(context),
            Command::Verify(command) => command.run(context),
            Command::Bench(command) => command.run(context),
        }
    }
}
