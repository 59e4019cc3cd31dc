//! The management function: mailbox, virtual LED and DIP, virtual JTAG, SDA.

use std::sync::Arc;

use afi_proto::mailbox::{MailboxStatus, MgmtRegister, RAM_INIT};
use afi_proto::{BarIndex, Bdf};

use super::Card;
use super::access::ALL_ONES;
use super::card::State;
use super::counters::{Direction, Interface};
use super::jtag::{JtagRegister, START};
use super::lanes::{self, WordWrite};
use super::mailbox::DEPTH;
use crate::custom_logic::Port;
use crate::function::{BarMemory, DeviceFunction, HostPort};

/// The MgmtPF of a card.
pub(super) struct MgmtFunction {
    card: Arc<Card>,
}

impl MgmtFunction {
    pub(super) const fn new(card: Arc<Card>) -> Self {
        Self { card }
    }
}

impl DeviceFunction for MgmtFunction {
    fn bdf(&self) -> Bdf {
        self.card.config().mgmt
    }

    fn is_present(&self) -> bool {
        self.card.reach().is_some()
    }

    fn read_config(&self, offset: u16, data: &mut [u8]) {
        match self.card.reach() {
            Some(state) => state.mgmt_config.read(offset, data),
            None => data.fill(0xFF),
        }
    }

    fn write_config(&self, offset: u16, data: &[u8]) {
        if let Some(mut state) = self.card.reach()
            && state.mgmt_config.write(offset, data)
        {
            state.reset_mgmt();
        }
    }

    fn bar_size(&self, bar: BarIndex) -> Option<u64> {
        Some(self.card.hold().mgmt_config.bar(bar)?.size)
    }

    fn read_bar(&self, bar: BarIndex, offset: u64, data: &mut [u8]) {
        data.fill(0xFF);
        let Some(mut state) = self.card.reach() else {
            return;
        };
        let Some((_, length)) = state.mgmt_config.reach_bar(bar, offset, data.len()) else {
            return;
        };
        let data = &mut data[..length];
        match bar {
            BarIndex::BAR0 => lanes::read(offset, data, |at| state.read_mgmt(at)),
            BarIndex::BAR2 => lanes::read(offset, data, |at| state.read_jtag(at)),
            BarIndex::BAR4 => lanes::read(offset, data, |at| state.read_port(Port::Sda, at)),
            _ => {}
        }
    }

    fn write_bar(&self, bar: BarIndex, offset: u64, data: &[u8]) {
        let Some(mut state) = self.card.reach() else {
            return;
        };
        let Some((_, length)) = state.mgmt_config.reach_bar(bar, offset, data.len()) else {
            return;
        };
        let data = &data[..length];
        match bar {
            BarIndex::BAR0 => lanes::write(offset, data, |at, word| state.write_mgmt(at, word)),
            BarIndex::BAR2 => lanes::write(offset, data, |at, word| state.write_jtag(at, word)),
            BarIndex::BAR4 => {
                lanes::write(offset, data, |at, word| {
                    state.write_port(Port::Sda, at, word)
                });
            }
            _ => {}
        }
    }

    fn bar_memory(&self, _bar: BarIndex) -> Option<BarMemory> {
        None
    }

    fn msix_vectors(&self) -> u16 {
        0
    }

    fn reset(&self) {
        if let Some(mut state) = self.card.reach() {
            state.reset_mgmt();
        }
    }

    /// The function neither reaches its host's memory nor interrupts it.
    fn attach(&self, _host: Arc<dyn HostPort>) {}

    fn detach(&self) {}
}

impl State {
    fn reset_mgmt(&mut self) {
        self.mgmt_config.reset();
        self.mailbox.reset();
        self.deferred_request = None;
    }

    /// Reads a word of BAR0. Where there is no register nobody answers, and that reads as all ones:
    /// no document tells what the shell puts there, and a host cannot take it for a value.
    fn read_mgmt(&mut self, offset: u64) -> u32 {
        let Some(register) = MgmtRegister::at(offset) else {
            return ALL_ONES;
        };
        match register {
            MgmtRegister::ShellVersion => self.config.shell.0,
            MgmtRegister::VirtualDipLed => {
                u32::from(self.virtual_led()) << 16 | u32::from(self.dip)
            }
            MgmtRegister::Status => self.mailbox.status().bits(),
            MgmtRegister::WriteIndex => self.mailbox.write_index(),
            MgmtRegister::ReadIndex => self.mailbox.read_index(),
            MgmtRegister::ReadData => self.mailbox.read_data(),
            MgmtRegister::ReadLength => self.mailbox.read_length(),
            // Initialising the memory is done before anybody can look.
            MgmtRegister::Depth => DEPTH,
            MgmtRegister::VirtualLed => u32::from(self.virtual_led()),
            MgmtRegister::VirtualDip => u32::from(self.dip),
            MgmtRegister::WriteData | MgmtRegister::WriteLength | MgmtRegister::RlReload => 0,
        }
    }

    /// Writes a word of BAR0. A narrow write of a register that acts has zeros beside it; of one
    /// that keeps a value it changes only the bytes it covers.
    fn write_mgmt(&mut self, offset: u64, word: WordWrite) {
        let Some(register) = MgmtRegister::at(offset) else {
            return;
        };
        let value = word.value;
        match register {
            MgmtRegister::VirtualDipLed | MgmtRegister::VirtualDip => {
                self.dip = word.merged_into(self.dip.into()) as u16;
            }
            MgmtRegister::Status => {
                self.mailbox
                    .clear_status(MailboxStatus::from_bits_truncate(value));
            }
            MgmtRegister::WriteIndex => {
                let index = word.merged_into(self.mailbox.write_index());
                self.mailbox.set_write_index(index);
            }
            MgmtRegister::WriteData => self.mailbox.write_data(value),
            MgmtRegister::WriteLength => {
                let request = self.mailbox.request(value);
                self.request_sent(request);
            }
            MgmtRegister::Depth if value & RAM_INIT != 0 => self.mailbox.initialize(),
            MgmtRegister::ReadIndex => {
                let index = word.merged_into(self.mailbox.read_index());
                self.mailbox.set_read_index(index);
            }
            MgmtRegister::RlReload if value & 1 != 0 => self.slot.agree_to_reload(self.now),
            MgmtRegister::ShellVersion
            | MgmtRegister::Depth
            | MgmtRegister::ReadData
            | MgmtRegister::ReadLength
            | MgmtRegister::VirtualLed
            | MgmtRegister::RlReload => {}
        }
    }

    fn read_jtag(&mut self, offset: u64) -> u32 {
        let Some(register) = JtagRegister::at(offset) else {
            return ALL_ONES;
        };
        self.counters.virtual_jtag(Direction::Read);
        self.jtag.read(register)
    }

    /// The debug bridge is part of the custom logic: with none running, a shift times out.
    fn write_jtag(&mut self, offset: u64, word: WordWrite) {
        let Some(register) = JtagRegister::at(offset) else {
            return;
        };
        self.counters.virtual_jtag(Direction::Write);
        let value = word.merged_into(self.jtag.read(register));
        self.jtag.write(register, value);
        if register != JtagRegister::Control || value & START == 0 {
            return;
        }
        let (interface, now) = (Interface::VirtualJtag, self.now);
        if self
            .counters
            .is_moderated(interface, offset, Direction::Write, now)
        {
            self.jtag.shift_unanswered();
        } else if self.slot.active().is_none() {
            self.counters
                .timed_out(interface, offset, Direction::Write, now);
            self.jtag.shift_unanswered();
        } else {
            self.jtag.shift();
        }
    }
}

#[cfg(test)]
mod tests {
    use afi_proto::Family;
    use afi_proto::config_space::COMMAND;
    use afi_proto::mailbox::AddressCount;

    use super::*;
    use crate::device::testing::{Rig, image, read32, write32};

    fn rig() -> Rig {
        Rig::new(Family::F1, vec![image(Family::F1, 1, "cl_hello_world")])
    }

    #[test]
    fn each_register_has_its_side_effects() {
        let rig = rig();
        assert_eq!(rig.read(MgmtRegister::ShellVersion), 0x0426_1818);
        rig.write(MgmtRegister::ShellVersion, 1);
        assert_eq!(
            rig.read(MgmtRegister::ShellVersion),
            0x0426_1818,
            "read only"
        );

        rig.write(MgmtRegister::WriteIndex, 5);
        rig.write(MgmtRegister::WriteData, 0x1111_1111);
        assert_eq!(rig.read(MgmtRegister::WriteIndex), 6);
        rig.write(MgmtRegister::ReadIndex, 7);
        rig.read(MgmtRegister::ReadData);
        assert_eq!(rig.read(MgmtRegister::ReadIndex), 8);

        assert_eq!(rig.read(MgmtRegister::Depth), 1024);
        assert_eq!(rig.read(MgmtRegister::ReadLength), 0);
        rig.write(MgmtRegister::WriteLength, 1);
        assert_eq!(
            rig.status(),
            MailboxStatus::TX_EVENT | MailboxStatus::RX_EVENT
        );
        assert_eq!(
            rig.read(MgmtRegister::ReadLength),
            5,
            "a header and an error"
        );
        rig.write(MgmtRegister::ReadIndex, 4);
        assert_eq!(rig.read(MgmtRegister::ReadData), 21);
        rig.write(MgmtRegister::Depth, RAM_INIT);
        assert_eq!(rig.read(MgmtRegister::Depth), 1024, "bit 31 is clear again");
        rig.write(MgmtRegister::ReadIndex, 4);
        assert_eq!(rig.read(MgmtRegister::ReadData), 0);
        rig.write(MgmtRegister::Status, MailboxStatus::TX_EVENT.bits());
        assert_eq!(rig.status(), MailboxStatus::RX_EVENT);

        rig.write(MgmtRegister::VirtualDip, 0xFFFF_1234);
        assert_eq!(rig.read(MgmtRegister::VirtualDip), 0x1234);
        assert_eq!(rig.read(MgmtRegister::VirtualDipLed), 0x1234);
        rig.write(MgmtRegister::VirtualLed, 0xFFFF);
        assert_eq!(rig.read(MgmtRegister::VirtualLed), 0);
        rig.write(MgmtRegister::RlReload, 1);
        assert_eq!(rig.read(MgmtRegister::RlReload), 0);
    }

    #[test]
    fn narrow_and_wide_accesses_reach_the_registers() {
        let rig = rig();
        rig.write(MgmtRegister::VirtualDip, 0x1234);
        rig.mgmt.write_bar(BarIndex::BAR0, 0xD5, &[0xAB]);
        assert_eq!(rig.read(MgmtRegister::VirtualDip), 0xAB34);
        let mut both = [0; 8];
        rig.mgmt.read_bar(BarIndex::BAR0, 0xD0, &mut both);
        assert_eq!(both, [0, 0, 0, 0, 0x34, 0xAB, 0, 0]);
        let mut half = [0; 2];
        rig.mgmt.read_bar(BarIndex::BAR0, 0x2, &mut half);
        assert_eq!(half, [0x26, 0x04]);
    }

    #[test]
    fn where_there_is_nothing_everything_is_ones() {
        let rig = rig();
        assert_eq!(read32(&*rig.mgmt, BarIndex::BAR0, 0x8), u32::MAX);
        assert_eq!(read32(&*rig.mgmt, BarIndex::BAR0, 0x4000), u32::MAX);
        assert_eq!(read32(&*rig.mgmt, BarIndex::BAR1, 0), u32::MAX);
        let mut edge = [0; 8];
        rig.mgmt.read_bar(BarIndex::BAR2, 0x3FFE, &mut edge);
        assert_eq!(edge, [0xFF; 8]);
        assert_eq!(rig.mgmt.bar_size(BarIndex::BAR1), None);
        assert_eq!(rig.mgmt.bar_size(BarIndex::BAR4), Some(4 << 20));
    }

    #[test]
    fn with_memory_space_off_nothing_answers_and_nothing_is_written() {
        let rig = rig();
        rig.mgmt.write_config(COMMAND, &[0]);
        assert_eq!(rig.read(MgmtRegister::ShellVersion), u32::MAX);
        rig.write(MgmtRegister::VirtualDip, 7);
        rig.mgmt.write_config(COMMAND, &[2]);
        assert_eq!(rig.read(MgmtRegister::VirtualDip), 0);
    }

    #[test]
    fn a_function_level_reset_empties_the_mailbox_and_reports_itself() {
        let rig = rig();
        rig.write(MgmtRegister::WriteLength, 1);
        rig.mgmt.write_config(0x79, &[0x80]);
        assert_eq!(
            rig.read(MgmtRegister::Status),
            u32::MAX,
            "memory space is off"
        );
        rig.mgmt.write_config(COMMAND, &[2]);
        assert_eq!(rig.status(), MailboxStatus::FLR_EVENT);
        rig.write(MgmtRegister::Status, MailboxStatus::FLR_EVENT.bits());
        assert_eq!(rig.status(), MailboxStatus::empty());
    }

    #[test]
    fn a_shift_needs_custom_logic() {
        let rig = Rig::new(Family::F2, vec![image(Family::F2, 1, "cl_axil_reg_access")]);
        let shift = |rig: &Rig| {
            write32(&*rig.mgmt, BarIndex::BAR2, 0x00, 32);
            write32(&*rig.mgmt, BarIndex::BAR2, 0x08, 0x5A);
            write32(&*rig.mgmt, BarIndex::BAR2, 0x10, 1);
            assert_eq!(read32(&*rig.mgmt, BarIndex::BAR2, 0x10), 0, "done");
            read32(&*rig.mgmt, BarIndex::BAR2, 0x0C)
        };
        assert_eq!(shift(&rig), u32::MAX);
        let body = rig.hardware().body;
        assert_eq!(
            body.virtual_jtag_timeout,
            AddressCount {
                address: 0x12,
                count: 1
            }
        );
        assert_eq!(body.virtual_jtag, Some((3, 2)));
        rig.load(1, Default::default()).unwrap();
        rig.clock.step(crate::device::testing::LOAD);
        shift(&rig);
        assert_eq!(shift(&rig), 0x5A);
    }
}
