//! The virtual JTAG registers in BAR2 of a management function.
//!
//! Source: `hdk/docs/Virtual_JTAG_XVC.md` and `virtual_jtag_pcie.c` of aws-fpga.

use std::sync::Arc;
use std::time::Duration;

use afi_pcie::{Backoff, Bar, BarError, Deadline, Ended, Function};

/// Bits of the next shift, 1 to 32.
const LENGTH: u64 = 0x00;
/// What TMS does, first bit lowest.
const TMS: u64 = 0x04;
/// What goes in.
const TDI: u64 = 0x08;
/// What came out.
const TDO: u64 = 0x0C;
/// Bit 0 starts a shift, and reads as 0 when it is done.
const CONTROL: u64 = 0x10;
/// That bit.
const START: u32 = 1;
/// Bits of one shift.
const WORD_BITS: u32 = 32;
/// How long one shift may take. At the slowest clock of a bridge, some kHz, 32 bits take 10 ms; the
/// tool reads the register 100 times.
const SHIFT_TIMEOUT: Duration = Duration::from_millis(500);
/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// The bridge of a slot.
pub(super) struct Bridge {
    bar: Bar,
    _function: Arc<dyn Function>,
}

/// A shift that did not work.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShiftError {
    /// A register cannot be reached.
    #[error("cannot reach the virtual JTAG registers")]
    Register {
        /// Why.
        #[from]
        source: BarError,
    },
    /// The bridge does not come to an end.
    #[error("the JTAG bridge did not shift {bits} bits")]
    Stuck {
        /// Bits of the shift.
        bits: u32,
        /// Why it was not waited for any longer.
        source: Ended,
    },
    /// The control register reads as all ones: no device answers.
    #[error("the virtual JTAG registers read as all ones: the device does not answer")]
    Gone,
}

impl Bridge {
    /// The bridge behind this BAR, which is BAR2 of this function.
    pub(super) const fn new(function: Arc<dyn Function>, bar: Bar) -> Self {
        Self {
            bar,
            _function: function,
        }
    }

    /// Shifts `bits` bits and gives what came out, in as many bytes as came in. The first bit is
    /// the lowest of the first byte; `tms` and `tdi` have a byte for every eight bits begun.
    ///
    /// # Errors
    /// When the device does not answer.
    pub(super) fn shift(&self, bits: u32, tms: &[u8], tdi: &[u8]) -> Result<Vec<u8>, ShiftError> {
        let mut tdo = Vec::with_capacity(tdi.len());
        let mut left = bits;
        let mut length = None;
        for (tms, tdi) in tms.chunks(4).zip(tdi.chunks(4)) {
            let now = left.min(WORD_BITS);
            if length != Some(now) {
                self.bar.write32(LENGTH, now)?;
                length = Some(now);
            }
            let out = self.shift_word(now, word(tms), word(tdi))?;
            tdo.extend_from_slice(&out.to_le_bytes()[..tdi.len()]);
            left -= now;
        }
        Ok(tdo)
    }

    fn shift_word(&self, bits: u32, tms: u32, tdi: u32) -> Result<u32, ShiftError> {
        self.bar.write32(TMS, tms)?;
        self.bar.write32(TDI, tdi)?;
        self.bar.write32(CONTROL, START)?;
        let deadline = Deadline::after(SHIFT_TIMEOUT);
        let mut backoff = Backoff::up_to(LONGEST_PAUSE);
        loop {
            match self.bar.read32(CONTROL)? {
                u32::MAX => return Err(ShiftError::Gone),
                control if control & START == 0 => break,
                _ => backoff
                    .wait(&deadline)
                    .map_err(|source| ShiftError::Stuck { bits, source })?,
            }
        }
        Ok(self.bar.read32(TDO)?)
    }
}

/// Up to four bytes as a word, the first one lowest.
fn word(bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    word[..bytes.len()].copy_from_slice(bytes);
    u32::from_le_bytes(word)
}
