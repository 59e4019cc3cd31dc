//! `cl_hello_world` of F1 (`hdk/cl/examples/cl_hello_world`): one register and the virtual LEDs.

use super::{CustomLogic, Port, ShellPorts};

/// Reads back what was written with its bytes swapped.
const HELLO_WORLD: u64 = 0x500;
/// The low half of what was written; read only.
const VIRTUAL_LED: u64 = 0x504;
/// What any other address reads.
const UNIMPLEMENTED: u32 = 0xDEAD_DEAD;

/// The model.
#[derive(Debug, Default)]
pub(super) struct HelloWorld {
    register: u32,
}

impl CustomLogic for HelloWorld {
    fn read(&mut self, port: Port, offset: u64, _shell: &mut ShellPorts<'_>) -> Option<u32> {
        (port == Port::Ocl).then_some(match offset {
            HELLO_WORLD => self.register.swap_bytes(),
            VIRTUAL_LED => self.register & 0xFFFF,
            _ => UNIMPLEMENTED,
        })
    }

    fn write(&mut self, port: Port, offset: u64, value: u32, _: &mut ShellPorts<'_>) -> Option<()> {
        if port != Port::Ocl {
            return None;
        }
        if offset == HELLO_WORLD {
            self.register = value;
        }
        Some(())
    }

    fn virtual_led(&self, dip: u16) -> u16 {
        self.register as u16 & dip
    }
}

#[cfg(test)]
mod tests {
    use afi_proto::mailbox::MgmtRegister;
    use afi_proto::{BarIndex, Family};

    use crate::device::testing::{Rig, read32};

    #[test]
    fn the_public_test_program_passes() {
        let rig = Rig::running(Family::F1, "cl_hello_world");
        rig.set_ocl(0x500, 0xEFBE_ADDE);
        assert_eq!(rig.ocl(0x500), 0xDEAD_BEEF);
        assert_eq!(rig.ocl(0x504), 0xADDE);
        assert_eq!(rig.ocl(0x508), 0xDEAD_DEAD);
        rig.write(MgmtRegister::VirtualDip, 0xFFFF);
        assert_eq!(rig.read(MgmtRegister::VirtualLed), 0b1010_1101_1101_1110);
        assert_eq!(rig.read(MgmtRegister::VirtualDipLed), 0xADDE_FFFF);
        rig.write(MgmtRegister::VirtualDipLed, 0);
        assert_eq!(rig.read(MgmtRegister::VirtualLed), 0);
        assert_eq!(rig.read(MgmtRegister::VirtualDip), 0);
    }

    #[test]
    fn ports_that_the_design_ties_off_time_out() {
        let rig = Rig::running(Family::F1, "cl_hello_world");
        assert_eq!(read32(&*rig.app, BarIndex::BAR1, 0), u32::MAX);
        assert_eq!(read32(&*rig.app, BarIndex::BAR4, 0x1000), u32::MAX);
        assert_eq!(read32(&*rig.mgmt, BarIndex::BAR4, 8), u32::MAX);
        assert!(rig.app.bar_memory(BarIndex::BAR4).is_none());
        let body = rig.hardware().body;
        assert_eq!(body.bar1_timeout.unwrap().count, 1);
        assert_eq!(body.dma_pcis_timeout.address, 0x1001);
        assert_eq!(body.sda_timeout.address, 9);
    }
}
