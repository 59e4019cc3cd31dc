//! `cl_dram_dma` of F1 (`hdk/cl/examples/cl_dram_dma`): four DDR interfaces, and on OCL a row of
//! blocks of 256 bytes.
//!
//! While a traffic generator has the port of a DDR interface, the design keeps the host away from
//! that interface. The model lets both in.

use super::axi_master::AxiMaster;
use super::interrupts::Interrupts;
use super::sda_ram::SdaRam;
use super::traffic::{Side, Traffic};
use super::{CustomLogic, Port, ShellPorts};

/// A block on OCL, by bits 24:8 of the address (`cl_ocl_slv.sv`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// Generates traffic on PCIM.
    PcimTraffic,
    /// Generates traffic on DDR A to D, 0 to 3.
    DdrTraffic(usize),
    /// Moves single words.
    AxiMaster,
    /// Triggers interrupts.
    Interrupts,
}

impl Block {
    pub(super) const fn at(offset: u64) -> Option<Self> {
        match offset >> 8 & 0x1_FFFF {
            0x00 => Some(Self::PcimTraffic),
            block @ 0x01..=0x04 => Some(Self::DdrTraffic(block as usize - 1)),
            0x05 => Some(Self::AxiMaster),
            0x0D => Some(Self::Interrupts),
            _ => None,
        }
    }
}

/// What reads where there is no block.
const NO_BLOCK: u32 = 0xDEAD_BEEF;

/// The model.
#[derive(Debug)]
pub(super) struct DramDma {
    pcim_traffic: Traffic,
    ddr_traffic: [Traffic; DDR_INTERFACES],
    axi_master: AxiMaster,
    interrupts: Interrupts,
    sda: SdaRam,
}

/// DDR interfaces of F1, each with a generator.
const DDR_INTERFACES: usize = 4;

impl Default for DramDma {
    fn default() -> Self {
        Self {
            pcim_traffic: Traffic::new(Side::Host),
            ddr_traffic: std::array::from_fn(|number| Traffic::new(Side::Ddr(number))),
            axi_master: AxiMaster::default(),
            interrupts: Interrupts::default(),
            sda: SdaRam::default(),
        }
    }
}

impl DramDma {
    /// The generator of a block.
    fn traffic(&mut self, block: Block) -> Option<&mut Traffic> {
        match block {
            Block::PcimTraffic => Some(&mut self.pcim_traffic),
            Block::DdrTraffic(number) => self.ddr_traffic.get_mut(number),
            Block::AxiMaster | Block::Interrupts => None,
        }
    }
}

impl CustomLogic for DramDma {
    fn read(&mut self, port: Port, offset: u64, shell: &mut ShellPorts<'_>) -> Option<u32> {
        match port {
            Port::Ocl => Some(match Block::at(offset) {
                None => NO_BLOCK,
                Some(block @ (Block::PcimTraffic | Block::DdrTraffic(_))) => {
                    let traffic = self.traffic(block)?;
                    traffic.read(offset & 0xFF, shell)
                }
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
                None => {}
                Some(block @ (Block::PcimTraffic | Block::DdrTraffic(_))) => {
                    let traffic = self.traffic(block)?;
                    traffic.write(offset & 0xFF, value, shell);
                }
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
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use afi_proto::config_space::COMMAND;
    use afi_proto::{BarIndex, Family};

    use crate::device::testing::{Host, Rig, read32, write32};

    const DDR: u64 = 16 << 30;

    fn rig() -> Rig {
        Rig::running(Family::F1, "cl_dram_dma")
    }

    #[test]
    fn blocks_and_gaps_read_as_in_the_design() {
        let rig = rig();
        for (offset, wanted) in [
            (0x000, 0x0100_0000),
            (0x018, u32::MAX),
            (0x414, 31),
            (0x514, u32::MAX),
            (0x600, 0xDEAD_BEEF),
            (0xC00, 0xDEAD_BEEF),
            (0xE00, 0xDEAD_BEEF),
            (0xD00, 0),
        ] {
            assert_eq!(rig.ocl(offset), wanted, "{offset:#x}");
        }
        assert_eq!(rig.hardware().body.ocl_timeout.count, 0);
    }

    #[test]
    fn the_axi_master_reaches_every_ddr_that_pcis_shows() {
        let rig = rig();
        for interface in 0..4 {
            let address = interface * DDR + 0x40;
            let value = 0xCAFE_0000 + interface as u32;
            rig.set_ocl(0x504, (address >> 32) as u32);
            rig.set_ocl(0x508, address as u32);
            rig.set_ocl(0x50C, value);
            rig.set_ocl(0x500, 1);
            assert_eq!(rig.ocl(0x500), 2, "done");
            assert_eq!(read32(&*rig.app, BarIndex::BAR4, address), value);
            write32(&*rig.app, BarIndex::BAR4, address, !value);
            let before = rig.ocl(0x510);
            rig.set_ocl(0x500, 0b111);
            assert_eq!(rig.ocl(0x510), before, "done is set: nothing begins");
            rig.set_ocl(0x500, 0b101);
            assert_eq!(rig.ocl(0x510), !value);
        }
        for counts in rig.hardware().body.ddr {
            assert_eq!((counts.writes, counts.reads), (2, 2));
        }
    }

    #[test]
    fn sixteen_interrupts_go_out_and_are_done() {
        let rig = rig();
        let host = Arc::new(Host::default());
        rig.app.attach(Arc::clone(&host) as _);
        rig.set_ocl(0xD00, 0x0001);
        assert_eq!(rig.ocl(0xD00), 0x0001, "it waits until it is enabled");
        rig.enable_interrupts();
        assert_eq!(host.vectors(), [8]);
        assert_eq!(rig.ocl(0xD00), 0x0001_0000);
        rig.set_ocl(0xD00, 0xFFFE);
        assert_eq!(host.vectors(), (8..24).collect::<Vec<_>>());
        assert_eq!(rig.ocl(0xD00), 0xFFFF_0000);
        rig.set_ocl(0xD00, 0x00FF_0000);
        assert_eq!(rig.ocl(0xD00), 0xFF00_0000);
    }

    #[test]
    fn an_interrupt_waits_for_bus_mastering() {
        let rig = rig();
        let host = Arc::new(Host::default());
        rig.app.attach(Arc::clone(&host) as _);
        rig.enable_interrupts();
        rig.app.write_config(COMMAND, &[0x02, 0x00]);
        rig.set_ocl(0xD00, 0b100);
        assert_eq!(rig.ocl(0xD00), 0b100);
        assert!(host.vectors().is_empty());
        rig.app.write_config(COMMAND, &[0x06, 0x00]);
        assert_eq!(host.vectors(), [10]);
        assert_eq!(rig.ocl(0xD00), 0b100 << 16);
    }

    #[test]
    fn sda_is_a_ram_of_1_kib() {
        let rig = rig();
        write32(&*rig.mgmt, BarIndex::BAR4, 0x3FC, 7);
        assert_eq!(read32(&*rig.mgmt, BarIndex::BAR4, 0x3FC), 7);
        assert_eq!(read32(&*rig.mgmt, BarIndex::BAR4, 0x7FC), 7);
    }

    #[test]
    fn a_host_that_maps_pcis_sees_the_same_memory() {
        let rig = rig();
        let mapped = rig.app.bar_memory(BarIndex::BAR4).unwrap();
        assert_eq!(mapped.length, 64 << 30);
        let mapping = mapped.memory.mapping();
        mapping.store(3 * DDR, 0x1234_5678_u32).unwrap();
        assert_eq!(read32(&*rig.app, BarIndex::BAR4, 3 * DDR), 0x1234_5678);
        assert_eq!(
            read32(&*rig.app, BarIndex::BAR4, 7 * DDR),
            0x1234_5678,
            "it wraps"
        );
    }
}
