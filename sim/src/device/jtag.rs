//! The virtual JTAG registers in BAR2 of the MgmtPF (`hdk/docs/Virtual_JTAG_XVC.md`).
//!
//! What is behind them is a shift register of 32 bits and no TAP controller: what goes in at TDI
//! comes out at TDO 32 bits later, whatever TMS does. That is enough to test a host's shifting.

/// A register of the virtual JTAG bridge, 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JtagRegister {
    /// Bits of the next shift, 1 to 32.
    Length,
    /// What TMS does, first bit lowest.
    Tms,
    /// What goes in.
    Tdi,
    /// What came out.
    Tdo,
    /// Bit 0 starts a shift, and reads as 0 when it is done.
    Control,
}

impl JtagRegister {
    /// The register at a word-aligned offset.
    pub(super) const fn at(offset: u64) -> Option<Self> {
        match offset {
            0x00 => Some(Self::Length),
            0x04 => Some(Self::Tms),
            0x08 => Some(Self::Tdi),
            0x0C => Some(Self::Tdo),
            0x10 => Some(Self::Control),
            _ => None,
        }
    }
}

/// Bit of the control register that starts a shift.
pub(super) const START: u32 = 1;
/// What the shift register holds after a reset: like an IDCODE, bit 0 is one (IEEE 1149.1, 12.1.1),
/// and the manufacturer is none.
const AFTER_RESET: u32 = 0xAF10_0001;

/// The bridge.
#[derive(Debug)]
pub(super) struct VirtualJtag {
    length: u32,
    tms: u32,
    tdi: u32,
    tdo: u32,
    shift: u32,
}

impl VirtualJtag {
    pub(super) const fn new() -> Self {
        Self {
            length: 0,
            tms: 0,
            tdi: 0,
            tdo: 0,
            shift: AFTER_RESET,
        }
    }

    pub(super) const fn read(&self, register: JtagRegister) -> u32 {
        match register {
            JtagRegister::Length => self.length,
            JtagRegister::Tms => self.tms,
            JtagRegister::Tdi => self.tdi,
            JtagRegister::Tdo => self.tdo,
            // A shift is done before anybody can look.
            JtagRegister::Control => 0,
        }
    }

    /// Writes a register. Starting a shift is [`Self::shift`]'s.
    pub(super) const fn write(&mut self, register: JtagRegister, value: u32) {
        match register {
            JtagRegister::Length => self.length = value,
            JtagRegister::Tms => self.tms = value,
            JtagRegister::Tdi => self.tdi = value,
            JtagRegister::Tdo | JtagRegister::Control => {}
        }
    }

    /// Shifts as many bits as the length tells, at most 32.
    pub(super) fn shift(&mut self) {
        self.tdo = 0;
        for bit in 0..self.length.min(32) {
            self.tdo |= (self.shift & 1) << bit;
            self.shift = self.shift >> 1 | (self.tdi >> bit & 1) << 31;
        }
    }

    /// Nobody answered: all ones came out.
    pub(super) const fn shift_unanswered(&mut self) {
        self.tdo = u32::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_32_bits_later() {
        let mut jtag = VirtualJtag::new();
        jtag.write(JtagRegister::Length, 32);
        jtag.write(JtagRegister::Tdi, 0x1234_5678);
        jtag.shift();
        assert_eq!(jtag.read(JtagRegister::Tdo), AFTER_RESET);
        jtag.write(JtagRegister::Length, 8);
        jtag.shift();
        assert_eq!(jtag.read(JtagRegister::Tdo), 0x78);
        jtag.write(JtagRegister::Length, u32::MAX);
        jtag.shift();
        assert_eq!(jtag.read(JtagRegister::Tdo), 0x7812_3456);
    }
}
