//! A function that VFIO has opened: its regions, its reset.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use afi_proto::config_space::{self, Command};
use afi_proto::vfio_user::{DeviceFlags, IrqInfo, RegionFlags, RegionInfo, irq, region};
use afi_proto::{BarIndex, Bdf};
use nix::errno::Errno;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::abi::DeviceInfo;
use super::container::Opened;
use super::error::VfioError;
use super::interrupts::Vectors;
use super::ioctl::{self, Exchange};
use super::places::Places;
use crate::bar::Region;
use crate::mapping::Mapping;
use crate::vfio_user::mappable_length;
use crate::{Backoff, Bar, BarError, BusError, Deadline};

/// A page, on which a part of a BAR has to begin.
const PAGE: u64 = 4096;
/// How long a reset may be refused because somebody else holds the function's lock in the kernel.
const RESET: Duration = Duration::from_secs(2);
/// The most bytes that the kernel's account of a region is believed to have.
const LONGEST_INFO: usize = 1 << 16;

/// A function that is open.
#[derive(Debug)]
pub(super) struct Device {
    bdf: Bdf,
    opened: Opened,
    flags: DeviceFlags,
    vectors: Mutex<Vectors>,
}

/// Where a region of a function is in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    offset: u64,
    size: u64,
    /// Bytes from its start on that may be mapped.
    mappable: u64,
}

impl Place {
    /// A part of the region that begins on a page; `None` when it is none.
    fn part(self, range: &Range<u64>) -> Option<Self> {
        let inside = range.start < range.end && range.end <= self.size;
        (inside && range.start.is_multiple_of(PAGE)).then(|| Self {
            offset: self.offset + range.start,
            size: range.end - range.start,
            mappable: self.mappable.min(range.end).saturating_sub(range.start),
        })
    }
}

impl Device {
    /// Opens a function that is on the driver `vfio-pci`.
    pub(super) fn open(places: &Places, bdf: Bdf) -> Result<Self, VfioError> {
        let opened = Opened::new(places, bdf)?;
        let mut info = DeviceInfo::new_zeroed();
        ioctl::exchange(opened.file(), Exchange::DeviceInfo, info.as_mut_bytes())
            .map_err(VfioError::refused("tell what the function is"))?;
        let flags = DeviceFlags::from_bits_retain(info.flags.get());
        let (regions, irqs) = (info.num_regions.get(), info.num_irqs.get());
        if !flags.contains(DeviceFlags::PCI) || regions <= region::CONFIG || irqs <= irq::MSIX {
            return Err(VfioError::Nonsense {
                found: format!(
                    "flags {:#x}, {regions} regions, {irqs} interrupts",
                    flags.bits()
                ),
                wanted: "a PCI function with configuration space and MSI-X",
            });
        }
        let mut vectors = IrqInfo::new_zeroed();
        vectors.index = irq::MSIX.into();
        ioctl::exchange(opened.file(), Exchange::IrqInfo, vectors.as_mut_bytes()).map_err(
            VfioError::refused("tell how many interrupts the function has"),
        )?;
        let vectors = Mutex::new(Vectors::new(vectors.count.get()));
        Ok(Self {
            bdf,
            opened,
            flags,
            vectors,
        })
    }

    /// What it is opened with.
    pub(super) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Its interrupt vectors.
    pub(super) fn vectors(&self) -> &Mutex<Vectors> {
        &self.vectors
    }

    /// Reads configuration space as VFIO shows it.
    pub(super) fn read_config(&self, offset: u16, data: &mut [u8]) -> Result<(), VfioError> {
        let place = self.place(region::CONFIG)?;
        let at = place.offset + u64::from(offset);
        self.file()
            .read_exact_at(data, at)
            .map_err(|error| VfioError::refused("read configuration space")(errno_of(&error)))
    }

    /// Writes configuration space; what belongs to the kernel, such as the addresses of the BARs,
    /// changes in VFIO's copy only.
    pub(super) fn write_config(&self, offset: u16, data: &[u8]) -> Result<(), VfioError> {
        let place = self.place(region::CONFIG)?;
        let at = place.offset + u64::from(offset);
        self.file()
            .write_all_at(data, at)
            .map_err(|error| VfioError::refused("write configuration space")(errno_of(&error)))
    }

    /// Sets bits of the command register, as VFIO shows it, and tells what it is then.
    pub(super) fn enable(&self, wanted: Command) -> Result<Command, VfioError> {
        let read = || {
            let mut bytes = [0; 2];
            self.read_config(config_space::COMMAND, &mut bytes)?;
            Ok(Command::from_bits_retain(u16::from_le_bytes(bytes)))
        };
        let now: Command = read()?;
        if now.contains(wanted) {
            return Ok(now);
        }
        let bytes = (now | wanted).bits().to_le_bytes();
        self.write_config(config_space::COMMAND, &bytes)?;
        read()
    }

    /// A BAR, or a part of it that begins on a page, if the function has it: mapped as `mapped` has
    /// it, else as far as VFIO allows it. It keeps the function open.
    pub(super) fn bar(
        self: &Arc<Self>,
        index: BarIndex,
        range: Option<Range<u64>>,
        mapped: impl FnOnce() -> Option<Mapping>,
    ) -> Result<Option<Bar>, BusError> {
        let bdf = self.bdf;
        let whole = self
            .place(region::BAR0 + u32::from(index.get()))
            .map_err(|error| error.of(bdf))?;
        if whole.size == 0 {
            return Ok(None);
        }
        let place = match range {
            None => whole,
            Some(range) => whole.part(&range).ok_or_else(|| {
                let size = range.end.saturating_sub(range.start);
                BusError::Bar {
                    bdf,
                    bar: index,
                    source: BarError::refused(range.start, size, whole.size),
                }
            })?,
        };
        let rest = Arc::new(DeviceRegion {
            device: Arc::clone(self),
            place,
        });
        if let Some(mapping) = mapped().filter(|mapping| mapping.length() == place.size) {
            return Ok(Some(Bar::partly_mapped(mapping, rest, place.size)));
        }
        if place.mappable == 0 {
            return Ok(Some(Bar::trapped(rest, place.size)));
        }
        let mapping = Mapping::new(self.file(), place.offset, place.mappable)
            .map_err(|error| VfioError::refused("map a BAR")(errno_of(&error)).of(bdf))?;
        // Even a BAR that is mapped to its end has the rest: that holds on to the device.
        Ok(Some(Bar::partly_mapped(mapping, rest, place.size)))
    }

    /// Resets the function; `false` when it cannot be reset.
    pub(super) fn reset(&self) -> Result<bool, VfioError> {
        if !self.flags.contains(DeviceFlags::RESET) {
            return Ok(false);
        }
        let deadline = Deadline::after(RESET);
        let mut backoff = Backoff::up_to(Duration::from_millis(10));
        loop {
            match ioctl::reset(self.file()) {
                Ok(()) => return Ok(true),
                Err(Errno::EAGAIN | Errno::EINTR) if backoff.wait(&deadline).is_ok() => {}
                Err(errno) => return Err(VfioError::refused("reset the function")(errno)),
            }
        }
    }

    pub(super) fn file(&self) -> &File {
        self.opened.file()
    }

    fn place(&self, index: u32) -> Result<Place, VfioError> {
        let refused = VfioError::refused("tell where a region of the function is");
        let ask = |bytes: &mut [u8]| ioctl::exchange(self.file(), Exchange::RegionInfo, bytes);
        let mut question = RegionInfo::new_zeroed();
        question.index = index.into();
        let mut bytes = question.as_bytes().to_vec();
        let asked = ask(&mut bytes).and_then(|_| {
            let (info, _) = RegionInfo::read_from_prefix(&bytes).map_err(|_| Errno::EPROTO)?;
            let length = info.argsz.get() as usize;
            // Room for the capabilities, such as which parts can be mapped.
            if length > bytes.len() && length <= LONGEST_INFO {
                bytes = question.as_bytes().to_vec();
                bytes.resize(length, 0);
                ask(&mut bytes)?;
            }
            let (info, _) = RegionInfo::read_from_prefix(&bytes).map_err(|_| Errno::EPROTO)?;
            Ok(info)
        });
        let info = asked.map_err(refused)?;
        let flags = RegionFlags::from_bits_retain(info.flags.get());
        Ok(Place {
            offset: info.offset.get(),
            size: info.size.get(),
            mappable: mappable_length(flags, &bytes, &info),
        })
    }
}

/// A BAR whose accesses are reads and writes of the function's file, or that part of it which is not
/// mapped.
#[derive(Debug)]
struct DeviceRegion {
    device: Arc<Device>,
    place: Place,
}

impl DeviceRegion {
    fn unreachable(offset: u64, size: usize, error: &std::io::Error) -> BarError {
        BarError::Unreachable {
            offset,
            size: size as u64,
            reason: format!("VFIO answered: {error}"),
        }
    }
}

impl Region for DeviceRegion {
    fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), BarError> {
        let size = data.len();
        let read = self
            .device
            .file()
            .read_exact_at(data, self.place.offset + offset);
        read.map_err(|error| Self::unreachable(offset, size, &error))
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), BarError> {
        let written = self
            .device
            .file()
            .write_all_at(data, self.place.offset + offset);
        written.map_err(|error| Self::unreachable(offset, data.len(), &error))
    }
}

/// The system's number of an error; one without is an early end of the file.
fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_region_is_mapped_as_far_as_the_region_is() {
        let whole = Place {
            offset: 1 << 40,
            size: 0x8000,
            mappable: 0x3000,
        };
        let part = |start, end| {
            let part = whole.part(&(start..end))?;
            Some((part.offset - whole.offset, part.size, part.mappable))
        };
        assert_eq!(part(0x1000, 0x2000), Some((0x1000, 0x1000, 0x1000)));
        assert_eq!(part(0x2000, 0x8000), Some((0x2000, 0x6000, 0x1000)));
        assert_eq!(part(0x4000, 0x4004), Some((0x4000, 4, 0)));
        for (start, end) in [(0, 0), (0x800, 0x1000), (0x7000, 0x9000), (0x2000, 0x1000)] {
            assert_eq!(part(start, end), None, "{start:#x} to {end:#x}");
        }
    }
}
