//! One client of one function: its commands, one after the other.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use afi_pcie::vfio_user::{Connection, Frame, Received};
use afi_proto::vfio_user::{
    CapHeader, Capabilities, Command, DEFAULT_MAX_TRANSFER, DeviceFlags, DeviceInfo, DmaMap,
    DmaUnmap, Header, HeaderFlags, IrqInfo, IrqInfoFlags, IrqSet, RegionAccess, RegionFlags,
    RegionInfo, SparseArea, SparseMmap, VERSION_MAJOR, VERSION_MINOR, Version, VersionData, irq,
    region,
};
use afi_proto::{BarIndex, config_space};
use nix::errno::Errno;
use zerocopy::{FromBytes, IntoBytes};

use super::PATIENCE;
use super::dma::MOST_MAPS;
use super::host::Host;
use crate::function::{BarMemory, DeviceFunction};

/// The largest body of a message: a transfer of the size that the server offers.
const BODY_LIMIT: usize = RegionAccess::SIZE + DEFAULT_MAX_TRANSFER as usize;
/// Descriptors in one message that the server tells its client. More are taken; but QEMU refuses a
/// server that tells more than 16 (QEMU 11.1, `hw/vfio-user/protocol.h`).
const OFFERED_FDS: u32 = 16;
/// Commands handled before the server looks at its other descriptors again.
const TURN: usize = 64;

/// A connected client.
pub(super) struct Session {
    function: Arc<dyn DeviceFunction>,
    connection: Connection,
    host: Arc<Host>,
    is_negotiated: bool,
}

/// What is left after a turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing: the next message has not begun.
    Idle,
    /// Part of a message.
    Inside,
    /// The client is gone, or has to go.
    Ended,
}

/// The answer to a command: parts of the body, and a descriptor beside it.
#[derive(Default)]
struct Answer {
    body: Vec<u8>,
    fd: Option<OwnedFd>,
}

impl Session {
    pub(super) fn new(function: Arc<dyn DeviceFunction>, stream: UnixStream) -> Self {
        let host = Arc::new(Host::new(function.msix_vectors()));
        function.attach(Arc::<Host>::clone(&host));
        Self {
            function,
            connection: Connection::new(stream, BODY_LIMIT),
            host,
            is_negotiated: false,
        }
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Handles the commands that have come.
    pub(super) fn turn(&mut self) -> Turn {
        for _ in 0..TURN {
            match self.connection.try_receive() {
                Ok(Received::Frame(frame)) => {
                    if let Err(why) = self.handle(frame) {
                        tracing::debug!(bdf = %self.function.bdf(), %why, "ended a client");
                        return Turn::Ended;
                    }
                }
                Ok(Received::Partial) if self.connection.is_inside_message() => {
                    return Turn::Inside;
                }
                Ok(Received::Partial) => return Turn::Idle,
                Ok(Received::Closed) => return Turn::Ended,
                Err(error) => {
                    tracing::debug!(bdf = %self.function.bdf(), %error, "lost a client");
                    return Turn::Ended;
                }
            }
        }
        Turn::Idle
    }

    /// Handles one message; an error ends the connection.
    fn handle(&mut self, frame: Frame) -> Result<(), String> {
        let header = frame.header;
        if !header.is_command() {
            return Err(format!("message type {:#x} is no command", header.flags));
        }
        let (id, command) = (header.id.get(), Command(header.command.get()));
        if (command == Command::VERSION) == self.is_negotiated {
            self.refuse(id, command, Errno::EINVAL)?;
            return Err(format!("{command} out of order"));
        }
        let wants_reply = !header.flags().contains(HeaderFlags::NO_REPLY);
        match self.execute(command, frame) {
            Ok(_) if !wants_reply => Ok(()),
            Ok(answer) => {
                let header = Header::reply(id, command, answer.body.len());
                let fds: Vec<BorrowedFd<'_>> = answer.fd.iter().map(AsFd::as_fd).collect();
                let sent = self
                    .connection
                    .send_frame(&header, &[&answer.body], &fds, PATIENCE);
                sent.map_err(|error| error.to_string())
            }
            Err(errno) => {
                tracing::debug!(bdf = %self.function.bdf(), %command, %errno, "refused");
                if wants_reply {
                    self.refuse(id, command, errno)?;
                }
                // Without an agreed version there is nothing to go on with.
                match self.is_negotiated {
                    true => Ok(()),
                    false => Err("no version was agreed on".to_owned()),
                }
            }
        }
    }

    fn refuse(&self, id: u16, command: Command, errno: Errno) -> Result<(), String> {
        let header = Header::error(id, command, errno as u32);
        let sent = self.connection.send_frame(&header, &[], &[], PATIENCE);
        sent.map_err(|error| error.to_string())
    }

    fn execute(&mut self, command: Command, frame: Frame) -> Result<Answer, Errno> {
        let Frame { body, mut fds, .. } = frame;
        match command {
            Command::VERSION => self.version(&body),
            Command::DMA_MAP => {
                let (map, _) = parse::<DmaMap>(&body)?;
                if fds.len() > 1 {
                    return Err(Errno::EINVAL);
                }
                self.host.dma().map(&map, fds.pop())?;
                Ok(Answer::default())
            }
            Command::DMA_UNMAP => {
                let (unmap, _) = parse::<DmaUnmap>(&body)?;
                let (address, size) = (unmap.address.get(), unmap.size.get());
                self.host.dma().unmap(address, size)?;
                Ok(Answer::of(unmap.as_bytes()))
            }
            Command::DEVICE_GET_INFO => {
                parse::<DeviceInfo>(&body)?;
                let flags = DeviceFlags::RESET | DeviceFlags::PCI;
                let info = DeviceInfo {
                    argsz: (DeviceInfo::SIZE as u32).into(),
                    flags: flags.bits().into(),
                    num_regions: region::COUNT.into(),
                    num_irqs: irq::COUNT.into(),
                };
                Ok(Answer::of(info.as_bytes()))
            }
            Command::DEVICE_GET_REGION_INFO => self.region_info(&body),
            Command::DEVICE_GET_IRQ_INFO => self.irq_info(&body),
            Command::DEVICE_SET_IRQS => {
                let (set, data) = parse::<IrqSet>(&body)?;
                self.host.interrupts().set(&set, data, fds)?;
                Ok(Answer::default())
            }
            Command::REGION_READ => self.region_read(&body),
            Command::REGION_WRITE => self.region_write(&body),
            Command::DEVICE_RESET => {
                self.function.reset();
                Ok(Answer::default())
            }
            // Known to the protocol and not offered, or unknown: the message was read whole, so
            // the stream is in step.
            _ => Err(Errno::ENOTSUP),
        }
    }

    fn version(&mut self, body: &[u8]) -> Result<Answer, Errno> {
        let (theirs, data) = parse::<Version>(body)?;
        if theirs.major.get() != VERSION_MAJOR {
            return Err(Errno::EOPNOTSUPP);
        }
        VersionData::parse(data).map_err(|error| {
            tracing::debug!(bdf = %self.function.bdf(), %error, "version");
            Errno::EINVAL
        })?;
        self.is_negotiated = true;
        let ours = Version {
            major: VERSION_MAJOR.into(),
            minor: theirs.minor.get().min(VERSION_MINOR).into(),
        };
        let limits = VersionData {
            capabilities: offered(),
        };
        Ok(Answer::of(&[ours.as_bytes(), &limits.to_bytes()].concat()))
    }

    fn region_info(&self, body: &[u8]) -> Result<Answer, Errno> {
        let (request, _) = parse::<RegionInfo>(body)?;
        let index = request.index.get();
        if index >= region::COUNT {
            return Err(Errno::EINVAL);
        }
        let size = self.region_size(index);
        let memory = bar(index).and_then(|bar| self.function.bar_memory(bar));
        let mut info = RegionInfo {
            argsz: (RegionInfo::SIZE as u32).into(),
            flags: 0.into(),
            index: index.into(),
            cap_offset: 0.into(),
            size: size.into(),
            offset: 0.into(),
        };
        let mut flags = RegionFlags::empty();
        if size > 0 {
            flags |= RegionFlags::READ | RegionFlags::WRITE;
        }
        let Some(BarMemory { memory, length }) = memory else {
            info.flags = flags.bits().into();
            return Ok(Answer::of(info.as_bytes()));
        };
        flags |= RegionFlags::MMAP;
        let mut capability = Vec::new();
        if length < size {
            flags |= RegionFlags::CAPS;
            capability = sparse(length);
        }
        let needed = RegionInfo::SIZE + capability.len();
        info.argsz = (needed as u32).into();
        info.flags = flags.bits().into();
        if (request.argsz.get() as usize) < needed {
            // The client asks again, with room for all of it.
            return Ok(Answer::of(info.as_bytes()));
        }
        if !capability.is_empty() {
            info.cap_offset = (RegionInfo::SIZE as u32).into();
        }
        let fd = memory.share().map_err(|_| Errno::EMFILE)?;
        Ok(Answer {
            body: [info.as_bytes(), &capability].concat(),
            fd: Some(fd),
        })
    }

    fn irq_info(&self, body: &[u8]) -> Result<Answer, Errno> {
        let (request, _) = parse::<IrqInfo>(body)?;
        let index = request.index.get();
        if index >= irq::COUNT {
            return Err(Errno::EINVAL);
        }
        let count = self.host.interrupts().count(index);
        let flags = match count {
            0 => IrqInfoFlags::empty(),
            _ => IrqInfoFlags::EVENTFD,
        };
        let info = IrqInfo {
            argsz: (IrqInfo::SIZE as u32).into(),
            flags: flags.bits().into(),
            index: index.into(),
            count: count.into(),
        };
        Ok(Answer::of(info.as_bytes()))
    }

    fn region_read(&self, body: &[u8]) -> Result<Answer, Errno> {
        let (access, _) = parse::<RegionAccess>(body)?;
        let (index, offset, count) = self.check(&access)?;
        let mut body = vec![0; RegionAccess::SIZE + count];
        body[..RegionAccess::SIZE].copy_from_slice(access.as_bytes());
        let data = &mut body[RegionAccess::SIZE..];
        match bar(index) {
            Some(bar) => self.function.read_bar(bar, offset, data),
            None => self.function.read_config(offset as u16, data),
        }
        Ok(Answer { body, fd: None })
    }

    fn region_write(&self, body: &[u8]) -> Result<Answer, Errno> {
        let (access, data) = parse::<RegionAccess>(body)?;
        let (index, offset, count) = self.check(&access)?;
        if data.len() != count {
            return Err(Errno::EINVAL);
        }
        match bar(index) {
            Some(bar) => self.function.write_bar(bar, offset, data),
            None => self.function.write_config(offset as u16, data),
        }
        Ok(Answer::of(access.as_bytes()))
    }

    /// The region, offset and length of an access that lies in its region.
    fn check(&self, access: &RegionAccess) -> Result<(u32, u64, usize), Errno> {
        let (index, offset, count) = (access.region.get(), access.offset.get(), access.count.get());
        let size = self.region_size(index);
        let inside = offset
            .checked_add(u64::from(count))
            .is_some_and(|end| end <= size);
        if count == 0 || count > DEFAULT_MAX_TRANSFER || !inside {
            return Err(Errno::EINVAL);
        }
        Ok((index, offset, count as usize))
    }

    fn region_size(&self, index: u32) -> u64 {
        match (index, bar(index)) {
            (region::CONFIG, _) => config_space::SIZE as u64,
            (_, Some(bar)) => self.function.bar_size(bar).unwrap_or(0),
            _ => 0,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.function.detach();
        self.host.close();
    }
}

impl Answer {
    fn of(body: &[u8]) -> Self {
        Self {
            body: body.to_vec(),
            fd: None,
        }
    }
}

/// What the server tells its client of its limits.
fn offered() -> Capabilities {
    Capabilities {
        max_msg_fds: Some(OFFERED_FDS),
        max_data_xfer_size: Some(DEFAULT_MAX_TRANSFER),
        max_dma_maps: Some(MOST_MAPS as u32),
        pgsizes: Some(4096),
        write_multiple: Some(false),
    }
}

fn bar(region: u32) -> Option<BarIndex> {
    u8::try_from(region).ok().and_then(BarIndex::new)
}

/// The capability that says: the first `length` bytes of the region may be mapped.
fn sparse(length: u64) -> Vec<u8> {
    let header = CapHeader {
        id: CapHeader::SPARSE_MMAP.into(),
        version: 1.into(),
        next: 0.into(),
    };
    let sparse = SparseMmap {
        count: 1.into(),
        reserved: 0.into(),
    };
    let area = SparseArea {
        offset: 0.into(),
        size: length.into(),
    };
    [header.as_bytes(), sparse.as_bytes(), area.as_bytes()].concat()
}

/// The fixed part of a body, and what follows it.
fn parse<T: FromBytes>(body: &[u8]) -> Result<(T, &[u8]), Errno> {
    T::read_from_prefix(body).map_err(|_| Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QEMU 11.1 ends a connection whose server tells other limits than these
    /// (`hw/vfio-user/protocol.h`, `VFIO_USER_MAX_MAX_*`).
    #[test]
    fn qemu_accepts_the_limits() {
        let offered = offered();
        let within = |limit: Option<u32>, most: u32| limit.is_some_and(|limit| limit <= most);
        assert!(within(offered.max_msg_fds, 16), "{offered:?}");
        assert!(within(offered.max_data_xfer_size, 64 << 20), "{offered:?}");
        assert!(within(offered.max_dma_maps, 65535), "{offered:?}");
    }
}
