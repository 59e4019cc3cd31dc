//! `cl_dram_hbm_dma` of F2 (`hdk/cl/examples/cl_dram_hbm_dma` on `f2`): as `cl_dram_dma`, with one
//! DDR interface of 64 GiB, 16 GiB of HBM, and the HBM's status on OCL.

use super::axi_master::AxiMaster;
use super::dram_dma::{Block, NO_BLOCK, NO_REGISTER};
use super::interrupts::Interrupts;
use super::sda_ram::SdaRam;
use super::{CustomLogic, Port, ShellPorts};

/// HBM: bit 0 holds it in reset, bits 2:1 tell which stacks are ready.
const HBM: u64 = 0x300;
const HBM_RESET: u32 = 1 << 0;
const STACKS_READY: u32 = 0b11 << 1;
/// Virtual LEDs: bit 1 DDR ready, bit 0 HBM ready.
const LED_DDR: u16 = 1 << 1;
const LED_HBM: u16 = 1 << 0;
/// The traffic generator that gave its place to the HBM's status.
const HBM_BLOCK: u64 = 2;

/// The model. HBM in reset tells so; its contents stay reachable, which a host must not rely on.
#[derive(Debug, Default)]
pub(super) struct DramHbmDma {
    hbm_in_reset: bool,
    axi_master: AxiMaster,
    interrupts: Interrupts,
    sda: SdaRam,
}

impl CustomLogic for DramHbmDma {
    fn read(&mut self, port: Port, offset: u64, shell: &mut ShellPorts<'_>) -> Option<u32> {
        match port {
            Port::Ocl => Some(match Block::at(offset) {
                None => NO_BLOCK,
                Some(Block::DdrTraffic(HBM_BLOCK)) if offset != HBM => NO_REGISTER,
                Some(Block::DdrTraffic(HBM_BLOCK)) if self.hbm_in_reset => HBM_RESET,
                Some(Block::DdrTraffic(HBM_BLOCK)) => STACKS_READY,
                Some(Block::PcimTraffic | Block::DdrTraffic(_)) => NO_REGISTER,
                Some(Block::AxiMaster) => self.axi_master.read(offset & 0xFF),
                Some(Block::Interrupts) => self.interrupts.read(shell),
            }),
            Port::Bar1 => None,
            Port::Sda => Some(self.sda.read(offset)),
        }
    }

    fn write(
        &mut self,
        port: Port,
        offset: u64,
        value: u32,
        shell: &mut ShellPorts<'_>,
    ) -> Option<()> {
        match port {
            Port::Ocl => match Block::at(offset) {
                Some(Block::DdrTraffic(HBM_BLOCK)) if offset == HBM => {
                    self.hbm_in_reset = value & HBM_RESET != 0;
                }
                None | Some(Block::PcimTraffic | Block::DdrTraffic(_)) => {}
                Some(Block::AxiMaster) => self.axi_master.write(offset & 0xFF, value, shell),
                Some(Block::Interrupts) => self.interrupts.write(offset & 0xFF, value, shell),
            },
            Port::Bar1 => return None,
            Port::Sda => self.sda.write(offset, value),
        }
        Some(())
    }

    fn has_memory(&self) -> bool {
        true
    }

    fn virtual_led(&self, _dip: u16) -> u16 {
        if self.hbm_in_reset {
            LED_DDR
        } else {
            LED_DDR | LED_HBM
        }
    }
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
