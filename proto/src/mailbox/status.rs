//! Status and error names exactly as the public tools print them, and what to do about each.

use std::fmt;

/// The state of a slot (`FPGA_STATUS_*`). An integer, as it comes off a wire: any value can.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotStatus(pub i32);

impl SlotStatus {
    /// An image is loaded.
    pub const LOADED: Self = Self(0);
    /// No image is loaded.
    pub const CLEARED: Self = Self(1);
    /// The shell is at work, on a load for example.
    pub const BUSY: Self = Self(2);
    /// The FPGA is not programmed.
    pub const NOT_PROGRAMMED: Self = Self(3);
    /// An image is being put into the cache.
    pub const CACHING: Self = Self(4);
    /// F2: the shell wants to reload, and waits for the host to agree.
    pub const LOADING_RL: Self = Self(5);
    /// The last load failed, or worked with errors.
    pub const LOAD_FAILED: Self = Self(7);

    /// The name that the public tools print (`FPGA_STATUS2STR`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::LOADED => "loaded",
            Self::CLEARED => "cleared",
            Self::BUSY => "busy",
            Self::NOT_PROGRAMMED => "not-programmed",
            Self::CACHING => "afi-cache-in-progress",
            Self::LOADING_RL => "rl-reload-needed-drop-pci-link",
            Self::LOAD_FAILED => "load-failed",
            _ => "internal-error",
        }
    }

    /// Whether this state ends by itself (or, for [`Self::LOADING_RL`], once the host agrees).
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::BUSY | Self::CACHING | Self::LOADING_RL)
    }
}

impl fmt::Display for SlotStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for SlotStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

/// An error of the shell, in an error response or as the qualifier of a status (`FPGA_ERR_*`).
/// Negative values are Linux errno values. An integer, as it comes off a wire: any value can.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub i32);

macro_rules! error_codes {
    ($($constant:ident = $code:literal, $name:literal, $meaning:literal, $remedy:literal;)*) => {
        impl ErrorCode {
            $(#[doc = concat!("`", $name, "`: ", $meaning, ".")]
            pub const $constant: Self = Self($code);)*

            /// Every code with a name, the one for no error first.
            pub const ALL: &'static [Self] = &[$(Self::$constant),*];

            /// The name that the public tools print (`FPGA_ERR2STR`).
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($code => $name,)*
                    _ => "internal-error",
                }
            }

            /// What the code means, in a few words.
            pub const fn meaning(self) -> &'static str {
                match self.0 {
                    $($code => $meaning,)*
                    _ => "the shell reported a code that its public documents do not name",
                }
            }

            /// What to do about it; empty for no error.
            pub const fn remedy(self) -> &'static str {
                match self.0 {
                    $($code => $remedy,)*
                    _ => "clear the slot and try again; if it stays, report the code",
                }
            }
        }
    };
}

error_codes! {
    OK = 0, "ok", "no error", "";
    BUSY = 3, "busy", "the slot is at work on another command",
        "wait for it to end, or find out who else uses the slot";
    INVALID_AFI_ID = 5, "invalid-afi-id",
        "the shell cannot load this image: the id is wrong, or this account may not load it",
        "check the id (a slot loads AGFI ids), and that the owner shares the image with this account in this region";
    LOAD_TIMEOUT = 6, "afi-load-timeout", "the shell gave up on the load",
        "try again; if it stays, stop and start the instance";
    INVALID_API_VERSION = 11, "invalid-afi-cmd-api-version",
        "the shell speaks another version of the mailbox protocol",
        "use a version of these tools made for this shell";
    CL_ID_MISMATCH = 12, "cl-id-mismatch",
        "the PCI ids in the custom logic differ from those the image was registered with",
        "build the image again with the ids of its manifest in cl_id_defines.vh";
    CL_DDR_CALIB_FAILED = 13, "cl-ddr-calib-failed", "a DDR interface of the custom logic did not calibrate",
        "load the image again; if it stays, check the design's DDR clocks and resets";
    UNSPECIFIED = 14, "unspecified-error", "the shell failed without telling why",
        "clear the slot and load again; if it stays, stop and start the instance";
    SHELL_NOT_SUPPORTED = 16, "shell-version-not-supported",
        "the image was built for another shell than the slot's",
        "build the image for this shell, or load it on an instance that runs its shell";
    POWER_VIOLATION = 17, "afi-power-violation", "the image drew more power than allowed and its clocks are stopped",
        "load it again to restart it; lower its clocks or its activity";
    RETENTION_NOT_POSSIBLE = 18, "dram-data-retention-not-possible",
        "the contents of DRAM cannot be kept through this load; nothing was changed",
        "retention needs an image with all DDR interfaces loaded now and next, the same shell, and no failed state; load without it";
    HARDWARE_BUSY = 19, "hardware-busy", "the FPGA's management hardware is busy", "try again in a moment";
    PCI_DEVICE_MISSING = 20, "pci-device-missing", "a PCI function of the slot is not on the bus",
        "rescan the bus; if it stays away, stop and start the instance";
    MALFORMED = 21, "afi-command-malformed", "the shell did not understand the request",
        "report this: the request was made by these tools";
    RETENTION_FAILED = 22, "dram-data-retention-failed", "the contents of DRAM were lost",
        "write the data again";
    RETENTION_SETUP_FAILED = 23, "dram-data-retention-setup-failed",
        "the DDR calibration could not be saved; later loads cannot keep DRAM",
        "load the image again before using retention";
    SOFTWARE_PROBLEM = 24, "software-problem", "the management software met what it did not expect",
        "report this";
    UNRESPONSIVE = 25, "unresponsive", "the FPGA does not answer",
        "clear the slot; if it stays, stop and start the instance";
    RL_RELOAD_NEEDED = 26, "err-rl-reload-needed-drop-pci-link", "the shell has to reload first",
        "load again; the reload is agreed to on the way";
    INCOMPATIBLE_FLAGS = 27, "err-incompatible-afi-cmd-flags", "the options of the load exclude each other",
        "prefetch cannot be combined with a forced shell reload";
    INVALID_CLKGEN_INPUT = 28, "invalid-clkgen-input", "the clock generator was asked for a frequency it cannot make",
        "choose a frequency in its range";
    CLKGEN_NOT_FOUND = 29, "clkgen-ip-not-found", "the image has no AWS clock generator",
        "build the image with it, or leave its clocks alone";
    TIMED_OUT = -110, "timed-out", "no answer in time (ETIMEDOUT)", "try again; the cause is often passing";
    INVALID_ARGUMENT = -22, "invalid-argument", "a value was refused (EINVAL)", "check the values given";
}

impl ErrorCode {
    /// Whether a repeat of the same command can work without anything else being done: the shell or
    /// another process was in the way for a moment. 5 to 10 % of loads at boot end in −110 and work
    /// at a second try (aws-fpga issue 634).
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::BUSY
                | Self::LOAD_TIMEOUT
                | Self::HARDWARE_BUSY
                | Self::RL_RELOAD_NEEDED
                | Self::TIMED_OUT
        )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_own_name_and_a_remedy() {
        let mut names: Vec<_> = ErrorCode::ALL.iter().map(|e| e.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorCode::ALL.len());
        for error in &ErrorCode::ALL[1..] {
            assert!(!error.remedy().is_empty(), "{error}");
        }
    }

    #[test]
    fn an_unknown_value_is_a_value() {
        assert_eq!(ErrorCode(4).name(), "internal-error");
        assert_eq!(SlotStatus(6).name(), "internal-error");
        assert!(!SlotStatus(6).is_transient());
    }
}
