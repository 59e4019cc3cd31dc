//! The application function: OCL, BAR1, MSI-X, PCIS.

use std::sync::{Arc, MutexGuard};

use afi_proto::{BarIndex, Bdf};

use super::Card;
use super::card::State;
use super::lanes;
use super::msix::{self, Msix};
use super::xdma::IrqBlock;
use crate::custom_logic::Port;
use crate::function::{BarMemory, DeviceFunction, HostPort};

/// The AppPF of a card.
pub(super) struct AppFunction {
    card: Arc<Card>,
}

impl AppFunction {
    pub(super) const fn new(card: Arc<Card>) -> Self {
        Self { card }
    }

    /// The state; `None` when the function is not on the bus.
    fn reach(&self) -> Option<MutexGuard<'_, State>> {
        self.card
            .reach()
            .filter(|state| state.slot.app_is_present())
    }
}

impl DeviceFunction for AppFunction {
    fn bdf(&self) -> Bdf {
        self.card.config().app
    }

    fn is_present(&self) -> bool {
        self.reach().is_some()
    }

    fn read_config(&self, offset: u16, data: &mut [u8]) {
        match self.reach() {
            Some(state) => state.app_config.read(offset, data),
            None => data.fill(0xFF),
        }
    }

    fn write_config(&self, offset: u16, data: &[u8]) {
        let Some(mut state) = self.reach() else {
            return;
        };
        if state.app_config.write(offset, data) {
            state.reset_app();
        }
        state.refresh_paths();
        state.release_interrupts();
        drop(state);
        self.card.work_inline();
    }

    fn bar_size(&self, bar: BarIndex) -> Option<u64> {
        Some(self.card.hold().app_config.bar(bar)?.size)
    }

    fn read_bar(&self, bar: BarIndex, offset: u64, data: &mut [u8]) {
        data.fill(0xFF);
        if bar == msix::BAR {
            self.card.work_inline();
        }
        let Some(mut state) = self.reach() else {
            return;
        };
        let Some((size, length)) = state.app_config.reach_bar(bar, offset, data.len()) else {
            return;
        };
        let data = &mut data[..length];
        match bar {
            BarIndex::BAR0 => lanes::read(offset, data, |at| state.read_port(Port::Ocl, at)),
            BarIndex::BAR1 => lanes::read(offset, data, |at| state.read_port(Port::Bar1, at)),
            msix::BAR => {
                let (of_engine, of_msix) = data.split_at_mut(before_table(offset, length));
                if let Some(engine) = self.card.engine() {
                    lanes::read(offset, of_engine, |at| state.read_xdma(engine, at));
                }
                let offset = offset + of_engine.len() as u64;
                for (byte, at) in of_msix.iter_mut().zip(offset..) {
                    *byte = state.msix.read(at).unwrap_or(0xFF);
                }
            }
            BarIndex::BAR4 => drop(state.read_pcis(size, offset, data)),
            _ => {}
        }
    }

    fn write_bar(&self, bar: BarIndex, offset: u64, data: &[u8]) {
        let Some(mut state) = self.reach() else {
            return;
        };
        let Some((size, length)) = state.app_config.reach_bar(bar, offset, data.len()) else {
            return;
        };
        let data = &data[..length];
        match bar {
            BarIndex::BAR0 => {
                lanes::write(offset, data, |at, word| {
                    state.write_port(Port::Ocl, at, word)
                });
            }
            BarIndex::BAR1 => {
                lanes::write(offset, data, |at, word| {
                    state.write_port(Port::Bar1, at, word)
                });
            }
            msix::BAR => {
                let (to_engine, to_msix) = data.split_at(before_table(offset, length));
                if let Some(engine) = self.card.engine() {
                    lanes::write(offset, to_engine, |at, word| {
                        state.write_xdma(engine, at, word);
                    });
                }
                let offset = offset + to_engine.len() as u64;
                for (byte, at) in to_msix.iter().zip(offset..) {
                    state.msix.write(at, *byte);
                }
                state.release_interrupts();
                drop(state);
                self.card.work_inline();
            }
            BarIndex::BAR4 => drop(state.write_pcis(size, offset, data)),
            _ => {}
        }
    }

    fn bar_memory(&self, bar: BarIndex) -> Option<BarMemory> {
        match bar {
            BarIndex::BAR4 => self.reach()?.pcis_memory(),
            _ => None,
        }
    }

    fn msix_vectors(&self) -> u16 {
        msix::VECTORS
    }

    fn reset(&self) {
        if let Some(mut state) = self.reach() {
            state.reset_app();
        }
    }

    fn attach(&self, host: Arc<dyn HostPort>) {
        let mut state = self.card.hold();
        state.app_host = Some(host);
        state.refresh_paths();
    }

    fn detach(&self) {
        let mut state = self.card.hold();
        state.app_host = None;
        state.refresh_paths();
    }
}

/// How many bytes of an access of BAR2 come before the MSI-X table: the engine is there.
fn before_table(offset: u64, length: usize) -> usize {
    let before = msix::TABLE.saturating_sub(offset);
    usize::try_from(before).map_or(length, |before| before.min(length))
}

impl State {
    /// The function begins anew; the image stays, and is told.
    fn reset_app(&mut self) {
        self.app_config.reset();
        self.refresh_paths();
        if let Some(engine) = &self.engine {
            engine.reset();
        }
        self.irq = IrqBlock::default();
        self.msix = Msix::new();
        if let Some((logic, _)) = self.slot.active() {
            logic.function_level_reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use afi_proto::Family;
    use afi_proto::config_space::COMMAND;
    use afi_proto::mailbox::AddressCount;

    use super::*;
    use crate::device::testing::{Host, Rig, read32, write32};

    #[test]
    fn a_cleared_slot_times_out_and_goes_on_to_for_4_ms() {
        let rig = Rig::new(Family::F1, Vec::new());
        assert_eq!(rig.ocl(0x504), u32::MAX);
        rig.set_ocl(0x500, 1);
        assert_eq!(read32(&*rig.app, BarIndex::BAR4, 0x40), u32::MAX);
        rig.clock.step(Duration::from_millis(4));
        assert_eq!(rig.ocl(0), u32::MAX);
        let body = rig.hardware().body;
        assert_eq!(
            body.ocl_timeout,
            AddressCount {
                address: 0x505,
                count: 3
            }
        );
        assert_eq!(
            body.dma_pcis_timeout,
            AddressCount {
                address: 0x41,
                count: 1
            }
        );
    }

    #[test]
    fn after_a_timeout_the_whole_interface_times_out_and_no_other() {
        let rig = Rig::running(Family::F1, "probe");
        assert_eq!(read32(&*rig.app, BarIndex::BAR1, 0), u32::MAX);
        assert_ne!(
            rig.hardware().body.bar1_timeout,
            Some(AddressCount::default())
        );
        rig.set_ocl(0x0, 1);
        assert_eq!(rig.hardware().body.ocl_timeout.count, 0);
        assert_eq!(rig.ocl(0x100), u32::MAX);
        rig.set_ocl(0x0, 2);
        let timeouts = rig.hardware().body.ocl_timeout;
        assert_eq!(
            timeouts,
            AddressCount {
                address: 0x101,
                count: 2
            }
        );
        rig.clock.step(Duration::from_millis(4));
        rig.set_ocl(0x0, 3);
        assert_eq!(rig.hardware().body.ocl_timeout, timeouts);
    }

    #[test]
    fn the_top_of_pcis_is_reserved() {
        let rig = Rig::running(Family::F1, "cl_dram_dma");
        let top = (128 << 30) - (1 << 30);
        write32(&*rig.app, BarIndex::BAR4, top - 4, 5);
        write32(&*rig.app, BarIndex::BAR4, top, 6);
        assert_eq!(read32(&*rig.app, BarIndex::BAR4, top - 4), 5);
        assert_eq!(read32(&*rig.app, BarIndex::BAR4, top), u32::MAX);
    }

    #[test]
    fn pcis_takes_bytes_and_ranges_of_any_size() {
        let rig = Rig::running(Family::F1, "cl_dram_dma");
        let data: Vec<u8> = (0..5000).map(|byte| byte as u8).collect();
        rig.app.write_bar(BarIndex::BAR4, 3, &data);
        let mut back = vec![0; 5002];
        rig.app.read_bar(BarIndex::BAR4, 2, &mut back);
        assert_eq!(back[0], 0);
        assert_eq!(back[1..5001], data);
    }

    #[test]
    fn a_function_level_reset_takes_the_registers_and_leaves_the_image() {
        let rig = Rig::running(Family::F1, "cl_hello_world");
        rig.set_ocl(0x500, 1);
        rig.app.reset();
        let mut header = [0; 64];
        rig.app.read_config(0, &mut header);
        assert_eq!(header[..6], [0x0F, 0x1D, 0x01, 0xF0, 0, 0]);
        assert_eq!(rig.ocl(0x500), u32::MAX, "memory space is off");
        rig.app.write_config(COMMAND, &[2]);
        assert_eq!(rig.ocl(0x500), 0x0100_0000);
    }

    #[test]
    fn a_masked_interrupt_shows_in_the_pending_bits() {
        let rig = Rig::running(Family::F1, "cl_dram_dma");
        let host = Arc::new(Host::default());
        rig.app.attach(Arc::clone(&host) as _);
        rig.enable_interrupts();
        let mask_of_vector_9 = 0x8000 + 9 * 16 + 12;
        write32(&*rig.app, BarIndex::BAR2, mask_of_vector_9, 1);
        rig.set_ocl(0xD00, 0b11);
        assert_eq!(read32(&*rig.app, BarIndex::BAR2, 0x8FE0), 1 << 9);
        assert_eq!(host.vectors(), [8]);
        assert_eq!(rig.ocl(0xD00), 0b01_0000_0000_0000_0010, "one is out");
        write32(&*rig.app, BarIndex::BAR2, mask_of_vector_9, 0);
        assert_eq!(host.vectors(), [8, 9]);
        assert_eq!(rig.ocl(0xD00), 0b11 << 16);
        write32(&*rig.app, BarIndex::BAR2, mask_of_vector_9, 1);
        rig.set_ocl(0xD00, 0b10);
        rig.app.reset();
        rig.app.write_config(COMMAND, &[6]);
        rig.enable_interrupts();
        assert_eq!(
            read32(&*rig.app, BarIndex::BAR2, 0x8FE0),
            0,
            "a reset forgets"
        );
        assert_eq!(host.vectors(), [8, 9]);
        // The function mask holds back all of them: MSI-X on, masked.
        rig.app.write_config(0x63, &[0xC0]);
        rig.set_ocl(0xD00, 0b100);
        rig.app.write_config(0x63, &[0x80]);
        assert_eq!(host.vectors(), [8, 9, 10]);
        rig.app.detach();
        rig.set_ocl(0xD00, 0b1);
        assert_eq!(host.vectors().len(), 3, "nobody is told");
    }
}
