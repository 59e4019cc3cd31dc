//! Requests to the kernel's VFIO files: the one place that calls ioctl(2) for them.
//!
//! The `vfio-ioctls` crate is not used: its device panics when it is dropped after its function has
//! left the bus, which every load that changes ids brings about; reads, writes and resets that fail
//! are logged and taken for done; all memory is mapped for reading and writing; and which error the
//! kernel gave is lost for interrupts and groups.
#![expect(
    unsafe_code,
    reason = "ioctl(2) takes an argument whose type only the request tells"
)]

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::request_code_none;
use zerocopy::IntoBytes;

use super::abi::{self, DmaMap};
use crate::bus::{DmaAccess, DmaRequest};

/// A request whose argument is a structure that begins with its own size, `argsz`. The kernel reads
/// and writes no more of it than that, once it has seen that this is enough for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exchange {
    /// `VFIO_GROUP_GET_STATUS`
    GroupStatus,
    /// `VFIO_DEVICE_GET_INFO`
    DeviceInfo,
    /// `VFIO_DEVICE_GET_REGION_INFO`
    RegionInfo,
    /// `VFIO_DEVICE_GET_IRQ_INFO`
    IrqInfo,
    /// `VFIO_DEVICE_SET_IRQS`
    SetIrqs,
    /// `VFIO_IOMMU_GET_INFO`
    IommuInfo,
    /// `VFIO_IOMMU_UNMAP_DMA`
    UnmapDma,
}

impl Exchange {
    /// The number of the request, and the least that the kernel reads of its argument.
    const fn request(self) -> (u8, usize) {
        match self {
            Self::GroupStatus => (3, 8),
            Self::DeviceInfo => (7, 16),
            Self::RegionInfo => (8, 32),
            Self::IrqInfo => (9, 16),
            Self::SetIrqs => (10, 20),
            Self::IommuInfo => (12, 16),
            Self::UnmapDma => (14, 24),
        }
    }
}

/// Hands an argument to the kernel, which may answer in it. Its first word is set to its length.
/// Gives what the kernel returned.
pub(super) fn exchange(file: &File, what: Exchange, argument: &mut [u8]) -> nix::Result<i32> {
    let (number, least) = what.request();
    let size = u32::try_from(argument.len()).map_err(|_| Errno::E2BIG)?;
    if argument.len() < least {
        return Err(Errno::EINVAL);
    }
    argument[..4].copy_from_slice(&size.to_ne_bytes());
    // SAFETY: `argument` is exclusive memory of the caller, at least as long as the kernel reads of
    // it in any case, and its first word tells its length, behind which the kernel does not go.
    // None of these requests takes an address in its argument; UNMAP_DMA takes one of those only
    // with a flag for dirty pages, which this crate does not set, and which is refused for memory
    // whose pages are not tracked. Descriptors in it are numbers that the kernel looks up.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), code(number), argument.as_mut_ptr()) };
    Errno::result(result)
}

/// The version of the interface (`VFIO_GET_API_VERSION`).
pub(super) fn api_version(container: &File) -> nix::Result<i32> {
    number(container, 0, 0)
}

/// Whether the container can do something (`VFIO_CHECK_EXTENSION`).
pub(super) fn has_extension(container: &File, extension: i32) -> nix::Result<bool> {
    number(container, 1, extension).map(|answer| answer > 0)
}

/// Chooses how the container uses the IOMMU; it has to have a group (`VFIO_SET_IOMMU`).
pub(super) fn set_iommu(container: &File, kind: i32) -> nix::Result<()> {
    number(container, 2, kind).map(drop)
}

/// Resets a function (`VFIO_DEVICE_RESET`).
pub(super) fn reset(device: &File) -> nix::Result<()> {
    number(device, 11, 0).map(drop)
}

/// Puts a group into a container (`VFIO_GROUP_SET_CONTAINER`).
pub(super) fn set_container(group: &File, container: &File) -> nix::Result<()> {
    let descriptor = container.as_raw_fd();
    // SAFETY: the request reads an int from the address, which is that of a local variable.
    let result = unsafe { libc::ioctl(group.as_raw_fd(), code(4), &raw const descriptor) };
    Errno::result(result).map(drop)
}

/// Opens a function of a group, by its address (`VFIO_GROUP_GET_DEVICE_FD`).
pub(super) fn open_device(group: &File, name: &CStr) -> nix::Result<OwnedFd> {
    // SAFETY: the request reads a string from the address, up to the NUL that a CStr ends with.
    let result = unsafe { libc::ioctl(group.as_raw_fd(), code(6), name.as_ptr()) };
    let descriptor = Errno::result(result)?;
    // SAFETY: the kernel has just made this descriptor for this call, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Maps memory for the functions of a container (`VFIO_IOMMU_MAP_DMA`). The caller has checked that
/// the range is inside the memory.
pub(super) fn map_dma(container: &File, request: &DmaRequest) -> nix::Result<()> {
    let flags = match request.access {
        DmaAccess::Read => abi::MAP_READ,
        DmaAccess::Write => abi::MAP_WRITE,
        DmaAccess::ReadWrite => abi::MAP_READ | abi::MAP_WRITE,
    };
    let range = &request.range;
    if range.start > range.end || range.end > request.memory.length() {
        return Err(Errno::EINVAL);
    }
    let map = DmaMap {
        argsz: (size_of::<DmaMap>() as u32).into(),
        flags: flags.into(),
        vaddr: (request.memory.mapping().as_ptr().expose_provenance() as u64 + range.start).into(),
        iova: request.iova.into(),
        size: (range.end - range.start).into(),
    };
    let argument = map.as_bytes().as_ptr();
    // SAFETY: the request reads a `DmaMap` from the address, which is that of a local variable. It
    // names memory inside a mapping of shared memory that is live during the call, and whose pages
    // the kernel then holds on to itself until they are unmapped: what the device does to them can
    // reach nothing else, even after the mapping is gone. All accesses of this process through that
    // mapping are volatile or copies through raw pointers (`mapping.rs`), as with any other process
    // that shares it.
    let result = unsafe { libc::ioctl(container.as_raw_fd(), code(13), argument) };
    Errno::result(result).map(drop)
}

/// A request whose argument is a number, or nothing.
fn number(file: &File, request: u8, argument: i32) -> nix::Result<i32> {
    // SAFETY: the four requests that come here (API version, extension, IOMMU, reset) take a number
    // by value or no argument at all; the kernel reads and writes no memory of this process.
    let result = unsafe {
        libc::ioctl(
            file.as_raw_fd(),
            code(request),
            libc::c_long::from(argument),
        )
    };
    Errno::result(result)
}

/// All requests are of the kind that tells the kernel no size and no direction (`_IO`).
const fn code(number: u8) -> libc::c_ulong {
    request_code_none!(abi::TYPE, abi::BASE + number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_vfio_file() -> File {
        File::open("/dev/null").unwrap()
    }

    #[test]
    fn requests_have_the_numbers_of_the_kernel() {
        // `_IO(';', 100 + n)`, as the kernel's header has it and strace prints it.
        assert_eq!(code(0), 0x3B64);
        assert_eq!(code(13), 0x3B71);
        assert_eq!(code(Exchange::SetIrqs.request().0), 0x3B6E);
    }

    #[test]
    fn an_argument_that_is_too_short_for_its_request_does_not_reach_the_kernel() {
        let mut short = [0; 31];
        let refused = exchange(&no_vfio_file(), Exchange::RegionInfo, &mut short);
        assert_eq!(refused, Err(Errno::EINVAL));
        assert_eq!(short, [0; 31]);
        let mut enough = [0; 32];
        let refused = exchange(&no_vfio_file(), Exchange::RegionInfo, &mut enough);
        assert_eq!(refused, Err(Errno::ENOTTY));
        assert_eq!(enough[..4], 32_u32.to_ne_bytes());
    }
}
