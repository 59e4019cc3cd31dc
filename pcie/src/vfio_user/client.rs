//! The client's side: a PCI function behind a socket.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use afi_proto::vfio_user::{
    CapHeader, Capabilities, Command, DEFAULT_MAX_TRANSFER, DeviceFlags, DeviceInfo,
    DmaAccess as DmaBody, DmaFlags, DmaMap, DmaUnmap, Header, HeaderFlags, IrqInfo, IrqSet,
    IrqSetFlags, RegionAccess, RegionFlags, RegionInfo, SparseArea, SparseMmap, VERSION_MAJOR,
    VERSION_MINOR, Version, VersionData, VersionDataError, irq, region,
};
use nix::errno::Errno;
use zerocopy::{FromBytes, IntoBytes};

use super::connection::{Connection, ConnectionError, Frame, MAX_FDS};
use super::dma::DmaMaps;
use crate::bus::{DmaAccess, DmaRequest};

/// How long a server may take for one answer. A device server answers in microseconds; QEMU gives
/// up after the same 5 seconds (`wait_time` in `hw/vfio-user/proxy.c`).
const ANSWER: Duration = Duration::from_secs(5);
/// Commands sent before the first answer is read. Small enough that the answers fit into a socket
/// buffer while nobody reads them.
const PIPELINE: usize = 64;
/// Messages of a server that are served or skipped while one answer is waited for.
const MOST_UNASKED: u32 = 4096;

/// A command that did not work.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens, or the system refuses the connection.
    #[error("cannot connect")]
    Connect {
        /// What the system said.
        source: std::io::Error,
    },
    /// Another client is connected.
    #[error("another client is connected")]
    InUse,
    /// The stream cannot be used any more.
    #[error("{command}")]
    Connection {
        /// What was asked.
        command: Command,
        /// Why.
        source: ConnectionError,
    },
    /// The server refused.
    #[error("{command} refused: {errno}")]
    Refused {
        /// What was asked.
        command: Command,
        /// The error that it gave.
        errno: Errno,
    },
    /// The server broke the protocol.
    #[error("{command}: {what}")]
    Protocol {
        /// What was asked.
        command: Command,
        /// What it did.
        what: String,
    },
    /// An earlier failure left the stream in an unknown state.
    #[error("the connection was given up after an earlier failure")]
    Dead,
}

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

/// A connected client. Every call has a deadline; after one that ends without a whole answer, the
/// stream's state is unknown and all later calls fail.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    next_id: u16,
    max_transfer: usize,
    peer_max_fds: usize,
    info: Info,
    maps: DmaMaps,
    dead: bool,
}

#[derive(Debug, Clone, Copy)]
struct Info {
    regions: u32,
    irqs: u32,
    can_reset: bool,
}

impl Client {
    /// Connects, agrees on a version, and asks what the device is.
    ///
    /// # Errors
    /// When nobody listens, another client is connected, or the server is no PCI function.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|source| ClientError::Connect { source })?;
        let limit = RegionAccess::SIZE + DEFAULT_MAX_TRANSFER as usize;
        let mut client = Self {
            connection: Connection::new(stream, limit),
            next_id: 0,
            max_transfer: DEFAULT_MAX_TRANSFER as usize,
            peer_max_fds: 1,
            info: Info {
                regions: 0,
                irqs: 0,
                can_reset: false,
            },
            maps: DmaMaps::default(),
            dead: false,
        };
        client.negotiate()?;
        client.info = client.device_info()?;
        Ok(client)
    }

    /// Data bytes that one transfer may carry.
    pub const fn max_transfer(&self) -> usize {
        self.max_transfer
    }

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
        let length = match flags {
            _ if !flags.contains(RegionFlags::MMAP) => 0,
            _ if flags.contains(RegionFlags::CAPS) => first_mappable(&reply.body, &info),
            _ => size,
        };
        let mappable = (length > 0 && !reply.fds.is_empty()).then(|| MappableRegion {
            fd: reply.fds.swap_remove(0),
            offset: info.offset.get(),
            length: length.min(size),
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

    fn negotiate(&mut self) -> Result<(), ClientError> {
        let command = Command::VERSION;
        let version = Version {
            major: VERSION_MAJOR.into(),
            minor: VERSION_MINOR.into(),
        };
        let ours = VersionData {
            capabilities: Capabilities {
                max_msg_fds: Some(MAX_FDS as u32),
                max_data_xfer_size: Some(DEFAULT_MAX_TRANSFER),
                ..Capabilities::default()
            },
        };
        let reply = match self.call(command, &[version.as_bytes(), &ours.to_bytes()], &[]) {
            Err(ClientError::Refused {
                errno: Errno::EBUSY,
                ..
            }) => return Err(ClientError::InUse),
            other => other?,
        };
        let (theirs, data) = Version::read_from_prefix(&reply.body)
            .map_err(|_| protocol(command, format!("a body of {} bytes", reply.body.len())))?;
        if theirs.major.get() != VERSION_MAJOR {
            let what = format!("speaks version {}.{}", theirs.major, theirs.minor);
            return Err(protocol(command, what));
        }
        let limits = VersionData::parse(data)
            .map_err(|error: VersionDataError| protocol(command, error.to_string()))?
            .capabilities;
        if let Some(size) = limits.max_data_xfer_size {
            self.max_transfer = self.max_transfer.min(size.max(8) as usize);
        }
        self.peer_max_fds = limits.max_msg_fds.unwrap_or(1) as usize;
        Ok(())
    }

    fn device_info(&mut self) -> Result<Info, ClientError> {
        let command = Command::DEVICE_GET_INFO;
        let request = DeviceInfo {
            argsz: (DeviceInfo::SIZE as u32).into(),
            flags: 0.into(),
            num_regions: 0.into(),
            num_irqs: 0.into(),
        };
        let reply = self.call(command, &[request.as_bytes()], &[])?;
        let info: DeviceInfo = body(command, &reply)?;
        let flags = DeviceFlags::from_bits_retain(info.flags.get());
        if !flags.contains(DeviceFlags::PCI) || info.num_regions.get() <= region::CONFIG {
            return Err(protocol(command, "the device is no PCI function".into()));
        }
        Ok(Info {
            regions: info.num_regions.get(),
            irqs: info.num_irqs.get(),
            can_reset: flags.contains(DeviceFlags::RESET),
        })
    }

    /// One command and its answer.
    fn call(
        &mut self,
        command: Command,
        parts: &[&[u8]],
        fds: &[BorrowedFd<'_>],
    ) -> Result<Frame, ClientError> {
        if self.dead {
            return Err(ClientError::Dead);
        }
        if fds.len() > self.peer_max_fds {
            let what = format!(
                "the server takes {} descriptors in a message",
                self.peer_max_fds
            );
            return Err(protocol(command, what));
        }
        let id = self.id();
        let length = parts.iter().map(|part| part.len()).sum();
        let header = Header::command(id, command, length);
        match self.connection.send_frame(&header, parts, fds, ANSWER) {
            // A server that ends the connection may have said why before.
            Ok(()) | Err(ConnectionError::Closed) => self.answer(command, id),
            Err(source) => Err(self.dies(command, source)),
        }
    }

    /// Sends `count` commands in one piece; gives the id of the first.
    fn send_many(
        &mut self,
        command: Command,
        count: usize,
        body: impl Fn(usize, &mut Vec<u8>),
    ) -> Result<u16, ClientError> {
        if self.dead {
            return Err(ClientError::Dead);
        }
        let first = self.next_id;
        let mut bytes = Vec::with_capacity(count * 64);
        for at in 0..count {
            let start = bytes.len();
            bytes.extend_from_slice(&[0; Header::SIZE]);
            body(at, &mut bytes);
            let length = bytes.len() - start - Header::SIZE;
            let header = Header::command(self.id(), command, length);
            bytes[start..start + Header::SIZE].copy_from_slice(header.as_bytes());
        }
        let sent = self.connection.send(&[&bytes], &[], ANSWER);
        sent.map_err(|source| self.dies(command, source))?;
        Ok(first)
    }

    /// Receives the answers to [`Self::send_many`]. All of them are read, also after a refusal, so
    /// that the stream stays in step.
    fn receive_many(
        &mut self,
        command: Command,
        first: u16,
        count: usize,
        mut take: impl FnMut(usize, &Frame) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let mut outcome = Ok(());
        for at in 0..count {
            let answer = self.answer(command, first.wrapping_add(at as u16));
            if self.dead {
                return answer.map(drop);
            }
            let taken = answer.and_then(|frame| take(at, &frame));
            outcome = outcome.and(taken);
        }
        outcome
    }

    /// Waits for the answer to a command, and serves what the server asks meanwhile.
    fn answer(&mut self, command: Command, id: u16) -> Result<Frame, ClientError> {
        for _ in 0..MOST_UNASKED {
            let received = self.connection.receive(ANSWER);
            let frame = received.map_err(|source| self.dies(command, source))?;
            if frame.header.is_command() {
                let served = self.serve(&frame);
                served.map_err(|source| self.dies(command, source))?;
                continue;
            }
            let flags = frame.header.flags();
            if frame.header.command.get() != command.0 || frame.header.id.get() != id {
                // A server that refuses a second client cannot know the id of its first message.
                let refused = flags.contains(HeaderFlags::ERROR)
                    && frame.header.error.get() == Errno::EBUSY as u32;
                self.dead = true;
                if refused && command == Command::VERSION {
                    return Err(ClientError::InUse);
                }
                let what = format!(
                    "answered {} with id {}; wanted id {id}",
                    Command(frame.header.command.get()),
                    frame.header.id
                );
                return Err(protocol(command, what));
            }
            if flags.contains(HeaderFlags::ERROR) {
                let errno = Errno::from_raw(frame.header.error.get() as i32);
                return Err(ClientError::Refused { command, errno });
            }
            return Ok(frame);
        }
        self.dead = true;
        Err(protocol(
            command,
            "the server asks and does not answer".into(),
        ))
    }

    /// Serves a command of the server: an access to memory that was mapped for it.
    fn serve(&self, frame: &Frame) -> Result<(), ConnectionError> {
        let id = frame.header.id.get();
        let command = Command(frame.header.command.get());
        let reply = |parts: &[&[u8]]| {
            let length = parts.iter().map(|part| part.len()).sum();
            let header = Header::reply(id, command, length);
            self.connection.send_frame(&header, parts, &[], ANSWER)
        };
        let outcome = match (command, DmaBody::read_from_prefix(&frame.body)) {
            (Command::DMA_READ, Ok((access, _)))
                if access.count.get() <= self.max_transfer as u64 =>
            {
                let mut data = vec![0; access.count.get() as usize];
                match self.maps.read(access.address.get(), &mut data) {
                    Ok(()) => return reply(&[access.as_bytes(), &data]),
                    Err(errno) => errno,
                }
            }
            (Command::DMA_WRITE, Ok((access, data))) if access.count.get() == data.len() as u64 => {
                match self.maps.write(access.address.get(), data) {
                    Ok(()) => return reply(&[access.as_bytes()]),
                    Err(errno) => errno,
                }
            }
            (Command::DMA_READ | Command::DMA_WRITE, _) => Errno::EINVAL,
            _ => Errno::ENOTSUP,
        };
        let header = Header::error(id, command, outcome as u32);
        self.connection.send_frame(&header, &[], &[], ANSWER)
    }

    fn id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        id
    }

    const fn dies(&mut self, command: Command, source: ConnectionError) -> ClientError {
        self.dead = true;
        ClientError::Connection { command, source }
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

fn body<T: FromBytes>(command: Command, reply: &Frame) -> Result<T, ClientError> {
    T::read_from_prefix(&reply.body)
        .map(|(body, _)| body)
        .map_err(|_| protocol(command, format!("a body of {} bytes", reply.body.len())))
}

const fn protocol(command: Command, what: String) -> ClientError {
    ClientError::Protocol { command, what }
}
