//! The client's side: a PCI function behind a socket.
//!
//! Here is what every command needs: the connection, the agreement on a version, and commands and
//! their answers. The commands themselves are in `region` and `host`.

mod host;
mod region;

use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use afi_proto::vfio_user::{
    Capabilities, Command, DEFAULT_MAX_TRANSFER, DeviceFlags, DeviceInfo, DmaAccess as DmaBody,
    Header, HeaderFlags, RegionAccess, VERSION_MAJOR, VERSION_MINOR, Version, VersionData,
    VersionDataError, region as regions,
};
use nix::errno::Errno;
use zerocopy::{FromBytes, IntoBytes};

use super::connection::{Connection, ConnectionError, Frame, MAX_FDS};
use super::dma::DmaMaps;
pub(crate) use region::mappable_length;
pub use region::{MappableRegion, RegionDetails};

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
        if !flags.contains(DeviceFlags::PCI) || info.num_regions.get() <= regions::CONFIG {
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

fn body<T: FromBytes>(command: Command, reply: &Frame) -> Result<T, ClientError> {
    T::read_from_prefix(&reply.body)
        .map(|(body, _)| body)
        .map_err(|_| protocol(command, format!("a body of {} bytes", reply.body.len())))
}

const fn protocol(command: Command, what: String) -> ClientError {
    ClientError::Protocol { command, what }
}
