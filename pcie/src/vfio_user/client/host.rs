//! What the client gives its device: memory and interrupts; and reset.

use std::os::fd::{AsFd, BorrowedFd};

use afi_proto::vfio_user::{
    Command, DmaFlags, DmaMap, DmaUnmap, IrqInfo, IrqSet, IrqSetFlags, irq,
};
use nix::errno::Errno;
use zerocopy::IntoBytes;

use super::{Client, ClientError, body};
use crate::bus::{DmaAccess, DmaRequest};

impl Client {
    /// Lets the device access memory.
    ///
    /// # Errors
    /// When the server refuses or fails.
    pub fn map_dma(&mut self, request: &DmaRequest) -> Result<(), ClientError> {
        let flags = match request.access {
            DmaAccess::Read => DmaFlags::READ,
            DmaAccess::Write => DmaFlags::WRITE,
            DmaAccess::ReadWrite => DmaFlags::READ | DmaFlags::WRITE,
        };
        let map = DmaMap {
            argsz: (DmaMap::SIZE as u32).into(),
            flags: flags.bits().into(),
            offset: request.range.start.into(),
            address: request.iova.into(),
            size: (request.range.end - request.range.start).into(),
        };
        let fds = [request.memory.as_fd()];
        self.call(Command::DMA_MAP, &[map.as_bytes()], &fds)?;
        self.maps.insert(request);
        Ok(())
    }

    /// Ends the device's access to memory.
    ///
    /// # Errors
    /// When the server refuses or fails.
    pub fn unmap_dma(&mut self, iova: u64, length: u64) -> Result<(), ClientError> {
        let unmap = DmaUnmap {
            argsz: (DmaUnmap::SIZE as u32).into(),
            flags: 0.into(),
            address: iova.into(),
            size: length.into(),
        };
        self.maps.remove(iova);
        self.call(Command::DMA_UNMAP, &[unmap.as_bytes()], &[])?;
        Ok(())
    }

    /// MSI-X vectors of the device.
    ///
    /// # Errors
    /// When the server refuses or fails.
    pub fn msix_vectors(&mut self) -> Result<u32, ClientError> {
        if self.info.irqs <= irq::MSIX {
            return Ok(0);
        }
        let command = Command::DEVICE_GET_IRQ_INFO;
        let request = IrqInfo {
            argsz: (IrqInfo::SIZE as u32).into(),
            flags: 0.into(),
            index: irq::MSIX.into(),
            count: 0.into(),
        };
        let reply = self.call(command, &[request.as_bytes()], &[])?;
        Ok(body::<IrqInfo>(command, &reply)?.count.get())
    }

    /// Makes an MSI-X vector signal an eventfd, or nothing.
    ///
    /// # Errors
    /// When the server refuses or fails.
    pub fn set_msix(
        &mut self,
        vector: u16,
        eventfd: Option<BorrowedFd<'_>>,
    ) -> Result<(), ClientError> {
        let set = IrqSet {
            argsz: (IrqSet::SIZE as u32).into(),
            flags: (IrqSetFlags::DATA_EVENTFD | IrqSetFlags::ACTION_TRIGGER)
                .bits()
                .into(),
            index: irq::MSIX.into(),
            start: u32::from(vector).into(),
            count: 1.into(),
        };
        let command = Command::DEVICE_SET_IRQS;
        self.call(command, &[set.as_bytes()], eventfd.as_slice())?;
        Ok(())
    }

    /// Resets the device.
    ///
    /// # Errors
    /// When it cannot be reset, or the server fails.
    pub fn reset(&mut self) -> Result<(), ClientError> {
        let command = Command::DEVICE_RESET;
        if !self.info.can_reset {
            return Err(ClientError::Refused {
                command,
                errno: Errno::ENOTSUP,
            });
        }
        self.call(command, &[], &[])?;
        Ok(())
    }
}
