//! `afi image check`

use std::path::PathBuf;

use afi_image::{CheckOptions, Report, Severity, check, check_directory};
use afi_pcie::Deadline;
use afi_proto::Family;
use clap::Args;

use super::error::{ImageError, ended};
use super::report::{counted, document, to_text};
use super::source::{self, Source};
use crate::output::progress::Progress;
use crate::output::{Answer, ErrorReport};

/// Find what is wrong with a tarball before it is uploaded
///
/// Checks the archive, the manifest's keys and values, the hash of the checkpoint, PCI ids, shell
/// version, clock recipes and tool version by the rules of the public documents. Each finding has the
/// code with which the cloud would fail, the line, and what to do. The tarball is read once, as a stream,
/// in constant memory. A directory is checked as the tarball that 'afi image pack' would make of it, with
/// the manifest as it is.
///
/// The exit code is 0 when no error was found, 7 when no image would be made of the tarball.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The tarball, the directory 'to_aws' or the one it is in; '-' for standard input
    #[arg(value_name = "TARBALL|DIR")]
    source: PathBuf,
    /// The family that the image is for: 'f1' or 'f2' [default: as the shell version says]
    #[arg(long, value_name = "FAMILY")]
    family: Option<Family>,
    /// Let no warning pass, either
    #[arg(long)]
    strict: bool,
}

impl Check {
    pub(super) fn run(
        &self,
        deadline: &Deadline,
        progress: &Progress,
    ) -> Result<Answer, Box<ErrorReport>> {
        let name = source::name(&self.source);
        let report = self.check(&name, deadline, progress)?;
        let mut answer = Answer::text(to_text(&name, &report));
        if let Some(error) = self.verdict(&name, &report) {
            answer.errors.push(ErrorReport::new(&error));
        }
        Ok(answer.with("check", document(&name, &report)))
    }

    fn check(
        &self,
        name: &str,
        deadline: &Deadline,
        progress: &Progress,
    ) -> Result<Report, ImageError> {
        let options = CheckOptions {
            family: self.family,
        };
        let what = format!("checking {name}");
        let checked = if self.source.is_dir() {
            let bytes = progress.bytes(what, source::bytes_in(&self.source));
            check_directory(&self.source, &options, |read| {
                bytes.add(read);
                deadline.check().map_err(ended)
            })
        } else {
            let source = Source::open(&self.source)?;
            let bytes = progress.bytes(what, source.length);
            check(source.watched(deadline, &bytes), &options)
        };
        checked.map_err(|error| ImageError::of_check(name, error))
    }

    /// What ends the command with a code other than 0.
    fn verdict(&self, name: &str, report: &Report) -> Option<ImageError> {
        let name = name.to_owned();
        if let Some(code) = report.failure() {
            let count = counted(report, Severity::Error);
            return Some(ImageError::Refused { name, count, code });
        }
        let is_warned = self.strict && report.count(Severity::Warning) > 0;
        let count = counted(report, Severity::Warning);
        is_warned.then_some(ImageError::Warned { name, count })
    }
}
