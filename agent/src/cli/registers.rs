//! What `peek` and `poke` share: the names of BARs, widths, and accesses.

use std::fmt;
use std::ops::Range;

use afi_pcie::bus::Caching;
use afi_pcie::slots::Slot;
use afi_pcie::{Bar, BarError, Bus, BusError};
use afi_proto::config_space::Command;
use afi_proto::{BarIndex, Bdf, Family};
use clap::{Args, ValueEnum};

use super::environment::Environment;
use crate::instance;
use crate::output::ErrorReport;
use crate::problem::{Class, Problem};

/// A BAR, by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BarName {
    /// AppPF BAR0: registers of the design
    Ocl,
    /// AppPF BAR1: more registers of the design (F1)
    Bar1,
    /// AppPF BAR2: DMA engine and MSI-X
    Bar2,
    /// AppPF BAR4: memory of the card
    Pcis,
    /// MgmtPF BAR0: mailbox
    Mgmt,
    /// MgmtPF BAR2: virtual JTAG
    Jtag,
    /// MgmtPF BAR4: registers of the design
    Sda,
}

impl BarName {
    /// Whether it is one of the application function's, and which.
    const fn place(self) -> (bool, BarIndex) {
        match self {
            Self::Ocl => (true, BarIndex::BAR0),
            Self::Bar1 => (true, BarIndex::BAR1),
            Self::Bar2 => (true, BarIndex::BAR2),
            Self::Pcis => (true, BarIndex::BAR4),
            Self::Mgmt => (false, BarIndex::BAR0),
            Self::Jtag => (false, BarIndex::BAR2),
            Self::Sda => (false, BarIndex::BAR4),
        }
    }
}

impl fmt::Display for BarName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// Bits of an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Width {
    /// One byte
    #[value(name = "8")]
    W8,
    /// Two bytes
    #[value(name = "16")]
    W16,
    /// Four bytes
    #[value(name = "32")]
    W32,
    /// Eight bytes
    #[value(name = "64")]
    W64,
}

impl Width {
    /// Bytes.
    pub(super) const fn bytes(self) -> u64 {
        match self {
            Self::W8 => 1,
            Self::W16 => 2,
            Self::W32 => 4,
            Self::W64 => 8,
        }
    }

    /// The largest value.
    pub(super) const fn ones(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// Bits.
    pub(super) const fn bits(self) -> u32 {
        self.bytes() as u32 * 8
    }

    /// A value with all its digits.
    pub(super) fn text(self, value: u64) -> String {
        let digits = self.bytes() as usize * 2;
        format!("{value:#0width$x}", width = digits + 2)
    }

    pub(super) fn read(self, bar: &Bar, offset: u64) -> Result<u64, BarError> {
        match self {
            Self::W8 => bar.read8(offset).map(u64::from),
            Self::W16 => bar.read16(offset).map(u64::from),
            Self::W32 => bar.read32(offset).map(u64::from),
            Self::W64 => bar.read64(offset),
        }
    }

    /// The value has to fit, which [`AccessError::TooWide`] is for.
    pub(super) fn write(self, bar: &Bar, offset: u64, value: u64) -> Result<(), BarError> {
        match self {
            Self::W8 => bar.write8(offset, value as u8),
            Self::W16 => bar.write16(offset, value as u16),
            Self::W32 => bar.write32(offset, value as u32),
            Self::W64 => bar.write64(offset, value),
        }
    }
}

/// Which BAR, and how wide.
#[derive(Debug, Args)]
pub(super) struct Access {
    /// Which BAR
    #[arg(long, value_name = "BAR", value_enum, default_value_t = BarName::Ocl)]
    pub(super) bar: BarName,
    /// Bits of the access
    #[arg(long, value_name = "BITS", value_enum, default_value = "32")]
    pub(super) width: Width,
}

/// An access that cannot be, or did not take place.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccessError {
    /// The family has no such BAR.
    #[error("slots of {family} have no BAR {bar}")]
    NoBar { family: Family, bar: BarName },
    /// The function does not answer accesses.
    #[error("memory space is off in the command register of {bdf}: it answers no accesses")]
    MemoryOff { bdf: Bdf },
    /// The value does not fit.
    #[error("{value:#x} does not fit into {bits} bits")]
    TooWide { value: u64, bits: u32 },
    /// The access did not take place.
    #[error("cannot access the BAR {bar} of {bdf}")]
    Access {
        bdf: Bdf,
        bar: BarName,
        source: BarError,
    },
}

impl Problem for AccessError {
    fn class(&self) -> Class {
        match self {
            Self::NoBar { .. } => Class::NotFound,
            Self::MemoryOff { .. } => Class::Failed,
            Self::TooWide { .. } => Class::Usage,
            Self::Access { source, .. } => source.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::NoBar { .. } => None,
            Self::MemoryOff { .. } => Some("'afi load' switches it on with an image".to_owned()),
            Self::TooWide { .. } => Some("give a wider access with --width".to_owned()),
            Self::Access { source, .. } => source.remedy(),
        }
    }
}

impl From<AccessError> for Box<ErrorReport> {
    fn from(error: AccessError) -> Self {
        Self::new(ErrorReport::new(&error))
    }
}

/// Words of a BAR, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words {
    /// Bytes from the start of the BAR.
    pub(super) offset: u64,
    /// At least one.
    pub(super) count: u32,
    pub(super) width: Width,
}

impl Words {
    /// The offset of each word. One that is too large for the sum is outside of any BAR, too.
    pub(super) fn offsets(self) -> impl Iterator<Item = u64> {
        let bytes = self.width.bytes();
        (0..u64::from(self.count)).map(move |number| self.offset.saturating_add(number * bytes))
    }

    /// The pages that they are on, in a BAR of this length.
    fn pages(self, length: u64) -> Result<Range<u64>, BarError> {
        /// On which a mapping begins.
        const PAGE: u64 = 4096;
        let size = self.width.bytes();
        if !self.offset.is_multiple_of(size) {
            let offset = self.offset;
            return Err(BarError::Misaligned { offset, size });
        }
        let fits = |offset: u64| offset.checked_add(size).is_some_and(|end| end <= length);
        if let Some(offset) = self.offsets().find(|offset| !fits(*offset)) {
            return Err(BarError::OutOfBounds {
                offset,
                size,
                length,
            });
        }
        let end = self.offset + u64::from(self.count) * size;
        Ok(self.offset / PAGE * PAGE..end.next_multiple_of(PAGE).min(length))
    }
}

/// The part of a BAR that some words are in. The slot's lock has to be held while it is used.
pub(super) struct OpenBar {
    pub(super) bdf: Bdf,
    pub(super) name: BarName,
    part: Bar,
    /// Where it begins.
    start: u64,
}

impl OpenBar {
    /// Reads one of the words.
    pub(super) fn read(&self, width: Width, offset: u64) -> Result<u64, AccessError> {
        let value = width.read(&self.part, offset - self.start);
        value.map_err(|source| error(self.bdf, self.name, source))
    }

    /// Writes one of the words.
    pub(super) fn write(&self, width: Width, offset: u64, value: u64) -> Result<(), AccessError> {
        let written = width.write(&self.part, offset - self.start, value);
        written.map_err(|source| error(self.bdf, self.name, source))
    }
}

fn error(bdf: Bdf, bar: BarName, source: BarError) -> AccessError {
    AccessError::Access { bdf, bar, source }
}

/// Opens the part of a BAR that some words are in, of a slot whose lock is held. To map all of a BAR
/// of 128 GiB can take seconds.
pub(super) fn open(
    environment: &Environment,
    bus: &dyn Bus,
    slot: &Slot,
    name: BarName,
    words: Words,
) -> Result<OpenBar, Box<ErrorReport>> {
    let (of_app, index) = name.place();
    let profile = slot.family.profile();
    if of_app && profile.app_bar(index).is_none() {
        let family = slot.family;
        return Err(AccessError::NoBar { family, bar: name }.into());
    }
    let bdf = if of_app { slot.app_bdf } else { slot.mgmt.bdf };
    let function = instance::open_function(bus, bdf, &environment.deadline)?;
    if function.live_ids()?.is_absent() {
        let seen = "its ids read as all ones".to_owned();
        return Err(BusError::Gone { bdf, seen }.into());
    }
    if !function.command()?.contains(Command::MEMORY_SPACE) {
        return Err(AccessError::MemoryOff { bdf }.into());
    }
    let length = function.bar_size(index)?;
    let length = length.ok_or(BusError::NoBar { bdf, bar: index })?;
    let pages = words
        .pages(length)
        .map_err(|source| error(bdf, name, source))?;
    let start = pages.start;
    let part = function.bar_range(index, Caching::None, pages)?;
    Ok(OpenBar {
        bdf,
        name,
        part,
        start,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_all_their_digits() {
        assert_eq!(Width::W8.text(1), "0x01");
        assert_eq!(Width::W32.text(0xDEAD_BEEF), "0xdeadbeef");
        assert_eq!(Width::W64.text(1), "0x0000000000000001");
        assert_eq!(Width::W16.ones(), 0xFFFF);
        assert_eq!(Width::W64.ones(), u64::MAX);
    }

    #[test]
    fn no_more_is_opened_than_the_pages_of_the_words() {
        const LENGTH: u64 = 128 << 30;
        let pages = |offset, count, width| {
            let words = Words {
                offset,
                count,
                width,
            };
            words.pages(LENGTH)
        };
        assert_eq!(pages(0, 1, Width::W32), Ok(0..0x1000));
        assert_eq!(pages(0x1FFC, 2, Width::W32), Ok(0x1000..0x3000));
        let last = LENGTH - 8;
        assert_eq!(pages(last, 1, Width::W64), Ok(LENGTH - 0x1000..LENGTH));
        assert_eq!(
            pages(last, 2, Width::W64),
            Err(BarError::OutOfBounds {
                offset: LENGTH,
                size: 8,
                length: LENGTH
            })
        );
        assert!(pages(u64::MAX - 3, 1, Width::W32).is_err());
        assert_eq!(
            pages(2, 1, Width::W32),
            Err(BarError::Misaligned { offset: 2, size: 4 })
        );
        // A BAR of less than a page has no more to open than it is long.
        let words = Words {
            offset: 0,
            count: 1,
            width: Width::W8,
        };
        assert_eq!(words.pages(16), Ok(0..16));
    }

    #[test]
    fn every_bar_of_every_family_has_a_name() {
        let places: Vec<_> = BarName::value_variants()
            .iter()
            .map(|bar| bar.place())
            .collect();
        for family in Family::ALL {
            let profile = family.profile();
            for (of_app, bars) in [(true, profile.app_bars), (false, profile.mgmt_bars)] {
                for bar in bars {
                    assert!(
                        places.contains(&(of_app, bar.index)),
                        "{family} {}",
                        bar.purpose
                    );
                }
            }
        }
    }
}
