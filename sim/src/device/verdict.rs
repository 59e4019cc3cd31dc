//! Where the host meets an error: in the answer to its command, or later in the slot's status.

use afi_proto::mailbox::ErrorCode;

/// How an error of a load or clear reaches the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The answer to the command carries it. Nothing was changed.
    Refused,
    /// The command is answered with success and the slot is busy; then the status is `load-failed`
    /// and its qualifier carries the error. What ran before does not run any more.
    Failed,
    /// As [`Self::Failed`], and the image is in place with its clocks stopped.
    Gated,
}

/// The errors that are no [`Verdict::Failed`]. A shell refuses what it can see from the request and
/// its own state; what it finds out on the way to the FPGA comes later.
///
/// 18: `hdk/docs/data_retention.md` ("the load is aborted and the FPGA state unchanged"); 17:
/// `hdk/docs/afi_power.md`. For the others no public document tells, and programs have to be ready
/// for both.
const TABLE: &[(ErrorCode, Verdict)] = &[
    (ErrorCode::BUSY, Verdict::Refused),
    (ErrorCode::INVALID_AFI_ID, Verdict::Refused),
    (ErrorCode::INVALID_API_VERSION, Verdict::Refused),
    (ErrorCode::SHELL_NOT_SUPPORTED, Verdict::Refused),
    (ErrorCode::POWER_VIOLATION, Verdict::Gated),
    (ErrorCode::RETENTION_NOT_POSSIBLE, Verdict::Refused),
    (ErrorCode::HARDWARE_BUSY, Verdict::Refused),
    (ErrorCode::MALFORMED, Verdict::Refused),
    (ErrorCode::SOFTWARE_PROBLEM, Verdict::Refused),
    (ErrorCode::RL_RELOAD_NEEDED, Verdict::Refused),
    (ErrorCode::INCOMPATIBLE_FLAGS, Verdict::Refused),
    (ErrorCode::INVALID_CLKGEN_INPUT, Verdict::Refused),
    (ErrorCode::CLKGEN_NOT_FOUND, Verdict::Refused),
    (ErrorCode::INVALID_ARGUMENT, Verdict::Refused),
];

/// The verdict that goes with an error.
pub(super) fn verdict(error: ErrorCode) -> Verdict {
    let row = TABLE.iter().find(|(known, _)| *known == error);
    row.map_or(Verdict::Failed, |(_, verdict)| *verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_on_the_way_is_told_by_the_status() {
        for code in [6, 12, 13, 14, 20, 22, 23, 25, -110, 99] {
            assert_eq!(verdict(ErrorCode(code)), Verdict::Failed, "{code}");
        }
        for code in [3, 5, 11, 16, 18, 21, 27, -22] {
            assert_eq!(verdict(ErrorCode(code)), Verdict::Refused, "{code}");
        }
        assert_eq!(verdict(ErrorCode(17)), Verdict::Gated);
    }
}
