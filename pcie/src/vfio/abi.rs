//! Structures and numbers that the kernel's VFIO interface has beside those that it shares with
//! vfio-user ([`afi_proto::vfio_user`]).
//!
//! Source: `include/uapi/linux/vfio.h` of Linux 6.12. Layout only. A test compares every structure
//! and number with the `vfio-bindings` crate, which was made from that file.

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The type of all requests (`VFIO_TYPE`).
pub(super) const TYPE: u8 = b';';
/// The number of the first request (`VFIO_BASE`).
pub(super) const BASE: u8 = 100;
/// The version of the interface (`VFIO_API_VERSION`).
pub(super) const API_VERSION: i32 = 0;
/// Maps and unmaps as they are asked for, with nothing implied (`VFIO_TYPE1v2_IOMMU`).
pub(super) const TYPE1V2_IOMMU: i32 = 3;

/// The group can be used: no function of it is on a driver of the kernel
/// (`VFIO_GROUP_FLAGS_VIABLE`).
pub(super) const GROUP_VIABLE: u32 = 1;

/// The answer to `VFIO_GROUP_GET_STATUS` (`struct vfio_group_status`).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct GroupStatus {
    pub(super) argsz: U32,
    pub(super) flags: U32,
}

/// The answer to `VFIO_DEVICE_GET_INFO` (`struct vfio_device_info`).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct DeviceInfo {
    pub(super) argsz: U32,
    pub(super) flags: U32,
    pub(super) num_regions: U32,
    pub(super) num_irqs: U32,
    pub(super) cap_offset: U32,
    pub(super) pad: U32,
}

/// Memory to map (`struct vfio_iommu_type1_dma_map`).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct DmaMap {
    pub(super) argsz: U32,
    pub(super) flags: U32,
    /// Address in this process.
    pub(super) vaddr: U64,
    /// Bus address.
    pub(super) iova: U64,
    /// Bytes.
    pub(super) size: U64,
}

/// Memory to unmap, and how much was (`struct vfio_iommu_type1_dma_unmap`).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct DmaUnmap {
    pub(super) argsz: U32,
    pub(super) flags: U32,
    /// Bus address.
    pub(super) iova: U64,
    /// Bytes.
    pub(super) size: U64,
}

/// The device may read the memory (`VFIO_DMA_MAP_FLAG_READ`).
pub(super) const MAP_READ: u32 = 1;
/// The device may write the memory (`VFIO_DMA_MAP_FLAG_WRITE`).
pub(super) const MAP_WRITE: u32 = 2;

/// The answer to `VFIO_IOMMU_GET_INFO`; capabilities follow (`struct vfio_iommu_type1_info`).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct IommuInfo {
    pub(super) argsz: U32,
    pub(super) flags: U32,
    /// Sizes of pages, or'ed together.
    pub(super) iova_pgsizes: U64,
    /// Offset of the first capability, or 0.
    pub(super) cap_offset: U32,
    pub(super) pad: U32,
}

/// `iova_pgsizes` is told (`VFIO_IOMMU_INFO_PGSIZES`).
pub(super) const IOMMU_PAGE_SIZES: u32 = 1;
/// Capabilities follow (`VFIO_IOMMU_INFO_CAPS`).
pub(super) const IOMMU_CAPS: u32 = 2;
/// The capability that tells which bus addresses can be used
/// (`VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE`).
pub(super) const CAP_IOVA_RANGE: u16 = 1;

/// The start of a capability (`struct vfio_info_cap_header`).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct CapHeader {
    pub(super) id: U16,
    pub(super) version: U16,
    /// Offset of the next one, or 0.
    pub(super) next: U32,
}

/// What follows the header of [`CAP_IOVA_RANGE`]; [`IovaRange`]s follow
/// (`struct vfio_iommu_type1_info_cap_iova_range`).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct IovaRanges {
    pub(super) count: U32,
    pub(super) reserved: U32,
}

/// Bus addresses that can be used (`struct vfio_iova_range`).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct IovaRange {
    pub(super) start: U64,
    /// The last one, not the one after it.
    pub(super) end: U64,
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use afi_proto::vfio_user as shared;
    use vfio_bindings::bindings::vfio as kernel;

    use super::*;

    macro_rules! same_layout {
        ($mine:ty, $kernel:ty, $($field:ident $(= $theirs:ident)?),*) => {
            $(assert_eq!(
                offset_of!($mine, $field),
                same_layout!(@offset $kernel, $field $(, $theirs)?),
                "{} of {}", stringify!($field), stringify!($mine)
            );)*
        };
        (@offset $kernel:ty, $field:ident) => { offset_of!($kernel, $field) };
        (@offset $kernel:ty, $field:ident, $theirs:ident) => { offset_of!($kernel, $theirs) };
    }

    #[test]
    fn every_structure_is_the_kernels() {
        same_layout!(GroupStatus, kernel::vfio_group_status, argsz, flags);
        same_layout!(
            DeviceInfo,
            kernel::vfio_device_info,
            argsz,
            flags,
            num_regions,
            num_irqs,
            cap_offset
        );
        same_layout!(
            DmaMap,
            kernel::vfio_iommu_type1_dma_map,
            argsz,
            flags,
            vaddr,
            iova,
            size
        );
        same_layout!(
            DmaUnmap,
            kernel::vfio_iommu_type1_dma_unmap,
            argsz,
            flags,
            iova,
            size
        );
        same_layout!(
            IommuInfo,
            kernel::vfio_iommu_type1_info,
            argsz,
            flags,
            iova_pgsizes,
            cap_offset
        );
        same_layout!(CapHeader, kernel::vfio_info_cap_header, id, version, next);
        same_layout!(IovaRange, kernel::vfio_iova_range, start, end);
        same_layout!(
            shared::RegionInfo,
            kernel::vfio_region_info,
            argsz,
            flags,
            index,
            cap_offset,
            size,
            offset
        );
        same_layout!(
            shared::IrqInfo,
            kernel::vfio_irq_info,
            argsz,
            flags,
            index,
            count
        );
        same_layout!(
            shared::IrqSet,
            kernel::vfio_irq_set,
            argsz,
            flags,
            index,
            start,
            count
        );
        let header = size_of::<CapHeader>();
        assert_eq!(
            header + offset_of!(IovaRanges, count),
            offset_of!(kernel::vfio_iommu_type1_info_cap_iova_range, nr_iovas)
        );
        assert_eq!(
            header + size_of::<IovaRanges>(),
            offset_of!(kernel::vfio_iommu_type1_info_cap_iova_range, iova_ranges)
        );
        for (mine, theirs) in [
            (
                size_of::<DmaMap>(),
                size_of::<kernel::vfio_iommu_type1_dma_map>(),
            ),
            (
                size_of::<DmaUnmap>(),
                size_of::<kernel::vfio_iommu_type1_dma_unmap>(),
            ),
            (
                size_of::<shared::IrqSet>(),
                size_of::<kernel::vfio_irq_set>(),
            ),
            (
                size_of::<shared::RegionInfo>(),
                size_of::<kernel::vfio_region_info>(),
            ),
        ] {
            assert_eq!(mine, theirs);
        }
    }

    #[test]
    fn every_number_is_the_kernels() {
        assert_eq!(u32::from(TYPE), u32::from(kernel::VFIO_TYPE));
        for (mine, theirs) in [
            (BASE.into(), kernel::VFIO_BASE),
            (API_VERSION as u32, kernel::VFIO_API_VERSION),
            (TYPE1V2_IOMMU as u32, kernel::VFIO_TYPE1v2_IOMMU),
            (GROUP_VIABLE, kernel::VFIO_GROUP_FLAGS_VIABLE),
            (MAP_READ, kernel::VFIO_DMA_MAP_FLAG_READ),
            (MAP_WRITE, kernel::VFIO_DMA_MAP_FLAG_WRITE),
            (IOMMU_PAGE_SIZES, kernel::VFIO_IOMMU_INFO_PGSIZES),
            (IOMMU_CAPS, kernel::VFIO_IOMMU_INFO_CAPS),
            (
                CAP_IOVA_RANGE.into(),
                kernel::VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
            ),
            (shared::region::CONFIG, kernel::VFIO_PCI_CONFIG_REGION_INDEX),
            (shared::irq::MSIX, kernel::VFIO_PCI_MSIX_IRQ_INDEX),
            (
                shared::DeviceFlags::RESET.bits(),
                kernel::VFIO_DEVICE_FLAGS_RESET,
            ),
            (
                shared::DeviceFlags::PCI.bits(),
                kernel::VFIO_DEVICE_FLAGS_PCI,
            ),
            (
                shared::RegionFlags::MMAP.bits(),
                kernel::VFIO_REGION_INFO_FLAG_MMAP,
            ),
            (
                shared::RegionFlags::CAPS.bits(),
                kernel::VFIO_REGION_INFO_FLAG_CAPS,
            ),
            (
                shared::IrqSetFlags::DATA_NONE.bits(),
                kernel::VFIO_IRQ_SET_DATA_NONE,
            ),
            (
                shared::IrqSetFlags::DATA_EVENTFD.bits(),
                kernel::VFIO_IRQ_SET_DATA_EVENTFD,
            ),
            (
                shared::IrqSetFlags::ACTION_TRIGGER.bits(),
                kernel::VFIO_IRQ_SET_ACTION_TRIGGER,
            ),
        ] {
            assert_eq!(mine, theirs);
        }
    }
}
