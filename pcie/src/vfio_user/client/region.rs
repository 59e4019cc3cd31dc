//! Regions of a device: what they are, and accesses by messages.

use std::os::fd::OwnedFd;

use afi_proto::vfio_user::{
    CapHeader, Command, RegionAccess, RegionFlags, RegionInfo, SparseArea, SparseMmap,
};
use zerocopy::{FromBytes, IntoBytes};

use super::{Client, ClientError, PIPELINE, body, protocol};
use crate::vfio_user::Frame;

/// A region of a device.
#[derive(Debug)]
pub struct RegionDetails {
    /// Bytes; 0 when there is no such region.
    pub size: u64,
    /// What can be done with it.
    pub flags: RegionFlags,
    /// How to map it from its start on, when that can be done.
    pub mappable: Option<MappableRegion>,
}

/// Where the first bytes of a region are in a file.
#[derive(Debug)]
pub struct MappableRegion {
    /// The file.
    pub fd: OwnedFd,
    /// Offset of the region's first byte.
    pub offset: u64,
    /// Bytes that may be mapped; the rest of the region is accessed by messages.
    pub length: u64,
}

impl Client {
    /// Size and descriptor of a region.
    ///
    /// # Errors
    /// When the server refuses or fails.
    pub fn region(&mut self, index: u32) -> Result<RegionDetails, ClientError> {
        let command = Command::DEVICE_GET_REGION_INFO;
        if index >= self.info.regions {
            return Ok(RegionDetails {
                size: 0,
                flags: RegionFlags::empty(),
                mappable: None,
            });
        }
        let request = RegionInfo {
            // Room for the capabilities of a region that is mappable in parts.
            argsz: 4096.into(),
            flags: 0.into(),
            index: index.into(),
            cap_offset: 0.into(),
            size: 0.into(),
            offset: 0.into(),
        };
        let mut reply = self.call(command, &[request.as_bytes()], &[])?;
        let info: RegionInfo = body(command, &reply)?;
        if info.index.get() != index {
            return Err(protocol(
                command,
                format!("answered for region {}", info.index),
            ));
        }
        let flags = RegionFlags::from_bits_retain(info.flags.get());
        let size = info.size.get();
        let length = mappable_length(flags, &reply.body, &info);
        let mappable = (length > 0 && !reply.fds.is_empty()).then(|| MappableRegion {
            fd: reply.fds.swap_remove(0),
            offset: info.offset.get(),
            length,
        });
        Ok(RegionDetails {
            size,
            flags,
            mappable,
        })
    }

    /// Reads a region. At most [`Self::max_transfer`] bytes.
    ///
    /// # Errors
    /// When the server refuses or fails.
    pub fn read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), ClientError> {
        let access = access(region, offset, data.len());
        let reply = self.call(Command::REGION_READ, &[access.as_bytes()], &[])?;
        take_read(&reply, data)
    }

    /// Writes a region. At most [`Self::max_transfer`] bytes.
    ///
    /// # Errors
    /// When the server refuses or fails.
    pub fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), ClientError> {
        let access = access(region, offset, data.len());
        self.call(Command::REGION_WRITE, &[access.as_bytes(), data], &[])?;
        Ok(())
    }

    /// Reads a register once for each word, many commands under way at once.
    ///
    /// # Errors
    /// When the server refuses or fails; some reads may have taken place.
    pub fn read_repeated(
        &mut self,
        region: u32,
        offset: u64,
        words: &mut [u32],
    ) -> Result<(), ClientError> {
        let command = Command::REGION_READ;
        for words in words.chunks_mut(PIPELINE) {
            let access = access(region, offset, 4);
            let first = self.send_many(command, words.len(), |_, frame| {
                frame.extend_from_slice(access.as_bytes());
            })?;
            self.receive_many(command, first, words.len(), |at, reply| {
                let mut bytes = [0; 4];
                take_read(reply, &mut bytes)?;
                words[at] = u32::from_le_bytes(bytes);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Writes a register once for each word, many commands under way at once.
    ///
    /// # Errors
    /// When the server refuses or fails; some writes may have taken place.
    pub fn write_repeated(
        &mut self,
        region: u32,
        offset: u64,
        words: &[u32],
    ) -> Result<(), ClientError> {
        let command = Command::REGION_WRITE;
        for words in words.chunks(PIPELINE) {
            let access = access(region, offset, 4);
            let first = self.send_many(command, words.len(), |at, frame| {
                frame.extend_from_slice(access.as_bytes());
                frame.extend_from_slice(&words[at].to_le_bytes());
            })?;
            self.receive_many(command, first, words.len(), |_, _| Ok(()))?;
        }
        Ok(())
    }
}

fn access(region: u32, offset: u64, count: usize) -> RegionAccess {
    RegionAccess {
        offset: offset.into(),
        region: region.into(),
        count: (count as u32).into(),
    }
}

/// Takes the data out of the reply to a read.
fn take_read(reply: &Frame, data: &mut [u8]) -> Result<(), ClientError> {
    let command = Command::REGION_READ;
    match RegionAccess::read_from_prefix(&reply.body) {
        Ok((told, read)) if told.count.get() as usize == data.len() && read.len() == data.len() => {
            data.copy_from_slice(read);
            Ok(())
        }
        _ => {
            let what = format!(
                "a body of {} bytes to a read of {}",
                reply.body.len(),
                data.len()
            );
            Err(protocol(command, what))
        }
    }
}

/// Bytes from the start of a region that can be mapped, from its account with the capabilities
/// behind it. vfio-user and the kernel's VFIO give the same one.
pub(crate) fn mappable_length(flags: RegionFlags, body: &[u8], info: &RegionInfo) -> u64 {
    let size = info.size.get();
    let length = match flags {
        _ if !flags.contains(RegionFlags::MMAP) => 0,
        _ if flags.contains(RegionFlags::CAPS) => first_mappable(body, info),
        _ => size,
    };
    length.min(size)
}

/// Bytes from the start of a region that its sparse-mmap capability lets a client map; all of the
/// region when there is no such capability.
fn first_mappable(body: &[u8], info: &RegionInfo) -> u64 {
    /// Capabilities that are looked at before a list counts as endless.
    const MOST: usize = 16;
    let mut at = info.cap_offset.get() as usize;
    for _ in 0..MOST {
        let Some(Ok((header, rest))) = body.get(at..).map(CapHeader::read_from_prefix) else {
            return 0;
        };
        if header.id.get() == CapHeader::SPARSE_MMAP {
            let areas = SparseMmap::read_from_prefix(rest).map(|(sparse, areas)| {
                let (areas, _) = areas.as_chunks::<{ SparseArea::SIZE }>();
                let count = (sparse.count.get() as usize).min(areas.len());
                let areas = areas[..count]
                    .iter()
                    .map(|area| zerocopy::transmute!(*area));
                areas.collect::<Vec<SparseArea>>()
            });
            let first = areas.iter().flatten().find(|area| area.offset.get() == 0);
            return first.map_or(0, |area| area.size.get());
        }
        match header.next.get() {
            0 => return info.size.get(),
            next => at = next as usize,
        }
    }
    0
}
