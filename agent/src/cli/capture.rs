//! `afi capture`

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use afi_pcie::Ended;
use afi_pcie::capture::{Capture as Captured, RecordedFailure, SettingsRecord};
use clap::Args;
use serde::Serialize;

use super::environment::Environment;
use crate::capture::{self, WriteError};
use crate::output::{Answer, ErrorReport, Format};
use crate::pipeline::StepError;
use crate::problem::{Class, Problem, of_io};

/// Write what a bug report needs into a file
///
/// Asks what 'afi list' and 'afi describe' ask, and writes down what was met: an error is part of
/// it. Nothing that runs is changed, and a slot that is locked is left alone, after a wait of at most 10
/// seconds. 'afi --bus capture:FILE list' and 'describe' then show the same on any machine.
///
/// In the file are: versions of afi and of the kernel, the instance type, the time; the bus, the
/// time limit, and the path of the configuration file; of each function of an FPGA slot its address,
/// ids, driver, configuration space, BAR sizes, and small files of sysfs with their permissions; of
/// each slot what its shell answered (image, state, counters), and the command that holds its lock.
///
/// Not in it are: credentials, variables of the environment, answers of the metadata service, id and
/// network addresses of the instance, names of hosts and users, and contents of memory and designs.
#[derive(Debug, Args)]
pub(super) struct Capture {
    /// The file, which only you may read afterwards; '-' for standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Report<'a> {
    file: &'a Path,
    bytes: usize,
    slots: usize,
    functions: usize,
    failures: Vec<&'a RecordedFailure>,
}

/// Why there is no capture.
#[derive(Debug, thiserror::Error)]
enum CaptureError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("standard output cannot have both the capture and a JSON document about it")]
    TwoDocuments,
    #[error("cannot write the capture to standard output")]
    Output { source: io::Error },
}

impl Capture {
    pub(super) fn run(
        &self,
        environment: &Environment,
        format: Format,
    ) -> Result<Answer, Box<ErrorReport>> {
        let to_output = self.file == Path::new("-");
        if to_output && format == Format::Json {
            return Err(report(CaptureError::TwoDocuments));
        }
        if !to_output {
            capture::check_target(&self.file, self.force).map_err(|e| report(e.into()))?;
        }
        let captured = take(environment);
        if environment.deadline.check() == Err(Ended::Cancelled) {
            return Err(Box::new(ErrorReport::new(&StepError::Interrupted)));
        }
        let home = std::env::var("HOME").ok();
        let text = capture::to_text(&captured, home.as_deref());
        if to_output {
            write_out(&text).map_err(|source| report(CaptureError::Output { source }))?;
        } else {
            capture::write(&self.file, &text, self.force).map_err(|e| report(e.into()))?;
        }
        Ok(self.answer(&captured, text.len(), to_output))
    }

    fn answer(&self, captured: &Captured, bytes: usize, to_output: bool) -> Answer {
        let report = Report {
            file: &self.file,
            bytes,
            slots: captured.mailboxes.len(),
            functions: captured.functions.len(),
            failures: capture::failures(captured).collect(),
        };
        let mut answer = Answer::default();
        if !to_output {
            answer.text = report.to_text();
        }
        let failures = report.failures.iter();
        if report.slots == 0 && report.failures.is_empty() {
            let nothing = "there are no FPGA slots: the capture tells of the machine alone";
            answer.hints.push(nothing.to_owned());
        }
        answer
            .hints
            .extend(failures.map(|failure| format!("recorded: {failure}")));
        answer.with("capture", report)
    }
}

impl Report<'_> {
    fn to_text(&self) -> String {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        format!(
            "{}: {} slot{}, {} function{}, {} bytes\n",
            self.file.display(),
            self.slots,
            plural(self.slots),
            self.functions,
            plural(self.functions),
            self.bytes
        )
    }
}

fn take(environment: &Environment) -> Captured {
    let settings = SettingsRecord {
        bus: environment.settings.bus.to_string(),
        timeout_ms: environment.settings.timeout.as_millis() as u64,
        configuration_file: environment.configuration_file.clone(),
    };
    let instance = environment.instance();
    capture::take(
        instance.as_ref(),
        settings,
        &environment.command,
        &environment.deadline,
    )
}

fn write_out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn report(error: CaptureError) -> Box<ErrorReport> {
    Box::new(ErrorReport::new(&error))
}

impl Problem for CaptureError {
    fn class(&self) -> Class {
        match self {
            Self::Write(error) => error.class(),
            Self::TwoDocuments => Class::Usage,
            Self::Output { source } => of_io(source),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Write(error) => error.remedy(),
            Self::TwoDocuments => {
                Some("name a file, or leave out --output-format: a capture is JSON".to_owned())
            }
            Self::Output { .. } => None,
        }
    }
}
