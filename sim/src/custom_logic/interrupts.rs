//! The interrupt block of `cl_dram_dma` and its relatives (`cl_int_tst.sv`): one register, which
//! triggers user interrupts and tells what became of them.

use super::ShellPorts;

/// Writing bits 15:0 triggers; they read as waiting for the shell. Bits 31:16: done, write 1 to
/// clear.
const CONTROL: u64 = 0x00;

#[derive(Debug, Default)]
pub(super) struct Interrupts {
    waiting: u16,
    done: u16,
}

impl Interrupts {
    /// The whole block reads as its one register.
    pub(super) fn read(&mut self, shell: &ShellPorts<'_>) -> u32 {
        let out = (0..16)
            .filter(|number| self.waiting & 1 << number != 0 && !shell.interrupt_waits(*number))
            .fold(0, |out, number| out | 1 << number);
        self.acknowledged(out);
        u32::from(self.done) << 16 | u32::from(self.waiting)
    }

    pub(super) fn write(&mut self, register: u64, value: u32, shell: &mut ShellPorts<'_>) {
        if register != CONTROL {
            return;
        }
        self.done &= !((value >> 16) as u16);
        let trigger = value as u16;
        for number in (0..16).filter(|number| trigger & 1 << number != 0) {
            self.done &= !(1 << number);
            self.waiting |= 1 << number;
            if shell.interrupt(number) {
                self.acknowledged(1 << number);
            }
        }
    }

    const fn acknowledged(&mut self, numbers: u16) {
        self.waiting &= !numbers;
        self.done |= numbers;
    }
}
