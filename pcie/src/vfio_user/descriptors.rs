//! Descriptors beside bytes on a Unix socket: the one place that takes raw descriptors into
//! ownership.
#![expect(unsafe_code, reason = "taking received descriptors into ownership")]

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

/// Descriptors that one message may carry. The largest use is one for each of the 33 MSI-X vectors
/// of an F1 card.
pub const MAX_FDS: usize = 64;
/// Descriptors that Linux passes with one message at most (`SCM_MAX_FD`, `include/net/scm.h`). There
/// is always room for them all: the kernel installs those that fit, and of a list that is cut short
/// `nix` tells nothing, so they could never be closed.
const KERNEL_MAX_FDS: usize = 253;

/// What one receive gave.
pub(super) struct Chunk {
    /// Bytes put into the buffer; 0 when the peer has closed.
    pub(super) bytes: usize,
    /// Descriptors beside them.
    pub(super) fds: Vec<OwnedFd>,
}

/// Room for what comes beside the bytes, to be kept from one receive to the next.
#[derive(Debug)]
pub(super) struct Control(Vec<u8>);

impl Control {
    pub(super) fn new() -> Self {
        Self(cmsg_space!([RawFd; KERNEL_MAX_FDS]))
    }
}

/// Receives what is there, without waiting.
pub(super) fn receive(
    stream: &UnixStream,
    buffer: &mut [u8],
    control: &mut Control,
) -> Result<Chunk, Errno> {
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let room = Some(&mut control.0[..]);
    let message = recvmsg::<UnixAddr>(stream.as_raw_fd(), &mut slices, room, flags)?;
    let mut fds = Vec::new();
    for item in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = item {
            // SAFETY: the kernel has just made these descriptors for this process, in this call,
            // and nothing else knows their numbers: each has exactly one owner, here.
            let own = |fd| unsafe { OwnedFd::from_raw_fd(fd) };
            fds.extend(received.into_iter().map(own));
        }
    }
    let bytes = message.bytes;
    Ok(Chunk { bytes, fds })
}

/// Sends as much as fits now, without waiting and without SIGPIPE. Descriptors go with the first
/// byte.
pub(super) fn send(
    stream: &UnixStream,
    bytes: &[&[u8]],
    fds: &[BorrowedFd<'_>],
) -> Result<usize, Errno> {
    let slices: Vec<IoSlice<'_>> = bytes.iter().map(|part| IoSlice::new(part)).collect();
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<UnixAddr>(stream.as_raw_fd(), &slices, control, flags, None)
}
