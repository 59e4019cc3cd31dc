//! `cl_axil_reg_access` of F2: an adder behind five registers.

use super::{CustomLogic, Port, ShellPorts};

const A: u64 = 0x0;
const B: u64 = 0x4;
const SUM: u64 = 0x8;
const CARRY: u64 = 0xC;
/// Bit 0 starts an addition, bit 1 tells that the sum is ready.
const CONTROL: u64 = 0x10;
const START: u32 = 1 << 0;
const READY: u32 = 1 << 1;
/// What any other address reads.
const UNIMPLEMENTED: u32 = 0xDEAD_BEEF;

/// The model.
#[derive(Debug, Default)]
pub(super) struct AxilRegAccess {
    a: u32,
    b: u32,
    sum: u32,
    carry: bool,
    ready: bool,
}

impl CustomLogic for AxilRegAccess {
    fn read(&mut self, port: Port, offset: u64, _shell: &mut ShellPorts<'_>) -> Option<u32> {
        (port == Port::Ocl).then_some(match offset {
            A => self.a,
            B => self.b,
            SUM => self.sum,
            CARRY => self.carry.into(),
            CONTROL if self.ready => READY,
            CONTROL => 0,
            _ => UNIMPLEMENTED,
        })
    }

    fn write(&mut self, port: Port, offset: u64, value: u32, _: &mut ShellPorts<'_>) -> Option<()> {
        if port != Port::Ocl {
            return None;
        }
        match offset {
            A => self.a = value,
            B => self.b = value,
            CONTROL if value & START != 0 => {
                (self.sum, self.carry) = self.a.overflowing_add(self.b);
                self.ready = true;
            }
            CONTROL => self.ready = false,
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use afi_proto::Family;

    use crate::device::testing::Rig;

    #[test]
    fn it_adds_when_started() {
        let rig = Rig::running(Family::F2, "cl_axil_reg_access");
        rig.set_ocl(0x0, 0xFFFF_FFFF);
        rig.set_ocl(0x4, 3);
        assert_eq!((rig.ocl(0x8), rig.ocl(0x10)), (0, 0));
        rig.set_ocl(0x10, 1);
        assert_eq!((rig.ocl(0x10), rig.ocl(0x8), rig.ocl(0xC)), (2, 2, 1));
        rig.set_ocl(0x8, 9);
        assert_eq!(rig.ocl(0x8), 2, "the sum is read only");
        assert_eq!(rig.ocl(0x14), 0xDEAD_BEEF);
    }
}
