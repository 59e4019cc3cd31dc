//! MSI-X of the AppPF: the table and the pending bits in BAR2, and the way of an interrupt out.
//!
//! Who is told when a vector fires is the link's business: a vfio-user client, like a kernel's VFIO
//! user, names an eventfd for each vector and keeps the table for itself. So an entry holds back
//! its vector only once the host itself has masked it here; that it reads as masked after a reset
//! (PCI Local Bus 3.0, 6.8.2.9) does not. What holds back all vectors: the function mask, and bus
//! mastering being off, because a message is a write to memory.

use afi_proto::BarIndex;
use afi_proto::config_space::MSIX_ENTRY_SIZE;

use crate::function::HostPort;

/// The BAR that holds table and pending bits. `lspci` on F1 shows 33 vectors, BAR2, 0x8000 and 0x8FE0
/// (aws-fpga-app-notes, `Using-PCIe-Interrupts/README.md`). The F2 shells are not documented; they
/// get the same.
pub(super) const BAR: BarIndex = BarIndex::BAR2;
/// Offset of the table in the BAR.
pub(super) const TABLE: u64 = 0x8000;
/// Offset of the pending bits in the BAR.
pub(super) const PENDING: u64 = 0x8FE0;
/// Vectors.
pub(super) const VECTORS: u16 = 33;

const TABLE_SIZE: usize = VECTORS as usize * MSIX_ENTRY_SIZE as usize;
/// Offset of the vector control word in an entry; its bit 0 is the mask.
const VECTOR_CONTROL: usize = 12;

/// What lies between the card and its host.
#[derive(Clone, Copy)]
pub(crate) struct Link<'a> {
    /// The host, if one is attached.
    pub(crate) host: Option<&'a dyn HostPort>,
    /// Bus mastering is on.
    pub(crate) bus_master: bool,
    /// The host masked all vectors.
    pub(crate) masked: bool,
}

/// Table and pending bits.
#[derive(Debug)]
pub(crate) struct Msix {
    table: Box<[u8; TABLE_SIZE]>,
    /// Bit n: vector n waits.
    pending: u64,
    /// Bit n: the host masked vector n.
    masked: u64,
}

impl Msix {
    /// As after a reset.
    pub(super) fn new() -> Self {
        let mut table = Box::new([0; TABLE_SIZE]);
        for entry in table.chunks_mut(MSIX_ENTRY_SIZE as usize) {
            entry[VECTOR_CONTROL] = 1;
        }
        Self {
            table,
            pending: 0,
            masked: 0,
        }
    }

    /// Fires a vector, or notes it as pending. Returns whether it went out.
    pub(crate) fn fire(&mut self, vector: u16, link: Link<'_>) -> bool {
        if vector >= VECTORS {
            return false;
        }
        self.pending |= 1 << vector;
        self.release(link);
        !self.is_pending(vector)
    }

    /// Whether a vector waits to go out.
    pub(crate) fn is_pending(&self, vector: u16) -> bool {
        vector < VECTORS && self.pending & 1 << vector != 0
    }

    /// Sends what waits and may go out now.
    pub(super) fn release(&mut self, link: Link<'_>) {
        if link.masked || !link.bus_master {
            return;
        }
        let ready = self.pending & !self.masked;
        self.pending &= self.masked;
        let Some(host) = link.host else { return };
        for vector in (0..VECTORS).filter(|vector| ready & 1 << vector != 0) {
            host.msix(vector);
        }
    }

    /// A byte of the BAR; `None` where there is neither table nor pending bits.
    pub(super) fn read(&self, offset: u64) -> Option<u8> {
        if let Some(at) = table_index(offset) {
            return Some(self.table[at]);
        }
        let at = offset.checked_sub(PENDING).filter(|at| *at < 8)?;
        Some(self.pending.to_le_bytes()[at as usize])
    }

    /// Writes a byte of the BAR. Pending bits are read only, and so is all of a vector control
    /// word but its mask.
    pub(super) fn write(&mut self, offset: u64, value: u8) {
        let Some(at) = table_index(offset) else {
            return;
        };
        let entry = at / MSIX_ENTRY_SIZE as usize;
        match at % MSIX_ENTRY_SIZE as usize {
            VECTOR_CONTROL => {
                self.table[at] = value & 1;
                self.masked = self.masked & !(1 << entry) | u64::from(value & 1) << entry;
            }
            13..16 => {}
            _ => self.table[at] = value,
        }
    }
}

fn table_index(offset: u64) -> Option<usize> {
    let at = usize::try_from(offset.checked_sub(TABLE)?).ok()?;
    (at < TABLE_SIZE).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::testing::Host;

    #[test]
    fn a_masked_vector_waits_and_goes_out_when_unmasked() {
        let host = Host::default();
        let link = Link {
            host: Some(&host),
            bus_master: true,
            masked: false,
        };
        let mut msix = Msix::new();
        let control = TABLE + 3 * 16 + 12;
        assert_eq!(
            msix.read(control),
            Some(1),
            "masked after reset, as the specification wants"
        );
        assert!(
            msix.fire(3, link),
            "and fires all the same: the link holds the table"
        );
        msix.write(control, 0xFF);
        assert_eq!(msix.read(control), Some(1));
        assert!(!msix.fire(3, link));
        assert_eq!(msix.read(PENDING), Some(1 << 3));
        assert_eq!(host.vectors(), [3]);
        msix.write(control, 0);
        msix.release(link);
        assert_eq!(host.vectors(), [3, 3]);
        assert_eq!(msix.read(PENDING), Some(0));
    }

    #[test]
    fn nothing_goes_out_without_bus_mastering_or_under_the_function_mask() {
        let host = Host::default();
        let mut msix = Msix::new();
        let open = Link {
            host: Some(&host),
            bus_master: true,
            masked: false,
        };
        assert!(!msix.fire(
            0,
            Link {
                bus_master: false,
                ..open
            }
        ));
        assert!(!msix.fire(
            32,
            Link {
                masked: true,
                ..open
            }
        ));
        assert_eq!(msix.read(PENDING + 4), Some(1));
        assert!(host.vectors().is_empty());
        msix.release(open);
        assert_eq!(host.vectors(), [0, 32]);
    }

    #[test]
    fn there_are_33_vectors_and_no_more() {
        let host = Host::default();
        let link = Link {
            host: Some(&host),
            bus_master: true,
            masked: false,
        };
        let mut msix = Msix::new();
        assert!(!msix.fire(33, link));
        assert!(!msix.fire(u16::MAX, link));
        assert_eq!(msix.read(TABLE + 33 * 16), None);
        assert_eq!(msix.read(PENDING + 8), None);
        assert!(host.vectors().is_empty());
    }
}
