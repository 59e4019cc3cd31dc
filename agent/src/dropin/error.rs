//! Errors as the tools know them: a number, its name, and perhaps a paragraph of help.
//!
//! Sources: `fpga_mgmt_strerror` and `fpga_mgmt_strerror_long` in `fpga_mgmt.c`, and where that
//! library returns which number. What this program knows beyond that goes to standard error.

use afi_pcie::BusError;
use afi_pcie::mailbox::MailboxError;
use afi_proto::mailbox::ErrorCode;

use crate::instance::InstanceError;
use crate::lock::LockError;
use crate::output::ErrorReport;
use crate::pipeline::check::{Check, CheckError};
use crate::pipeline::{SlotError, StepError};
use crate::problem::{Class, Problem};

/// `EACCES`, which the tools end with where they may not write the kernel's log.
const NOT_PERMITTED: i32 = -13;

/// Why a tool ends without having done its work.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// How the tool ends.
    pub(super) end: End,
    /// The whole story.
    pub(super) report: Box<ErrorReport>,
}

/// How a tool ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With an error: one of the shell, or an errno value, negative.
    Error(ErrorCode),
    /// With the advice to be root.
    NotRoot,
    /// By a signal. The tools say nothing then.
    Interrupted,
}

impl End {
    /// What goes to standard output.
    pub(super) fn text(self) -> String {
        match self {
            Self::Error(code) => text(code),
            Self::NotRoot => format!(
                "Error: Please prefix the command with 'sudo' or login as root\n{}",
                text(ErrorCode(NOT_PERMITTED))
            ),
            Self::Interrupted => String::new(),
        }
    }

    /// The exit status: the low byte of the number. 130 for a signal, as shells count SIGINT.
    pub(super) const fn status(self) -> u8 {
        match self {
            Self::Error(code) => (code.0 & 0xFF) as u8,
            Self::NotRoot => (NOT_PERMITTED & 0xFF) as u8,
            Self::Interrupted => Class::Interrupted.exit_code(),
        }
    }
}

impl Failure {
    /// A failure with this number.
    pub(super) fn new(code: ErrorCode, problem: &dyn Problem) -> Self {
        Self {
            end: End::Error(code),
            report: Box::new(ErrorReport::new(problem)),
        }
    }
}

/// The error and its help, as they are printed.
fn text(code: ErrorCode) -> String {
    let ErrorCode(number) = code;
    let name = match number {
        ..0 => system_error(number),
        _ => code.name().to_owned(),
    };
    format!("Error: ({number}) {name}\n{}", help(code))
}

/// What the C library says of a negative errno value.
fn system_error(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number.saturating_neg()).to_string();
    // The standard library adds the number.
    let end = text.rfind(" (os error").unwrap_or(text.len());
    text[..end].to_owned()
}

/// The paragraph that follows an error, where there is one.
const fn help(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BUSY => "The FPGA is busy with an operation such as a load or a clear.\n",
        ErrorCode::INVALID_AFI_ID => {
            "The agfi id passed is invalid or you do not have permission to load\nthe AFI.\n"
        }
        ErrorCode::INVALID_API_VERSION => {
            "The FPGA images tools are outdated. Newer tools are available at\n\
             https://github.com/aws/aws-fpga\n"
        }
        ErrorCode::CL_ID_MISMATCH => {
            "The vendor and device ID presented by the CL did not match expected\n\
             values provided at ingestion time.\n"
        }
        ErrorCode::CL_DDR_CALIB_FAILED => {
            "The DDR controllers in the CL did not correctly calibrate DDR.\n"
        }
        ErrorCode::SHELL_NOT_SUPPORTED => {
            "The requested AFI relies on a shell which is not supported on this\ninstance type.\n"
        }
        ErrorCode::POWER_VIOLATION => {
            "The loaded CL exceeded maximum allowed power consumption and was\n\
             automatically disabled. To clear this condition, simply reload the AFI.\n"
        }
        ErrorCode::PCI_DEVICE_MISSING => {
            "Unable to locate a PCI device or resource for communicating with the\n\
             FPGA API. This can happen if the FPGA has stopped behaving correctly\n\
             and the instance will need to be stopped and restarted. This can also\n\
             happen if the tools are run on a system with no AWS FPGA attached.\n"
        }
        ErrorCode::TIMED_OUT => {
            "A time out error is usually spurious and the request can be retried. If\n\
             it continues to fail, the FPGA may be inaccessible or the the FPGA API\n\
             may be unresponsive.\n"
        }
        ErrorCode::MALFORMED => {
            "A malformed response from the FPGA API can indicate that the FPGA has\n\
             stopped behaving correctly and the instance will need to be stopped and\n\
             and restarted. If this continues to happen (after an instance restart),\n\
             this may be an indication that your AFI is exceeding allowed power\n\
             consumption limits.\n"
        }
        ErrorCode::INVALID_ARGUMENT | ErrorCode::SOFTWARE_PROBLEM => {
            "This usually indicates a bug in the fpga image tools, but can also be a\n\
             symptom of a bug in the code which is using the library in cases where\n\
             the customer is using the library directly.\n"
        }
        ErrorCode::UNRESPONSIVE => {
            "The FPGA or PCI subsytem is not responding. This can happen if the FPGA\n\
             stopped behaving correctly and the instance will need to be stopped and\n\
             restarted.\n"
        }
        _ => "",
    }
}

/// How the tools end where this went wrong.
pub(super) trait Ends: Problem {
    /// See there.
    fn end(&self) -> End;
}

impl Ends for InstanceError {
    fn end(&self) -> End {
        match self {
            Self::Bus { source } => source.end(),
            Self::NoSlots { .. } | Self::NoSuchSlot { .. } => {
                End::Error(ErrorCode::PCI_DEVICE_MISSING)
            }
        }
    }
}

impl Ends for BusError {
    /// A function that is not there is "missing"; whatever else is wrong with one that is there
    /// makes it "unresponsive", as where the library cannot open or map a BAR.
    fn end(&self) -> End {
        match self.class() {
            Class::NotFound => End::Error(ErrorCode::PCI_DEVICE_MISSING),
            Class::Usage => End::Error(ErrorCode::SOFTWARE_PROBLEM),
            class => of_class(class),
        }
    }
}

impl Ends for LockError {
    /// The tools have no locks. Who holds one is at work on the slot.
    fn end(&self) -> End {
        of_class(self.class())
    }
}

impl Ends for MailboxError {
    fn end(&self) -> End {
        match self {
            Self::Open { source, .. } => source.end(),
            Self::Register { .. } => End::Error(ErrorCode::UNRESPONSIVE),
            // All ones in the length register: too long a response, for the library.
            Self::Gone { .. } | Self::Length { .. } | Self::Malformed { .. } => {
                End::Error(ErrorCode::MALFORMED)
            }
            Self::TimedOut { .. } | Self::OnlyStale { .. } | Self::WrongOpcode { .. } => {
                End::Error(ErrorCode::TIMED_OUT)
            }
            Self::Cancelled { .. } => End::Interrupted,
            Self::Shell { error, .. } => End::Error(*error),
        }
    }
}

impl Ends for SlotError {
    fn end(&self) -> End {
        self.source.end()
    }
}

impl Ends for StepError {
    fn end(&self) -> End {
        End::Error(match self {
            Self::Lock(error) => return error.end(),
            Self::Mailbox(error) => return error.end(),
            Self::Bus(error) => return error.end(),
            Self::Interrupted => return End::Interrupted,
            Self::Check(error) => of_check(error),
            // The shell would not load it either.
            Self::Resolve(_) => ErrorCode::INVALID_AFI_ID,
            Self::StillBusy { .. } => ErrorCode::BUSY,
            Self::NotDone { .. } => ErrorCode::TIMED_OUT,
            // A wrong end without a reason: the tools take it for success.
            Self::EndedAs { error, .. } if *error == ErrorCode::OK => ErrorCode::UNSPECIFIED,
            Self::EndedAs { error, .. } => *error,
            Self::OtherImage { .. } | Self::NotCached { .. } => ErrorCode::UNSPECIFIED,
            Self::OtherIds { .. } => ErrorCode::CL_ID_MISMATCH,
            Self::Missing { .. }
            | Self::StaysOff { .. }
            | Self::BarSize { .. }
            | Self::AllOnes { .. } => ErrorCode::UNRESPONSIVE,
        })
    }
}

/// What the shell answers where this program does not even ask it.
const fn of_check(error: &CheckError) -> ErrorCode {
    match error.check {
        Check::Options => ErrorCode::INCOMPATIBLE_FLAGS,
        Check::State => ErrorCode::INVALID_AFI_ID,
        Check::Family | Check::Shell => ErrorCode::SHELL_NOT_SUPPORTED,
        Check::Ids => ErrorCode::CL_ID_MISMATCH,
        Check::Retention => ErrorCode::RETENTION_NOT_POSSIBLE,
    }
}

const fn of_class(class: Class) -> End {
    match class {
        Class::NotPermitted => End::NotRoot,
        Class::Interrupted => End::Interrupted,
        Class::Busy => End::Error(ErrorCode::BUSY),
        Class::TimedOut => End::Error(ErrorCode::TIMED_OUT),
        _ => End::Error(ErrorCode::UNRESPONSIVE),
    }
}

macro_rules! failure_from {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self {
                    end: error.end(),
                    report: error.into(),
                }
            }
        }
    )*};
}

failure_from!(
    InstanceError,
    LockError,
    MailboxError,
    BusError,
    Box<SlotError>
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_printed_as_the_tools_print_them() {
        assert_eq!(
            End::Error(ErrorCode(5)).text(),
            "Error: (5) invalid-afi-id\n\
             The agfi id passed is invalid or you do not have permission to load\n\
             the AFI.\n"
        );
        assert_eq!(
            End::Error(ErrorCode(14)).text(),
            "Error: (14) unspecified-error\n"
        );
        assert_eq!(
            End::Error(ErrorCode(1)).text(),
            "Error: (1) internal-error\n"
        );
        assert!(End::Error(ErrorCode(-110)).text().starts_with(
            "Error: (-110) Connection timed out\nA time out error is usually spurious"
        ));
        assert_eq!(
            End::Error(ErrorCode(-5)).text(),
            "Error: (-5) Input/output error\n"
        );
        assert_eq!(
            End::NotRoot.text(),
            "Error: Please prefix the command with 'sudo' or login as root\n\
             Error: (-13) Permission denied\n"
        );
        assert_eq!(End::Interrupted.text(), "");
    }

    #[test]
    fn the_exit_status_is_the_low_byte() {
        for (code, status) in [(5, 5), (-110, 146), (-22, 234), (256, 0), (i32::MIN, 0)] {
            assert_eq!(End::Error(ErrorCode(code)).status(), status, "{code}");
        }
        assert_eq!(End::NotRoot.status(), 243);
        assert_eq!(End::Interrupted.status(), 130);
    }
}
