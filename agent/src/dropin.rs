//! The names of the vendor's tools, `fpga-load-local-image` and its siblings.
//!
//! Scripts call them, so this program does too what they do when it is called by one of their
//! names: the same options, the same text on standard output byte for byte, the same exit status.
//! What differs is told in `docs/drop-in.md`: time limits shorter than the defaults are honoured,
//! what is known to pass is tried again, slots are locked, nothing sleeps for a fixed time, and
//! standard error says more.
//!
//! Source: `sdk/userspace/fpga_mgmt_tools` and `sdk/userspace/fpga_libs` of aws-fpga, branch `f2`
//! for the F2 tools and `master` for the F1 tools.

mod arguments;
mod commands;
mod error;
mod getopt;
mod jtag;
mod lights;
mod metrics;
mod number;
mod options;
mod program;
mod show;
#[cfg(test)]
mod tests;
mod usage;

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use afi_pcie::{Cancel, Deadline};
use afi_proto::Family;
use afi_proto::mailbox::ErrorCode;

use crate::instance::{Instance, InstanceError};
use crate::resolve::Resolver;
use arguments::Ended;
use commands::{Stop, Work};
use error::{End, Failure};

pub use program::{called, main};

/// A tool that this program can be called as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `fpga-describe-local-image-slots`
    DescribeSlots,
    /// `fpga-describe-local-image`
    Describe,
    /// `fpga-load-local-image`
    Load,
    /// `fpga-clear-local-image`
    Clear,
    /// `fpga-get-virtual-led`
    GetLed,
    /// `fpga-get-virtual-dip-switch`
    GetDip,
    /// `fpga-set-virtual-dip-switch`
    SetDip,
    /// `fpga-start-virtual-jtag`
    StartJtag,
}

impl Tool {
    /// Every tool.
    pub const ALL: [Self; 8] = [
        Self::DescribeSlots,
        Self::Describe,
        Self::Load,
        Self::Clear,
        Self::GetLed,
        Self::GetDip,
        Self::SetDip,
        Self::StartJtag,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DescribeSlots => "fpga-describe-local-image-slots",
            Self::Describe => "fpga-describe-local-image",
            Self::Load => "fpga-load-local-image",
            Self::Clear => "fpga-clear-local-image",
            Self::GetLed => "fpga-get-virtual-led",
            Self::GetDip => "fpga-get-virtual-dip-switch",
            Self::SetDip => "fpga-set-virtual-dip-switch",
            Self::StartJtag => "fpga-start-virtual-jtag",
        }
    }

    /// The tool that a program is called as, by the last part of its path.
    pub fn called_as(program: &OsStr) -> Option<Self> {
        let name = Path::new(program).file_name()?;
        Self::ALL.into_iter().find(|tool| name == tool.name())
    }
}

/// Which generation of tools is spoken: their usage texts, the counters that they print of an F1
/// slot, their version and their time limits differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The F1 tools, of branch `master`.
    F1,
    /// The F2 tools, of branch `f2`.
    F2,
}

impl Dialect {
    /// That of the instance's slots; the newer one where there are none.
    fn of(instance: Option<&Instance>) -> Self {
        let slots = instance.and_then(|instance| instance.slots().ok());
        match slots.as_deref() {
            Some([first, ..]) if first.family == Family::F1 => Self::F1,
            _ => Self::F2,
        }
    }

    /// The version that the tools tell (`hdk/hdk_version.txt` of `master`, `release_version.txt`
    /// of `f2`).
    const fn version(self) -> &'static str {
        match self {
            Self::F1 => "1.4.24",
            Self::F2 => "2.0.2",
        }
    }

    /// How long a shell may be silent unless the caller says otherwise: 500 looks, 20 ms or 40 ms
    /// apart (`CLI_REQUEST_*_DFLT`).
    const fn request_timeout(self) -> Duration {
        match self {
            Self::F1 => Duration::from_secs(10),
            Self::F2 => Duration::from_secs(20),
        }
    }

    /// What `--request-timeout` may be at most, in seconds: 2³² − 1 looks.
    const fn longest_request(self) -> u32 {
        match self {
            Self::F1 => 85_899_345,
            Self::F2 => 171_798_691,
        }
    }

    /// How long a load or clear may take unless the caller says otherwise: 30000 or 90000 looks, 2
    /// ms apart (`FPGA_MGMT_SYNC_TIMEOUT`).
    const fn sync_timeout(self) -> Duration {
        match self {
            Self::F1 => Duration::from_secs(60),
            Self::F2 => Duration::from_secs(180),
        }
    }
}

/// What a tool meets.
pub(crate) struct Host<'a> {
    /// Opens the instance, at the first need.
    pub(crate) open: &'a dyn Fn() -> Result<Instance, InstanceError>,
    /// Who knows images.
    pub(crate) resolver: &'a Resolver,
    /// The command line, for others who wait for a slot's lock.
    pub(crate) command: &'a str,
    /// Which tools are spoken, whatever the slots are.
    pub(crate) dialect: Option<Dialect>,
    /// Ends the waits.
    pub(crate) cancel: &'a Cancel,
    /// Can be read once the tool should end; for a server.
    pub(crate) stop: BorrowedFd<'a>,
}

impl Host<'_> {
    fn deadline(&self, limit: Duration) -> Deadline {
        Deadline::after(limit).with_cancel(self.cancel)
    }
}

/// Runs a tool, and gives its exit status.
pub(crate) fn run(
    tool: Tool,
    words: &[String],
    host: &Host<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let instance = (host.open)().map_err(Failure::from);
    let dialect = host
        .dialect
        .unwrap_or_else(|| Dialect::of(instance.as_ref().ok()));
    let arguments = match arguments::parse(tool, dialect, words) {
        Ok(arguments) => arguments,
        Err(ended) => return without_work(tool, &ended, out, err),
    };
    let mut work = Work {
        host,
        instance,
        arguments,
        dialect,
        out,
        err,
    };
    let result = match tool {
        Tool::DescribeSlots => work.describe_slots(),
        Tool::Describe => work.describe(),
        Tool::Load => work.load(),
        Tool::Clear => work.clear(),
        Tool::GetLed => work.get_led(),
        Tool::GetDip => work.get_dip(),
        Tool::SetDip => work.set_dip(),
        Tool::StartJtag => work.serve_jtag(),
    };
    match result {
        Ok(()) => written(out.flush(), 0, err),
        Err(Stop::Failed(failure)) => fail(&failure, out, err),
        Err(Stop::Ended) => End::Interrupted.status(),
        Err(Stop::Output(error)) => written(Err(error), 0, err),
    }
}

/// Help, the version, or a mistake in the arguments. The status is that of a mistake for all three.
fn without_work(tool: Tool, ended: &Ended, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let refused = End::Error(ErrorCode::INVALID_ARGUMENT);
    if let Some(mistake) = &ended.mistake {
        // Where it cannot be written there is nobody to tell.
        let _ = writeln!(err, "{}: {mistake}", tool.name());
    }
    let error = if ended.asked_for {
        String::new()
    } else {
        refused.text()
    };
    let text = format!("{}{error}", ended.text);
    written(write_all(out, &text), refused.status(), err)
}

/// Tells of a failure: what the tools say, and on standard error the whole story.
fn fail(failure: &Failure, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let written_out = write_all(out, &failure.end.text());
    let _ = err.write_all(failure.report.to_text().as_bytes());
    written(written_out, failure.end.status(), err)
}

fn write_all(out: &mut dyn Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The exit status, seen whether the output was written.
fn written(result: io::Result<()>, status: u8, err: &mut dyn Write) -> u8 {
    match result {
        Ok(()) => status,
        // A reader that has seen enough, such as `head`, is no failure of the tool.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => status,
        Err(error) => {
            let _ = writeln!(err, "error: cannot write the result: {error}");
            status.max(1)
        }
    }
}
