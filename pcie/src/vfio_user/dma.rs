//! Memory that a client has mapped for its device, for servers that access it by messages.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use nix::errno::Errno;

use crate::SharedMemory;
use crate::bus::{DmaAccess, DmaRequest};

/// The maps of one client, by bus address.
#[derive(Debug, Default)]
pub(super) struct DmaMaps(BTreeMap<u64, Map>);

#[derive(Debug)]
struct Map {
    memory: Arc<SharedMemory>,
    range: Range<u64>,
    access: DmaAccess,
}

impl DmaMaps {
    pub(super) fn insert(&mut self, request: &DmaRequest) {
        let map = Map {
            memory: Arc::clone(&request.memory),
            range: request.range.clone(),
            access: request.access,
        };
        self.0.insert(request.iova, map);
    }

    pub(super) fn remove(&mut self, iova: u64) {
        self.0.remove(&iova);
    }

    /// Reads what a server asked for.
    pub(super) fn read(&self, address: u64, data: &mut [u8]) -> Result<(), Errno> {
        let (map, offset) = self.find(address, data.len() as u64)?;
        if map.access == DmaAccess::Write {
            return Err(Errno::EACCES);
        }
        let copied = map.memory.mapping().copy_out(offset, data);
        copied.map_err(|_| Errno::EFAULT)
    }

    /// Writes what a server sent.
    pub(super) fn write(&self, address: u64, data: &[u8]) -> Result<(), Errno> {
        let (map, offset) = self.find(address, data.len() as u64)?;
        if map.access == DmaAccess::Read {
            return Err(Errno::EACCES);
        }
        let copied = map.memory.mapping().copy_in(offset, data);
        copied.map_err(|_| Errno::EFAULT)
    }

    /// The map that holds `length` bytes from `address`, and their offset in its memory.
    fn find(&self, address: u64, length: u64) -> Result<(&Map, u64), Errno> {
        let (start, map) = self.0.range(..=address).next_back().ok_or(Errno::EFAULT)?;
        let into = address - start;
        let size = map.range.end - map.range.start;
        if into > size || length > size - into {
            return Err(Errno::EFAULT);
        }
        Ok((map, map.range.start + into))
    }
}
