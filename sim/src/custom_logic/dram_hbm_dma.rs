//! `cl_dram_hbm_dma` of F2 (`hdk/cl/examples/cl_dram_hbm_dma` on `f2`): as `cl_dram_dma`, with one
//! DDR interface of 64 GiB, 16 GiB of HBM, and the HBM's status on OCL.

use super::dram_dma::{Block, DramDma};
use super::{CustomLogic, Port, ShellPorts};

/// HBM: bit 0 holds it in reset, bits 2:1 tell which stacks are ready.
const HBM: u64 = 0x300;
const HBM_RESET: u32 = 1 << 0;
const STACKS_READY: u32 = 0b11 << 1;
/// Virtual LEDs: bit 1 DDR ready, bit 0 HBM ready.
const LED_DDR: u16 = 1 << 1;
const LED_HBM: u16 = 1 << 0;
/// What reads where the block has no register.
const NO_REGISTER: u32 = u32::MAX;
/// The traffic generator that gave its place to the HBM's status.
const HBM_BLOCK: usize = 2;

/// The model. HBM in reset tells so; its contents stay reachable, which a host must not rely on.
#[derive(Debug, Default)]
pub(super) struct DramHbmDma {
    hbm_in_reset: bool,
    /// Everything but the HBM's block.
    rest: DramDma,
}

impl CustomLogic for DramHbmDma {
    fn read(&mut self, port: Port, offset: u64, shell: &mut ShellPorts<'_>) -> Option<u32> {
        if !is_hbm(port, offset) {
            return self.rest.read(port, offset, shell);
        }
        Some(match offset {
            HBM if self.hbm_in_reset => HBM_RESET,
            HBM => STACKS_READY,
            _ => NO_REGISTER,
        })
    }

    fn write(
        &mut self,
        port: Port,
        offset: u64,
        value: u32,
        shell: &mut ShellPorts<'_>,
    ) -> Option<()> {
        if !is_hbm(port, offset) {
            return self.rest.write(port, offset, value, shell);
        }
        if offset == HBM {
            self.hbm_in_reset = value & HBM_RESET != 0;
        }
        Some(())
    }

    fn has_memory(&self) -> bool {
        self.rest.has_memory()
    }

    fn virtual_led(&self, _dip: u16) -> u16 {
        if self.hbm_in_reset {
            LED_DDR
        } else {
            LED_DDR | LED_HBM
        }
    }
}

/// Whether an access is to the HBM's block.
fn is_hbm(port: Port, offset: u64) -> bool {
    port == Port::Ocl && Block::at(offset) == Some(Block::DdrTraffic(HBM_BLOCK))
}

#[cfg(test)]
mod tests {
    use afi_proto::mailbox::{InterruptStatus, MgmtRegister};
    use afi_proto::{BarIndex, Family};

    use crate::device::testing::{Rig, read32, write32};

    const HBM: u64 = 0x10_0000_0000;

    #[test]
    fn hbm_tells_when_it_is_ready() {
        let rig = Rig::running(Family::F2, "cl_dram_hbm_dma");
        assert_eq!(rig.ocl(0x300), 0b110);
        assert_eq!(rig.read(MgmtRegister::VirtualLed), 0b11);
        rig.set_ocl(0x300, 1);
        assert_eq!(rig.ocl(0x300), 1);
        assert_eq!(rig.read(MgmtRegister::VirtualLed), 0b10);
        rig.set_ocl(0x300, 0);
        assert_eq!(rig.ocl(0x300), 0b110);
        assert_eq!(rig.ocl(0x304), u32::MAX);
    }

    #[test]
    fn ddr_and_hbm_are_where_the_map_says_and_nothing_is_beyond() {
        let rig = Rig::running(Family::F2, "cl_dram_hbm_dma");
        write32(&*rig.app, BarIndex::BAR4, 0, 1);
        write32(&*rig.app, BarIndex::BAR4, HBM, 2);
        assert_eq!(read32(&*rig.app, BarIndex::BAR4, 0), 1);
        assert_eq!(read32(&*rig.app, BarIndex::BAR4, HBM), 2);
        assert_eq!(
            read32(&*rig.app, BarIndex::BAR4, HBM + (16 << 30)),
            u32::MAX
        );
        let body = rig.hardware().body;
        assert_eq!(body.interrupts, InterruptStatus::DMA_RANGE_ERROR);
        assert_eq!(
            (body.ddr[0].writes, body.ddr[0].reads),
            (1, 1),
            "HBM is not counted"
        );
        assert_eq!(rig.app.bar_memory(BarIndex::BAR4).unwrap().length, 80 << 30);
    }
}
