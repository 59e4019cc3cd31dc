//! Whole messages over a stream: framing that trusts nothing the peer says.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use afi_proto::vfio_user::Header;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use zerocopy::{FromBytes, IntoBytes};

pub use super::descriptors::MAX_FDS;
use super::descriptors::{self, Control};

/// A message with what came beside it.
#[derive(Debug)]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// Everything after the header.
    pub body: Vec<u8>,
    /// Descriptors that travelled with it.
    pub fds: Vec<OwnedFd>,
}

/// What a look at the stream gave.
#[derive(Debug)]
pub enum Received {
    /// A whole message.
    Frame(Frame),
    /// Not all of a message yet.
    Partial,
    /// The peer has closed the stream, between messages.
    Closed,
}

/// Why a stream cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The header tells a size that no message has.
    #[error("a message of {size} bytes; wanted {} to {limit}", Header::SIZE)]
    Size {
        /// Bytes that the header tells.
        size: u32,
        /// The most that is taken.
        limit: usize,
    },
    /// The peer sent more descriptors than a message may carry.
    #[error("more than {MAX_FDS} descriptors with one message")]
    TooManyFds,
    /// The peer closed the stream inside a message.
    #[error("the stream ended inside a message")]
    Truncated,
    /// The peer closed the stream.
    #[error("the stream was closed")]
    Closed,
    /// The peer did not take or give bytes in time.
    #[error("no answer within {} ms", after.as_millis())]
    TimedOut {
        /// The time that was allowed.
        after: Duration,
    },
    /// The system refused.
    #[error("socket")]
    Io {
        /// What it said.
        source: Errno,
    },
}

/// A stream of messages. Holds at most one message, no larger than its limit.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    /// The largest body that is taken, in bytes.
    body_limit: usize,
    header: [u8; Header::SIZE],
    /// Bytes of the message so far, header included.
    have: usize,
    body: Vec<u8>,
    fds: Vec<OwnedFd>,
    control: Control,
}

impl Connection {
    /// Messages over `stream`, with bodies of at most `body_limit` bytes.
    pub fn new(stream: UnixStream, body_limit: usize) -> Self {
        Self {
            stream,
            body_limit,
            header: [0; Header::SIZE],
            have: 0,
            body: Vec::new(),
            fds: Vec::new(),
            control: Control::new(),
        }
    }

    /// Whether part of a message has come.
    pub const fn is_inside_message(&self) -> bool {
        self.have > 0
    }

    /// Takes what has come, without waiting.
    ///
    /// # Errors
    /// When the stream cannot be used any more.
    pub fn try_receive(&mut self) -> Result<Received, ConnectionError> {
        loop {
            let missing = self.missing()?;
            if self.have >= Header::SIZE && missing == 0 {
                return Ok(Received::Frame(self.take()));
            }
            let room = if self.have < Header::SIZE {
                &mut self.header[self.have..]
            } else {
                // The body grows as bytes come, not as the header tells.
                let at = self.have - Header::SIZE;
                self.body.resize(at + missing.min(64 << 10), 0);
                &mut self.body[at..]
            };
            let chunk = match descriptors::receive(&self.stream, room, &mut self.control) {
                Ok(chunk) => chunk,
                Err(Errno::EAGAIN) => return Ok(Received::Partial),
                Err(Errno::EINTR) => continue,
                Err(Errno::ECONNRESET) => return Err(ConnectionError::Closed),
                Err(source) => return Err(ConnectionError::Io { source }),
            };
            self.fds.extend(chunk.fds);
            if self.fds.len() > MAX_FDS {
                return Err(ConnectionError::TooManyFds);
            }
            match (chunk.bytes, self.have) {
                (0, 0) => return Ok(Received::Closed),
                (0, _) => return Err(ConnectionError::Truncated),
                (bytes, _) => self.have += bytes,
            }
        }
    }

    /// Waits for a whole message.
    ///
    /// # Errors
    /// When none comes in time, or the stream cannot be used any more.
    pub fn receive(&mut self, allowed: Duration) -> Result<Frame, ConnectionError> {
        let end = Instant::now() + allowed;
        loop {
            match self.try_receive()? {
                Received::Frame(frame) => return Ok(frame),
                Received::Closed => return Err(ConnectionError::Closed),
                Received::Partial => self.wait(PollFlags::POLLIN, end, allowed)?,
            }
        }
    }

    /// Sends bytes, with descriptors beside the first of them.
    ///
    /// # Errors
    /// When the peer does not take them in time, or the stream cannot be used any more.
    pub fn send(
        &self,
        parts: &[&[u8]],
        fds: &[BorrowedFd<'_>],
        allowed: Duration,
    ) -> Result<(), ConnectionError> {
        let end = Instant::now() + allowed;
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let mut sent = 0;
        while sent < total {
            let left = unsent(parts, sent);
            let fds = if sent == 0 { fds } else { &[] };
            match descriptors::send(&self.stream, &left, fds) {
                Ok(bytes) => sent += bytes,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => self.wait(PollFlags::POLLOUT, end, allowed)?,
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(ConnectionError::Closed),
                Err(source) => return Err(ConnectionError::Io { source }),
            }
        }
        Ok(())
    }

    /// Sends one message.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_frame(
        &self,
        header: &Header,
        body: &[&[u8]],
        fds: &[BorrowedFd<'_>],
        allowed: Duration,
    ) -> Result<(), ConnectionError> {
        let mut parts = vec![header.as_bytes()];
        parts.extend_from_slice(body);
        self.send(&parts, fds, allowed)
    }

    /// Bytes that the message under way still lacks: of its header, or, once that is there, of its
    /// body.
    fn missing(&self) -> Result<usize, ConnectionError> {
        if self.have < Header::SIZE {
            return Ok(Header::SIZE - self.have);
        }
        let size = Header::read_from_bytes(&self.header).map_or(0, |header| header.size.get());
        let limit = Header::SIZE + self.body_limit;
        if (size as usize) < Header::SIZE || size as usize > limit {
            return Err(ConnectionError::Size { size, limit });
        }
        Ok(size as usize - self.have)
    }

    fn take(&mut self) -> Frame {
        let mut body = std::mem::take(&mut self.body);
        body.truncate(self.have - Header::SIZE);
        self.have = 0;
        Frame {
            header: zerocopy::transmute!(self.header),
            body,
            fds: std::mem::take(&mut self.fds),
        }
    }

    fn wait(
        &self,
        flags: PollFlags,
        end: Instant,
        allowed: Duration,
    ) -> Result<(), ConnectionError> {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ConnectionError::TimedOut { after: allowed });
        }
        // Rounded up, so that a last fraction of a millisecond is slept and not spun.
        let timeout =
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.stream.as_fd(), flags)], timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(source) => Err(ConnectionError::Io { source }),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// What is left of `parts` after `sent` bytes.
fn unsent<'a>(parts: &[&'a [u8]], mut sent: usize) -> Vec<&'a [u8]> {
    let mut left = Vec::with_capacity(parts.len());
    for part in parts {
        let skip = sent.min(part.len());
        sent -= skip;
        if skip < part.len() {
            left.push(&part[skip..]);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use afi_proto::vfio_user::Command;
    use std::fs::File;
    use std::io::{Read, Write};

    const SOON: Duration = Duration::from_secs(5);

    fn pair(limit: usize) -> (UnixStream, Connection) {
        let (left, right) = UnixStream::pair().unwrap();
        (left, Connection::new(right, limit))
    }

    #[test]
    fn a_message_that_comes_byte_by_byte_is_one_message() {
        let (mut peer, mut connection) = pair(16);
        let header = Header::command(7, Command::REGION_READ, 3);
        let bytes = [header.as_bytes(), b"abc"].concat();
        for byte in &bytes[..bytes.len() - 1] {
            peer.write_all(&[*byte]).unwrap();
            assert!(matches!(connection.try_receive(), Ok(Received::Partial)));
        }
        assert!(connection.is_inside_message());
        peer.write_all(b"c").unwrap();
        let frame = connection.receive(SOON).unwrap();
        assert_eq!((frame.header.id.get(), &frame.body[..]), (7, &b"abc"[..]));
        assert!(!connection.is_inside_message());
    }

    #[test]
    fn two_messages_in_one_write_stay_two() {
        let (mut peer, mut connection) = pair(16);
        let bytes: Vec<u8> = [1, 2]
            .iter()
            .flat_map(|id| {
                Header::command(*id, Command::DEVICE_RESET, 0)
                    .as_bytes()
                    .to_vec()
            })
            .collect();
        peer.write_all(&bytes).unwrap();
        assert_eq!(connection.receive(SOON).unwrap().header.id.get(), 1);
        assert_eq!(connection.receive(SOON).unwrap().header.id.get(), 2);
    }

    #[test]
    fn descriptors_come_with_their_message() {
        let (left, mut right) = {
            let (left, right) = UnixStream::pair().unwrap();
            (Connection::new(left, 16), Connection::new(right, 16))
        };
        let memory = crate::SharedMemory::new("fd", 4096).unwrap();
        memory.mapping().store(0, 0x2A_u8).unwrap();
        let header = Header::command(1, Command::DMA_MAP, 0);
        left.send_frame(&header, &[], &[memory.as_fd()], SOON)
            .unwrap();
        left.send_frame(&header, &[], &[], SOON).unwrap();
        let mut frame = right.receive(SOON).unwrap();
        let mut byte = [0];
        File::from(frame.fds.remove(0))
            .read_exact(&mut byte)
            .unwrap();
        assert_eq!(byte, [0x2A]);
        assert!(right.receive(SOON).unwrap().fds.is_empty());
    }

    #[test]
    fn a_size_that_no_message_has_ends_the_stream_without_an_allocation() {
        for size in [0, 15, 16 + 17, u32::MAX] {
            let (mut peer, mut connection) = pair(16);
            let mut header = Header::command(1, Command::VERSION, 0);
            header.size = size.into();
            peer.write_all(header.as_bytes()).unwrap();
            let error = connection.try_receive().unwrap_err();
            assert!(
                matches!(error, ConnectionError::Size { .. }),
                "{size}: {error}"
            );
            assert_eq!(connection.body.capacity(), 0);
        }
    }

    #[test]
    fn too_many_descriptors_are_refused_and_closed() {
        let (left, mut right) = {
            let (left, right) = UnixStream::pair().unwrap();
            (Connection::new(left, 16), Connection::new(right, 16))
        };
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let file = File::open("/dev/null").unwrap();
        let fds = vec![file.as_fd(); MAX_FDS + 1];
        let header = Header::command(1, Command::VERSION, 0);
        left.send_frame(&header, &[], &fds, SOON).unwrap();
        assert!(matches!(
            right.try_receive(),
            Err(ConnectionError::TooManyFds)
        ));
        let before = open();
        drop(right);
        assert!(open() + MAX_FDS / 2 < before, "descriptors stay open");
    }

    #[test]
    fn a_peer_that_goes_or_stalls_is_told_apart() {
        let (mut peer, mut connection) = pair(16);
        let stalled = connection.receive(Duration::from_millis(5)).unwrap_err();
        assert!(matches!(stalled, ConnectionError::TimedOut { .. }));
        peer.write_all(&[1, 2, 3]).unwrap();
        drop(peer);
        assert!(matches!(
            connection.receive(SOON),
            Err(ConnectionError::Truncated)
        ));
        let (peer, mut connection) = pair(16);
        drop(peer);
        assert!(matches!(connection.try_receive(), Ok(Received::Closed)));
    }

    #[test]
    fn a_peer_that_does_not_read_ends_the_send() {
        let (_peer, connection) = pair(16);
        let data = vec![0; 8 << 20];
        let error = connection
            .send(&[&data], &[], Duration::from_millis(5))
            .unwrap_err();
        assert!(matches!(error, ConnectionError::TimedOut { .. }));
    }

    #[test]
    fn unsent_parts_are_what_is_left() {
        let parts: [&[u8]; 3] = [b"ab", b"", b"cde"];
        assert_eq!(unsent(&parts, 0).concat(), b"abcde");
        assert_eq!(unsent(&parts, 3).concat(), b"de");
        assert!(unsent(&parts, 5).is_empty());
    }
}
