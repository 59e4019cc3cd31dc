//! Configuration space of a function of the card.
//!
//! Every byte has a value and a mask of the bits that the host can write. BAR sizing follows from
//! the masks alone: the bits below a BAR's size cannot be written.
//!
//! Capabilities stand where `lspci` shows them on an F1 instance: power management at 0x40, MSI-X
//! at 0x60, PCI Express at 0x70 (aws-fpga-app-notes, `Using-PCIe-Interrupts/README.md`). The one
//! difference: those functions tell no function-level reset, and these do, because a guest or a
//! vfio-user client needs one.

use afi_proto::config_space::{
    BAR_64BIT, BAR_PREFETCHABLE, BAR0, CACHE_LINE_SIZE, CAP_ID_MSIX, CAP_ID_PCI_EXPRESS,
    CAPABILITIES, CLASS_CODE, COMMAND, Command, DEVICE_ID, HEADER_TYPE, INTERRUPT_LINE,
    MSIX_ENABLE, MSIX_FUNCTION_MASK, MSIX_MESSAGE_CONTROL, PCIE_DEVICE_CAPABILITIES,
    PCIE_DEVICE_CONTROL, PCIE_FLR_CAPABLE, PCIE_INITIATE_FLR, SIZE, STATUS, SUBSYSTEM_ID,
    SUBSYSTEM_VENDOR_ID, Status, VENDOR_ID,
};
use afi_proto::family::BarSpec;
use afi_proto::{BarIndex, PciIds};

use super::msix;

/// Capability id of power management (PCI Power Management 1.2, 3.2.1).
const CAP_ID_POWER_MANAGEMENT: u8 = 0x01;
const POWER_MANAGEMENT: u16 = 0x40;
/// Its control register: the power state, and that nothing is lost on the way back to D0.
const POWER_CONTROL: u16 = POWER_MANAGEMENT + 4;
const POWER_STATE: u8 = 0b11;
const NO_SOFT_RESET: u8 = 1 << 3;
/// In use, and the state in which nothing but configuration space answers.
const D0: u8 = 0;
const D3_HOT: u8 = 3;
const MSIX: u16 = 0x60;
const PCI_EXPRESS: u16 = 0x70;

/// Memory controller, other (PCI Code and ID Assignment 1.11, 1.6; what `lspci` shows on F1).
const CLASS_MEMORY_CONTROLLER: [u8; 3] = [0x00, 0x80, 0x05];
/// Header type bit 7: the device has several functions.
const MULTIFUNCTION: u8 = 0x80;

/// How a function looks in configuration space.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Its BARs.
    pub(super) bars: &'static [BarSpec],
    /// Another function is at the same device number.
    pub(super) multifunction: bool,
    /// Its command register has a bus master bit.
    pub(super) can_master: bool,
    /// It has MSI-X, with the table and pending bits in BAR2.
    pub(super) msix: bool,
}

/// Configuration space of one function.
#[derive(Debug)]
pub(super) struct ConfigSpace {
    layout: Layout,
    bytes: Box<[u8; SIZE]>,
    writable: Box<[u8; SIZE]>,
}

impl ConfigSpace {
    /// As after power-on: nothing is enabled and no BAR has an address.
    pub(super) fn new(layout: Layout, ids: PciIds) -> Self {
        let mut space = Self {
            layout,
            bytes: Box::new([0; SIZE]),
            writable: Box::new([0; SIZE]),
        };
        space.header();
        space.power_management();
        if layout.msix {
            space.msix();
        }
        space.pci_express();
        space.set_ids(ids);
        space
    }

    /// Reads; beyond the end, all ones.
    pub(super) fn read(&self, offset: u16, data: &mut [u8]) {
        let offset = usize::from(offset);
        for (at, byte) in data.iter_mut().enumerate() {
            *byte = self.bytes.get(offset + at).copied().unwrap_or(0xFF);
        }
    }

    /// Writes what can be written. Returns whether the host asked for a function-level reset.
    pub(super) fn write(&mut self, offset: u16, data: &[u8]) -> bool {
        let offset = usize::from(offset);
        let power_state = self.power_state();
        let places = self.bytes.iter_mut().zip(self.writable.iter());
        for ((byte, mask), new) in places.skip(offset).zip(data) {
            *byte = *byte & !mask | new & mask;
        }
        if ![D0, D3_HOT].contains(&self.power_state()) {
            self.set(POWER_CONTROL, &[power_state | NO_SOFT_RESET]);
        }
        let control = PCI_EXPRESS + PCIE_DEVICE_CONTROL;
        let asked = self.word(control) & PCIE_INITIATE_FLR != 0;
        self.set(
            control,
            &(self.word(control) & !PCIE_INITIATE_FLR).to_le_bytes(),
        );
        asked
    }

    /// As after power-on, except for the ids.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.layout, self.ids());
    }

    pub(super) fn ids(&self) -> PciIds {
        PciIds::new(
            self.word(VENDOR_ID),
            self.word(DEVICE_ID),
            self.word(SUBSYSTEM_VENDOR_ID),
            self.word(SUBSYSTEM_ID),
        )
    }

    pub(super) fn set_ids(&mut self, ids: PciIds) {
        for (offset, id) in [
            (VENDOR_ID, ids.vendor),
            (DEVICE_ID, ids.device),
            (SUBSYSTEM_VENDOR_ID, ids.subsystem_vendor),
            (SUBSYSTEM_ID, ids.subsystem),
        ] {
            self.set(offset, &id.to_le_bytes());
        }
    }

    pub(super) fn command(&self) -> Command {
        Command::from_bits_retain(self.word(COMMAND))
    }

    /// Sets the command register, but for bits that the function does not have.
    pub(super) fn set_command(&mut self, command: Command) {
        self.write(COMMAND, &command.bits().to_le_bytes());
    }

    /// Whether the host masked all MSI-X vectors at once.
    pub(super) fn msix_function_masked(&self) -> bool {
        const MASKED: u16 = MSIX_ENABLE | MSIX_FUNCTION_MASK;
        self.layout.msix && self.word(MSIX + MSIX_MESSAGE_CONTROL) & MASKED == MASKED
    }

    /// Whether the function may begin transfers and send interrupts: it is in use, and bus mastering
    /// is on.
    pub(super) fn is_bus_master(&self) -> bool {
        self.command().contains(Command::BUS_MASTER) && self.power_state() == D0
    }

    /// Whether the host switched MSI-X on.
    pub(super) fn msix_is_on(&self) -> bool {
        self.layout.msix && self.word(MSIX + MSIX_MESSAGE_CONTROL) & MSIX_ENABLE != 0
    }

    /// The spec of a BAR.
    pub(super) fn bar(&self, index: BarIndex) -> Option<&'static BarSpec> {
        self.layout.bars.iter().find(|bar| bar.index == index)
    }

    /// Where an access of a BAR ends up: the BAR's size, and how many of the bytes are in it. `None`
    /// when the function does not answer there.
    pub(super) fn reach_bar(
        &self,
        index: BarIndex,
        offset: u64,
        length: usize,
    ) -> Option<(u64, usize)> {
        if !self.command().contains(Command::MEMORY_SPACE) || self.power_state() != D0 {
            return None;
        }
        let size = self.bar(index)?.size;
        let left = usize::try_from(size.checked_sub(offset)?).unwrap_or(usize::MAX);
        Some((size, left.min(length)))
    }

    /// Gives the BARs addresses, as an instance's firmware does.
    pub(super) fn assign_bars(&mut self, apertures: &mut Apertures) {
        let mut bars: Vec<&BarSpec> = self.layout.bars.iter().collect();
        bars.sort_by_key(|bar| std::cmp::Reverse(bar.size));
        for bar in bars {
            let address = apertures.take(bar);
            let length = if bar.is_64bit { 8 } else { 4 };
            self.write(bar_register(bar), &address.to_le_bytes()[..length]);
        }
    }

    fn header(&mut self) {
        self.set(STATUS, &Status::CAPABILITIES.bits().to_le_bytes());
        self.set(CLASS_CODE, &CLASS_MEMORY_CONTROLLER);
        self.set(CAPABILITIES, &[POWER_MANAGEMENT as u8]);
        if self.layout.multifunction {
            self.set(HEADER_TYPE, &[MULTIFUNCTION]);
        }
        let mut command = Command::MEMORY_SPACE | Command::INTX_DISABLE;
        command.set(Command::BUS_MASTER, self.layout.can_master);
        self.allow(COMMAND, &command.bits().to_le_bytes());
        self.allow(CACHE_LINE_SIZE, &[0xFF]);
        self.allow(INTERRUPT_LINE, &[0xFF]);
        for bar in self.layout.bars {
            let mut flags = 0;
            if bar.is_64bit {
                flags |= BAR_64BIT;
            }
            if bar.prefetchable {
                flags |= BAR_PREFETCHABLE;
            }
            let length = if bar.is_64bit { 8 } else { 4 };
            self.set(bar_register(bar), &flags.to_le_bytes());
            self.allow(
                bar_register(bar),
                &(!(bar.size - 1)).to_le_bytes()[..length],
            );
        }
    }

    const fn power_state(&self) -> u8 {
        self.bytes[POWER_CONTROL as usize] & POWER_STATE
    }

    /// Version 3, no soft reset, the two states that every function has (PCI Power Management 1.2,
    /// 3.2): the kernel puts a function that nobody uses into D3hot.
    fn power_management(&mut self) {
        let next = if self.layout.msix { MSIX } else { PCI_EXPRESS };
        let capability = [
            CAP_ID_POWER_MANAGEMENT,
            next as u8,
            0x03,
            0x00,
            NO_SOFT_RESET,
            0,
            0,
            0,
        ];
        self.set(POWER_MANAGEMENT, &capability);
        self.allow(POWER_CONTROL, &[POWER_STATE]);
    }

    /// PCI Local Bus 3.0, 6.8.2: table and pending bits are told as offset and BAR number.
    fn msix(&mut self) {
        let in_bar = |offset: u64| offset as u32 | u32::from(msix::BAR.get());
        self.set(MSIX, &[CAP_ID_MSIX, PCI_EXPRESS as u8]);
        self.set(
            MSIX + MSIX_MESSAGE_CONTROL,
            &(msix::VECTORS - 1).to_le_bytes(),
        );
        self.set(MSIX + 4, &in_bar(msix::TABLE).to_le_bytes());
        self.set(MSIX + 8, &in_bar(msix::PENDING).to_le_bytes());
        let writable = MSIX_ENABLE | MSIX_FUNCTION_MASK;
        self.allow(MSIX + MSIX_MESSAGE_CONTROL, &writable.to_le_bytes());
    }

    /// An endpoint on an x16 link of generation 3 (PCI Express Base 5.0, 7.5.3; values as `lspci`
    /// shows them on F1).
    fn pci_express(&mut self) {
        const VERSION_2_ENDPOINT: u16 = 0x0002;
        /// Payloads up to 1024 bytes, extended tags, role-based error reporting.
        const CAPABILITIES: u32 = 0b011 | 1 << 5 | 1 << 15 | PCIE_FLR_CAPABLE;
        /// Relaxed ordering, read requests up to 512 bytes.
        const CONTROL: u16 = 1 << 4 | 2 << 12;
        const LINK: u16 = 3 | 16 << 4;
        const SPEEDS_UP_TO_3: u32 = 0b1110;
        let at = |register: u16| PCI_EXPRESS + register;
        self.set(at(0x00), &[CAP_ID_PCI_EXPRESS, 0]);
        self.set(at(0x02), &VERSION_2_ENDPOINT.to_le_bytes());
        self.set(at(PCIE_DEVICE_CAPABILITIES), &CAPABILITIES.to_le_bytes());
        self.set(at(PCIE_DEVICE_CONTROL), &CONTROL.to_le_bytes());
        self.allow(at(PCIE_DEVICE_CONTROL), &u16::MAX.to_le_bytes());
        self.set(at(0x0C), &u32::from(LINK).to_le_bytes());
        self.set(at(0x12), &LINK.to_le_bytes());
        self.set(at(0x2C), &SPEEDS_UP_TO_3.to_le_bytes());
        self.set(at(0x30), &[3]);
    }

    fn word(&self, offset: u16) -> u16 {
        let offset = usize::from(offset);
        u16::from_le_bytes([self.bytes[offset], self.bytes[offset + 1]])
    }

    fn set(&mut self, offset: u16, data: &[u8]) {
        let offset = usize::from(offset);
        self.bytes[offset..offset + data.len()].copy_from_slice(data);
    }

    fn allow(&mut self, offset: u16, mask: &[u8]) {
        let offset = usize::from(offset);
        self.writable[offset..offset + mask.len()].copy_from_slice(mask);
    }
}

fn bar_register(bar: &BarSpec) -> u16 {
    BAR0 + 4 * u16::from(bar.index.get())
}

/// Addresses that the firmware has for the BARs of a slot.
#[derive(Debug)]
pub(super) struct Apertures {
    low: u64,
    high: u64,
}

impl Apertures {
    /// The apertures of a slot; those of different slots do not overlap. The 64-bit ones begin
    /// where an f1.16xlarge has them.
    pub(super) fn of_slot(slot: u8) -> Self {
        const LOW: u64 = 0xC000_0000;
        const LOW_SIZE: u64 = 64 << 20;
        const HIGH: u64 = 0x5C0_0000_0000;
        const HIGH_SIZE: u64 = 256 << 30;
        let slot = u64::from(slot % super::MAX_SLOTS);
        Self {
            low: LOW + slot * LOW_SIZE,
            high: HIGH + slot * HIGH_SIZE,
        }
    }

    fn take(&mut self, bar: &BarSpec) -> u64 {
        let next = if bar.is_64bit {
            &mut self.high
        } else {
            &mut self.low
        };
        let address = next.next_multiple_of(bar.size);
        *next = address + bar.size;
        address
    }
}

#[cfg(test)]
mod tests {
    use afi_proto::Family;

    use super::*;

    const IDS: PciIds = PciIds::new(0x1D0F, 0x1042, 0x1D0F, 0x1042);

    fn app(family: Family) -> ConfigSpace {
        let layout = Layout {
            bars: family.profile().app_bars,
            multifunction: family == Family::F2,
            can_master: true,
            msix: true,
        };
        ConfigSpace::new(layout, IDS)
    }

    fn dword(space: &ConfigSpace, offset: u16) -> u32 {
        let mut bytes = [0; 4];
        space.read(offset, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// What a kernel does to learn a BAR's size.
    fn sized(space: &mut ConfigSpace, offset: u16) -> u32 {
        space.write(offset, &[0xFF; 4]);
        dword(space, offset)
    }

    #[test]
    fn bars_tell_their_size_and_kind() {
        let mut f1 = app(Family::F1);
        assert_eq!(sized(&mut f1, 0x10), 0xFE00_0000, "32 MiB, 32-bit");
        assert_eq!(sized(&mut f1, 0x14), 0xFFE0_0000, "2 MiB, 32-bit");
        assert_eq!(
            sized(&mut f1, 0x18),
            0xFFFF_000C,
            "64 KiB, 64-bit prefetchable"
        );
        assert_eq!(sized(&mut f1, 0x1C), 0xFFFF_FFFF);
        assert_eq!(sized(&mut f1, 0x20), 0x0000_000C, "128 GiB");
        assert_eq!(sized(&mut f1, 0x24), 0xFFFF_FFE0);
        let mut f2 = app(Family::F2);
        assert_eq!(
            sized(&mut f2, 0x10),
            0xFC00_000C,
            "64 MiB, 64-bit prefetchable"
        );
        assert_eq!(sized(&mut f2, 0x14), 0xFFFF_FFFF);
    }

    #[test]
    fn read_only_bits_hold() {
        let mut space = app(Family::F1);
        let mut before = [0; SIZE];
        space.read(0, &mut before);
        assert!(
            space.write(0, &[0xFF; SIZE]),
            "all ones ask for a reset, too"
        );
        assert_eq!(space.ids(), IDS);
        assert_eq!(space.command().bits(), 0x0406);
        assert_eq!(dword(&space, 0x08), 0x0580_0000);
        space.reset();
        let mut after = [0; SIZE];
        space.read(0, &mut after);
        assert_eq!(before, after);
    }

    #[test]
    fn a_function_that_cannot_master_keeps_the_bit_clear() {
        let layout = Layout {
            bars: Family::F1.profile().mgmt_bars,
            multifunction: false,
            can_master: false,
            msix: false,
        };
        let mut space = ConfigSpace::new(layout, IDS);
        space.set_command(Command::all());
        assert_eq!(
            space.command(),
            Command::MEMORY_SPACE | Command::INTX_DISABLE
        );
    }

    #[test]
    fn the_capability_list_ends_and_names_what_is_there() {
        let space = app(Family::F1);
        let mut found = Vec::new();
        let mut at = dword(&space, 0x34) as u16 & 0xFF;
        while at != 0 && found.len() < 16 {
            let capability = dword(&space, at);
            found.push((at, capability & 0xFF));
            at = (capability >> 8) as u16 & 0xFF;
        }
        assert_eq!(found, [(0x40, 0x01), (0x60, 0x11), (0x70, 0x10)]);
        assert_eq!(dword(&space, 0x60) >> 16, 32, "33 vectors");
        assert_eq!(dword(&space, 0x64), 0x8002);
        assert_eq!(dword(&space, 0x68), 0x8FE2);
    }

    #[test]
    fn a_function_in_d3_answers_in_configuration_space_only_and_loses_nothing() {
        let mut space = app(Family::F1);
        space.set_command(Command::MEMORY_SPACE);
        let reached = |space: &ConfigSpace| space.reach_bar(BarIndex::BAR0, 0, 4).is_some();
        for (state, is_taken) in [(3, true), (1, false), (2, false), (0, true)] {
            let before = dword(&space, 0x44);
            space.write(0x44, &[state]);
            let after = dword(&space, 0x44);
            assert_eq!(
                after,
                if is_taken {
                    0x8 | u32::from(state)
                } else {
                    before
                }
            );
            assert_eq!(reached(&space), after & 0b11 == 0, "{state}");
        }
        assert_eq!(space.command(), Command::MEMORY_SPACE);
    }

    #[test]
    fn bytes_and_words_write_what_they_cover() {
        let mut space = app(Family::F1);
        space.write(COMMAND, &[0x06]);
        space.write(COMMAND + 1, &[0x04]);
        assert_eq!(space.command().bits(), 0x0406);
        space.write(0xFFF, &[0xFF; 8]);
        let mut end = [0; 2];
        space.read(0xFFF, &mut end);
        assert_eq!(end, [0, 0xFF]);
    }

    #[test]
    fn only_the_reset_bit_asks_for_a_reset() {
        let mut space = app(Family::F1);
        assert!(!space.write(0x78, &[0x10, 0x20]));
        assert!(space.write(0x79, &[0x80]));
        assert_eq!(dword(&space, 0x78) & 0x8000, 0, "the bit reads as 0");
    }

    #[test]
    fn firmware_gives_every_bar_of_every_slot_its_own_place() {
        for family in Family::ALL {
            let mut taken: Vec<(u64, u64)> = Vec::new();
            for slot in 0..8 {
                let mut space = app(family);
                space.assign_bars(&mut Apertures::of_slot(slot));
                for bar in family.profile().app_bars {
                    let mut bytes = [0; 8];
                    let length = if bar.is_64bit { 8 } else { 4 };
                    space.read(bar_register(bar), &mut bytes[..length]);
                    let start = u64::from_le_bytes(bytes) & !0xF;
                    let end = start + bar.size;
                    assert!(start > 0 && start.is_multiple_of(bar.size));
                    assert!(taken.iter().all(|(from, to)| end <= *from || start >= *to));
                    taken.push((start, end));
                }
            }
        }
    }
}
