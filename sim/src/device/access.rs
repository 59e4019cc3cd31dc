//! How an access of the host reaches the custom logic, and what happens when it does not answer.

use std::sync::Arc;

use super::card::State;
use super::counters::{Direction, Interface};
use super::lanes::WordWrite;
use super::memory::MemoryError;
use super::msix::Link;
use crate::custom_logic::{CustomLogic, Port, ShellPorts};
use crate::function::BarMemory;

/// What the host reads when nobody answers.
pub(super) const ALL_ONES: u32 = u32::MAX;
/// The top of PCIS is reserved (`AWS_Fpga_Pcie_Memory_Map.md`).
pub(super) const PCIS_RESERVED: u64 = 1 << 30;

impl State {
    /// Reads a word of a register port.
    pub(super) fn read_port(&mut self, port: Port, offset: u64) -> u32 {
        let interface = interface(port);
        let now = self.now;
        if self
            .counters
            .is_moderated(interface, offset, Direction::Read, now)
        {
            return ALL_ONES;
        }
        let word = self.with_logic(0b1111, |logic, shell| logic.read(port, offset, shell));
        word.unwrap_or_else(|| {
            self.counters
                .timed_out(interface, offset, Direction::Read, now);
            ALL_ONES
        })
    }

    /// Writes a word of a register port.
    pub(super) fn write_port(&mut self, port: Port, offset: u64, write: WordWrite) {
        let interface = interface(port);
        let now = self.now;
        if self
            .counters
            .is_moderated(interface, offset, Direction::Write, now)
        {
            return;
        }
        let answered = self.with_logic(write.strobes, |logic, shell| {
            logic.write(port, offset, write.value, shell)
        });
        if answered.is_none() {
            self.counters
                .timed_out(interface, offset, Direction::Write, now);
        }
    }

    /// Reads through PCIS; `None` when nobody answered, and the data are all ones.
    pub(super) fn read_pcis(&mut self, size: u64, offset: u64, data: &mut [u8]) -> Option<()> {
        let now = self.now;
        let answered = if offset + data.len() as u64 > size - PCIS_RESERVED {
            self.counters.dma_out_of_range();
            None
        } else if self
            .counters
            .is_moderated(Interface::Pcis, offset, Direction::Read, now)
        {
            None
        } else if let Some(memory) = self.slot.active().and_then(|(_, memory)| memory) {
            let interface = memory.ddr_interface(offset);
            let read = memory.read(offset, data);
            self.counters.ddr(interface, Direction::Read);
            self.judge(read)
        } else {
            let answered =
                self.with_logic(0b1111, |logic, shell| logic.read_pcis(offset, data, shell));
            if answered.is_none() {
                self.counters
                    .timed_out(Interface::Pcis, offset, Direction::Read, now);
            }
            answered
        };
        if answered.is_none() {
            data.fill(0xFF);
        }
        answered
    }

    /// Writes through PCIS; `None` when nobody answered.
    pub(super) fn write_pcis(&mut self, size: u64, offset: u64, data: &[u8]) -> Option<()> {
        let now = self.now;
        if offset + data.len() as u64 > size - PCIS_RESERVED {
            self.counters.dma_out_of_range();
            None
        } else if self
            .counters
            .is_moderated(Interface::Pcis, offset, Direction::Write, now)
        {
            None
        } else if let Some(memory) = self.slot.active().and_then(|(_, memory)| memory) {
            let interface = memory.ddr_interface(offset);
            let written = memory.write(offset, data);
            self.counters.ddr(interface, Direction::Write);
            self.judge(written)
        } else {
            let answered =
                self.with_logic(0b1111, |logic, shell| logic.write_pcis(offset, data, shell));
            if answered.is_none() {
                self.counters
                    .timed_out(Interface::Pcis, offset, Direction::Write, now);
            }
            answered
        }
    }

    /// What of PCIS is memory that can be mapped: from address 0 on, while the design that is
    /// loaded has memory. Accesses through a mapping are not counted.
    pub(super) fn pcis_memory(&mut self) -> Option<BarMemory> {
        let (_, memory) = self.slot.active()?;
        let memory = memory.map(|memory| Arc::clone(memory.shared()))?;
        let length = memory.length();
        Some(BarMemory { memory, length })
    }

    /// What the virtual LEDs show; with nothing running, they are off.
    pub(super) fn virtual_led(&mut self) -> u16 {
        let dip = self.dip;
        self.slot
            .active()
            .map_or(0, |(logic, _)| logic.virtual_led(dip))
    }

    /// Lets the custom logic act; `None` when there is none, or it does not answer.
    fn with_logic<T>(
        &mut self,
        strobes: u8,
        act: impl FnOnce(&mut dyn CustomLogic, &mut ShellPorts<'_>) -> Option<T>,
    ) -> Option<T> {
        let gate = self.gate();
        let (logic, memory) = self.slot.active()?;
        let mut shell = ShellPorts {
            memory: memory.map(Arc::as_ref),
            link: Link {
                host: self.app_host.as_deref(),
                ..gate
            },
            counters: &mut self.counters,
            msix: &mut self.msix,
            irq: self.engine.as_ref().map(|_| &mut self.irq),
            dip: self.dip,
            strobes,
            now: self.now,
        };
        act(logic, &mut shell)
    }

    fn judge(&mut self, result: Result<(), MemoryError>) -> Option<()> {
        match result {
            Ok(()) => Some(()),
            Err(MemoryError::OutOfRange { .. }) => {
                self.counters.dma_out_of_range();
                None
            }
            Err(error @ MemoryError::Host { .. }) => {
                tracing::error!(%error, "an access of card memory was lost");
                None
            }
        }
    }
}

const fn interface(port: Port) -> Interface {
    match port {
        Port::Ocl => Interface::Ocl,
        Port::Bar1 => Interface::Bar1,
        Port::Sda => Interface::Sda,
    }
}
