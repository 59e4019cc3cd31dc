//! The AXI master block of `cl_dram_dma` and `cl_dram_hbm_dma` (`cl_dram_dma_axi_mstr.sv`): moves
//! one word to or from card memory when told to.

use super::ShellPorts;

const CONTROL: u64 = 0x00;
const ADDRESS_HIGH: u64 = 0x04;
const ADDRESS_LOW: u64 = 0x08;
const WRITE_DATA: u64 = 0x0C;
const READ_DATA: u64 = 0x10;

/// Control: begin. It reads as 0 once the access was made.
const GO: u32 = 1 << 0;
/// Control: the access was made. Stays until it is overwritten, and no access begins while it is
/// set.
const DONE: u32 = 1 << 1;
/// Control: read rather than write.
const READ: u32 = 1 << 2;

/// What a register that is none reads.
const UNIMPLEMENTED: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(super) struct AxiMaster {
    control: u32,
    address: u64,
    write_data: u32,
    read_data: u32,
}

impl AxiMaster {
    pub(super) const fn read(&self, register: u64) -> u32 {
        match register {
            CONTROL => self.control,
            ADDRESS_HIGH => (self.address >> 32) as u32,
            ADDRESS_LOW => self.address as u32,
            WRITE_DATA => self.write_data,
            READ_DATA => self.read_data,
            _ => UNIMPLEMENTED,
        }
    }

    pub(super) fn write(&mut self, register: u64, value: u32, shell: &mut ShellPorts<'_>) {
        let word = u64::from(value);
        match register {
            CONTROL => {
                self.control = value & (GO | DONE | READ);
                self.run(shell);
            }
            ADDRESS_HIGH => self.address = self.address & 0xFFFF_FFFF | word << 32,
            ADDRESS_LOW => self.address = self.address & !0xFFFF_FFFF | word,
            WRITE_DATA => self.write_data = value,
            READ_DATA => self.read_data = value,
            _ => {}
        }
    }

    fn run(&mut self, shell: &mut ShellPorts<'_>) {
        if self.control & (GO | DONE) != GO {
            return;
        }
        let result = if self.control & READ != 0 {
            let mut data = [0xFF; 4];
            let read = shell.read_memory(self.address, &mut data);
            self.read_data = u32::from_le_bytes(data);
            read
        } else {
            shell.write_memory(self.address, &self.write_data.to_le_bytes())
        };
        // Memory answers also where there is none, with an error that the block does not look at.
        if let Err(error) = result {
            tracing::debug!(address = self.address, %error, "the AXI master met no memory");
        }
        self.control = self.control & !GO | DONE;
    }
}
