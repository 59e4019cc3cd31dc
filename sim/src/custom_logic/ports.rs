//! What the shell offers to custom logic: memory, the host, interrupts.

use std::time::Duration;

use afi_proto::mailbox::ProtocolErrors;

use crate::device::counters::{Counters, Direction};
use crate::device::memory::{CardMemory, MemoryError};
use crate::device::msix::{Link, Msix};
use crate::device::xdma::IrqBlock;
use crate::function::DmaError;

/// User interrupts of a design.
const USER_INTERRUPTS: u16 = 16;
/// A burst does not cross this boundary (AXI, A3.4.1); the shell counts one that does as an error.
const BURST_BOUNDARY: u64 = 4096;

/// The shell's side of a design's ports, for the time of one access.
pub struct ShellPorts<'a> {
    pub(crate) memory: Option<&'a CardMemory>,
    pub(crate) link: Link<'a>,
    pub(crate) counters: &'a mut Counters,
    pub(crate) msix: &'a mut Msix,
    /// The DMA engine's interrupt block, on shells that have one.
    pub(crate) irq: Option<&'a mut IrqBlock>,
    pub(crate) dip: u16,
    pub(crate) strobes: u8,
    pub(crate) now: Duration,
}

/// An access of card memory that found none.
#[derive(Debug, thiserror::Error)]
pub enum NoMemory {
    /// The design says that it has no memory controllers.
    #[error("the design has no memory; have CustomLogic::has_memory return true")]
    NoController,
    /// There is no memory at the address.
    #[error("card memory cannot be accessed")]
    Memory {
        /// Where and why.
        #[from]
        source: MemoryError,
    },
}

/// A transfer to or from the host that did not work. The shell counted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostAccessError {
    /// The host switched bus mastering of the AppPF off.
    #[error("bus mastering is off")]
    BusMasterDisabled,
    /// A burst crosses an address that is a multiple of 4 KiB.
    #[error("the burst of {length} bytes at {iova:#x} crosses a 4 KiB boundary")]
    CrossesBoundary {
        /// Where it begins.
        iova: u64,
        /// Bytes.
        length: usize,
    },
    /// No host is connected.
    #[error("no host is connected")]
    NoHost,
    /// The host refused.
    #[error("the host refused the transfer")]
    Refused {
        /// Why.
        #[from]
        source: DmaError,
    },
}

impl ShellPorts<'_> {
    /// Reads card memory. The metrics count a burst for each 4 KiB touched.
    ///
    /// # Errors
    /// When there is no memory; the rest of `data` is left alone.
    pub fn read_memory(&mut self, address: u64, data: &mut [u8]) -> Result<(), NoMemory> {
        let memory = self.memory.ok_or(NoMemory::NoController)?;
        for (at, burst) in bursts(address, data.len()) {
            memory.read(at, &mut data[burst])?;
            self.counters.ddr(memory.ddr_interface(at), Direction::Read);
        }
        Ok(())
    }

    /// Writes card memory, counted as by [`Self::read_memory`].
    ///
    /// # Errors
    /// When there is no memory; what comes before it is written.
    pub fn write_memory(&mut self, address: u64, data: &[u8]) -> Result<(), NoMemory> {
        let memory = self.memory.ok_or(NoMemory::NoController)?;
        for (at, burst) in bursts(address, data.len()) {
            memory.write(at, &data[burst])?;
            self.counters
                .ddr(memory.ddr_interface(at), Direction::Write);
        }
        Ok(())
    }

    /// Reads host memory at a bus address, through PCIM.
    ///
    /// # Errors
    /// When bus mastering is off or the host has nothing there. As from a real bus, what could not
    /// be read is all ones.
    pub fn read_host(&mut self, iova: u64, data: &mut [u8]) -> Result<(), HostAccessError> {
        for (at, burst) in bursts(iova, data.len()) {
            let host = self.host(at);
            let start = burst.start;
            let read = host.and_then(|host| Ok(host.dma_read(at, &mut data[burst])?));
            if let Err(error) = self.transferred(at, Direction::Read, read) {
                data[start..].fill(0xFF);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes host memory at a bus address, through PCIM.
    ///
    /// # Errors
    /// When bus mastering is off or the host has nothing there; what comes before is written.
    pub fn write_host(&mut self, iova: u64, data: &[u8]) -> Result<(), HostAccessError> {
        for (at, burst) in bursts(iova, data.len()) {
            let written = self
                .host(at)
                .and_then(|host| Ok(host.dma_write(at, &data[burst])?));
            self.transferred(at, Direction::Write, written)?;
        }
        Ok(())
    }

    /// Reads host memory in one burst, as a design does that makes its bursts itself.
    ///
    /// # Errors
    /// As [`Self::read_host`], and when the burst crosses a 4 KiB boundary, which it must not (AXI,
    /// A3.4.1): the shell lets none of it through, and counts a protocol error.
    pub fn read_host_burst(&mut self, iova: u64, data: &mut [u8]) -> Result<(), HostAccessError> {
        self.check_burst(iova, data.len())?;
        self.read_host(iova, data)
    }

    /// Writes host memory in one burst, as [`Self::read_host_burst`] reads it.
    ///
    /// # Errors
    /// As [`Self::read_host_burst`].
    pub fn write_host_burst(&mut self, iova: u64, data: &[u8]) -> Result<(), HostAccessError> {
        self.check_burst(iova, data.len())?;
        self.write_host(iova, data)
    }

    fn check_burst(&mut self, iova: u64, length: usize) -> Result<(), HostAccessError> {
        if bursts(iova, length).count() > 1 {
            self.counters
                .pcim_protocol(iova, ProtocolErrors::CROSSED_4K);
            return Err(HostAccessError::CrossesBoundary { iova, length });
        }
        Ok(())
    }

    /// The card's address of a byte of a DDR interface; `None` when the design has no memory or the
    /// card not so many interfaces.
    pub(super) fn ddr_address(&self, number: usize, offset: u64) -> Option<u64> {
        self.memory?.ddr_address(number, offset)
    }

    /// Raises a user interrupt, 0 to 15. Returns whether the shell acknowledged it, which it does
    /// when the message is out. While the host masks the vector, or bus mastering is off, it waits.
    ///
    /// In a shell with a DMA engine the engine's interrupt block is on the way: the interrupt waits
    /// until the host enables it there, and goes out as the vector that the host wrote there. In a
    /// shell without, it is the MSI-X vector of the same number.
    pub fn interrupt(&mut self, number: u16) -> bool {
        if number >= USER_INTERRUPTS {
            return false;
        }
        let Some(irq) = &mut self.irq else {
            return self.msix.fire(number, self.link);
        };
        irq.request_user(number);
        irq.send_users(self.msix, self.link);
        !irq.user_waits(number)
    }

    /// Whether a user interrupt waits to go out.
    pub fn interrupt_waits(&self, number: u16) -> bool {
        let waits = match &self.irq {
            Some(irq) => irq.user_waits(number),
            None => self.msix.is_pending(number),
        };
        number < USER_INTERRUPTS && waits
    }

    /// The virtual DIP switches.
    pub const fn virtual_dip(&self) -> u16 {
        self.dip
    }

    /// Of a write of a register: bit n tells that byte n of the word counts.
    pub const fn strobes(&self) -> u8 {
        self.strobes
    }

    /// Time of the instance, since it began.
    pub const fn now(&self) -> Duration {
        self.now
    }

    fn host(&mut self, at: u64) -> Result<&dyn crate::function::HostPort, HostAccessError> {
        if !self.link.bus_master {
            let how = ProtocolErrors::BUS_MASTER_DISABLED;
            self.counters.pcim_protocol(at, how);
            return Err(HostAccessError::BusMasterDisabled);
        }
        self.link.host.ok_or(HostAccessError::NoHost)
    }

    fn transferred(
        &mut self,
        at: u64,
        direction: Direction,
        result: Result<(), HostAccessError>,
    ) -> Result<(), HostAccessError> {
        match result {
            Ok(()) => self.counters.pcim(direction),
            // Counted where they are found.
            Err(HostAccessError::BusMasterDisabled | HostAccessError::CrossesBoundary { .. }) => {}
            Err(HostAccessError::NoHost | HostAccessError::Refused { .. }) => {
                self.counters.pcim_out_of_range(at);
            }
        }
        result
    }
}

/// The bursts of a transfer: where each begins, and which bytes it moves. A transfer that runs over
/// the end of the address space goes on at its start, as an address counter does.
fn bursts(address: u64, length: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= length {
            return None;
        }
        let at = address.wrapping_add(done as u64);
        let room = (BURST_BOUNDARY - at % BURST_BOUNDARY) as usize;
        let burst = done..length.min(done + room);
        done = burst.end;
        Some((at, burst))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use afi_proto::Family;
    use afi_proto::config_space::COMMAND;
    use afi_proto::mailbox::{AddressCount, InterruptStatus};

    use super::*;
    use crate::device::testing::{Host, Rig};

    #[test]
    fn transfers_to_the_host_are_checked_and_counted() {
        let rig = Rig::running(Family::F1, "probe");
        let host = Arc::new(Host::default());
        let at = Host::BASE + 0x10;
        rig.set_ocl(0x0, at as u32);
        assert_eq!(rig.ocl(0x8), u32::MAX, "no host");
        rig.app.attach(Arc::clone(&host) as _);
        rig.set_ocl(0x4, 0x1234_5678);
        assert_eq!(rig.ocl(0x8), 0x1234_5678);
        let body = rig.hardware().body;
        assert_eq!((body.pcim_writes, body.pcim_reads), (1, 1));
        assert_eq!(
            body.pcim_range_error,
            AddressCount {
                address: at,
                count: 1
            }
        );

        rig.set_ocl(0x0, 0x40);
        rig.set_ocl(0x4, 1);
        assert_eq!(rig.ocl(0x8), u32::MAX);
        let body = rig.hardware().body;
        assert_eq!(body.pcim_range_error.count, 3);
        assert_eq!(body.interrupts, InterruptStatus::PCIM_RANGE_ERROR);

        rig.app.write_config(COMMAND, &[0x02]);
        rig.set_ocl(0x0, at as u32);
        assert_eq!(rig.ocl(0x8), u32::MAX);
        let body = rig.hardware().body;
        assert_eq!(
            body.pcim_protocol_errors,
            ProtocolErrors::BUS_MASTER_DISABLED
        );
        assert_eq!(
            body.pcim_protocol_error,
            AddressCount {
                address: at,
                count: 1
            }
        );
        assert_eq!((body.pcim_writes, body.pcim_reads), (1, 1));
        assert_eq!(body.ocl_timeout.count, 0, "the design answered each time");
    }

    #[test]
    fn bursts_end_at_4_kib() {
        let bursts: Vec<_> = bursts(0x1FFC, 4104).collect();
        assert_eq!(
            bursts,
            [(0x1FFC, 0..4), (0x2000, 4..4100), (0x3000, 4100..4104)]
        );
    }

    #[test]
    fn bursts_wrap_with_the_address() {
        let bursts: Vec<_> = bursts(u64::MAX, 2).collect();
        assert_eq!(bursts, [(u64::MAX, 0..1), (0, 1..2)]);
    }
}
