//! `afi image`: one file for each of its commands.

mod check;
mod error;
mod pack;
mod report;
mod source;
#[cfg(test)]
mod tests;

use clap::{Args, Subcommand};

use super::environment::Environment;
use crate::output::{Answer, ErrorReport};

/// Check and make the tarballs that become FPGA images
///
/// An image is made by the cloud, of a tarball with a checkpoint of Vivado (DCP) and a manifest. What is
/// wrong with a tarball shows there half an hour or hours after the upload; here it shows at once.
#[derive(Debug, Args)]
pub(super) struct Image {
    #[command(subcommand)]
    command: Command,
}

// A command is described where it is defined: a comment here would take the place of all of it.
#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Pack(pack::Pack),
}

impl Image {
    pub(super) fn run(&self, environment: &Environment) -> Result<Answer, Box<ErrorReport>> {
        let progress = environment.progress();
        let deadline = &environment.deadline;
        match &self.command {
            Command::Check(command) => command.run(deadline, &progress),
            Command::Pack(command) => command.run(deadline, &progress),
        }
    }
}
